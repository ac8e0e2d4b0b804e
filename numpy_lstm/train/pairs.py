"""Pairs of sequences, a source and a target: batches of them, and the loss on those held out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import arrays
from .errors import TrainingError, expect_count
from .protocols import Rows, Trainable

BOUNDARY = 0  # the code of a target's end; also what the decoder reads before the first symbol


class Pairs(NamedTuple):
    """What one update reads: codes of ``sources`` (S,B), ``inputs`` and ``targets`` (T,B), and how long each row is.

    At each step the decoder reads one of ``inputs``, the symbol before (teacher forcing), and ``targets`` is the symbol
    that it should give. Beyond its length a row may hold any integers.
    """

    sources: Any
    lengths: Any
    inputs: Any
    targets: Any
    target_lengths: Any
    fresh: Any = True

    def rows(self, which: slice) -> "Pairs":
        """Some of the rows."""
        return self._replace(**{k: np.asarray(a)[..., which] for k, a in self._asdict().items() if k != "fresh"})

    def counts(self) -> Any:
        """1 for each symbol of the targets (T,B), 0 from a row's length on."""
        return (np.arange(self.targets.shape[0])[:, None] < np.asarray(self.target_lengths)).astype(float)


def padded(rows: Sequence[Any]) -> tuple[Any, Any]:
    """Rows of codes as one array (T,B), zeros beyond each, and their lengths. Raises TrainingError for an empty row."""
    lengths = np.array([len(row) for row in rows], int)
    if not len(rows) or not np.all(lengths):
        which = f"row {int(np.argmin(lengths))} of the sources is empty" if len(rows) else "there is no source"
        raise TrainingError(f"{which}; expected at least one symbol")
    found = np.zeros((int(np.max(lengths)), len(rows)), int)
    for b, row in enumerate(rows):
        found[: len(row), b] = row
    return found, lengths


def paired(sources: Sequence[Any], targets: Sequence[Any]) -> Pairs:
    """A batch of rows of codes; the boundary is put before and after each target."""
    edge = [BOUNDARY]
    read, lengths = padded(sources)
    inputs, target_lengths = padded([[*edge, *row] for row in targets])
    return Pairs(read, lengths, inputs, padded([[*row, *edge] for row in targets])[0], target_lengths)


@dataclass(frozen=True)
class Shuffled:
    """Batches of ``rows`` pairs, which follow from (seed, step): every epoch is another order of all pairs.

    Pairs of like length stand together: in each stretch of ``SORTED`` batches they are sorted by length, and the
    batches shuffled. What is left over at the end of an epoch is not read in it. Raises TrainingError if the pairs do
    not fill a batch, or sources and targets are not as many.
    """

    sources: Sequence[Any]
    targets: Sequence[Any]
    rows: int
    SORTED = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", expect_count("batch", self.rows))
        if len(self.sources) != len(self.targets):
            raise TrainingError(f"there are {len(self.sources)} sources and {len(self.targets)} targets")
        if len(self.sources) < self.rows:
            raise TrainingError(
                f"there are {len(self.sources)} pairs to train on; a batch of {self.rows} needs as many"
            )

    def __call__(self, seed: int, step: int) -> Pairs:
        """The batch of this update."""
        epoch, k = divmod(step, len(self.sources) // self.rows)
        order = np.random.default_rng([seed, epoch]).permutation(len(self.sources))
        stretch, k = divmod(k, self.SORTED)
        near = order[stretch * self.SORTED * self.rows :][: self.SORTED * self.rows]
        whole = sorted(near[: len(near) // self.rows * self.rows], key=lambda n: len(self.targets[n]))
        k = np.random.default_rng([seed, epoch, stretch]).permutation(len(whole) // self.rows)[k]
        chosen = whole[k * self.rows : (k + 1) * self.rows]
        return paired([self.sources[n] for n in chosen], [self.targets[n] for n in chosen])


def mean_loss(model: Trainable, batches: Sequence[Rows]) -> Callable[[Any], float]:
    """A function of the parameters: the mean loss over all that counts in these batches, without dropout."""

    def loss(params: Any) -> float:
        total = count = 0.0
        for batch in batches:
            counts = batch.counts()
            total += float(np.sum(arrays.on_host(model.forward(params, batch).losses) * counts, dtype=np.float64))
            count += float(np.sum(counts))
        return total / count

    return loss
