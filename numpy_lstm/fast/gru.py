"""G1 to G9 and back, regrouped: one product per step, local factors per block. Derivation: fast.md beside this file.

Forward, gates stand in the order r z n, and rows r z of the weights are negated: e = exp(-a) gives z = 1/(1+e) and
q = 1-z = e z. Backward, every cotangent of a step is dh times a local factor, in the order n r z u carry: n r z meet x,
and r z u meet h.
"""

from typing import Any

from ..products import Right, contraction
from .layout import Layout, add_parts, flat, over_cosh_squared, weight


class Block:
    """The tape of K steps: Z = [x 1 h_prev], and P = the local factors n, r, z, u, carry."""

    def __init__(self, L: Layout) -> None:
        self.Z, self.P = L.matrix(L.K + 1, L.D + 1 + L.H), L.sheet(5, L.K)
        self.Z[:, :, L.D] = 1
        self.h1 = [self.Z[k, :, L.D :] for k in range(L.K)]
        self.xs, self.hs = self.Z[:-1, :, : L.D], self.Z[:, :, L.D + 1 :]
        self.h = list(self.hs)
        self.back = [L.unfold(self.P[:, k]) for k in range(L.K)]
        self.nbytes = weight(self)


class Work:
    """Working arrays of a run, and the views that each step uses, made once."""

    def __init__(self, L: Layout) -> None:
        K, H = L.K, L.H
        self.A, self.a = L.matrix(K, 3 * H), L.sheet(K, 3)  # x W^T + b; pre-activations a_r a_z a_n
        self.recurrent = L.matrix(K, 3 * H)  # h U^T + b_hn
        self.E, self.S, self.N, self.t = L.sheet(K, 2), L.sheet(K, 2), L.sheet(K), L.sheet()  # e; r z; n
        self.Q, self.one = L.sheet(K), L.xp.ones((), L.dtype)
        self.D, self.rec, self.dh = L.matrix(K, 5 * H), L.rows(H), L.rows(H)
        self.state: dict[str, Any] = {}
        self.arriving = {"h": self.rec}  # all of dL/dh but the loss's own part
        two = L.unfold
        self.ahead = []
        for k in range(K):
            x, h, a = L.gates(self.A[k]), L.gates(self.recurrent[k]), two(self.a[k])
            logistic = (x[:2], h[:2], a[:2], flat(self.a[k, :2]), flat(self.E[k]), flat(self.S[k]))
            z = (self.E[k, 1], self.S[k, 1], self.Q[k], two(self.S[k, 1]))
            n = (x[2], h[2], two(self.S[k, 0]), a[2], self.a[k, 2], self.N[k], two(self.Q[k]), two(self.N[k]))
            self.ahead.append((L.product(h), *logistic, *z, *n))
        self.sums, self.parts = L.back_sums(self.rec, 3)
        self.back = []
        for k in range(K):
            d = L.gates(self.D[k])
            self.back.append((d, L.back_left(self.D[k, :, H : 4 * H]), d[4]))
        self.nbytes = weight(self)


def stack(params: Any, L: Layout) -> tuple[Any, Any]:
    """W of n r z and U of r z n as they stand, for the way back: what da_n da_r da_z and da_r da_z du meet."""
    return tuple(
        L.xp.concatenate([getattr(params, f"{k}_{g}") for g in gates]) for k, gates in (("W", "nrz"), ("U", "rzn"))
    )


def weights(params: Any, L: Layout) -> tuple[Any, Any]:
    """[W b]^T and [b_hn U]^T, the latter's bias zero for r z, with the signs of the forward pass."""
    D, H = L.D, L.H
    stacked = L.xp.zeros((3 * H, D + 2 + H), L.dtype)
    for columns, k in ((stacked[:, :D], "W"), (stacked[:, D], "b"), (stacked[:, D + 2 :], "U")):
        L.xp.concatenate([getattr(params, f"{k}_{g}") for g in "rzn"], out=columns)
    stacked[2 * H :, D + 1] = params.b_hn
    L.xp.negative(stacked[: 2 * H], out=stacked[: 2 * H])
    return Right(L.right(stacked[:, : D + 1]), L.grouped), L.step_right(stacked[:, D + 1 :])


def advance(L: Layout, W: Any, work: Work, block: Block, n: int) -> None:
    """n steps forward, G1 to G9, on ``block.xs`` and ``block.h``."""
    xp = L.xp
    exp, add, divide, tanh, mul, matmul = xp.exp, xp.add, xp.divide, xp.tanh, xp.multiply, xp.matmul
    (W, U), t, one, fmin = W, L.unfold(work.t), work.one, xp.fmin
    W.product(block.Z[:n].reshape(n * L.B, -1)[:, : L.D + 1], work.A[:n].reshape(n * L.B, -1))
    for k, views in enumerate(work.ahead[:n]):
        u_all, x_rz, u_rz, a_rz2, a_rz, e, s, e_z, z, q, z2, x_n, u, r, a_n2, a_n, cand, q2, cand2 = views
        matmul(block.h1[k], U, out=u_all)  # (G3), and its part of (G1) (G2)
        add(x_rz, u_rz, a_rz2)  # (G1) (G2)
        exp(a_rz, e)
        divide(one, add(e, one, s), s)  # (G4) (G5)
        mul(r, u, a_n2)
        add(a_n2, x_n, a_n2)  # (G6)
        tanh(a_n, cand)  # (G7)
        fmin(mul(e_z, z, q), one, out=q)  # (G8); where e is inf, z is 0, their product NaN, and q is 1
        mul(z2, block.h[k], t)
        mul(q2, cand2, block.h[k + 1])
        add(block.h[k + 1], t, block.h[k + 1])  # (G9)


def keep(L: Layout, work: Work, block: Block, n: int) -> None:
    """The local factors of n steps at once: what multiplies dh on the way back."""
    mul = L.xp.multiply
    E, S = work.E[:n].swapaxes(0, 1), work.S[:n].swapaxes(0, 1)
    P, Q, N = block.P[:, :n], work.Q[:n], work.N[:n]
    over_cosh_squared(L, Q, work.a[:n, 2], P[0], P[1])  # q n'           (G9') (G7')
    L.finite(E)  # s = 0 there: keep e s s from becoming inf 0
    mul(mul(E, S, E), S, E)  # s' = e s s
    mul(P[0], S[0], P[3])  # du = da_n r          (G6')
    mul(L.unfold(P[0]), work.recurrent[:n, :, 2 * L.H :], L.unfold(P[1]))
    mul(P[1], E[0], P[1])  # da_r = da_n u r'     (G6') (G4')
    L.xp.subtract(block.hs[:n], L.unfold(N), out=L.unfold(P[2]))
    mul(P[2], E[1], P[2])  # da_z = (h_prev - n) z'  (G9') (G8') (G5')
    P[4] = S[1]  # z                    (G9')


def retreat(L: Layout, U: Any, work: Work, block: Block, steps: slice, dhs: Any, dcs: Any) -> None:
    """These steps back, the bare recursion."""
    xp = L.xp
    add, mul, matmul = xp.add, xp.multiply, xp.matmul
    rec, dh, sums, parts = work.rec, work.dh, work.sums, work.parts
    for dhs_k, (d, d_rzu, carry), P in reversed(
        list(zip(dhs[steps], work.back[steps], block.back[steps], strict=True))
    ):
        add(rec, dhs_k, dh)  # all of dh_t
        mul(P, dh, d)  # (G9')-(G4')
        matmul(d_rzu, U, out=sums)
        add_parts(parts, rec)
        add(rec, carry, rec)  # (G3') (G2') (G1') (G9')


def contract(L: Layout, W: Any, work: Work, block: Block, n: int, dxs: Any, sums: Any) -> tuple[Any, ...]:
    """dx of n steps into ``dxs`` (n*B,D); ``sums`` and those over these steps that give dW, db and dU, db_hn."""
    d, Z, H = work.D[:n].reshape(n * L.B, -1), block.Z[:n].reshape(n * L.B, -1), L.H
    W.product(d[:, : 3 * H], dxs)  # (G6') (G2') (G1')
    x1, h1 = Z[:, : L.D + 1], Z[:, L.D :]
    return contraction(d[:, : 3 * H], x1, sums[0]), contraction(d[:, H : 4 * H], h1, sums[1])


def gradients(cell: Any, L: Layout, sums: tuple[Any, ...]) -> Any:
    """The sums over all blocks as the cell's Params, in arrays of their own."""
    fields: dict[str, Any] = {}
    for g, s in zip("nrz", sums[0].reshape(3, L.H, -1), strict=True):
        fields |= {f"W_{g}": s[:, : L.D].copy(), f"b_{g}": s[:, L.D].copy()}
    for g, s in zip("rzn", sums[1].reshape(3, L.H, -1), strict=True):
        fields[f"U_{g}"] = s[:, 1:].copy()
    return cell.Params(b_hn=sums[1][2 * L.H :, 0].copy(), **fields)
