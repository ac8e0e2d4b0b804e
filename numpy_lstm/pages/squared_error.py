"""The squared error of each row: J1 and J2 forward, J2' and J1' back. Derivation: squared_error.md.

One loss per row: what is averaged, and over what, is the cotangent that one sends.
"""

from typing import Any, NamedTuple

from ..arrays import keep_last
from ..ops import sum_columns
from ..shapes import BD, B
from .page import Page

# fmt: off


class Params(NamedTuple):
    """This page has no parameters."""


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD; target: BD; r: BD; loss: B


class Functions(NamedTuple):
    """This page has no functions."""


def values(F: Functions, p: Params, x: Any, prev: Any) -> Trace:
    """The page read downward. x.x, x.target (B,D)."""
    r = x.x - x.target                                              # (J1)
    loss = sum_columns(r * r)                                       # (J2)
    return Trace(x=x.x, target=x.target, r=r, loss=loss)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.loss (B,): 1 for the sum of all rows, 1/n for the mean of n."""
    dr = 2 * keep_last(d.loss) * v.r                                # (J2')
    dx, dtarget = dr, -dr                                           # (J1')
    return Trace(x=dx, target=dtarget, r=dr, loss=d.loss)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """A loss has no parameters."""
    return Params()


SquaredError = Page("SquaredError", Params, Trace, Functions(), values, adjoint, gradients, ("x", "target"),
                    gives=("loss",))
