"""The gated recurrent unit, reset after the product: G1 to G9 forward, G9' to G1' back. Derivation: gru.md.

Cho et al. 2014 in the form of cuDNN, torch.nn.GRU and Keras (reset_after): the reset gate r acts on the product
h U_n^T + b_hn, so the candidate n has two biases that cannot be merged. z keeps the old state; q = 1 - z.
"""

from typing import Any, NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, linear, row, sum_rows
from ..shapes import BD, BH, HD, HH, H
from .page import Page

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,H) and bias b (H,) of each gate, and the candidate's second bias; their gradients too."""
    W_r: HD; W_z: HD; W_n: HD
    U_r: HH; U_z: HH; U_n: HH
    b_r: H;  b_z: H;  b_n: H;  b_hn: H


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BH
    a_r: BH; a_z: BH; u: BH; r: BH; z: BH; a_n: BH; n: BH; q: BH; h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate."""
    r: Activation = SIGMOID; z: Activation = SIGMOID; n: Activation = TANH


def values(F: Functions, p: Params, x: Array, prev: Any) -> Trace:
    """The page read downward. x (B,D); prev.h (B,H)."""
    a_r = affine(x, p.W_r, prev.h, p.U_r, p.b_r)                    # (G1)
    a_z = affine(x, p.W_z, prev.h, p.U_z, p.b_z)                    # (G2)
    u = linear(prev.h, p.U_n) + row(p.b_hn)                         # (G3)
    r = F.r(a_r)                                                    # (G4)
    z = F.z(a_z)                                                    # (G5)
    a_n = linear(x, p.W_n) + row(p.b_n) + r * u                     # (G6)
    n = F.n(a_n)                                                    # (G7)
    q = F.z.complement(a_z)                                         # (G8)   1 - z, without cancellation
    h = q * n + z * prev.h                                          # (G9)
    return Trace(x=x, h_prev=prev.h, a_r=a_r, a_z=a_z, u=u, r=r, z=z, a_n=a_n, n=n, q=q, h=h)


def adjoint(F: Functions, p: Params, v: Trace, d: Trace) -> Trace:
    """The same page read upward. d.h (B,H) holds all of dL/dh_t. Returns the cotangent of every field."""
    dh = d.h
    dq, dn, dz, dh_prev = dh * v.n, dh * v.q, dh * v.h_prev, dh * v.z   # (G9')
    dz = dz - dq                                                    # (G8')
    da_n = dn * F.n.d(v.a_n)                                        # (G7')
    dr, du, dx = da_n * v.u, da_n * v.r, da_n @ p.W_n               # (G6')
    da_z = dz * F.z.d(v.a_z)                                        # (G5')
    da_r = dr * F.r.d(v.a_r)                                        # (G4')
    dh_prev = dh_prev + du @ p.U_n                                  # (G3')
    dx, dh_prev = dx + da_z @ p.W_z, dh_prev + da_z @ p.U_z         # (G2')
    dx, dh_prev = dx + da_r @ p.W_r, dh_prev + da_r @ p.U_r         # (G1')
    return Trace(x=dx, h_prev=dh_prev, a_r=da_r, a_z=da_z, u=du, r=dr, z=dz, a_n=da_n, n=dn, q=dq, h=dh)


def gradients(F: Functions, p: Params, v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows of v and d, B of one step or T*B of many."""
    return Params(
        W_n=contract(d.a_n, v.x), b_n=sum_rows(d.a_n),                                     # (G6')
        U_n=contract(d.u, v.h_prev), b_hn=sum_rows(d.u),                                   # (G3')
        W_z=contract(d.a_z, v.x), U_z=contract(d.a_z, v.h_prev), b_z=sum_rows(d.a_z),      # (G2')
        W_r=contract(d.a_r, v.x), U_r=contract(d.a_r, v.h_prev), b_r=sum_rows(d.a_r),      # (G1')
    )


GRU = Page("GRU", Params, Trace, Functions(), values, adjoint, gradients, carries=("h",))
