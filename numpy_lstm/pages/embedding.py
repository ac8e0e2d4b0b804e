"""The embedding of symbols: E1 forward, E1' back. Derivation: embedding.md.

Each code names a row of W. That is a product with rows that hold a single 1, never formed.
"""

from typing import Any, NamedTuple

from ..arrays import Array
from ..ops import gather_rows, scatter_rows
from ..shapes import BH, CODES, DH
from .page import Page

# fmt: off


class Params(NamedTuple):
    """A row W (D,H) for each of D symbols; its gradient too."""
    W: DH


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each, None for the codes."""
    x: CODES; y: BH


class Functions(NamedTuple):
    """This page has no functions."""


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,) integers from 0 to D - 1."""
    y = gather_rows(p.W, x)                                         # (E1)
    return Trace(x=x, y=y)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.y (B,H) holds all of dL/dy."""
    return Trace(x=None, y=d.y)                                     # (E1')   no cotangent reaches an integer


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradient: one sum over all rows of v and d, B of one step or T*B of many."""
    return Params(W=scatter_rows(d.y, v.x, p.W.shape[0]))           # (E1')


Embedding = Page("Embedding", Params, Trace, Functions(), values, adjoint, gradients, gives=("y",))
