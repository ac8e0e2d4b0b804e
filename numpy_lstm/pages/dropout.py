"""Dropout (Srivastava et al. 2014): D1 forward, D1' back. Derivation: dropout.md.

The mask is read like x: drawn, held over all steps (variational: Gal & Ghahramani 2016), or left out after training.
"""

from typing import Any, NamedTuple

from ..shapes import BH
from .page import Page

# fmt: off


class Params(NamedTuple):
    """This page has no parameters."""


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BH; mask: BH; y: BH


class Functions(NamedTuple):
    """This page has no functions."""


def values(F: Functions, p: Params, x: Any, prev: Any) -> Trace:
    """The page read downward. x.x (B,H), as many outputs as inputs; x.mask (B,H): 0, or 1/(1-p) where x is kept."""
    y = x.mask * x.x                                                # (D1)
    return Trace(x=x.x, mask=x.mask, y=y)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward, with the mask of the way down. d.y (B,H) holds all of dL/dy."""
    dx, dmask = v.mask * d.y, v.x * d.y                             # (D1')
    return Trace(x=dx, mask=dmask, y=d.y)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """Dropout has no parameters."""
    return Params()


Dropout = Page("Dropout", Params, Trace, Functions(), values, adjoint, gradients, ("x", "mask"), gives=("y",))
