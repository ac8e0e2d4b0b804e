"""The LSTM with peepholes: P1 to P11 forward, P11' to P1' back. Derivation: peephole_lstm.md beside this file.

Gers & Schmidhuber 2000 and the vanilla LSTM of Greff et al. 2017: i and f look at the old cell c_{t-1}, o at the new
one c_t, each unit at its own through the weights p. So a_o can only be computed after c, and in the backward pass c
receives a term through o.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, row, sum_rows
from ..shapes import BD, BH, BR, HD, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R), bias b (H,) of each gate, peepholes p (H,); their gradients too."""
    W_i: HD; W_f: HD; W_g: HD; W_o: HD
    U_i: HR; U_f: HR; U_g: HR; U_o: HR
    b_i: H;  b_f: H;  b_g: H;  b_o: H
    p_i: H;  p_f: H;  p_o: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BR;  c_prev: BH
    a_i: BH; a_f: BH; a_g: BH; a_o: BH
    i: BH;   f: BH;   g: BH;   o: BH
    c: BH;   y: BH;   h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate and the cell's output."""
    i: Activation = SIGMOID; f: Activation = SIGMOID; o: Activation = SIGMOID
    g: Activation = TANH;    y: Activation = TANH


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R), prev.c (B,H)."""
    a_i = affine(x, p.W_i, prev.h, p.U_i, p.b_i) + row(p.p_i) * prev.c   # (P1)
    a_f = affine(x, p.W_f, prev.h, p.U_f, p.b_f) + row(p.p_f) * prev.c   # (P2)
    a_g = affine(x, p.W_g, prev.h, p.U_g, p.b_g)                    # (P3)
    i = F.i(a_i)                                                    # (P4)
    f = F.f(a_f)                                                    # (P5)
    g = F.g(a_g)                                                    # (P6)
    c = f * prev.c + i * g                                          # (P7)
    a_o = affine(x, p.W_o, prev.h, p.U_o, p.b_o) + row(p.p_o) * c   # (P8)   the new cell
    o = F.o(a_o)                                                    # (P9)
    y = F.y(c)                                                      # (P10)
    h = o * y                                                       # (P11)
    return Trace(x=x, h_prev=prev.h, c_prev=prev.c, a_i=a_i, a_f=a_f, a_g=a_g, a_o=a_o,
                 i=i, f=f, g=g, o=o, c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward: the cotangent of every field.

    d.h (B,R) holds all of dL/dh_t, d.c (B,H) what reaches c_t other than through h_t.
    """
    dh = d.h
    do, dy = dh * v.y, dh * v.o                                     # (P11')
    dc = d.c + dy * F.y.d(v.c)                                      # (P10')
    da_o = do * F.o.d(v.a_o)                                        # (P9')
    dc = dc + da_o * row(p.p_o)                                     # (P8')  before c is used below
    dx, dh_prev = da_o @ p.W_o, da_o @ p.U_o                        # (P8')
    df, di, dg, dc_prev = dc * v.c_prev, dc * v.g, dc * v.i, dc * v.f   # (P7')
    da_g = dg * F.g.d(v.a_g)                                        # (P6')
    da_f = df * F.f.d(v.a_f)                                        # (P5')
    da_i = di * F.i.d(v.a_i)                                        # (P4')
    dx, dh_prev = dx + da_g @ p.W_g, dh_prev + da_g @ p.U_g         # (P3')
    dx, dh_prev = dx + da_f @ p.W_f, dh_prev + da_f @ p.U_f         # (P2')
    dc_prev = dc_prev + da_f * row(p.p_f)                           # (P2')
    dx, dh_prev = dx + da_i @ p.W_i, dh_prev + da_i @ p.U_i         # (P1')
    dc_prev = dc_prev + da_i * row(p.p_i)                           # (P1')
    return Trace(x=dx, h_prev=dh_prev, c_prev=dc_prev, a_i=da_i, a_f=da_f, a_g=da_g,
                 a_o=da_o, i=di, f=df, g=dg, o=do, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_o=contract(d.a_o, v.x), U_o=contract(d.a_o, v.h_prev), b_o=sum_rows(d.a_o),      # (P8')
        p_o=sum_rows(d.a_o * v.c),                                                         # (P8')
        W_g=contract(d.a_g, v.x), U_g=contract(d.a_g, v.h_prev), b_g=sum_rows(d.a_g),      # (P3')
        W_f=contract(d.a_f, v.x), U_f=contract(d.a_f, v.h_prev), b_f=sum_rows(d.a_f),      # (P2')
        p_f=sum_rows(d.a_f * v.c_prev),                                                    # (P2')
        W_i=contract(d.a_i, v.x), U_i=contract(d.a_i, v.h_prev), b_i=sum_rows(d.a_i),      # (P1')
        p_i=sum_rows(d.a_i * v.c_prev),                                                    # (P1')
    )


PeepholeLSTM = Page("PeepholeLSTM", Params, Trace, Functions(), values, adjoint, gradients, carries=("h", "c"))
