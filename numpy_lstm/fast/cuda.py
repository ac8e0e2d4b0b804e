"""L1 to L11, G1 to G9, R1, R2 and back on a GPU: the recurrence in one launch, or step by step. Derivation: cuda.md.

The regrouping is that of fast.md: pre-activations of x in one product, local factors kept for the way back, the bare
recursion, one contraction. What a NumPy run does in blocks that fit a cache is done here in blocks that fill a GPU.
"""

from typing import Any, NamedTuple

from .. import arrays
from . import device
from .plan import Kind

ROWS = 2**14  # rows, steps times batch, of one block
KINDS = {
    "lstm": Kind("Lstm", G=4, X=4, D=4, U0=0, P=6),
    "gru": Kind("Gru", G=3, X=3, D=4, U0=1, P=5),
    "rnn": Kind("Rnn", G=1, X=1, D=1, U0=0, P=1),
}
ORDER = {  # fields of Params, in the order of the gates: of W, of U, of b
    "lstm": (("W_i", "W_f", "W_g", "W_o"), ("U_i", "U_f", "U_g", "U_o"), ("b_i", "b_f", "b_g", "b_o")),
    "gru": (("W_n", "W_r", "W_z"), ("U_r", "U_z", "U_n"), ("b_n", "b_r", "b_z", "b_hn")),
    "rnn": (("W",), ("U",), ("b",)),
}


class Sums(NamedTuple):
    """Parameter gradients, gates stacked: dW (X H,D), dU (G H,H), db (D H,)."""

    W: Any
    U: Any
    b: Any


class Block(NamedTuple):
    """n steps from t on: h before each and after the last (n+1,B,H), local factors (n,P,B,H), steps alive (B,)."""

    t: int
    n: int
    h: Any
    P: Any
    alive: Any


class Tape:
    """What a run keeps for its backward pass: its own copy of xs, and the blocks. See ``blocks.Tape``."""

    def __init__(self, cell: Any, xs: Any, H: int) -> None:
        self.cell, self.xs, self.H = cell, xs, H
        self.blocks: list[Block] = []

    def shapes(self) -> list[tuple[str, str, Any]]:
        """Name and axis letters of what a Trace would hold, and a stand-in of its shape, to be held against others."""
        T, B, _ = self.xs.shape
        xp = arrays.namespace(self.xs)
        h = xp.broadcast_to(xp.zeros((), self.xs.dtype), (T, B, self.H))
        return [("x", "TBD", self.xs), ("h_prev", "TBR", h)]

    def __repr__(self) -> str:
        return f"<Tape of {self.xs.shape[0]} steps of {self.cell.name}, on a GPU>"

    def __reduce__(self) -> Any:
        raise TypeError("a Tape cannot be copied or pickled, for its buffers have one owner; run forward again")


def ready(cell: Any, like: Any) -> bool:
    """Whether these kernels serve the cell with arrays such as ``like``."""
    return arrays.library(like) == "cupy" and device.of(like, KINDS[cell.page]) is not None


def grain(B: int) -> int:
    """Steps in a block: from B alone, so that a sequence cut at a multiple has the same bits."""
    return max(1, ROWS // B)


def span_forward(cell: Any, params: Any, xs: Any, first: Any, alive: Any) -> tuple[Any, Any, Any]:
    """See ``scan.span_forward``; ``values`` is a Tape."""
    with xs.device:
        return _forward(cell, params, xs, first, alive)


def span_backward(cell: Any, params: Any, tape: Tape, given: Any, dstate: Any, sums: Any) -> tuple[Any, Any, Any, Any]:
    """See ``scan.span_backward``; ``sums`` is a Sums."""
    with tape.xs.device:
        return _backward(cell, params, tape, given, dstate, sums)


def _forward(cell: Any, params: Any, xs: Any, first: Any, alive: Any) -> tuple[Any, Any, Any]:
    xp, kind, (T, B, D), H = arrays.namespace(xs), KINDS[cell.page], xs.shape, first.h.shape[1]
    gpu = device.of(xs, kind)
    assert gpu is not None
    W, U, b = _stacked(xp, cell, params)
    xs = xp.array(xs, order="C") if alive is None else xp.where(alive, xs, xp.zeros((), xs.dtype))
    tape = Tape(cell, xs, H)
    hs, h = xp.empty((T, B, H), xs.dtype), xp.array(first.h, order="C")
    c = xp.array(first.c, order="C") if "c" in cell.State._fields else None
    K, plan = grain(B), gpu.choose(kind, xs.dtype, B, H)
    A = xp.empty((B, kind.G * H), xs.dtype) if plan is None else None
    for t in range(0, T, K):
        n = min(K, T - t)
        Zx = xp.empty((n * B, kind.X * H), xs.dtype)
        gpu.product(Zx, xs[t : t + n].reshape(n * B, D), W, tb=True)  # x W^T of (L1)-(L4), (G1) (G2) (G6), (R1)
        block = Block(t, n, xp.empty((n + 1, B, H), xs.dtype), xp.empty((n, kind.P, B, H), xs.dtype), _count(alive, t, n))
        block.h[0] = h
        out = hs[t : t + n]
        if plan is not None:
            gpu.ahead(plan, kind, n, B, H, (U, b, Zx, block.alive, block.h, out, block.P, h, c))
        else:
            for k in range(n):
                gpu.product(A, block.h[k], U, tb=True)
                gpu.one("ahead_one", kind, k, B, H, (A, b, Zx, block.alive, block.h, out, block.P, h, c))
        tape.blocks.append(block)
    return hs, cell.partial_state(h, c), tape


def _backward(cell: Any, params: Any, tape: Tape, given: Any, dstate: Any, sums: Any) -> tuple[Any, Any, Any, Any]:
    xs, H, kind = tape.xs, tape.H, KINDS[cell.page]
    xp, (T, B, D) = arrays.namespace(xs), xs.shape
    gpu = device.of(xs, kind)
    assert gpu is not None
    W, U, _ = _stacked(xp, cell, params)
    dhs, dcs = (None if d is None else xp.ascontiguousarray(d) for d in (given.h, getattr(given, "c", None)))
    dh = xp.array(dstate.h, order="C")
    dc = xp.array(dstate.c, order="C") if "c" in cell.State._fields else None
    dxs, plan = xp.empty((T, B, D), xs.dtype), gpu.choose(kind, xs.dtype, B, H)
    rec = xp.zeros((B, H), xs.dtype) if plan is None else None
    parts = xp.empty(plan.parts(H), xs.dtype) if plan is not None else None
    add = sums is not None
    if not add:
        sums = Sums(*(xp.empty(shape, xs.dtype) for shape in (W.shape, U.shape, (kind.D * H,))))
    for t, n, h, P, alive in reversed(tape.blocks):
        ds = xp.empty((n * B, kind.D * H), xs.dtype)
        here = [None if d is None else d[t : t + n] for d in (dhs, dcs)]
        if plan is not None:
            gpu.back(plan, kind, n, B, H, (U, P, *here, alive, ds, dh, dc, parts))
        else:
            to_h = ds.reshape(n, B, kind.D * H)[:, :, kind.U0 * H :]
            for k in reversed(range(n)):
                gpu.one("back_one", kind, k, B, H, (rec, P, *here, alive, ds, dh, dc))
                gpu.product(rec, to_h[k], U)
        x, d = xs[t : t + n].reshape(n * B, D), ds[:, : kind.X * H]
        gpu.product(dxs[t : t + n].reshape(n * B, D), d, W)
        gpu.product(sums.W, d, x, ta=True, add=add)
        gpu.product(sums.U, ds[:, kind.U0 * H :], h[:n].reshape(n * B, H), ta=True, add=add)
        gpu.column_sums(sums.b, ds, add=add)
        add = True
    if not add:
        sums = None  # no step
    return dxs, cell.partial_state(dh if rec is None else dh + rec, dc), sums, None


def total(cell: Any, sums: Sums) -> Any:
    """The sums as the cell's Params."""
    fields: dict[str, Any] = {}
    for names, stacked in zip(ORDER[cell.page], sums, strict=True):
        H = stacked.shape[0] // len(names)
        fields |= {name: stacked[k * H : (k + 1) * H] for k, name in enumerate(names)}
    return cell.Params(**fields)


def _stacked(xp: Any, cell: Any, params: Any) -> tuple[Any, ...]:
    """W, U and b with the gates one above the other."""
    return tuple(xp.concatenate([getattr(params, name) for name in names]) for names in ORDER[cell.page])


def _count(alive: Any, t: int, n: int) -> Any:
    """(B,): how many of these steps belong to each row; None if all do."""
    return None if alive is None else alive[t : t + n, :, 0].sum(axis=0, dtype="int32")
