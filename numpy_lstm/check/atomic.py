"""Files are written under a temporary name and renamed: whole, or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write(path: Path, save: Callable[[Path], object]) -> Path:
    """Let ``save`` write a temporary file beside ``path``, then rename it. Raises OSError as writing does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        save(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
