"""A folder of files is replaced by another, whole or not at all."""

import os
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..check.given import CaseError
from .files import naming


@contextmanager
def replacing(directory: Path, names: Container[str]) -> Iterator[Path]:
    """A new folder to be filled, which then takes the place of ``directory``; of the folder that a link leads to.

    What a writing left behind that was killed is removed, or put back where it had taken the old folder away.
    Raises CaseError for a ``directory`` that is a file, holds anything but ``names``, or is being written already.
    """
    directory = Path(os.path.realpath(directory))
    new, old = (directory.parent / f".{directory.name}.{kind}" for kind in ("new", "old"))
    with naming(directory, "written"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(new)
    try:
        with naming(directory, "written"):
            if old.exists() and not directory.exists():
                old.rename(directory)
            if directory.exists() and not directory.is_dir():
                raise CaseError("is a file; expected a directory")
            foreign = [p.name for p in directory.iterdir() if p.name not in names] if directory.exists() else []
            if foreign:
                raise CaseError(f"holds {foreign[0]}, which is no part of a set; expected a set, or nothing")
        yield new
        with naming(directory, "written"):
            shutil.rmtree(old, ignore_errors=True)
            if directory.exists():
                directory.rename(old)
            new.rename(directory)
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _locked(folder: Path) -> int | None:
    """Make the folder, or empty what a process has left that is no more; the lock goes with the process."""
    folder.mkdir(exist_ok=True)
    handle = None
    with suppress(ImportError):  # elsewhere than on POSIX there is no such lock
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise CaseError("another process is writing there") from None
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return handle
