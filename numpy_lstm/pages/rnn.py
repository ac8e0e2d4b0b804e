"""The simple recurrent cell of Elman 1990: R1, R2 forward, R2', R1' back. Derivation: rnn.md beside this file.

One affine map and one tanh: torch.nn.RNN, Keras SimpleRNN, TMVA's BasicRNN. Everything the other pages do
with gates happens here once, bare.
"""

from typing import Any, NamedTuple

from ..activations import RELU, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, sum_rows
from ..shapes import BD, BH, BR, HD, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R) and bias b (H,); their gradients too."""
    W: HD; U: HR; b: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD; h_prev: BR; a: BH; h: BH


class Functions(NamedTuple):
    """The activation: tanh."""
    h: Activation = TANH


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R)."""
    a = affine(x, p.W, prev.h, p.U, p.b)                            # (R1)
    h = F.h(a)                                                      # (R2)
    return Trace(x=x, h_prev=prev.h, a=a, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.h (B,R) holds all of dL/dh_t. Returns the cotangent of every field."""
    dh = d.h
    da = dh * F.h.d(v.a)                                            # (R2')  from a itself, not from h
    dx, dh_prev = da @ p.W, da @ p.U                                # (R1')
    return Trace(x=dx, h_prev=dh_prev, a=da, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(W=contract(d.a, v.x), U=contract(d.a, v.h_prev), b=sum_rows(d.a))        # (R1')


RNN = Page("RNN", Params, Trace, Functions(), values, adjoint, gradients, carries=("h",))
ReLURNN = RNN.having("ReLURNN", h=RELU)
