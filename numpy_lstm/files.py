"""Files are written under a temporary name, flushed to the disk and renamed: whole, or not at all."""

import glob
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write(path: Path, save: Callable[[Path], object]) -> Path:
    """Let ``save`` write a temporary file beside ``path``, then rename it. Raises OSError as writing does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        save(temporary)
        temporary.chmod(0o644)
        _flush(temporary, os.O_RDWR)
        temporary.replace(path)
        if os.name == "posix":  # elsewhere a directory cannot be opened
            _flush(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data``, whole or not at all; raises OSError as writing does."""
    return write(path, lambda temporary: temporary.write_bytes(data))


def sweep(path: Path) -> list[Path]:
    """Remove the temporaries that a killed ``write`` of ``path`` left; nobody else may be writing it."""
    stray = [f for f in path.parent.glob(f"{glob.escape(_prefix(path))}*{path.suffix}") if f != path]
    for temporary in stray:
        temporary.unlink(missing_ok=True)
    return stray


def _prefix(path: Path) -> str:
    """Hidden, and of this file alone: ``.model.npz-`` and eight letters more."""
    return f".{path.name}-"


def _flush(path: Path, mode: int) -> None:
    """Let what was written to a file, or which names a directory has, reach the disk."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
