"""The gated recurrent unit, reset before the product: B1 to B9 forward, B9' to B1' back.

Cho et al. 2014 as first printed, ONNX with linear_before_reset = 0, Keras with reset_after=False, TMVA: the reset
gate r acts on the state itself, s = r h. z keeps the old state; q = 1 - z. Derivation: gru_reset_before.md.
"""

from typing import NamedTuple

from ..activations import SIGMOID, TANH, Activation
from ..arrays import Array
from ..ops import affine, contract, sum_rows
from ..shapes import BD, BH, HD, HH, H
from .cell import Cell

# fmt: off


class Params(NamedTuple):
    """Weights W (H,D), U (H,H) and bias b (H,) of each gate; their gradients too."""
    W_r: HD; W_z: HD; W_n: HD
    U_r: HH; U_z: HH; U_n: HH
    b_r: H;  b_z: H;  b_n: H


class State(NamedTuple):
    """What one step hands to the next: the output h (B,H)."""
    h: BH


class Trace(NamedTuple):
    """Every value of a step; in the backward pass, the cotangent of each."""
    x: BD;   h_prev: BH
    a_r: BH; a_z: BH; r: BH; z: BH; s: BH; a_n: BH; n: BH; q: BH; h: BH


class Functions(NamedTuple):
    """The activations: the logistic function for the gates, tanh for the candidate."""
    r: Activation = SIGMOID; z: Activation = SIGMOID; n: Activation = TANH


def step(F: Functions, p: Params, x: Array, s: State) -> tuple[State, Trace]:
    """One step forward. x (B,D); s.h (B,H)."""
    a_r = affine(x, p.W_r, s.h, p.U_r, p.b_r)                       # (B1)
    a_z = affine(x, p.W_z, s.h, p.U_z, p.b_z)                       # (B2)
    r = F.r(a_r)                                                    # (B3)
    z = F.z(a_z)                                                    # (B4)
    reset = r * s.h                                                 # (B5)
    a_n = affine(x, p.W_n, reset, p.U_n, p.b_n)                     # (B6)
    n = F.n(a_n)                                                    # (B7)
    q = F.z.complement(a_z)                                         # (B8)   1 - z, without cancellation
    h = q * n + z * s.h                                             # (B9)
    return State(h=h), Trace(x=x, h_prev=s.h, a_r=a_r, a_z=a_z, r=r, z=z, s=reset, a_n=a_n, n=n, q=q, h=h)


def step_adjoint(F: Functions, p: Params, v: Trace, ds: State) -> tuple[State, Trace]:
    """One step back: ds.h holds all of dL/dh_t."""
    dh = ds.h
    dq, dn, dz, dh_prev = dh * v.n, dh * v.q, dh * v.h_prev, dh * v.z   # (B9')
    dz = dz - dq                                                    # (B8')
    da_n = dn * F.n.d(v.a_n)                                        # (B7')
    dx, dreset = da_n @ p.W_n, da_n @ p.U_n                         # (B6')
    dr, dh_prev = dreset * v.h_prev, dh_prev + dreset * v.r         # (B5')
    da_z = dz * F.z.d(v.a_z)                                        # (B4')
    da_r = dr * F.r.d(v.a_r)                                        # (B3')
    dx, dh_prev = dx + da_z @ p.W_z, dh_prev + da_z @ p.U_z         # (B2')
    dx, dh_prev = dx + da_r @ p.W_r, dh_prev + da_r @ p.U_r         # (B1')
    return State(h=dh_prev), Trace(x=dx, h_prev=dh_prev, a_r=da_r, a_z=da_z, r=dr, z=dz, s=dreset, a_n=da_n, n=dn,
                                   q=dq, h=dh)


def step_gradients(v: Trace, d: Trace) -> Params:
    """The parameter gradients: one contraction over all rows, no recursion."""
    return Params(
        W_n=contract(d.a_n, v.x), U_n=contract(d.a_n, v.s), b_n=sum_rows(d.a_n),           # (B6')
        W_z=contract(d.a_z, v.x), U_z=contract(d.a_z, v.h_prev), b_z=sum_rows(d.a_z),      # (B2')
        W_r=contract(d.a_r, v.x), U_r=contract(d.a_r, v.h_prev), b_r=sum_rows(d.a_r),      # (B1')
    )


def gru_reset_before(name: str, **functions: Activation) -> Cell:
    """The cell with other activations."""
    return Cell.of_page(name, globals(), Functions(**functions))


GRUResetBefore = gru_reset_before("GRUResetBefore")
