"""Sequences of unequal length, each of one class: as data, as a batch, and in batches of rows of like length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .errors import TrainingError, expect_count


class Labelled(NamedTuple):
    """What one update reads: codes ``xs`` (T,B), ``targets`` (B,), the class of each row, and ``lengths`` (B,), 1 to T.

    Beyond its length a row may hold anything. Every row begins from zero states and has one loss.
    """

    xs: Any
    targets: Any
    lengths: Any
    fresh: Any = True

    def rows(self, which: slice) -> "Labelled":
        """Some of the rows."""
        return Labelled(self.xs[:, which], self.targets[which], self.lengths[which])

    def counts(self) -> Any:
        """How much each loss (1,B) counts: all the same."""
        return np.ones((1, len(self.targets)))


@dataclass(frozen=True)
class Ragged:
    """N rows: their ``codes``, one row after the other, their ``lengths`` (N,) and ``targets`` (N,), all integers.

    Raises TrainingError for an empty row, which has nothing to be pooled, and for numbers that do not fit.
    """

    codes: Any
    lengths: Any
    targets: Any

    def __post_init__(self) -> None:
        for name in ("codes", "lengths", "targets"):
            a = np.asarray(getattr(self, name))
            if a.ndim != 1 or (a.dtype.kind not in "iu" and a.size):
                raise TrainingError(f"{name} have shape {a.shape} and dtype {a.dtype}; expected a row of integers")
            object.__setattr__(self, name, a)
        if len(self.lengths) != len(self.targets) or np.sum(self.lengths) != len(self.codes):
            raise TrainingError(
                f"lengths are {len(self.lengths)} and add up to {np.sum(self.lengths)}; expected {len(self.targets)}, "
                f"one for each target, and {len(self.codes)}, the number of codes"
            )
        if (empty := np.flatnonzero(self.lengths < 1)).size:
            raise TrainingError(f"row {empty[0] + 1} has {self.lengths[empty[0]]} symbols; expected at least 1")

    @classmethod
    def of(cls, rows: Sequence[Any], targets: Any) -> "Ragged":
        """From one array of codes for each row."""
        return cls(np.concatenate([np.zeros(0, int), *rows]), np.array([len(row) for row in rows], int), targets)

    def batch(self, which: Any) -> Labelled:
        """These rows, an array of places, beside one another; each is padded with its last code."""
        lengths, ends = self.lengths[which], np.cumsum(self.lengths)[which]
        steps = np.arange(np.max(lengths))[:, None]
        return Labelled(self.codes[ends - lengths + np.minimum(steps, lengths - 1)], self.targets[which], lengths)

    def in_turn(self, rows: int) -> Iterator[Any]:
        """The places of all rows, at most ``rows`` at a time, from the shortest to the longest."""
        order = np.argsort(self.lengths, kind="stable")
        for k in range(0, len(order), rows):
            yield order[k : k + rows]


@dataclass(frozen=True)
class Buckets:
    """Batches of ``rows`` rows of like length, which follow from (seed, step): little of them is padding.

    Every epoch draws anew which rows stand together and in which order the batches come, and leaves out at random what
    does not fill the last batch. Raises TrainingError if there are fewer rows than a batch needs.
    """

    data: Ragged
    rows: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", expect_count("batch", self.rows))
        if len(self.data.lengths) < self.rows:
            came, least = len(self.data.lengths), f"expected at least {self.rows}, the rows of a batch"
            raise TrainingError(f"there are {came} rows to train on; {least}")

    def __call__(self, seed: int, step: int) -> Labelled:
        """The batch of this update."""
        count = len(self.data.lengths) // self.rows
        epoch, k = divmod(step, count)
        rng = np.random.default_rng([seed, epoch])
        drawn = rng.permutation(len(self.data.lengths))[: count * self.rows]
        place = rng.permutation(count)[k] * self.rows
        by_length = drawn[np.argsort(self.data.lengths[drawn], kind="stable")]
        return self.data.batch(by_length[place : place + self.rows])
