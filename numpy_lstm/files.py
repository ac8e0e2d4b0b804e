"""Files are written under a temporary name, flushed to the disk and renamed: whole, or not at all.

A link stays a link, and the mode of a file its mode. What is no regular file (a device, a pipe, ``/dev/stdout``) is
written through, and never read.
"""

import errno
import glob
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write(path: Path, save: Callable[[Path], object]) -> Path:
    """Let ``save`` write a temporary file beside ``path``, then rename it. Raises OSError as writing does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = _followed(path)
    before = None if isinstance(target, int) or not target.exists() else target.stat().st_mode
    if isinstance(target, int) or (before is not None and not stat.S_ISREG(before)):
        _write_through(target, path.suffix, save)
        return path
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    temporary = target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if before is None else 0o600))
    try:
        save(temporary)
        if before is not None:
            temporary.chmod(stat.S_IMODE(before))
        _flush(temporary, os.O_RDWR)
        temporary.replace(target)
        if os.name == "posix":  # elsewhere a directory cannot be opened
            _flush(target.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data``, whole or not at all; raises OSError as writing does."""
    return write(path, lambda temporary: temporary.write_bytes(data))


def sweep(path: Path) -> list[Path]:
    """Remove the temporaries that a killed ``write`` of ``path`` left; nobody else may be writing it."""
    target = _followed(path)
    if isinstance(target, int):
        return []
    stray = list(target.parent.glob(f"{glob.escape(_prefix(target))}{'?' * 8}{path.suffix}"))
    for temporary in stray:
        temporary.unlink(missing_ok=True)
    return stray


def regular(path: Path) -> Path:
    """``path``. Raises OSError for what is no regular file: reading it may wait for ever, or never end."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "expected a regular file", str(path))
    return path


def unpacked(size: int) -> int:
    """How many bytes may be made of a file of that many: 16 times as many, and 64 MiB at least."""
    return max(2**26, 16 * size)


def shortened(text: str, most: int = 400) -> str:
    """``text``, or its beginning and its end: what a message may repeat of a file."""
    return text if len(text) <= most else f"{text[: most - 105]} ... {text[-100:]}"


def quoted(value: Any, most: int = 60) -> str:
    """A value as Python writes it, or its beginning: what a message may repeat of a file."""
    text = "a huge number" if isinstance(value, int) and abs(value) >= 10**30 else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _followed(path: Path) -> Path | int:
    """Where links lead; the number of an open file of this process, if they lead to one, as ``/dev/stdout`` does."""
    for _ in range(40):
        folder = Path(os.path.realpath(path.parent))
        if str(folder) == f"/proc/{os.getpid()}/fd":
            return int(path.name)
        path = folder / path.name
        if not path.is_symlink():
            return path
        path = folder / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _write_through(target: Path | int, suffix: str, save: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save(temporary := Path(folder) / f"written{suffix}")
        if sys.stdout is not None:
            sys.stdout.flush()  # what was printed before stands before
        with temporary.open("rb") as source, open(target, "wb", closefd=not isinstance(target, int)) as sink:
            shutil.copyfileobj(source, sink)


def _prefix(path: Path) -> str:
    """Hidden, and of this file alone: ``.model.npz-`` and eight letters more."""
    return f".{path.name[:100]}-"


def _flush(path: Path, mode: int) -> None:
    """Let what was written to a file, or which names a directory has, reach the disk."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
