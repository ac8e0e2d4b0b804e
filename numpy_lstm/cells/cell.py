"""What a page offers: three record types and three functions, under one name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import init
from ..shapes import axes
from . import describe
from .describe import Documentation, PageFunction


@dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    ``step(p, x, s) -> (State, Trace)`` is the equations; ``step_adjoint(p, v, ds) -> (State, Trace)`` carries
    the cotangent of the new state to the old one and to every intermediate value, in a Trace of the same
    shape as the values ``v``; ``step_gradients(v, d) -> Params`` contracts the rows of both, B or T*B alike.

    ``page`` names the equation set (``lstm`` for cells/lstm.py) and ``functions`` the activation of each equation
    that has one. ``R`` is the recurrent width of a projected cell; without projection R = H. ``Input`` is the record
    that a step reads instead of a single array x, for a cell that needs more.
    """

    name: str
    Params: Any
    State: Any
    Trace: Any
    step: Callable[[Any, Any, Any], tuple[Any, Any]]
    step_adjoint: Callable[[Any, Any, Any], tuple[Any, Any]]
    step_gradients: Callable[[Any, Any], Any]
    page: str
    functions: Any
    R: int | None = None
    Input: Any = None

    @classmethod
    def of_page(cls, name: str, page: dict[str, Any], functions: Any) -> "Cell":
        """The cell of a page (its ``globals()``) with these activations in its equations."""
        return cls(
            name=name,
            Params=page["Params"],
            State=page["State"],
            Trace=page["Trace"],
            step=PageFunction(page["step"], functions),
            step_adjoint=PageFunction(page["step_adjoint"], functions),
            step_gradients=page["step_gradients"],
            page=page["__name__"].rpartition(".")[2],
            functions=functions,
        )

    def __repr__(self) -> str:
        return f"<Cell {self.name}>"

    def sizes(self, H: int, **others: int) -> dict[str, int]:
        """Sizes by axis letter for H units."""
        return others | {"H": H, "R": self.R or H}

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters for D inputs and H units: Glorot-uniform W, orthogonal U, zero b, forget bias 1.

        Other initialisers stand in ``numpy_lstm.init``.
        """
        return init.glorot_orthogonal(self.Params, self.sizes(H, D=D), rng, dtype)

    def partial_state(self, h: Any = None, c: Any = None) -> Any:
        """A State with these fields and None, absent, in all others. Raises TypeError if it has no such field."""
        fields = self.State._fields
        given = {name: value for name, value in {"h": h, "c": c}.items() if value is not None}
        if unknown := given.keys() - set(fields):
            raise TypeError(f"{self.name} has no {', '.join(unknown)} in its state, only {', '.join(fields)}")
        return self.State(**(dict.fromkeys(fields) | given))

    def zero_state(self, B: int, H: int, dtype: Any = np.float64) -> Any:
        """The state before anything was read: zeros, h (B,R) and whatever else the cell carries."""
        size = self.sizes(H, B=B)
        return self.State(**{k: np.zeros([size[n] for n in letters], dtype) for k, letters in axes(self.State).items()})


Cell.__doc__ = Documentation(Cell.__doc__, describe.cell)  # type: ignore[assignment]  # help(LSTM) is about the LSTM
