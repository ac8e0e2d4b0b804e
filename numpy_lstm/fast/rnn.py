"""R1, R2 and back, regrouped: one product per step, local factors per block. Derivation: fast.md beside this file."""

from typing import Any

from .blocks import Layout, weight


class Block:
    """The tape of K steps: Z = [h_prev x 1], and P = tanh'(a)."""

    def __init__(self, L: Layout) -> None:
        self.Z, self.P = L.matrix(L.K + 1, L.D + 1 + L.H), L.matrix(L.K, L.H)
        self.Z[:, :, -1] = 1
        self.xs, self.hs = self.Z[:-1, :, L.H : -1], self.Z[:, :, : L.H]
        self.z, self.h = list(self.Z), list(self.hs)
        self.back = list(self.P)[::-1]
        self.nbytes = weight(self)


class Work:
    """Working arrays of a run, and the views that each step uses, made once."""

    def __init__(self, L: Layout) -> None:
        self.A, self.a = L.matrix(L.K, L.H), L.rows(L.H)
        self.D, self.rec, self.dh = L.matrix(L.K, L.H), L.rows(L.H), L.rows(L.H)
        self.ahead, self.back = list(self.A), list(self.D)[::-1]
        self.nbytes = weight(self)


def stack(params: Any, L: Layout) -> tuple[Any, Any]:
    """W (H,D) and U (H,H) as they stand, for the way back."""
    return params.W, params.U


def weights(params: Any, L: Layout) -> tuple[Any, Any]:
    """[U W b]^T, or ([W b]^T, U^T). The bias comes last, after the small terms."""
    stacked = L.xp.concatenate([params.U, params.W, params.b[:, None]], axis=1)
    if L.joined:
        return L.right(stacked), None
    return L.right(stacked[:, L.H :]), L.right(stacked[:, : L.H])


def begin(L: Layout, work: Work, state: Any) -> None:
    """Nothing to do: the state is h alone, which stands in the block."""


def end(cell: Any, L: Layout, work: Work, h: Any) -> Any:
    """The last state, in an array of its own."""
    return cell.State(h=h.copy())


def advance(L: Layout, W: Any, work: Work, block: Block, n: int, dead: Any) -> None:
    """n steps forward, R1 and R2, on ``block.xs`` and ``block.h``; ``dead`` (n,B,1) marks padding, or is None."""
    xp = L.xp
    add, tanh, matmul = xp.add, xp.tanh, xp.matmul
    (W, U), a = W, work.a
    if U is not None:  # x W^T + b for the whole block
        matmul(block.Z[:n].reshape(n * L.B, -1)[:, L.H :], W, out=work.A[:n].reshape(n * L.B, -1))
    for k, A in enumerate(work.ahead[:n]):
        if U is None:
            matmul(block.z[k], W, out=A)  # (R1)
        else:
            add(A, matmul(block.h[k], U, out=a), A)  # (R1)
        tanh(A, block.h[k + 1])  # (R2)
        if dead is not None:  # padding keeps its state
            xp.copyto(block.h[k + 1], block.h[k], where=dead[k])


def keep(L: Layout, work: Work, block: Block, n: int, dead: Any) -> None:
    """The local factors of n steps at once, tanh'(a) (R2'): what multiplies dh on the way back."""
    P = block.P[:n]
    L.xp.cosh(work.A[:n], P)
    L.xp.divide(1, L.xp.multiply(P, P, P), P)  # (R2')
    if dead is not None:
        L.xp.copyto(P, 0, where=dead[:n])


def turn(work: Work, n: int) -> None:
    """Nothing to do: the state is h alone, which stands in the block."""


def begin_back(L: Layout, work: Work, dstate: Any) -> None:
    """Nothing to do: the cotangent is that of h alone, which stands in ``work.rec``."""


def end_back(cell: Any, work: Work) -> Any:
    """The cotangent of the first state, in an array of its own."""
    return cell.State(h=work.rec.copy())


def retreat(L: Layout, U: Any, work: Work, block: Block, n: int, dhs: Any, dcs: Any, dead: Any) -> None:
    """n steps back, the bare recursion: ``work.rec`` holds all of dL/dh_t but the loss's own part."""
    add, mul, matmul = L.xp.add, L.xp.multiply, L.xp.matmul
    rec, dh, K = work.rec, work.dh, L.K
    steps = zip(range(n - 1, -1, -1), dhs[::-1], work.back[K - n :], block.back[K - n :], strict=True)
    for k, dhs_k, d, P in steps:
        add(rec, dhs_k, dh)
        matmul(mul(dh, P, d), U, out=rec)  # (R2') (R1')
        if dead is not None:
            L.xp.copyto(rec, dh, where=dead[k])


def contract(L: Layout, W: Any, work: Work, block: Block, n: int, dxs: Any) -> tuple[Any, ...]:
    """dx of n steps into ``dxs`` (n*B,D); the sums over these steps of da^T [h_prev x 1]."""
    d = work.D[:n].reshape(n * L.B, -1)
    L.xp.matmul(d, W, out=dxs)  # (R1')
    return (L.xp.matmul(d.T, block.Z[:n].reshape(n * L.B, -1)),)


def gradients(cell: Any, L: Layout, sums: tuple[Any, ...]) -> Any:
    """The sums over all blocks as the cell's Params, in arrays of their own."""
    s = sums[0]
    return cell.Params(U=s[:, : L.H].copy(), W=s[:, L.H : -1].copy(), b=s[:, -1].copy())
