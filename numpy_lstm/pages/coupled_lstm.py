"""The LSTM with coupled gates, i = 1 - f: C1 to C10 forward, C10' to C1' back. Derivation: coupled_lstm.md.

CIFG of Greff et al. 2017 without peepholes: what the forget gate f lets go, the candidate g replaces. Letters as on
the page of the LSTM.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, sum_rows
from ..shapes import BD, BH, BR, HD, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R) and bias b (H,) of each gate; their gradients too."""
    W_f: HD; W_g: HD; W_o: HD
    U_f: HR; U_g: HR; U_o: HR
    b_f: H;  b_g: H;  b_o: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BR;  c_prev: BH
    a_f: BH; a_g: BH; a_o: BH
    f: BH;   g: BH;   o: BH;   i: BH
    c: BH;   y: BH;   h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate and the cell's output."""
    f: Activation = SIGMOID; g: Activation = TANH; o: Activation = SIGMOID; y: Activation = TANH


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R), prev.c (B,H)."""
    a_f = affine(x, p.W_f, prev.h, p.U_f, p.b_f)                    # (C1)
    a_g = affine(x, p.W_g, prev.h, p.U_g, p.b_g)                    # (C2)
    a_o = affine(x, p.W_o, prev.h, p.U_o, p.b_o)                    # (C3)
    f = F.f(a_f)                                                    # (C4)
    g = F.g(a_g)                                                    # (C5)
    o = F.o(a_o)                                                    # (C6)
    i = F.f.complement(a_f)                                         # (C7)   1 - f, without cancellation
    c = f * prev.c + i * g                                          # (C8)
    y = F.y(c)                                                      # (C9)
    h = o * y                                                       # (C10)
    return Trace(x=x, h_prev=prev.h, c_prev=prev.c, a_f=a_f, a_g=a_g, a_o=a_o, f=f, g=g, o=o, i=i,
                 c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward: the cotangent of every field.

    d.h (B,R) holds all of dL/dh_t, d.c (B,H) what reaches c_t other than through h_t.
    """
    dh = d.h
    do, dy = dh * v.y, dh * v.o                                     # (C10')
    dc = d.c + dy * F.y.d(v.c)                                      # (C9')
    df, di, dg, dc_prev = dc * v.c_prev, dc * v.g, dc * v.i, dc * v.f   # (C8')
    df = df - di                                                    # (C7')
    da_o = do * F.o.d(v.a_o)                                        # (C6')
    da_g = dg * F.g.d(v.a_g)                                        # (C5')
    da_f = df * F.f.d(v.a_f)                                        # (C4')
    dx, dh_prev = da_o @ p.W_o, da_o @ p.U_o                        # (C3')
    dx, dh_prev = dx + da_g @ p.W_g, dh_prev + da_g @ p.U_g         # (C2')
    dx, dh_prev = dx + da_f @ p.W_f, dh_prev + da_f @ p.U_f         # (C1')
    return Trace(x=dx, h_prev=dh_prev, c_prev=dc_prev, a_f=da_f, a_g=da_g, a_o=da_o,
                 f=df, g=dg, o=do, i=di, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_o=contract(d.a_o, v.x), U_o=contract(d.a_o, v.h_prev), b_o=sum_rows(d.a_o),      # (C3')
        W_g=contract(d.a_g, v.x), U_g=contract(d.a_g, v.h_prev), b_g=sum_rows(d.a_g),      # (C2')
        W_f=contract(d.a_f, v.x), U_f=contract(d.a_f, v.h_prev), b_f=sum_rows(d.a_f),      # (C1')
    )


CoupledLSTM = Page("CoupledLSTM", Params, Trace, Functions(), values, adjoint, gradients, carries=("h", "c"))
