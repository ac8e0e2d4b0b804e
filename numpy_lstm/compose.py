"""Layers: wirings of a cell over time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import scan
from .arrays import Array
from .cells.cell import Cell
from .scan import Backward, Forward


@dataclass(frozen=True)
class Recurrent:
    """One cell scanned over time, as a layer. It owns nothing: parameters and runs are handed in."""

    cell: Cell

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters: see ``Cell.init``."""
        return self.cell.init(D, H, rng, dtype)

    def forward(self, params: Any, xs: Array, first: Any = None, lengths: Any = None) -> Forward:
        """See ``numpy_lstm.forward``."""
        return scan.forward(self.cell, params, xs, first, lengths)

    def backward(
        self, params: Any, run: Forward, dhs: Array | None = None, dcs: Array | None = None, dlast: Any = None
    ) -> Backward:
        """See ``numpy_lstm.backward``."""
        return scan.backward(self.cell, params, run, dhs, dcs, dlast)
