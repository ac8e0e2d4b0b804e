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
    "lstm": Kind("Lstm", G=4, X=4, D=4, U0=0, P=6, cell=1),
    "gru": Kind("Gru", G=3, X=3, D=4, U0=1, P=5, cell=0),
    "rnn": Kind("Rnn", G=1, X=1, D=1, U0=0, P=1, cell=0),
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
    """n steps from t on; one array of h before each and after the last (n+1,B,H) and the local factors (n,P,B,H);
    how many of the steps belong to each row (B,), or None if all do."""

    t: int
    n: int
    h: Any
    alive: Any


class Tape:
    """What a run keeps for its backward pass: the blocks, and its own copy of xs (T,B,D), from ``kept[x]`` on.

    See ``blocks.Tape``.
    """

    def __init__(self, cell: Any, kept: Any, x: int, shape: tuple[int, int, int], H: int) -> None:
        self.cell, self.kept, self.x, self.shape, self.H = cell, kept, x, shape, H
        self.blocks: list[Block] = []
        self.bound: tuple[Any, Any] = (None, None)  # the parameters of the run, and the Sizes they agreed on

    def shapes(self) -> list[tuple[str, str, Any]]:
        """Name and axis letters of what a Trace would hold, and a stand-in of its shape, to be held against others."""
        (T, B, D), zero = self.shape, arrays.zeros((), self.kept)
        xp = arrays.namespace(zero)
        widths = (("x", "TBD", D), ("h_prev", "TBR", self.H))
        return [(name, letters, xp.broadcast_to(zero, (T, B, N))) for name, letters, N in widths]

    def __repr__(self) -> str:
        return f"<Tape of {self.shape[0]} steps of {self.cell.name}, on a GPU>"

    def __reduce__(self) -> Any:
        raise TypeError("a Tape cannot be copied or pickled, for its buffers have one owner; run forward again")


def ready(cell: Any, like: Any) -> bool:
    """Whether these kernels serve the cell with arrays such as ``like``."""
    return arrays.library(like) == "cupy" and device.of(like, KINDS[cell.equations]) is not None


def grain(B: int) -> int:
    """Steps in a block: from B alone, so that a sequence cut at a multiple has the same bits."""
    return max(1, ROWS // B)


def span_forward(cell: Any, params: Any, xs: Any, first: Any, alive: Any) -> tuple[Any, Any, Any]:
    """See ``scan.span_forward``; ``values`` is a Tape."""
    with xs.device:
        return _forward(cell, params, xs, first, alive)


def span_backward(cell: Any, params: Any, tape: Tape, given: Any, dstate: Any, sums: Any) -> tuple[Any, Any, Any, Any]:
    """See ``scan.span_backward``; ``sums`` is a Sums."""
    with tape.kept.device:
        return _backward(cell, params, tape, given, dstate, sums)


def _forward(cell: Any, params: Any, xs: Any, first: Any, alive: Any) -> tuple[Any, Any, Any]:
    xp, kind, (T, B, D), H = arrays.namespace(xs), KINDS[cell.equations], xs.shape, first.h.shape[1]
    gpu, dtype, z = _device(xs, kind), xs.dtype, xs.itemsize
    precision = device.name(dtype)
    blas = gpu.products(precision)
    mine = [] if alive is None else [xp.where(alive, xs, xp.zeros((), dtype))]  # what no NaN of the padding reaches
    kept, (W, U, b, x) = _gathered(gpu, cell, kind, params, "WUb", *(mine or [xs]))
    tape = Tape(cell, kept, x, xs.shape, H)
    hs = xp.empty((T, B, H), dtype)
    state = [_whole(xp, first.h), _whole(xp, first.c) if kind.cell else None]
    K, plan, at = grain(B), gpu.choose(kind, dtype, B, H), kept.data.ptr
    A = xp.empty((B, kind.G * H), dtype) if plan is None else None
    if not T or plan is None:  # the kernels write the state where they read it
        state = [None if a is None else a.copy() for a in state]
    for t in range(0, T, K):
        n = min(K, T - t)
        one = B * H * z  # bytes of h
        block = Block(t, n, xp.empty((n + 1 + n * kind.P, B, H), dtype), _count(alive, t, n))
        h = block.h.data.ptr
        P, Zx = h + (n + 1) * one, xp.empty(n * kind.X * B * H, dtype)
        place = x * z + at + t * B * D * z
        # x W^T of (L1)-(L4), (G1) (G2) (G6), (R1)
        blas.matrix((n * B, D, kind.X * H), (Zx.data.ptr, kind.X * H), (place, D), (at + W * z, D), tb=True)
        weights, out = (at + U * z, at + b * z), hs if n == T else hs[t : t + n]
        if plan is not None:
            new = [xp.empty((B, H), dtype) if a is not None else None for a in state]
            given = (*weights, Zx, block.alive, *state, h, out, P, *new)
            gpu.ahead(plan, kind, precision, n, B, H, given)
            state = new
        else:
            block.h[0] = state[0]
            given = (A, weights[1], Zx, block.alive, h, out, P, *state)
            step = gpu.one("ahead_one", kind, precision, B, H, given)
            recurrent = blas.many((B, H, kind.G * H), _matrix(A), H, (weights[0], H), tb=True)
            for k in range(n):
                recurrent(h + k * one)
                step(k)
        tape.blocks.append(block)
    return hs, _state(cell, *state), tape


def _backward(cell: Any, params: Any, tape: Tape, given: Any, dstate: Any, sums: Any) -> tuple[Any, Any, Any, Any]:
    (T, B, D), H, kind, like = tape.shape, tape.H, KINDS[cell.equations], tape.kept
    xp, dtype, z = arrays.namespace(like), like.dtype, like.itemsize
    precision = device.name(dtype)
    gpu, at_x = _device(like, kind), like.data.ptr + tape.x * like.itemsize
    blas = gpu.products(precision)
    kept, (W, U) = _gathered(gpu, cell, kind, params, "WU")
    W, U = kept.data.ptr + W * z, kept.data.ptr + U * z
    dhs, dcs = _whole(xp, given.h), _whole(xp, getattr(given, "c", None))
    state = [_whole(xp, dstate.h), _whole(xp, dstate.c) if kind.cell else None]
    dxs, plan = xp.empty((T, B, D), dtype), gpu.choose(kind, dtype, B, H)
    wide, wu = kind.D * H, kind.G * H
    rec = xp.zeros((B, H), dtype) if plan is None else None
    shared = 0 if plan is None else plan.parts(H)
    if plan is None or not T:
        state = [xp.zeros((B, H), dtype) if a is None else a.copy() for a in state[: 1 + kind.cell]] + [None]
    add = sums is not None
    if not add and T:
        sums = Sums(*(xp.empty(shape, dtype) for shape in ((kind.X * H, D), (wu, H), (wide,))))
    for t, n, kept_h, alive in reversed(tape.blocks):
        h = kept_h.data.ptr
        ds, P = xp.empty(n * B * wide + shared, dtype), h + (n + 1) * B * H * z
        parts = ds.data.ptr + n * B * wide * z
        here = [d if d is None or n == T else d[t : t + n] for d in (dhs, dcs)]
        d, to_h = ds.data.ptr, ds.data.ptr + kind.U0 * H * z
        if plan is not None:
            new = [xp.empty((B, H), dtype), xp.empty((B, H), dtype) if kind.cell else None]
            arguments = (U, P, *here, alive, *state, ds, *new, parts)
            gpu.back(plan, kind, precision, n, B, H, arguments)
            state = new
        else:
            step = gpu.one("back_one", kind, precision, B, H, (rec, P, *here, alive, ds, *state[:2]))
            recurrent = blas.many((B, wu, H), _matrix(rec), wide, (U, H))
            for k in reversed(range(n)):
                step(k)
                recurrent(to_h + k * B * wide * z)
        rows, place = n * B, (at_x + t * B * D * z, D)
        blas.matrix((rows, kind.X * H, D), (dxs.data.ptr + t * B * D * z, D), (d, wide), (W, D))
        blas.matrix((kind.X * H, rows, D), _matrix(sums.W), (d, wide), place, ta=True, add=add)
        blas.matrix((wu, rows, H), _matrix(sums.U), (to_h, wide), (h, H), ta=True, add=add)
        blas.column_sums((rows, wide), sums.b.data.ptr, d, add=add)
        add = True
    if rec is not None:
        state[0] = state[0] + rec
    return dxs, _state(cell, *state[:2]), sums, None


def total(cell: Any, sums: Sums) -> Any:
    """The sums as the cell's Params."""
    fields: dict[str, Any] = {}
    for names, stacked in zip(ORDER[cell.equations], sums, strict=True):
        H = stacked.shape[0] // len(names)
        fields |= {name: stacked[k * H : (k + 1) * H] for k, name in enumerate(names)}
    return cell.Params(**fields)


def _state(cell: Any, h: Any, c: Any = None) -> Any:
    return cell.State(h=h) if c is None else cell.State(h=h, c=c)


def _device(like: Any, kind: Kind) -> device.Device:
    gpu = device.of(like, kind)
    assert gpu is not None, "ready() was not asked"
    return gpu


def _gathered(gpu: device.Device, cell: Any, kind: Kind, params: Any, which: str, *more: Any) -> tuple[Any, list[int]]:
    """One new array with the gates of W, U and b one above the other, and ``more``; where each of these begins."""
    names = [ORDER[cell.equations]["WUb".index(k)] for k in which]
    kept, starts = gpu.gather(kind, [getattr(params, name) for group in names for name in group] + list(more))
    heads = [starts[sum(map(len, names[:k]))] for k in range(len(names))]
    return kept, heads + starts[len(starts) - len(more) :]


def _whole(xp: Any, a: Any) -> Any:
    """Without gaps; None stays None."""
    return a if a is None or a.flags.c_contiguous else xp.ascontiguousarray(a)


def _matrix(a: Any) -> tuple[int, int]:
    return a.data.ptr, a.shape[1]


def _count(alive: Any, t: int, n: int) -> Any:
    """(B,): how many of these steps belong to each row; None if all do."""
    return None if alive is None else alive[t : t + n, :, 0].sum(axis=0, dtype="int32")
