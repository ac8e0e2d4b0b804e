"""The LSTM whose cell is clipped: K1 to K12 forward, K12' to K1' back. Derivation: clipped_lstm.md beside this file.

The ``cell_clip`` of TensorFlow's LSTMBlockCell and of ELMo: what is clipped is what the output reads and what is
carried. Another limit, or a gradient that takes the clip for the identity as TensorFlow's kernels do, is another
function: ``ClippedLSTM.having(c=clip(0.3, straight_through=True))``. ELMo clips the output too, once it is projected.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation, clip
from ..arrays import Array
from ..ops import affine, contract, sum_rows
from ..shapes import BD, BH, BR, HD, HR, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,R) and bias b (H,) of each gate; their gradients too (TMVA's dW, dU, db)."""
    W_i: HD; W_f: HD; W_g: HD; W_o: HD
    U_i: HR; U_f: HR; U_g: HR; U_o: HR
    b_i: H;  b_f: H;  b_g: H;  b_o: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BR;  c_prev: BH
    a_i: BH; a_f: BH; a_g: BH; a_o: BH
    i: BH;   f: BH;   g: BH;   o: BH
    s: BH;   c: BH;   y: BH;   h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate and the output, and the clip."""
    i: Activation = SIGMOID; f: Activation = SIGMOID; o: Activation = SIGMOID
    g: Activation = TANH;    y: Activation = TANH;    c: Activation = clip(3.0)


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,R), prev.c (B,H)."""
    a_i = affine(x, p.W_i, prev.h, p.U_i, p.b_i)                    # (K1)
    a_f = affine(x, p.W_f, prev.h, p.U_f, p.b_f)                    # (K2)
    a_g = affine(x, p.W_g, prev.h, p.U_g, p.b_g)                    # (K3)
    a_o = affine(x, p.W_o, prev.h, p.U_o, p.b_o)                    # (K4)
    i = F.i(a_i)                                                    # (K5)
    f = F.f(a_f)                                                    # (K6)
    g = F.g(a_g)                                                    # (K7)
    o = F.o(a_o)                                                    # (K8)
    s = f * prev.c + i * g                                          # (K9)
    c = F.c(s)                                                      # (K10)
    y = F.y(c)                                                      # (K11)
    h = o * y                                                       # (K12)
    return Trace(x=x, h_prev=prev.h, c_prev=prev.c, a_i=a_i, a_f=a_f, a_g=a_g, a_o=a_o,
                 i=i, f=f, g=g, o=o, s=s, c=c, y=y, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward: the cotangent of every field.

    d.h (B,R) holds all of dL/dh_t, d.c (B,H) what reaches c_t other than through h_t.
    """
    dh = d.h
    do, dy = dh * v.y, dh * v.o                                     # (K12')
    dc = d.c + dy * F.y.d(v.c)                                      # (K11')
    ds = dc * F.c.d(v.s)                                            # (K10')  zero where it was clipped
    df, di, dg = ds * v.c_prev, ds * v.g, ds * v.i                  # (K9')
    dc_prev = ds * v.f                                              # (K9')
    da_o = do * F.o.d(v.a_o)                                        # (K8')
    da_g = dg * F.g.d(v.a_g)                                        # (K7')
    da_f = df * F.f.d(v.a_f)                                        # (K6')
    da_i = di * F.i.d(v.a_i)                                        # (K5')
    dx, dh_prev = da_o @ p.W_o, da_o @ p.U_o                        # (K4')
    dx, dh_prev = dx + da_g @ p.W_g, dh_prev + da_g @ p.U_g         # (K3')
    dx, dh_prev = dx + da_f @ p.W_f, dh_prev + da_f @ p.U_f         # (K2')
    dx, dh_prev = dx + da_i @ p.W_i, dh_prev + da_i @ p.U_i         # (K1')
    return Trace(x=dx, h_prev=dh_prev, c_prev=dc_prev, a_i=da_i, a_f=da_f, a_g=da_g,
                 a_o=da_o, i=di, f=df, g=dg, o=do, s=ds, c=dc, y=dy, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_o=contract(d.a_o, v.x), U_o=contract(d.a_o, v.h_prev), b_o=sum_rows(d.a_o),      # (K4')
        W_g=contract(d.a_g, v.x), U_g=contract(d.a_g, v.h_prev), b_g=sum_rows(d.a_g),      # (K3')
        W_f=contract(d.a_f, v.x), U_f=contract(d.a_f, v.h_prev), b_f=sum_rows(d.a_f),      # (K2')
        W_i=contract(d.a_i, v.x), U_i=contract(d.a_i, v.h_prev), b_i=sum_rows(d.a_i),      # (K1')
    )


ClippedLSTM = Page("ClippedLSTM", Params, Trace, Functions(), values, adjoint, gradients, carries=("h", "c"))
