"""The cross-entropy of each row, softmax included: X1 to X4 forward, X4' to X1' back. Derivation: cross_entropy.md.

    loss = -log p_target = (x_top - x_target) + log1p(sum of exp(x_j - x_top) over j != top)

for logits x, of which x_top is the largest. Both terms are positive, so a loss of 1e-14 keeps its digits, and one of
800 does not overflow; nor is p_target - 1 a difference: it is minus the sum of the other probabilities. One loss per
row: what is averaged, and over what, is the cotangent that one sends.
"""

from typing import Any, NamedTuple

from ..arrays import keep_last, log1p
from ..ops import exp_difference, largest, others, pick, replaced, sum_columns, without
from ..shapes import BD, CODES, B
from .page import Page

# fmt: off


class Params(NamedTuple):
    """This page has no parameters."""


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each, None for the target."""
    x: BD; target: CODES
    m: B;  e: BD; s: B; loss: B


class Functions(NamedTuple):
    """This page has no functions."""


def values(F: Functions, p: Params, x: Any, prev: Any) -> Trace:
    """The page read downward. x.x (B,D) are logits, x.target (B,) integers from 0 to D - 1."""
    top = largest(x.x)
    x_top = pick(x.x, top)
    m = x_top - pick(x.x, x.target)                                 # (X1)
    e = exp_difference(x.x, keep_last(x_top))                       # (X2)
    s = others(e, top)                                              # (X3)
    loss = m + log1p(s)                                             # (X4)
    return Trace(x=x.x, target=x.target, m=m, e=e, s=s, loss=loss)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.loss (B,): 1 for the sum of all rows, 1/n for the mean of n."""
    dm, ds = d.loss, d.loss / (1 + v.s)                             # (X4')
    de = without(0 * v.e + keep_last(ds), largest(v.x))             # (X3')
    dx = without(keep_last(ds) * v.e, v.target)                     # (X2')
    dx = replaced(dx, v.target, -sum_columns(dx))                   # (X1')   what X1 and X2 send to the largest adds up
    return Trace(x=dx, target=None, m=dm, e=de, s=ds, loss=d.loss)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """A loss has no parameters."""
    return Params()


CrossEntropy = Page("CrossEntropy", Params, Trace, Functions(), values, adjoint, gradients, ("x", "target"),
                    gives=("loss",))
