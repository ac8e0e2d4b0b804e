"""The LSTM that normalises each gate's sum, and the carried cell: T1 to T21 forward, T21' to T1' back.

Derivation: layer_norm_sum_lstm.md. TensorFlow's LayerNormBasicLSTMCell: the sum of both products is normalised, gate by
gate, with epsilon 1e-12, and has one gain and one bias; so is the cell, and the normalised one is carried.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, TOGETHER, Activation, Normalisation
from ..arrays import Array
from ..ops import contract, linear, row, sum_rows
from ..shapes import BD, BH, BR, HD, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R) of each gate; gains and biases (H,) behind the normalisation; their gradients too."""
    W_i: HD; W_f: HD; W_g: HD; W_o: HD
    U_i: HR; U_f: HR; U_g: HR; U_o: HR
    b_i: H;  b_f: H;  b_g: H;  b_o: H
    gain_i: H; gain_f: H; gain_g: H; gain_o: H
    gain_c: H; shift_c: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BR;  c_prev: BH
    u_i: BH; u_f: BH; u_g: BH; u_o: BH
    n_i: BH; n_f: BH; n_g: BH; n_o: BH
    a_i: BH; a_f: BH; a_g: BH; a_o: BH
    i: BH;   f: BH;   g: BH;   o: BH
    s: BH;   n_c: BH; c: BH;   y: BH;  h: BH


class Functions(NamedTuple):
    """The logistic function for the gates, tanh for the candidate and the cell's output, and the normalisation."""
    i: Activation = SIGMOID; f: Activation = SIGMOID; o: Activation = SIGMOID
    g: Activation = TANH;    y: Activation = TANH
    norm: Normalisation = replace(TOGETHER, eps=1e-12)


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R), prev.c (B,H)."""
    u_i = linear(x, p.W_i) + linear(prev.h, p.U_i)                  # (T1)
    u_f = linear(x, p.W_f) + linear(prev.h, p.U_f)                  # (T2)
    u_g = linear(x, p.W_g) + linear(prev.h, p.U_g)                  # (T3)
    u_o = linear(x, p.W_o) + linear(prev.h, p.U_o)                  # (T4)
    (n_i,) = F.norm([u_i])                                          # (T5)
    (n_f,) = F.norm([u_f])                                          # (T6)
    (n_g,) = F.norm([u_g])                                          # (T7)
    (n_o,) = F.norm([u_o])                                          # (T8)
    a_i = row(p.gain_i) * n_i + row(p.b_i)                          # (T9)
    a_f = row(p.gain_f) * n_f + row(p.b_f)                          # (T10)
    a_g = row(p.gain_g) * n_g + row(p.b_g)                          # (T11)
    a_o = row(p.gain_o) * n_o + row(p.b_o)                          # (T12)
    i = F.i(a_i)                                                    # (T13)
    f = F.f(a_f)                                                    # (T14)
    g = F.g(a_g)                                                    # (T15)
    o = F.o(a_o)                                                    # (T16)
    s = f * prev.c + i * g                                          # (T17)
    (n_c,) = F.norm([s])                                            # (T18)
    c = row(p.gain_c) * n_c + row(p.shift_c)                        # (T19)
    y = F.y(c)                                                      # (T20)
    h = o * y                                                       # (T21)
    return Trace(x=x, h_prev=prev.h, c_prev=prev.c, u_i=u_i, u_f=u_f, u_g=u_g, u_o=u_o,
                 n_i=n_i, n_f=n_f, n_g=n_g, n_o=n_o, a_i=a_i, a_f=a_f, a_g=a_g, a_o=a_o,
                 i=i, f=f, g=g, o=o, s=s, n_c=n_c, c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward: the cotangent of every field.

    d.h (B,R) holds all of dL/dh_t, d.c (B,H) what reaches c_t other than through h_t.
    """
    dh = d.h
    do, dy = dh * v.y, dh * v.o                                     # (T21')
    dc = d.c + dy * F.y.d(v.c)                                      # (T20')
    dn_c = dc * row(p.gain_c)                                       # (T19')
    (ds,) = F.norm.adjoint([dn_c], [v.s])                           # (T18')
    df, di, dg, dc_prev = ds * v.c_prev, ds * v.g, ds * v.i, ds * v.f   # (T17')
    da_o = do * F.o.d(v.a_o)                                        # (T16')
    da_g = dg * F.g.d(v.a_g)                                        # (T15')
    da_f = df * F.f.d(v.a_f)                                        # (T14')
    da_i = di * F.i.d(v.a_i)                                        # (T13')
    dn_o = da_o * row(p.gain_o)                                     # (T12')
    dn_g = da_g * row(p.gain_g)                                     # (T11')
    dn_f = da_f * row(p.gain_f)                                     # (T10')
    dn_i = da_i * row(p.gain_i)                                     # (T9')
    (du_o,) = F.norm.adjoint([dn_o], [v.u_o])                       # (T8')
    (du_g,) = F.norm.adjoint([dn_g], [v.u_g])                       # (T7')
    (du_f,) = F.norm.adjoint([dn_f], [v.u_f])                       # (T6')
    (du_i,) = F.norm.adjoint([dn_i], [v.u_i])                       # (T5')
    dx, dh_prev = du_o @ p.W_o, du_o @ p.U_o                        # (T4')
    dx, dh_prev = dx + du_g @ p.W_g, dh_prev + du_g @ p.U_g         # (T3')
    dx, dh_prev = dx + du_f @ p.W_f, dh_prev + du_f @ p.U_f         # (T2')
    dx, dh_prev = dx + du_i @ p.W_i, dh_prev + du_i @ p.U_i         # (T1')
    return Trace(x=dx, h_prev=dh_prev, c_prev=dc_prev,
                 u_i=du_i, u_f=du_f, u_g=du_g, u_o=du_o,
                 n_i=dn_i, n_f=dn_f, n_g=dn_g, n_o=dn_o,
                 a_i=da_i, a_f=da_f, a_g=da_g, a_o=da_o,
                 i=di, f=df, g=dg, o=do, s=ds, n_c=dn_c, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        gain_c=sum_rows(d.c * v.n_c), shift_c=sum_rows(d.c),            # (T19')
        gain_o=sum_rows(d.a_o * v.n_o), b_o=sum_rows(d.a_o),            # (T12')
        gain_g=sum_rows(d.a_g * v.n_g), b_g=sum_rows(d.a_g),            # (T11')
        gain_f=sum_rows(d.a_f * v.n_f), b_f=sum_rows(d.a_f),            # (T10')
        gain_i=sum_rows(d.a_i * v.n_i), b_i=sum_rows(d.a_i),            # (T9')
        W_o=contract(d.u_o, v.x), U_o=contract(d.u_o, v.h_prev),        # (T4')
        W_g=contract(d.u_g, v.x), U_g=contract(d.u_g, v.h_prev),        # (T3')
        W_f=contract(d.u_f, v.x), U_f=contract(d.u_f, v.h_prev),        # (T2')
        W_i=contract(d.u_i, v.x), U_i=contract(d.u_i, v.h_prev),        # (T1')
    )


LayerNormSumLSTM = Page("LayerNormSumLSTM", Params, Trace, Functions(), values, adjoint, gradients, carries=("h", "c"))
