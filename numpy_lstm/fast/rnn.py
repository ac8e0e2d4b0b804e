"""R1, R2 and back, regrouped: one product per step, local factors per block. Derivation: fast.md beside this file."""

from typing import Any

from ..products import Right, contraction
from .layout import Layout, over_cosh_squared, weight


class Block:
    """The tape of K steps: Z = [h_prev x 1], and P = tanh'(a)."""

    def __init__(self, L: Layout) -> None:
        self.Z, self.P = L.matrix(L.K + 1, L.D + 1 + L.H), L.sheet(1, L.K)
        self.Z[:, :, -1] = 1
        self.xs, self.hs = self.Z[:-1, :, L.H : -1], self.Z[:, :, : L.H]
        self.z, self.h = list(self.Z), list(self.hs)
        self.back = list(L.unfold(self.P[0]))
        self.nbytes = weight(self)


class Work:
    """Working arrays of a run, and the views that each step uses, made once."""

    def __init__(self, L: Layout) -> None:
        self.A, self.a, self.one = L.matrix(L.K, L.H), L.rows(L.H), L.xp.ones((), L.dtype)
        self.D, self.rec, self.dh = L.matrix(L.K, L.H), L.rows(L.H), L.rows(L.H)
        self.a_out, (self.sums, _) = L.product(self.a[None]), L.back_sums(self.rec, 1)
        self.ahead = [(A, L.product(A[None])) for A in self.A]
        self.back = [(d, L.back_left(d)) for d in self.D]
        self.state: dict[str, Any] = {}
        self.arriving = {"h": self.rec}  # all of dL/dh but the loss's own part
        self.nbytes = weight(self)


def stack(params: Any, L: Layout) -> tuple[Any, Any]:
    """W (H,D) and U (H,H) as they stand, for the way back."""
    return params.W, params.U


def weights(params: Any, L: Layout) -> tuple[Any, Any]:
    """[U W b]^T, or ([W b]^T, U^T). The bias comes last, after the small terms."""
    stacked = L.xp.concatenate([params.U, params.W, params.b[:, None]], axis=1)
    if L.joined:
        return L.step_right(stacked), None
    return Right(L.right(stacked[:, L.H :]), L.grouped), L.step_right(stacked[:, : L.H])


def advance(L: Layout, W: Any, work: Work, block: Block, n: int) -> None:
    """n steps forward, R1 and R2, on ``block.xs`` and ``block.h``."""
    xp = L.xp
    add, tanh, matmul = xp.add, xp.tanh, xp.matmul
    (W, U), a = W, work.a
    if U is not None:  # x W^T + b for the whole block
        W.product(block.Z[:n].reshape(n * L.B, -1)[:, L.H :], work.A[:n].reshape(n * L.B, -1))
    for k, (A, out) in enumerate(work.ahead[:n]):
        if U is None:
            matmul(block.z[k], W, out=out)  # (R1)
        else:
            matmul(block.h[k], U, out=work.a_out)
            add(A, a, A)  # (R1)
        tanh(A, block.h[k + 1])  # (R2)


def keep(L: Layout, work: Work, block: Block, n: int) -> None:
    """The local factors of n steps at once, tanh'(a) (R2'): what multiplies dh on the way back."""
    over_cosh_squared(L, work.one, work.A[:n], L.unfold(block.P[0, :n]), work.D[:n])  # (R2')


def retreat(L: Layout, U: Any, work: Work, block: Block, steps: slice, dhs: Any, dcs: Any) -> None:
    """These steps back, the bare recursion."""
    add, mul, matmul = L.xp.add, L.xp.multiply, L.xp.matmul
    rec, dh, sums = work.rec, work.dh, work.sums
    for dhs_k, (d, left), P in reversed(list(zip(dhs[steps], work.back[steps], block.back[steps], strict=True))):
        add(rec, dhs_k, dh)
        mul(dh, P, d)  # (R2')
        matmul(left, U, out=sums)  # (R1')


def contract(L: Layout, W: Any, work: Work, block: Block, n: int, dxs: Any, sums: Any) -> tuple[Any, ...]:
    """dx of n steps into ``dxs`` (n*B,D); ``sums`` and those over these steps of da^T [h_prev x 1]."""
    d = work.D[:n].reshape(n * L.B, -1)
    W.product(d, dxs)  # (R1')
    return (contraction(d, block.Z[:n].reshape(n * L.B, -1), sums[0]),)


def gradients(cell: Any, L: Layout, sums: tuple[Any, ...]) -> Any:
    """The sums over all blocks as the cell's Params, in arrays of their own."""
    s = sums[0]
    return cell.Params(U=s[:, : L.H].copy(), W=s[:, L.H : -1].copy(), b=s[:, -1].copy())
