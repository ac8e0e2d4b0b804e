"""The LSTM with full gate recurrence: F1 to F11 forward, F11' to F1' back. Derivation: full_gate_lstm.md.

FGR of Greff et al. 2017, without peepholes: every gate i, f, o also reads the three gates of the previous step through
full matrices R_sk, from gate s to gate k. The gates are therefore part of the state.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, linear, sum_rows
from ..shapes import BD, BH, BR, HD, HH, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R), bias b (H,) of each gate, R_sk (H,H) from gate s to gate k; their gradients too."""
    W_i: HD;  W_f: HD;  W_g: HD; W_o: HD
    U_i: HR;  U_f: HR;  U_g: HR; U_o: HR
    b_i: H;   b_f: H;   b_g: H;  b_o: H
    R_ii: HH; R_fi: HH; R_oi: HH
    R_if: HH; R_ff: HH; R_of: HH
    R_io: HH; R_fo: HH; R_oo: HH


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BR;  c_prev: BH; i_prev: BH; f_prev: BH; o_prev: BH
    a_i: BH; a_f: BH; a_g: BH; a_o: BH
    i: BH;   f: BH;   g: BH;   o: BH
    c: BH;   y: BH;   h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate and the cell's output."""
    i: Activation = SIGMOID; f: Activation = SIGMOID; o: Activation = SIGMOID
    g: Activation = TANH;    y: Activation = TANH


def gates(i: Array, R_i: Array, f: Array, R_f: Array, o: Array, R_o: Array) -> Array:
    """What the three previous gates send to one gate: the sum of s_prev R_sk^T over s in i, f, o. Gives (B,H)."""
    return linear(i, R_i) + linear(f, R_f) + linear(o, R_o)


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R), prev.c, prev.i, prev.f, prev.o (B,H)."""
    a_i = affine(x, p.W_i, prev.h, p.U_i, p.b_i) + gates(prev.i, p.R_ii, prev.f, p.R_fi, prev.o, p.R_oi)   # (F1)
    a_f = affine(x, p.W_f, prev.h, p.U_f, p.b_f) + gates(prev.i, p.R_if, prev.f, p.R_ff, prev.o, p.R_of)   # (F2)
    a_g = affine(x, p.W_g, prev.h, p.U_g, p.b_g)                    # (F3)
    a_o = affine(x, p.W_o, prev.h, p.U_o, p.b_o) + gates(prev.i, p.R_io, prev.f, p.R_fo, prev.o, p.R_oo)   # (F4)
    i = F.i(a_i)                                                    # (F5)
    f = F.f(a_f)                                                    # (F6)
    g = F.g(a_g)                                                    # (F7)
    o = F.o(a_o)                                                    # (F8)
    c = f * prev.c + i * g                                          # (F9)
    y = F.y(c)                                                      # (F10)
    h = o * y                                                       # (F11)
    return Trace(x=x, h_prev=prev.h, c_prev=prev.c, i_prev=prev.i, f_prev=prev.f, o_prev=prev.o,
                 a_i=a_i, a_f=a_f, a_g=a_g, a_o=a_o, i=i, f=f, g=g, o=o, c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward: the cotangent of every field.

    d.h (B,R) holds all of dL/dh_t; d.c, d.i, d.f, d.o (B,H) what arrives there other than through h_t.
    """
    dh = d.h
    do, dy = d.o + dh * v.y, dh * v.o                               # (F11')
    dc = d.c + dy * F.y.d(v.c)                                      # (F10')
    df, di, dg = d.f + dc * v.c_prev, d.i + dc * v.g, dc * v.i      # (F9')
    dc_prev = dc * v.f                                              # (F9')
    da_o = do * F.o.d(v.a_o)                                        # (F8')
    da_g = dg * F.g.d(v.a_g)                                        # (F7')
    da_f = df * F.f.d(v.a_f)                                        # (F6')
    da_i = di * F.i.d(v.a_i)                                        # (F5')
    dx, dh_prev = da_o @ p.W_o, da_o @ p.U_o                        # (F4')
    di_prev, df_prev, do_prev = da_o @ p.R_io, da_o @ p.R_fo, da_o @ p.R_oo   # (F4')
    dx, dh_prev = dx + da_g @ p.W_g, dh_prev + da_g @ p.U_g         # (F3')
    dx, dh_prev = dx + da_f @ p.W_f, dh_prev + da_f @ p.U_f         # (F2')
    di_prev, df_prev, do_prev = di_prev + da_f @ p.R_if, df_prev + da_f @ p.R_ff, do_prev + da_f @ p.R_of   # (F2')
    dx, dh_prev = dx + da_i @ p.W_i, dh_prev + da_i @ p.U_i         # (F1')
    di_prev, df_prev, do_prev = di_prev + da_i @ p.R_ii, df_prev + da_i @ p.R_fi, do_prev + da_i @ p.R_oi   # (F1')
    return Trace(x=dx, h_prev=dh_prev, c_prev=dc_prev, i_prev=di_prev, f_prev=df_prev, o_prev=do_prev,
                 a_i=da_i, a_f=da_f, a_g=da_g, a_o=da_o, i=di, f=df, g=dg, o=do, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_o=contract(d.a_o, v.x), U_o=contract(d.a_o, v.h_prev), b_o=sum_rows(d.a_o),      # (F4')
        R_io=contract(d.a_o, v.i_prev), R_fo=contract(d.a_o, v.f_prev), R_oo=contract(d.a_o, v.o_prev),         # (F4')
        W_g=contract(d.a_g, v.x), U_g=contract(d.a_g, v.h_prev), b_g=sum_rows(d.a_g),      # (F3')
        W_f=contract(d.a_f, v.x), U_f=contract(d.a_f, v.h_prev), b_f=sum_rows(d.a_f),      # (F2')
        R_if=contract(d.a_f, v.i_prev), R_ff=contract(d.a_f, v.f_prev), R_of=contract(d.a_f, v.o_prev),         # (F2')
        W_i=contract(d.a_i, v.x), U_i=contract(d.a_i, v.h_prev), b_i=sum_rows(d.a_i),      # (F1')
        R_ii=contract(d.a_i, v.i_prev), R_fi=contract(d.a_i, v.f_prev), R_oi=contract(d.a_i, v.o_prev),         # (F1')
    )


FullGateLSTM = Page("FullGateLSTM", Params, Trace, Functions(), values, adjoint, gradients,
                    carries=("h", "c", "i", "f", "o"))
