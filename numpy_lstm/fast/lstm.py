"""L1 to L11 and back, regrouped: one product per step, local factors per block. Derivation: fast.md beside this file.

Gates stand in the order o i f g: the three logistic ones together, the three that meet dc together, and i f beside
each other for g c_prev. Rows o i f of the forward weights are negated, so that a product gives -a, and e = exp(-a)
gives s = 1/(1+e), 1-s = e s and s' = e s s, each to full precision for either sign of a.
"""

from typing import Any

from ..products import Right, contraction
from .layout import Layout, add_parts, flat, over_cosh_squared, weight

GATES = "oifg"


class Block:
    """The tape of K steps: Z = [h_prev x 1], and P = the local factors o, i, f, g, carry (f), and c (of L10', L11')."""

    def __init__(self, L: Layout) -> None:
        self.Z, self.P = L.matrix(L.K + 1, L.D + 1 + L.H), L.sheet(6, L.K)
        self.Z[:, :, -1] = 1
        self.xs, self.hs = self.Z[:-1, :, L.H : -1], self.Z[:, :, : L.H]
        self.z, self.h = list(self.Z), list(self.hs)
        self.back = [(L.unfold(P[0]), L.unfold(P[1:4]), P[4], P[5]) for P in self.P.swapaxes(0, 1)]
        self.nbytes = weight(self)


class Work:
    """Working arrays of a run, and the views that each step uses, made once."""

    def __init__(self, L: Layout) -> None:
        K, H = L.K, L.H
        self.A = L.sheet(K, 4) if L.apart else L.matrix(K, 4 * H)  # pre-activations
        self.a = L.rows(4 * H)  # their recurrent part
        self.E, self.S, self.Y = L.sheet(K, 3), L.sheet(K + 1, 5), L.sheet(K)  # e; o i f g c_prev; y = tanh c
        self.products, self.one = L.sheet(K, 2), L.xp.ones((), L.dtype)  # i g, f c_prev
        self.D, self.rec, self.carry = L.matrix(K, 4 * H), L.rows(H), L.sheet()  # da_o da_i da_f da_g; dh U; dc f
        self.dh, self.dc, self.t = L.sheet(), L.sheet(), L.sheet()
        self.a_out, (self.sums, self.parts) = L.product(L.gates(self.a)), L.back_sums(self.rec, 4)
        self.state = {"c": L.unfold(self.S[:, 4])}
        # dL/dh, dL/dc of the step after, but for the loss's own part
        self.arriving = {"h": self.rec, "c": L.unfold(self.carry)}
        E, S, Y, two = self.E, self.S, self.Y, L.unfold
        self.ahead = []
        for k in range(K):
            A = L.unfold(self.A[k]) if L.apart else L.gates(self.A[k])
            logistic, a_g = A[:3], A[3]
            e = (two(E[k]), flat(E[k]), flat(S[k, :3]))
            g = (a_g, two(S[k, 3]), flat(S[k, 1:3]), flat(S[k, 3:]), flat(self.products[k]), *self.products[k])
            y = (Y[k], two(Y[k]))
            out = L.product(A, L.apart) if L.joined else self.A[k]
            self.ahead.append((out, logistic, *e, *g, S[k + 1, 4], *y, two(S[k, 0])))
        self.back = []
        for k in range(K):
            d = L.gates(self.D[k])
            self.back.append((d[0], d[1:], L.back_left(self.D[k])))
        self.nbytes = weight(self)


def stack(params: Any, L: Layout) -> tuple[Any, Any]:
    """W (4H,D) and U (4H,H) as they stand, for the way back."""
    return tuple(L.xp.concatenate([getattr(params, f"{k}_{g}") for g in GATES]) for k in "WU")


def weights(params: Any, L: Layout) -> Any:
    """[U W b]^T with the signs of the forward pass, or ([W b]^T, U^T). The bias comes last, after the small terms."""
    D, H = L.D, L.H
    stacked = L.xp.empty((4 * H, D + 1 + H), L.dtype)
    for columns, k in ((stacked[:, :H], "U"), (stacked[:, H:-1], "W"), (stacked[:, -1], "b")):
        L.xp.concatenate([getattr(params, f"{k}_{g}") for g in GATES], out=columns)
    L.xp.negative(stacked[: 3 * H], out=stacked[: 3 * H])
    if L.joined:
        return L.step_right(stacked, L.apart), None
    return Right(L.right(stacked[:, H:]), L.grouped), L.step_right(stacked[:, :H])


def advance(L: Layout, W: Any, work: Work, block: Block, n: int) -> None:
    """n steps forward, L1 to L11, on ``block.xs``, ``block.h`` and c, which stands in ``work.S``."""
    xp = L.xp
    exp, add, divide, tanh, mul, matmul = xp.exp, xp.add, xp.divide, xp.tanh, xp.multiply, xp.matmul
    (W, U), a, one = W, work.a, work.one
    if U is not None:  # x W^T + b for the whole block
        W.product(block.Z[:n].reshape(n * L.B, -1)[:, L.H :], work.A[:n].reshape(n * L.B, -1))
    for k, (A, a_oif, e_oif, e, s, a_g, g, i_f, g_c, both, ig, fc, c, y, y2, o) in enumerate(work.ahead[:n]):
        if U is None:
            matmul(block.z[k], W, out=A)  # (L1)-(L4)
        else:
            matmul(block.h[k], U, out=work.a_out)
            add(A, a, A)  # (L1)-(L4)
        exp(a_oif, e_oif)
        divide(one, add(e, one, s), s)  # (L5) (L6) (L8)
        tanh(a_g, g)  # (L7)
        mul(i_f, g_c, both)
        add(ig, fc, c)  # (L9)
        tanh(c, y)  # (L10)
        mul(o, y2, block.h[k + 1])  # (L11)


def keep(L: Layout, work: Work, block: Block, n: int) -> None:
    """The local factors of n steps at once: what multiplies dh and dc on the way back."""
    mul = L.xp.multiply
    E, S = work.E[:n].swapaxes(0, 1), work.S[:n].swapaxes(0, 1)
    P, C = block.P[:, :n], work.S[1 : n + 1, 4]
    L.finite(E)  # s = 0 there: keep e s from becoming inf 0
    mul(E, S[:3], E)  # 1 - s = e s, and s' = (1 - s) s
    mul(L.unfold(E[0]), block.hs[1 : n + 1], L.unfold(P[0]))  # y o' = (1 - o) h (L11') (L8')
    mul(E[1:], work.products[:n].swapaxes(0, 1), P[1:3])  # g i', c_prev f'      (L9') (L5') (L6')
    a_g = L.unfold(work.A[:n, 3]) if L.apart else work.A[:n, :, 3 * L.H :]
    over_cosh_squared(L, L.unfold(S[1]), a_g, L.unfold(P[3]), L.unfold(E[0]))  # i g' (L9') (L7')
    P[4] = S[2]  # f              (L9')
    over_cosh_squared(L, S[0], C, P[5], E[0])  # o y'           (L11') (L10')


def retreat(L: Layout, U: Any, work: Work, block: Block, steps: slice, dhs: Any, dcs: Any) -> None:
    """These steps back, the bare recursion: ``work.arriving`` holds dh U and dc f of the step after."""
    xp = L.xp
    add, mul, matmul = xp.add, xp.multiply, xp.matmul
    rec, dh, dc, t, carry, sums, parts = work.rec, work.dh, work.dc, work.t, work.carry, work.sums, work.parts
    dh2, dc2 = L.unfold(dh), L.unfold(dc)
    sent = [None] * len(dhs[steps]) if dcs is None else dcs[steps]
    views = zip(dhs[steps], sent, work.back[steps], block.back[steps], strict=True)
    for dhs_k, dcs_k, (d_o, d_ifg, d), (P_o, P_ifg, f, P_c) in reversed(list(views)):
        add(rec, dhs_k, dh2)  # all of dh_t
        mul(dh, P_c, t)
        add(carry, t, dc)  # (L11') (L10')
        if dcs_k is not None:
            add(dc2, dcs_k, dc2)
        mul(P_ifg, dc2, d_ifg)  # (L9') (L7') (L6') (L5')
        mul(f, dc, carry)  # (L9')
        mul(P_o, dh2, d_o)  # (L11') (L8')
        matmul(d, U, out=sums)  # (L4')-(L1')
        add_parts(parts, rec)


def contract(L: Layout, W: Any, work: Work, block: Block, n: int, dxs: Any, sums: Any) -> tuple[Any, ...]:
    """dx of n steps into ``dxs`` (n*B,D); ``sums`` and those over these steps of da^T [h_prev x 1]: dU, dW, db."""
    d = work.D[:n].reshape(n * L.B, -1)
    W.product(d, dxs)  # (L4')-(L1')
    return (contraction(d, block.Z[:n].reshape(n * L.B, -1), sums[0]),)


def gradients(cell: Any, L: Layout, sums: tuple[Any, ...]) -> Any:
    """The sums over all blocks as the cell's Params, in arrays of their own."""
    fields: dict[str, Any] = {}
    for g, s in zip(GATES, sums[0].reshape(4, L.H, -1), strict=True):
        fields |= {f"U_{g}": s[:, : L.H].copy(), f"W_{g}": s[:, L.H : -1].copy(), f"b_{g}": s[:, -1].copy()}
    return cell.Params(**fields)
