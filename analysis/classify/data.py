"""Texts and their classes: the names of characters that ship with Python, or two columns of a CSV file."""

import csv
import hashlib
import io
import platform
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm.files import shortened
from numpy_lstm.train import Ragged

from ..text import InputError, read

CLASSES = 9  # of the names: the most frequent general categories
SHARE = 10  # one row in so many is for validation, one for the test
SYMBOLS: dict[str, Callable[[str], list[str]]] = {
    "characters": list,
    "words": lambda text: re.findall(r"\w+|[^\w\s]", text.lower()),
}
UNKNOWN = ""  # stands for every symbol that occurs less than twice in the rows to train on


class Texts(NamedTuple):
    """Rows: ``texts`` and ``labels``, in their order."""

    name: str
    texts: list[str]
    labels: list[str]

    @property
    def sha256(self) -> str:
        """The digest of all rows."""
        rows = zip(self.texts, self.labels, strict=True)
        return hashlib.sha256("".join(f"{text}\t{label}\n" for text, label in rows).encode()).hexdigest()


class Parts(NamedTuple):
    """Rows to train on, to choose the best update by, and to judge it by; the ``symbols`` and ``classes`` of codes."""

    fit: Ragged
    validation: Ragged
    test: Ragged
    symbols: list[str]
    classes: list[str]


def load(path: str | None, text: str, label: str) -> Texts:
    """The columns of that CSV file, or the names of characters. Raises InputError."""
    return names() if path is None else table(path, text, label)


def names() -> Texts:
    """Every character's name and its general category, for the most frequent categories.

    Names that a rule makes by the thousand, with a digit, SYLLABLE or IDEOGRAPH in them, are left out.
    """
    found = ((unicodedata.name(chr(k), ""), unicodedata.category(chr(k))) for k in range(sys.maxunicode + 1))
    rows = [(name, kind) for name, kind in found if name and not re.search(r"\d|SYLLABLE|IDEOGRAPH", name)]
    kept = {kind for kind, _ in Counter(kind for _, kind in rows).most_common(CLASSES)}
    texts, labels = zip(*((name, kind) for name, kind in rows if kind in kept), strict=True)
    said = f"names of characters, unicodedata {unicodedata.unidata_version} of Python {platform.python_version()}"
    return Texts(said, list(texts), list(labels))


def table(path: str, text: str, label: str) -> Texts:
    """Two columns of a CSV file with a header. Raises InputError, which names the row, counted after the header."""
    content = read(path).removeprefix("\ufeff")
    if "\0" in content:
        raise InputError(f"{path} is no CSV file: a byte of it is 0")
    reader = csv.DictReader(io.StringIO(content), strict=True)
    found: dict[str, list[str]] = {text: [], label: []}
    try:
        there = reader.fieldnames or []
        for column in found:
            if column not in there:
                raise InputError(f"{path} has no column {column!r}; it has {shortened(', '.join(there)) or 'none'}")
        for k, row in enumerate(reader, 1):
            for column, values in found.items():
                if not (value := (row[column] or "").strip()):
                    raise InputError(f"{path}, row {k}: {column} is empty")
                values.append(value)
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}, line {reader.line_num}") from None
    return Texts(path, found[text], found[label])


def parts(texts: Texts, symbols: str, steps: int, seed: int) -> Parts:
    """The rows as codes, at most ``steps`` of each, in three parts drawn from ``seed``.

    Raises InputError for fewer than two classes, too few rows, and a label that none of the rows to train on has.
    """
    classes, N = sorted(set(texts.labels)), len(texts.labels)
    if len(classes) < 2:
        came = f"one class only, {classes[0]!r}" if classes else "no rows"
        raise InputError(f"{texts.name} has {came}; expected at least 2 classes")
    if N < 2 * SHARE:
        raise InputError(f"{texts.name} has {N} rows; expected at least {2 * SHARE}")
    rows = [SYMBOLS[symbols](text)[:steps] for text in texts.texts]
    order = np.random.default_rng(seed).permutation(N)
    drawn = np.split(order, [N - 2 * (N // SHARE), N - N // SHARE])
    seen = {texts.labels[k] for k in drawn[0]}
    for k in order:
        if (label := texts.labels[k]) not in seen:
            count = texts.labels.count(label)
            raise InputError(
                f"{texts.name}, row {k + 1}: label {label!r} is not among the rows to train on; it has {count} in all"
            )
    counts = Counter(symbol for k in drawn[0] for symbol in rows[k])
    known = [UNKNOWN, *sorted(symbol for symbol, count in counts.items() if count > 1)]
    code, place = {s: k for k, s in enumerate(known)}, {c: k for k, c in enumerate(classes)}
    codes = [np.array([code.get(symbol, 0) for symbol in row]) for row in rows]
    targets = np.array([place[label] for label in texts.labels])
    return Parts(*(Ragged.of([codes[k] for k in part], targets[part]) for part in drawn), known, classes)


def described(found: Any) -> str:
    """How many rows there are, and how long."""
    fit, validation, test = found[:3]
    lengths = np.concatenate([part.lengths for part in found[:3]])
    low, middle, high = np.quantile(lengths, [0, 0.5, 1]).astype(int)
    return (
        f"{len(lengths)} rows ({len(fit.lengths)} to train on, {len(validation.lengths)} to choose by, "
        f"{len(test.lengths)} to judge by) of {low} to {high} symbols, median {middle}; {len(found.symbols)} symbols, "
        f"{len(found.classes)} classes"
    )
