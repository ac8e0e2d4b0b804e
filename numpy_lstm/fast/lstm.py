"""L1 to L11 and back, regrouped: one product per step, local factors per block. Derivation: fast.md beside this file.

Gates stand in the order o i f g: the three logistic ones together, the three that meet dc together, and i f beside
each other for g c_prev. Rows o i f of the forward weights are negated, so that a product gives -a, and e = exp(-a)
gives s = 1/(1+e), 1-s = e s and s' = e s s, each to full precision for either sign of a.
"""

from typing import Any

from .blocks import Layout, flat, weight

GATES = "oifg"


class Block:
    """The tape of K steps: Z = [h_prev x 1], and P = the local factors o, i, f, g, carry (f), and c (of L10', L11')."""

    def __init__(self, L: Layout) -> None:
        self.Z, self.P = L.matrix(L.K + 1, L.D + 1 + L.H), L.sheet(6, L.K)
        self.Z[:, :, -1] = 1
        self.xs, self.hs = self.Z[:-1, :, L.H : -1], self.Z[:, :, : L.H]
        self.z, self.h = list(self.Z), list(self.hs)
        self.back = [(L.unfold(self.P[0, k]), L.unfold(self.P[1:5, k]), self.P[5, k]) for k in range(L.K)][::-1]
        self.nbytes = weight(self)


class Work:
    """Working arrays of a run, and the views that each step uses, made once."""

    def __init__(self, L: Layout) -> None:
        K, B, H = L.K, L.B, L.H
        self.A, self.a = L.matrix(K, 4 * H), L.matrix(1, 4 * H)[0]  # pre-activations, their recurrent part
        self.E, self.S, self.Y = L.sheet(K, 3), L.sheet(K + 1, 5), L.sheet(K)  # e; o i f g c_prev; y = tanh c
        self.products, self.one = L.sheet(2), L.xp.ones((), L.dtype)
        self.D, self.rec = L.matrix(K, 5 * H), L.rows(H)  # cotangents da_o da_i da_f da_g and dc_prev; dh U
        self.dh, self.dc, self.t = L.sheet(), L.sheet(), L.sheet()
        self.carry: Any = None
        E, S, Y, two = self.E, self.S, self.Y, L.unfold
        self.ahead = []
        for k in range(K):
            logistic, a_g = L.gates(self.A[k])[:3], L.gates(self.A[k])[3]
            e = (two(E[k]), flat(E[k]), flat(S[k, :3]))
            g = (a_g, two(S[k, 3]), flat(S[k, 1:3]), flat(S[k, 3:]))
            c = (S[k + 1, 4], two(S[k + 1, 4]), two(S[k, 4]))
            self.ahead.append((self.A[k], logistic, *e, *g, *c, Y[k], two(Y[k]), two(S[k, 0])))
        self.back = []
        for k in reversed(range(K)):
            d = L.gates(self.D[k])
            self.back.append((d[0], d[1:], self.D[k, :, : 4 * H], d[4]))
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
        return L.right(stacked), None
    return L.right(stacked[:, H:]), L.right(stacked[:, :H])


def begin(L: Layout, work: Work, state: Any) -> None:
    """c before the first step; h stands in the block."""
    L.unfold(work.S[0, 4])[...] = state.c


def end(cell: Any, L: Layout, work: Work, h: Any) -> Any:
    """The last state, in arrays of its own."""
    return cell.State(h=h.copy(), c=L.unfold(work.S[0, 4]).copy())


def advance(L: Layout, W: Any, work: Work, block: Block, n: int, dead: Any) -> None:
    """n steps forward, L1 to L11, on ``block.xs`` and ``block.h``; ``dead`` (n,B,1) marks padding, or is None."""
    xp = L.xp
    exp, add, divide, tanh, mul, matmul = xp.exp, xp.add, xp.divide, xp.tanh, xp.multiply, xp.matmul
    (W, U), a, one, both, (ig, fc) = W, work.a, work.one, flat(work.products), work.products
    if U is not None:  # x W^T + b for the whole block
        matmul(block.Z[:n].reshape(n * L.B, -1)[:, L.H :], W, out=work.A[:n].reshape(n * L.B, -1))
    for k, (A, a_oif, e_oif, e, s, a_g, g, i_f, g_c, c, c2, c_prev, y, y2, o) in enumerate(work.ahead[:n]):
        if U is None:
            matmul(block.z[k], W, out=A)  # (L1)-(L4)
        else:
            add(A, matmul(block.h[k], U, out=a), A)  # (L1)-(L4)
        exp(a_oif, e_oif)
        divide(one, add(e, one, s), s)  # (L5) (L6) (L8)
        tanh(a_g, g)  # (L7)
        mul(i_f, g_c, both)
        add(ig, fc, c)  # (L9)
        tanh(c, y)  # (L10)
        mul(o, y2, block.h[k + 1])  # (L11)
        if dead is not None:  # padding keeps its state
            xp.copyto(c2, c_prev, where=dead[k])
            xp.copyto(block.h[k + 1], block.h[k], where=dead[k])


def keep(L: Layout, work: Work, block: Block, n: int, dead: Any) -> None:
    """The local factors of n steps at once: what multiplies dh and dc on the way back."""
    xp = L.xp
    mul, divide, cosh = xp.multiply, xp.divide, xp.cosh
    E, S = work.E[:n].swapaxes(0, 1), work.S[:n].swapaxes(0, 1)
    P, Y, C = block.P[:, :n], work.Y[:n], work.S[1 : n + 1, 4]
    if not float(E.max()) < float("inf"):  # s = 0 there: keep e s s from becoming inf 0
        xp.minimum(E, xp.finfo(L.dtype).max, out=E)
    mul(mul(E, S[:3], E), S[:3], E)  # s' = e s s
    mul(E[0], Y, P[0])  # y o'           (L11') (L8')
    mul(E[1:], S[3:], P[1:3])  # g i', c_prev f' (L9') (L5') (L6')
    cosh(work.A[:n, :, 3 * L.H :], L.unfold(P[3]))
    divide(S[1], mul(P[3], P[3], P[3]), P[3])  # i / cosh^2 a_g (L9') (L7')
    P[4] = S[2]  # f              (L9')
    cosh(C, P[5])
    divide(S[0], mul(P[5], P[5], P[5]), P[5])  # o / cosh^2 c   (L11') (L10')
    if dead is not None:
        xp.copyto(L.unfold(P), 0, where=dead[:n])
        xp.copyto(L.unfold(P[4]), 1, where=dead[:n])


def turn(work: Work, n: int) -> None:
    """c before the next block."""
    work.S[0, 4] = work.S[n, 4]


def begin_back(L: Layout, work: Work, dstate: Any) -> None:
    """dL/dc that arrives after the last step; dL/dh stands in ``work.rec``."""
    work.carry = dstate.c


def end_back(cell: Any, work: Work) -> Any:
    """The cotangent of the first state, in arrays of its own."""
    return cell.State(h=work.rec.copy(), c=work.carry.copy())


def retreat(L: Layout, U: Any, work: Work, block: Block, n: int, dhs: Any, dcs: Any, dead: Any) -> None:
    """n steps back, the bare recursion: ``work.rec`` holds dh U, ``work.carry`` dc f of the step after."""
    xp = L.xp
    add, mul, matmul = xp.add, xp.multiply, xp.matmul
    rec, dh, t, K, carry = work.rec, work.dh, work.t, L.K, work.carry
    dh2, dc2, t2 = L.unfold(dh), L.unfold(work.dc), L.unfold(t)
    steps = zip(range(n - 1, -1, -1), dhs[::-1], work.back[K - n :], block.back[K - n :], strict=True)
    for k, dhs_k, (d_o, d_ifg_c, d, dc_prev), (P_o, P_ifg_c, P_c) in steps:
        add(rec, dhs_k, dh2)  # all of dh_t
        mul(dh, P_c, t)
        add(carry, t2, dc2)  # (L11') (L10')
        if dcs is not None:
            add(dc2, dcs[k], dc2)
        mul(P_ifg_c, dc2, d_ifg_c)  # (L9') (L7') (L6') (L5')
        mul(P_o, dh2, d_o)  # (L11') (L8')
        matmul(d, U, out=rec)  # (L4')-(L1')
        carry = dc_prev
        if dead is not None:
            xp.copyto(rec, dh2, where=dead[k])
    work.carry = carry


def contract(L: Layout, W: Any, work: Work, block: Block, n: int, dxs: Any) -> tuple[Any, ...]:
    """dx of n steps into ``dxs`` (n*B,D); the sums over these steps of da^T [h_prev x 1]: dU, dW, db side by side."""
    d = work.D[:n].reshape(n * L.B, -1)[:, : 4 * L.H]
    L.xp.matmul(d, W, out=dxs)  # (L4')-(L1')
    return (L.xp.matmul(d.T, block.Z[:n].reshape(n * L.B, -1)),)


def gradients(cell: Any, L: Layout, sums: tuple[Any, ...]) -> Any:
    """The sums over all blocks as the cell's Params, in arrays of their own."""
    fields: dict[str, Any] = {}
    for g, s in zip(GATES, sums[0].reshape(4, L.H, -1), strict=True):
        fields |= {f"U_{g}": s[:, : L.H].copy(), f"W_{g}": s[:, L.H : -1].copy(), f"b_{g}": s[:, -1].copy()}
    return cell.Params(**fields)
