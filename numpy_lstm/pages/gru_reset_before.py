"""The gated recurrent unit, reset before the product: B1 to B9 forward, B9' to B1' back.

Cho et al. 2014 as first printed, ONNX with linear_before_reset = 0, Keras with reset_after=False, TMVA: the reset
gate r acts on the state itself, s = r h. z keeps the old state; q = 1 - z. Derivation: gru_reset_before.md.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, sum_rows
from ..shapes import BD, BH, HD, HH, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,H) and bias b (H,) of each gate; their gradients too."""
    W_r: HD; W_z: HD; W_n: HD
    U_r: HH; U_z: HH; U_n: HH
    b_r: H;  b_z: H;  b_n: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BH
    a_r: BH; a_z: BH; r: BH; z: BH; s: BH; a_n: BH; n: BH; q: BH; h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate."""
    r: Activation = SIGMOID; z: Activation = SIGMOID; n: Activation = TANH


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,H)."""
    a_r = affine(x, p.W_r, prev.h, p.U_r, p.b_r)                    # (B1)
    a_z = affine(x, p.W_z, prev.h, p.U_z, p.b_z)                    # (B2)
    r = F.r(a_r)                                                    # (B3)
    z = F.z(a_z)                                                    # (B4)
    reset = r * prev.h                                              # (B5)
    a_n = affine(x, p.W_n, reset, p.U_n, p.b_n)                     # (B6)
    n = F.n(a_n)                                                    # (B7)
    q = F.z.complement(a_z)                                         # (B8)   1 - z, without cancellation
    h = q * n + z * prev.h                                          # (B9)
    return Trace(x=x, h_prev=prev.h, a_r=a_r, a_z=a_z, r=r, z=z, s=reset, a_n=a_n, n=n, q=q, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.h (B,H) holds all of dL/dh_t. Returns the cotangent of every field."""
    dh = d.h
    dq, dn, dz, dh_prev = dh * v.n, dh * v.q, dh * v.h_prev, dh * v.z   # (B9')
    dz = dz - dq                                                    # (B8')
    da_n = dn * F.n.d(v.a_n)                                        # (B7')
    dx, dreset = da_n @ p.W_n, da_n @ p.U_n                         # (B6')
    dr, dh_prev = dreset * v.h_prev, dh_prev + dreset * v.r         # (B5')
    da_z = dz * F.z.d(v.a_z)                                        # (B4')
    da_r = dr * F.r.d(v.a_r)                                        # (B3')
    dx, dh_prev = dx + da_z @ p.W_z, dh_prev + da_z @ p.U_z         # (B2')
    dx, dh_prev = dx + da_r @ p.W_r, dh_prev + da_r @ p.U_r         # (B1')
    return Trace(x=dx, h_prev=dh_prev, a_r=da_r, a_z=da_z, r=dr, z=dz, s=dreset, a_n=da_n, n=dn,
                 q=dq, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_n=contract(d.a_n, v.x), U_n=contract(d.a_n, v.s), b_n=sum_rows(d.a_n),           # (B6')
        W_z=contract(d.a_z, v.x), U_z=contract(d.a_z, v.h_prev), b_z=sum_rows(d.a_z),      # (B2')
        W_r=contract(d.a_r, v.x), U_r=contract(d.a_r, v.h_prev), b_r=sum_rows(d.a_r),      # (B1')
    )


GRUResetBefore = Page("GRUResetBefore", Params, Trace, Functions(), values, adjoint, gradients, carries=("h",))
