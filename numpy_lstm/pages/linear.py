"""The linear map, a readout say: Y1 forward, Y1' back. Derivation: linear.md."""

from typing import Any, NamedTuple

from ..arrays import Array
from ..ops import contract, linear, row, sum_rows
from ..shapes import BD, BH, HD, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D) and bias b (H,); their gradients too."""
    W: HD; b: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD; y: BH


class Functions(NamedTuple):
    """This page has no functions."""


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D)."""
    y = linear(x, p.W) + row(p.b)                                   # (Y1)
    return Trace(x=x, y=y)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.y (B,H) holds all of dL/dy. Returns the cotangent of every field."""
    dx = d.y @ p.W                                                  # (Y1')
    return Trace(x=dx, y=d.y)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(W=contract(d.y, v.x), b=sum_rows(d.y))            # (Y1')


Linear = Page("Linear", Params, Trace, Functions(), values, adjoint, gradients, gives=("y",))
