"""Attention after a decoder (Luong et al. 2015, general): A1 to A6 forward, A6' to A1' back. Derivation: attention.md.

Each step asks the memory, S places of N numbers that all steps share, and mixes the answer into what it gives.
``bias`` is added to the scores: 0, or -inf where a place is padding. No recursion passes through it.
"""

from typing import Any, NamedTuple

from ..activations import TANH, Activation
from ..ops import contract, linear, mixture, outer, row, scores, softmax, softmax_adjoint, sum_rows
from ..shapes import BD, BH, BIAS, BN, BS, HD, HN, MEMORY, ND, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights of the question W_a (N,D), the answer W_r (H,N) and x W_x (H,D), bias b (H,); their gradients too."""
    W_a: ND; W_r: HN; W_x: HD; b: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD; memory: MEMORY; bias: BIAS
    q: BN; e: BS; w: BS; r: BN; a: BH; y: BH


class Functions(NamedTuple):
    """The activation of the output."""
    y: Activation = TANH


def values(F: Functions, p: Params, x: Any, prev: Any) -> Trace:
    """The page read downward. x.x (B,D) the decoder's output, x.memory (B,S,N), x.bias (B,S)."""
    q = linear(x.x, p.W_a)                                          # (A1)
    e = scores(q, x.memory) + x.bias                                # (A2)
    w = softmax(e)                                                  # (A3)
    r = mixture(w, x.memory)                                        # (A4)
    a = linear(r, p.W_r) + linear(x.x, p.W_x) + row(p.b)            # (A5)
    y = F.y(a)                                                      # (A6)
    return Trace(x=x.x, memory=x.memory, bias=x.bias, q=q, e=e, w=w, r=r, a=a, y=y)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.y (B,H) holds all of dL/dy. Returns the cotangent of every field."""
    da = d.y * F.y.d(v.a)                                           # (A6')
    dr, dx = da @ p.W_r, da @ p.W_x                                 # (A5')
    dw, dmemory = scores(dr, v.memory), outer(v.w, dr)              # (A4')
    de = softmax_adjoint(dw, v.w)                                   # (A3')
    dq, dmemory = mixture(de, v.memory), dmemory + outer(de, v.q)   # (A2')
    dx = dx + dq @ p.W_a                                            # (A1')
    return Trace(x=dx, memory=dmemory, bias=de, q=dq, e=de, w=dw, r=dr, a=da, y=d.y)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_r=contract(d.a, v.r), W_x=contract(d.a, v.x), b=sum_rows(d.a),      # (A5')
        W_a=contract(d.q, v.x),                                               # (A1')
    )


Attention = Page("Attention", Params, Trace, Functions(), values, adjoint, gradients, ("x", "memory", "bias"),
                 gives=("y",))
