"""The three tasks: what is read, what is to be answered, and what an answer is worth that has read nothing."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from numpy_lstm import pages, train

from .. import text


@dataclass(frozen=True)
class Problem(ABC):
    """Batches of ``rows`` sequences that follow from (seed, step) alone; ``delay`` says how long they are.

    ``inputs``, ``outputs`` and ``loss`` page of a network that learns it, with ``hidden`` units.
    ``floor`` is the smallest loss and ``chance`` the share right of answers that know the step and have read nothing.
    """

    delay: int
    symbols: int = 1
    inputs: ClassVar[int]
    outputs: ClassVar[int]
    floor: ClassVar[float]
    chance: ClassVar[float]
    loss: ClassVar[pages.Page] = pages.CrossEntropy
    curve: ClassVar[str] = "loss"  # what is drawn against the update
    end: ClassVar[str] = "right"  # and against the delay
    least: ClassVar[int] = 1
    rows: ClassVar[int] = 50
    hidden: ClassVar[int] = 64

    def __post_init__(self) -> None:
        if self.delay < self.least:
            raise text.InputError(f"the delay is {self.delay}; {self.name} needs at least {self.least}")

    @property
    def name(self) -> str:
        """As on the command line."""
        return type(self).__name__.lower()

    @property
    def memory(self) -> int:
        """The longest time that chrono initialisation sets a gate to."""
        return self.delay

    def __call__(self, seed: int, step: int) -> train.Batch:
        """The batch of this update."""
        return self.drawn(np.random.default_rng([seed, step]), self.rows)

    @abstractmethod
    def drawn(self, rng: np.random.Generator, rows: int) -> train.Batch:
        """So many sequences; xs (T,B,N), one answer for each step or, after the last one, for each row."""

    def right(self, outputs: Any, batch: train.Batch) -> float:
        """The share of answers (T,B,N) that are right, where there is something to remember."""
        return float(np.mean(np.argmax(outputs, axis=-1) == batch.targets))

    def solved(self, loss: float, right: float) -> bool:
        """Whether this is good enough to stop."""
        return right >= 0.99


class Copy(Problem):
    """K symbols out of 8, to be given back after the delay (Arjovsky et al. 2016).

    Read: K symbols, delay - 1 blanks, a delimiter, K blanks. Answer: delay + K blanks, then the K symbols.
    """

    inputs, outputs, chance = 10, 9, 1 / 8
    rows = 64
    BLANK, DELIMITER = 8, 9

    @property
    def floor(self) -> float:
        """K ln 8 / (T + 2K): certain of the blanks, without an idea of the symbols."""
        return self.symbols * np.log(8) / (self.delay + 2 * self.symbols)

    @property
    def memory(self) -> int:
        """As in Tallec & Ollivier 2018."""
        return self.delay * 3 // 2 + self.symbols

    def drawn(self, rng: np.random.Generator, rows: int) -> train.Batch:
        """One answer for each step."""
        K, T = self.symbols, self.delay
        read = np.full((T + 2 * K, rows), self.BLANK)
        read[K + T - 1] = self.DELIMITER
        targets = np.full_like(read, self.BLANK)
        read[:K] = targets[-K:] = rng.integers(0, 8, (K, rows))
        return train.Batch(_one_hot(read, self.inputs), targets)

    def right(self, outputs: Any, batch: train.Batch) -> float:
        """Of the K symbols."""
        K = self.symbols
        return super().right(outputs[-K:], batch._replace(targets=batch.targets[-K:]))


class Order(Problem):
    """Two cues, each X or Y, among four other symbols: which, and in which order (Hochreiter & Schmidhuber 1997, 6a).

    The cues stand in the second and in the sixth tenth of the sequence; the answer is 2 [first is Y] + [second is Y].
    """

    inputs, outputs, floor, chance = 6, 4, float(np.log(4)), 1 / 4
    least, hidden, curve = 10, 50, "right"

    def drawn(self, rng: np.random.Generator, rows: int) -> train.Batch:
        """One answer for each row."""
        T = self.delay
        read = rng.integers(2, 6, (T, rows))
        cues = rng.integers(0, 2, (2, rows))
        for start, cue in zip((1, 5), cues, strict=True):
            places = rng.integers(start * T // 10, (start + 1) * T // 10, rows)
            read[places, np.arange(rows)] = cue
        return _once(_one_hot(read, self.inputs), 2 * cues[:1] + cues[1:])


class Adding(Problem):
    """Numbers from U(0,1), two of them marked, one in each half: their sum."""

    inputs, outputs, floor, chance = 2, 1, 1 / 6, 0.19  # of the answer 1, whatever was read
    loss, least, end = pages.SquaredError, 2, "loss"

    def drawn(self, rng: np.random.Generator, rows: int) -> train.Batch:
        """One answer for each row."""
        T, each = self.delay, np.arange(rows)
        values, marks = rng.random((T, rows)), np.zeros((T, rows))
        for start, stop in ((0, T // 2), (T // 2, T)):
            marks[rng.integers(start, stop, rows), each] = 1
        xs = np.stack([values, marks], axis=-1).astype(np.float32)
        return _once(xs, np.sum(xs[..., :1] * xs[..., 1:], axis=0, keepdims=True))

    def right(self, outputs: Any, batch: train.Batch) -> float:
        """Of the sums, within 0.1."""
        return float(np.mean(np.abs(outputs - batch.targets) < 0.1))

    def solved(self, loss: float, right: float) -> bool:
        """The error is 3 % of the floor."""
        return loss < 0.005


PROBLEMS: dict[str, type[Problem]] = {"copy": Copy, "order": Order, "adding": Adding}


def of(point: dict[str, Any]) -> Problem:
    """The problem of a point of a sweep: ``task``, ``delay``, ``symbols``."""
    return PROBLEMS[point["task"]](point["delay"], point["symbols"])


def _one_hot(codes: Any, N: int) -> Any:
    return np.eye(N, dtype=np.float32)[codes]


def _once(xs: Any, targets: Any) -> train.Batch:
    """A batch with one answer after the last step."""
    return train.Batch(xs, targets, weights=np.ones(targets.shape[:2]))
