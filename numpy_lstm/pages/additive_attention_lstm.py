"""An LSTM that asks a memory before each step (Bahdanau et al. 2015): W1 to W17 forward, W17' to W1' back.

The question is h_{t-1}; what comes of it, r, feeds the cell beside x: attention lies within the recursion. All steps
share the memory, S places of N numbers, its ``keys`` (a linear map of it, computed once: nl.Linear), and a ``bias`` on
the scores: 0, or -inf where a place is padding. Derivation: additive_attention_lstm.md beside this file.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..ops import (
    affine,
    contract,
    keep_last,
    linear,
    mixture,
    outer,
    row,
    scores,
    softmax,
    softmax_adjoint,
    sum_columns,
    sum_rows,
)
from ..shapes import AR, BA, BD, BH, BIAS, BN, BR, BS, BSA, HD, HN, HR, KEYS, MEMORY, A, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights of the question W_q (A,R), of the score v (A,), W (H,D), V (H,N), U (H,R), b (H,) of each gate."""
    W_q: AR; v: A
    W_i: HD; W_f: HD; W_g: HD; W_o: HD
    V_i: HN; V_f: HN; V_g: HN; V_o: HN
    U_i: HR; U_f: HR; U_g: HR; U_o: HR
    b_i: H;  b_f: H;  b_g: H;  b_o: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   memory: MEMORY; keys: KEYS; bias: BIAS
    h_prev: BR; c_prev: BH
    q: BA;   z: BSA; n: BSA; e: BS; w: BS; r: BN
    a_i: BH; a_f: BH; a_g: BH; a_o: BH
    i: BH;   f: BH;   g: BH;   o: BH
    c: BH;   y: BH;   h: BH


class Functions(NamedTuple):
    """The activations: tanh within the score, for the candidate and the output, the logistic function for the gates."""
    i: Activation = SIGMOID; f: Activation = SIGMOID; o: Activation = SIGMOID
    g: Activation = TANH;    y: Activation = TANH;    n: Activation = TANH


def values(F: Functions, p: Params, x: Any, prev: Any) -> Trace:
    """The page read downward. x.x (B,D), x.memory (B,S,N), x.keys (B,S,A), x.bias (B,S); prev.h (B,R), prev.c (B,H)."""
    q = linear(prev.h, p.W_q)                                                        # (W1)
    z = x.keys + row(q)                                                              # (W2)
    n = F.n(z)                                                                       # (W3)
    e = sum_columns(n * row(row(p.v))) + x.bias                                      # (W4)
    w = softmax(e)                                                                   # (W5)
    r = mixture(w, x.memory)                                                         # (W6)
    a_i = affine(x.x, p.W_i, prev.h, p.U_i, p.b_i) + linear(r, p.V_i)                # (W7)
    a_f = affine(x.x, p.W_f, prev.h, p.U_f, p.b_f) + linear(r, p.V_f)                # (W8)
    a_g = affine(x.x, p.W_g, prev.h, p.U_g, p.b_g) + linear(r, p.V_g)                # (W9)
    a_o = affine(x.x, p.W_o, prev.h, p.U_o, p.b_o) + linear(r, p.V_o)                # (W10)
    i = F.i(a_i)                                                                     # (W11)
    f = F.f(a_f)                                                                     # (W12)
    g = F.g(a_g)                                                                     # (W13)
    o = F.o(a_o)                                                                     # (W14)
    c = f * prev.c + i * g                                                           # (W15)
    y = F.y(c)                                                                       # (W16)
    h = o * y                                                                        # (W17)
    return Trace(x=x.x, memory=x.memory, keys=x.keys, bias=x.bias, h_prev=prev.h, c_prev=prev.c, q=q, z=z, n=n, e=e,
                 w=w, r=r, a_i=a_i, a_f=a_f, a_g=a_g, a_o=a_o, i=i, f=f, g=g, o=o, c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.h (B,R), d.c (B,H) as in the LSTM; of what is shared, one step's part."""
    dh = d.h
    do, dy = dh * v.y, dh * v.o                                                      # (W17')
    dc = d.c + dy * F.y.d(v.c)                                                       # (W16')
    df, di, dg = dc * v.c_prev, dc * v.g, dc * v.i                                   # (W15')
    dc_prev = dc * v.f                                                               # (W15')
    da_o = do * F.o.d(v.a_o)                                                         # (W14')
    da_g = dg * F.g.d(v.a_g)                                                         # (W13')
    da_f = df * F.f.d(v.a_f)                                                         # (W12')
    da_i = di * F.i.d(v.a_i)                                                         # (W11')
    dx, dr, dh_prev = da_o @ p.W_o, da_o @ p.V_o, da_o @ p.U_o                       # (W10')
    dx, dr, dh_prev = dx + da_g @ p.W_g, dr + da_g @ p.V_g, dh_prev + da_g @ p.U_g   # (W9')
    dx, dr, dh_prev = dx + da_f @ p.W_f, dr + da_f @ p.V_f, dh_prev + da_f @ p.U_f   # (W8')
    dx, dr, dh_prev = dx + da_i @ p.W_i, dr + da_i @ p.V_i, dh_prev + da_i @ p.U_i   # (W7')
    dw, dmemory = scores(dr, v.memory), outer(v.w, dr)                               # (W6')
    de = softmax_adjoint(dw, v.w)                                                    # (W5')
    dn = keep_last(de) * row(row(p.v))                                               # (W4')
    dz = dn * F.n.d(v.z)                                                             # (W3')
    dq = sum_rows(dz)                                                                # (W2')   each place was asked
    dh_prev = dh_prev + dq @ p.W_q                                                   # (W1')
    return Trace(x=dx, memory=dmemory, keys=dz, bias=de, h_prev=dh_prev, c_prev=dc_prev, q=dq, z=dz, n=dn, e=de,
                 w=dw, r=dr, a_i=da_i, a_f=da_f, a_g=da_g, a_o=da_o, i=di, f=df, g=dg, o=do, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_o=contract(d.a_o, v.x), V_o=contract(d.a_o, v.r),                        # (W10')
        U_o=contract(d.a_o, v.h_prev), b_o=sum_rows(d.a_o),                        # (W10')
        W_g=contract(d.a_g, v.x), V_g=contract(d.a_g, v.r),                        # (W9')
        U_g=contract(d.a_g, v.h_prev), b_g=sum_rows(d.a_g),                        # (W9')
        W_f=contract(d.a_f, v.x), V_f=contract(d.a_f, v.r),                        # (W8')
        U_f=contract(d.a_f, v.h_prev), b_f=sum_rows(d.a_f),                        # (W8')
        W_i=contract(d.a_i, v.x), V_i=contract(d.a_i, v.r),                        # (W7')
        U_i=contract(d.a_i, v.h_prev), b_i=sum_rows(d.a_i),                        # (W7')
        v=sum_rows(mixture(d.e, v.n)),                                             # (W4')
        W_q=contract(d.q, v.h_prev),                                               # (W1')
    )


AdditiveAttentionLSTM = Page("AdditiveAttentionLSTM", Params, Trace, Functions(), values, adjoint, gradients,
                             reads=("x", "memory", "keys", "bias"), carries=("h", "c"))
