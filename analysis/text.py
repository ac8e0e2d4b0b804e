"""Text as sequences of symbols."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm.files import regular


class InputError(ValueError):
    """A text that cannot be used; says why."""


class Corpus(NamedTuple):
    """A text: its ``symbols`` (the alphabet, sorted) and ``codes``, one index into it for each character."""

    name: str
    symbols: str
    codes: Any
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}: {len(self.codes)} characters, {len(self.symbols)} symbols, sha256 {self.sha256[:12]}"


def load(path: str | None = None) -> Corpus:
    """The file at ``path`` (UTF-8), or the documentation topics that ship with Python.

    Raises InputError, which says why, for a file that cannot be read as text or holds fewer than two symbols.
    """
    if path is None:
        from pydoc_data.topics import topics

        return _corpus("pydoc_data.topics", "\n".join(topics[key] for key in sorted(topics)))
    return _corpus(Path(path).name, read(path))


def read(path: str) -> str:
    """The text of a file in UTF-8; raises InputError, which says why, for one that cannot be read as such."""
    try:
        return regular(Path(path)).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error


def require(corpus: Corpus, length: int) -> None:
    """Raise InputError if the text is shorter than a window of ``length`` characters."""
    if len(corpus.codes) < length:
        raise InputError(f"{corpus.name} has {len(corpus.codes)} characters; a window needs {length}")


def windows(corpus: Corpus, length: int, batch: int, rng: np.random.Generator) -> Any:
    """``batch`` random stretches of ``length`` characters as codes, (length, batch)."""
    require(corpus, length)
    starts = rng.integers(0, len(corpus.codes) - length + 1, batch)
    return np.stack([corpus.codes[s : s + length] for s in starts], axis=1)


def _corpus(name: str, text: str) -> Corpus:
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    symbols, codes = np.unique(points, return_inverse=True)
    if len(symbols) < 2:
        raise InputError(f"{name} has {len(symbols)} different characters; a next-symbol loss needs at least 2")
    return Corpus(name, "".join(map(chr, symbols)), codes, hashlib.sha256(text.encode("utf-8")).hexdigest())
