"""What a page offers: three record types and three functions, under one name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import init
from ..arrays import Array
from ..shapes import axes


@dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    ``step(p, x, s) -> (State, Trace)`` is the equations; ``step_adjoint(p, v, ds) -> (State, Trace)`` carries
    the cotangent of the new state to the old one and to every intermediate value, in a Trace of the same
    shape as the values ``v``; ``step_gradients(v, d) -> Params`` contracts the rows of both, B or T*B alike.
    ``tied`` names axis letters that share a size: R = H unless the cell is projected.
    """

    name: str
    Params: Any
    State: Any
    Trace: Any
    step: Callable[[Any, Array, Any], tuple[Any, Any]]
    step_adjoint: Callable[[Any, Any, Any], tuple[Any, Any]]
    step_gradients: Callable[[Any, Any], Any]
    tied: dict[str, str] = field(default_factory=lambda: {"R": "H"}, hash=False)

    def __repr__(self) -> str:
        return f"<Cell {self.name}>"

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters for D inputs and H units: Glorot-uniform W, orthogonal U, zero b, forget bias 1.

        Other initialisers stand in ``numpy_lstm.init``.
        """
        return init.glorot_orthogonal(self.Params, {"D": D, "H": H, "R": H}, rng, dtype)

    def partial_state(self, h: Any = None, c: Any = None) -> Any:
        """A State with these fields and None, absent, in all others. Raises TypeError if it has no such field."""
        given = {name: value for name, value in {"h": h, "c": c}.items() if value is not None}
        if unknown := given.keys() - set(self.State._fields):
            raise TypeError(
                f"{self.name} has no {', '.join(unknown)} in its state, only {', '.join(self.State._fields)}"
            )
        return self.State(**(dict.fromkeys(self.State._fields) | given))

    def zero_state(self, B: int, H: int, dtype: Any = np.float64) -> Any:
        """The state before anything was read: zeros, h (B,R) and whatever else the cell carries."""
        size = {"B": B, "H": H, "R": H}
        return self.State(**{k: np.zeros([size[n] for n in letters], dtype) for k, letters in axes(self.State).items()})
