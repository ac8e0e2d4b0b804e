"""Batches that follow from (seed, step) alone, so that nothing but these two numbers need be saved."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import TrainingError, expect_count, expect_within
from .model import Batch


@dataclass(frozen=True)
class Streams:
    """A long sequence of ``codes`` as ``rows`` streams side by side, read in windows of ``steps``: truncated BPTT.

    A row goes on where it ended. After its last window it begins anew, from a zero state, at an offset drawn from
    (seed, epoch). The rows are out of step with one another, so that throughout some begin: a model that has seen
    zero states at its first update alone may fail from there later. The target of each step is the code after it.
    Raises TrainingError if there is no room for a window.
    """

    codes: Any
    rows: int
    steps: int

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes)
        if codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise TrainingError(f"codes have shape {codes.shape} and dtype {codes.dtype}; expected a row of integers")
        own = {"codes": codes, "rows": expect_count("batch", self.rows), "steps": expect_count("steps", self.steps)}
        for name, value in own.items():
            object.__setattr__(self, name, value)
        if self.windows < 1:
            least = self.rows * self.steps + 1
            raise TrainingError(
                f"the text has {len(self.codes)} characters to train on; "
                f"{self.rows} rows of {self.steps} steps need at least {least}"
            )

    @property
    def stride(self) -> int:
        """The distance between two streams."""
        return (len(self.codes) - 1) // self.rows

    @property
    def windows(self) -> int:
        """Batches in an epoch."""
        return self.stride // self.steps

    def __call__(self, seed: int, step: int) -> Batch:
        """The batch of this update."""
        rows = np.arange(self.rows)
        epochs, k = np.divmod(step + rows * self.windows // self.rows, self.windows)
        spare = self.stride - self.windows * self.steps
        drawn = {int(n): np.random.default_rng([seed, int(n)]).integers(0, spare + 1) for n in np.unique(epochs)}
        starts = rows * self.stride + np.array([drawn[int(n)] for n in epochs]) + k * self.steps
        places = starts + np.arange(self.steps)[:, None]
        return Batch(self.codes[places], self.codes[places + 1], fresh=(k == 0) | (step == 0))


def split(codes: Any, share: float, rows: int, steps: int) -> tuple[Any, Any]:
    """What to train on, and the last ``share`` of the text, held out. Raises TrainingError if either is too short."""
    share = expect_within("share", share, 0, 0.99, open_low=True)
    rows, steps = expect_count("batch", rows), expect_count("steps", steps)
    held = int(len(codes) * share)
    if held < steps + 1 or len(codes) - held < rows * steps + 1:
        raise TrainingError(
            f"the text has {len(codes)} characters; {rows} rows of {steps} steps, and {share:.0%} held out, need "
            f"{max(int((steps + 1) / share) + 1, int((rows * steps + 1) / (1 - share)) + 1)}"
        )
    return codes[:-held], codes[-held:]
