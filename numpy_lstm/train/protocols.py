"""What the loop asks of a batch and of a model. Batch and Model are one pair; others train by the same loop."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from ..pages.page import Page
from ..scan import Backward


class Rows(Protocol):
    """A batch."""

    @property
    def fresh(self) -> Any:
        """Whether the rows, each or all, begin anew from zero states."""

    def rows(self, which: slice) -> Any:
        """Some of the rows."""

    def counts(self) -> Any:
        """How much each loss (T,B) counts; T is 1 where a row has one loss."""


class Trainable(Protocol):
    """A model. Trees of masks have the rows of a batch on axis 1, trees of states on axis 0."""

    @property
    def loss(self) -> Page:
        """The page that gives one number for each row and step."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters: a tree."""

    def zero_carry(self, params: Any, rows: int) -> Any:
        """The states before the first batch: a tree, None if nothing is carried from batch to batch."""

    def masks(self, rng: np.random.Generator, batch: Any, dtype: Any) -> Any:
        """Dropout masks of one update: a tree, None without."""

    def forward(self, params: Any, batch: Any, first: Any = None, masks: Any = None) -> Any:
        """A run: its ``losses`` (T,B), its ``last`` states, ``run`` of the layers, ``loss`` of the loss page."""

    def backward(self, params: Any, run: Any, dlosses: Any) -> Any:
        """The gradient of the parameters, from the cotangent (T,B) of the losses."""

    def backward_all(self, params: Any, run: Any, dlosses: Any) -> tuple[Backward, Backward]:
        """Everything that the loss page and the layers give back."""

    def full(self, params: Any) -> Any:
        """The parameters as ``walk`` takes them."""

    def having(self, engine: str) -> Any:
        """The same model, its cells by this engine."""

    def walk(self, *trees: Any) -> Iterator[tuple[Any, ...]]:
        """Name, layer, and what the trees hold there, of each cell and page from the bottom up."""
