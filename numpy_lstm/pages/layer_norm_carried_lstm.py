"""The LSTM whose carried cell is normalised: V1 to V23 forward, V23' to V1' back. Derivation beside this file.

TensorFlow Addons' LayerNormLSTMCell (there with epsilon 1e-3) and PyTorch's custom_lstms: as in ``LayerNormLSTM`` the
sums u and w are normalised separately, but the normalised cell is the one that is carried. Code that leaves the cell as
it is (DI-engine) has ``norm_c=UNCHANGED``, gain_c 1 and shift_c 0.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, TOGETHER, Activation, Normalisation
from ..arrays import Array
from ..ops import contract, linear, row, sum_rows
from ..shapes import BD, BH, BR, HD, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R), bias b (H,) of each gate; gains (H,), shift (H,); their gradients too."""
    W_i: HD; W_f: HD; W_g: HD; W_o: HD
    U_i: HR; U_f: HR; U_g: HR; U_o: HR
    b_i: H;  b_f: H;  b_g: H;  b_o: H
    gain_xi: H; gain_xf: H; gain_xg: H; gain_xo: H
    gain_hi: H; gain_hf: H; gain_hg: H; gain_ho: H
    gain_c: H;  shift_c: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BR;  c_prev: BH
    u_i: BH; u_f: BH; u_g: BH; u_o: BH
    w_i: BH; w_f: BH; w_g: BH; w_o: BH
    n_i: BH; n_f: BH; n_g: BH; n_o: BH
    m_i: BH; m_f: BH; m_g: BH; m_o: BH
    a_i: BH; a_f: BH; a_g: BH; a_o: BH
    i: BH;   f: BH;   g: BH;   o: BH
    s: BH;   n_c: BH; c: BH;   y: BH;  h: BH


class Functions(NamedTuple):
    """The logistic function for the gates, tanh for candidate and output, and what normalises sums and cell."""
    i: Activation = SIGMOID; f: Activation = SIGMOID; o: Activation = SIGMOID
    g: Activation = TANH;    y: Activation = TANH
    norm: Normalisation = TOGETHER; norm_c: Normalisation = TOGETHER


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R), prev.c (B,H)."""
    u_i = linear(x, p.W_i)                                          # (V1)
    u_f = linear(x, p.W_f)                                          # (V2)
    u_g = linear(x, p.W_g)                                          # (V3)
    u_o = linear(x, p.W_o)                                          # (V4)
    w_i = linear(prev.h, p.U_i)                                     # (V5)
    w_f = linear(prev.h, p.U_f)                                     # (V6)
    w_g = linear(prev.h, p.U_g)                                     # (V7)
    w_o = linear(prev.h, p.U_o)                                     # (V8)
    n_i, n_f, n_g, n_o = F.norm([u_i, u_f, u_g, u_o])               # (V9)
    m_i, m_f, m_g, m_o = F.norm([w_i, w_f, w_g, w_o])               # (V10)
    a_i = row(p.gain_xi) * n_i + row(p.gain_hi) * m_i + row(p.b_i)  # (V11)
    a_f = row(p.gain_xf) * n_f + row(p.gain_hf) * m_f + row(p.b_f)  # (V12)
    a_g = row(p.gain_xg) * n_g + row(p.gain_hg) * m_g + row(p.b_g)  # (V13)
    a_o = row(p.gain_xo) * n_o + row(p.gain_ho) * m_o + row(p.b_o)  # (V14)
    i = F.i(a_i)                                                    # (V15)
    f = F.f(a_f)                                                    # (V16)
    g = F.g(a_g)                                                    # (V17)
    o = F.o(a_o)                                                    # (V18)
    s = f * prev.c + i * g                                          # (V19)
    (n_c,) = F.norm_c([s])                                          # (V20)
    c = row(p.gain_c) * n_c + row(p.shift_c)                        # (V21)
    y = F.y(c)                                                      # (V22)
    h = o * y                                                       # (V23)
    return Trace(x=x, h_prev=prev.h, c_prev=prev.c, u_i=u_i, u_f=u_f, u_g=u_g, u_o=u_o,
                 w_i=w_i, w_f=w_f, w_g=w_g, w_o=w_o, n_i=n_i, n_f=n_f, n_g=n_g, n_o=n_o,
                 m_i=m_i, m_f=m_f, m_g=m_g, m_o=m_o, a_i=a_i, a_f=a_f, a_g=a_g, a_o=a_o,
                 i=i, f=f, g=g, o=o, s=s, n_c=n_c, c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward: the cotangent of every field.

    d.h (B,R) holds all of dL/dh_t, d.c (B,H) what reaches c_t other than through h_t.
    """
    dh = d.h
    do, dy = dh * v.y, dh * v.o                                     # (V23')
    dc = d.c + dy * F.y.d(v.c)                                      # (V22')
    dn_c = dc * row(p.gain_c)                                       # (V21')
    (ds,) = F.norm_c.adjoint([dn_c], [v.s])                         # (V20')
    df, di, dg, dc_prev = ds * v.c_prev, ds * v.g, ds * v.i, ds * v.f   # (V19')
    da_o = do * F.o.d(v.a_o)                                        # (V18')
    da_g = dg * F.g.d(v.a_g)                                        # (V17')
    da_f = df * F.f.d(v.a_f)                                        # (V16')
    da_i = di * F.i.d(v.a_i)                                        # (V15')
    dn_o, dm_o = da_o * row(p.gain_xo), da_o * row(p.gain_ho)       # (V14')
    dn_g, dm_g = da_g * row(p.gain_xg), da_g * row(p.gain_hg)       # (V13')
    dn_f, dm_f = da_f * row(p.gain_xf), da_f * row(p.gain_hf)       # (V12')
    dn_i, dm_i = da_i * row(p.gain_xi), da_i * row(p.gain_hi)       # (V11')
    dw_i, dw_f, dw_g, dw_o = F.norm.adjoint([dm_i, dm_f, dm_g, dm_o], [v.w_i, v.w_f, v.w_g, v.w_o])   # (V10')
    du_i, du_f, du_g, du_o = F.norm.adjoint([dn_i, dn_f, dn_g, dn_o], [v.u_i, v.u_f, v.u_g, v.u_o])   # (V9')
    dh_prev = dw_o @ p.U_o                                          # (V8')
    dh_prev = dh_prev + dw_g @ p.U_g                                # (V7')
    dh_prev = dh_prev + dw_f @ p.U_f                                # (V6')
    dh_prev = dh_prev + dw_i @ p.U_i                                # (V5')
    dx = du_o @ p.W_o                                               # (V4')
    dx = dx + du_g @ p.W_g                                          # (V3')
    dx = dx + du_f @ p.W_f                                          # (V2')
    dx = dx + du_i @ p.W_i                                          # (V1')
    return Trace(x=dx, h_prev=dh_prev, c_prev=dc_prev,
                 u_i=du_i, u_f=du_f, u_g=du_g, u_o=du_o,
                 w_i=dw_i, w_f=dw_f, w_g=dw_g, w_o=dw_o,
                 n_i=dn_i, n_f=dn_f, n_g=dn_g, n_o=dn_o,
                 m_i=dm_i, m_f=dm_f, m_g=dm_g, m_o=dm_o,
                 a_i=da_i, a_f=da_f, a_g=da_g, a_o=da_o,
                 i=di, f=df, g=dg, o=do, s=ds, n_c=dn_c, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        gain_c=sum_rows(d.c * v.n_c), shift_c=sum_rows(d.c),                                     # (V21')
        gain_xo=sum_rows(d.a_o * v.n_o), gain_ho=sum_rows(d.a_o * v.m_o), b_o=sum_rows(d.a_o),   # (V14')
        gain_xg=sum_rows(d.a_g * v.n_g), gain_hg=sum_rows(d.a_g * v.m_g), b_g=sum_rows(d.a_g),   # (V13')
        gain_xf=sum_rows(d.a_f * v.n_f), gain_hf=sum_rows(d.a_f * v.m_f), b_f=sum_rows(d.a_f),   # (V12')
        gain_xi=sum_rows(d.a_i * v.n_i), gain_hi=sum_rows(d.a_i * v.m_i), b_i=sum_rows(d.a_i),   # (V11')
        U_o=contract(d.w_o, v.h_prev),                                                           # (V8')
        U_g=contract(d.w_g, v.h_prev),                                                           # (V7')
        U_f=contract(d.w_f, v.h_prev),                                                           # (V6')
        U_i=contract(d.w_i, v.h_prev),                                                           # (V5')
        W_o=contract(d.u_o, v.x),                                                                # (V4')
        W_g=contract(d.u_g, v.x),                                                                # (V3')
        W_f=contract(d.u_f, v.x),                                                                # (V2')
        W_i=contract(d.u_i, v.x),                                                                # (V1')
    )


# fmt: on
LayerNormCarriedLSTM = Page(
    "LayerNormCarriedLSTM", Params, Trace, Functions(), values, adjoint, gradients, carries=("h", "c")
)
