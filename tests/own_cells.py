"""Two cells as a user would write them, in files of their own, with gates named unhelpfully as well."""

from typing import Any, NamedTuple

from numpy_lstm import Page
from numpy_lstm.activations import SIGMOID, TANH, Activation
from numpy_lstm.ops import affine, contract, sum_rows
from numpy_lstm.shapes import BD, BH, HD, HH, H


class Functions(NamedTuple):
    gate: Activation = SIGMOID
    n: Activation = TANH


class MGUParams(NamedTuple):
    """The minimal gated unit (Zhou et al. 2016): one gate f, seen in n as f h_prev; h = (1 - f) h_prev + f n."""

    W_f: HD; W_n: HD; U_f: HH; U_n: HH; b_f: H; b_n: H  # noqa: E702  # fmt: skip


class MGUTrace(NamedTuple):
    x: BD; h_prev: BH; a_f: BH; f: BH; s: BH; a_n: BH; n: BH; h: BH  # noqa: E702  # fmt: skip


def mgu_values(F: Functions, p: Any, x: Any, prev: Any) -> MGUTrace:
    a_f = affine(x, p.W_f, prev.h, p.U_f, p.b_f)
    f = F.gate(a_f)
    seen = f * prev.h
    a_n = affine(x, p.W_n, seen, p.U_n, p.b_n)
    n = F.n(a_n)
    h = (1 - f) * prev.h + f * n
    return MGUTrace(x, prev.h, a_f, f, seen, a_n, n, h)


def mgu_adjoint(F: Functions, p: Any, v: Any, d: Any) -> MGUTrace:
    dh = d.h
    dn = dh * v.f
    df = dh * (v.n - v.h_prev)
    da_n = dn * F.n.d(v.a_n)
    dseen = da_n @ p.U_n
    df = df + dseen * v.h_prev
    da_f = df * F.gate.d(v.a_f)
    dh_prev = dh * (1 - v.f) + dseen * v.f + da_f @ p.U_f
    dx = da_n @ p.W_n + da_f @ p.W_f
    return MGUTrace(dx, dh_prev, da_f, df, dseen, da_n, dn, dh)


def mgu_gradients(F: Functions, p: Any, v: Any, d: Any) -> MGUParams:
    return MGUParams(
        contract(d.a_f, v.x), contract(d.a_n, v.x), contract(d.a_f, v.h_prev), contract(d.a_n, v.s),
        sum_rows(d.a_f), sum_rows(d.a_n),
    )  # fmt: skip


class ChungParams(NamedTuple):
    """The GRU of Chung et al. 2014: h = (1 - b) h_prev + b m, with gates a (reset) and b (update)."""

    Va: HD; Vb: HD; Vm: HD; Ka: HH; Kb: HH; Km: HH; bias_a: H; bias_b: H; bias_m: H  # noqa: E702  # fmt: skip


class ChungTrace(NamedTuple):
    x: BD; h_prev: BH; z1: BH; z2: BH; a: BH; b: BH; w: BH; z3: BH; m: BH; h: BH  # noqa: E702  # fmt: skip


def chung_values(F: Functions, p: Any, x: Any, prev: Any) -> ChungTrace:
    z1 = affine(x, p.Va, prev.h, p.Ka, p.bias_a)
    z2 = affine(x, p.Vb, prev.h, p.Kb, p.bias_b)
    a, b = F.gate(z1), F.gate(z2)
    w = a * prev.h
    z3 = affine(x, p.Vm, w, p.Km, p.bias_m)
    m = F.n(z3)
    h = prev.h + b * (m - prev.h)
    return ChungTrace(x, prev.h, z1, z2, a, b, w, z3, m, h)


def chung_adjoint(F: Functions, p: Any, v: Any, d: Any) -> ChungTrace:
    dh = d.h
    db, step = dh * (v.m - v.h_prev), dh * v.b
    dz3 = step * F.n.d(v.z3)
    dw = dz3 @ p.Km
    da = dw * v.h_prev
    dz1, dz2 = da * F.gate.d(v.z1), db * F.gate.d(v.z2)
    dh_prev = dh - step
    dh_prev += dw * v.a
    dh_prev += dz1 @ p.Ka + dz2 @ p.Kb
    dx = dz1 @ p.Va + dz2 @ p.Vb + dz3 @ p.Vm
    return ChungTrace(dx, dh_prev, dz1, dz2, da, db, dw, dz3, step, dh)


def chung_gradients(F: Functions, p: Any, v: Any, d: Any) -> ChungParams:
    return ChungParams(
        contract(d.z1, v.x), contract(d.z2, v.x), contract(d.z3, v.x),
        contract(d.z1, v.h_prev), contract(d.z2, v.h_prev), contract(d.z3, v.w),
        sum_rows(d.z1), sum_rows(d.z2), sum_rows(d.z3),
    )  # fmt: skip


MGU = Page("MGU", MGUParams, MGUTrace, Functions(), mgu_values, mgu_adjoint, mgu_gradients, carries=("h",))
CHUNG = Page(
    "ChungGRU", ChungParams, ChungTrace, Functions(), chung_values, chung_adjoint, chung_gradients, carries=("h",)
)
