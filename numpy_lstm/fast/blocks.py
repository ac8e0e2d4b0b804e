"""Blocks of steps: how arrays are laid out, how many steps stand in one, and buffers kept between calls.

Rows are rows of the batch, as everywhere. A *matrix* takes part in products and holds its gates side by side in a row,
(steps, B, width); a *sheet* takes part in element-wise work only and holds each gate apart, (..., B*H), so that several
gates are one contiguous run. Buffers are reused, and nothing that a caller receives is a view of one.
"""

import sys
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import arrays

CACHE = 2**17  # bytes of one gate in one block: with all its gates a block should stay in a core's own cache
ROWS = 256  # rows of a block that make the contraction over them worth a call
LONGEST = 128
PANEL = 256  # inner width up to which [h x 1] in one product is as good as two
SMALL = 64  # units up to which a product for each gate is as good as one for all
PAGE = 4096
KEEP = 2**26  # bytes of buffers kept
LOANS = 64  # tapes whose blocks come back
VIEW = 160  # bytes of a view of an array
# Whether NumPy takes cosh of a vector at once, as it does with AVX-512 on Linux; elsewhere exp is quicker
COSH = sys.platform == "linux" and not {"AVX512_SKX", "X86_V4"}.isdisjoint(
    np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", ())
)


class Layout(NamedTuple):
    """The sizes that fix every buffer: array module, dtype, K steps in a block, B, D, H."""

    xp: Any
    dtype: Any
    K: int
    B: int
    D: int
    H: int

    @property
    def joined(self) -> bool:
        """Whether a step multiplies [h x 1] at once, or x was multiplied for the whole block before."""
        return self.B > 1 and self.D + self.H <= PANEL

    @property
    def apart(self) -> bool:
        """Whether each gate has a product of its own, and so its pre-activations are one run: costs less if small."""
        return self.joined and self.H <= SMALL

    def multiplies_like(self, other: "Layout") -> bool:
        """Whether the same right-hand sides serve products with B rows of the one and of the other."""
        return (self.B == 1, self.joined) == (other.B == 1, other.joined)  # D and H are the same

    def matrix(self, steps: int, width: int) -> Any:
        """An empty (steps, B, width). Its first steps, however many, fold to rows (n*B, width) without a copy."""
        return self.xp.empty((steps, self.B, width), self.dtype)

    def rows(self, width: int) -> Any:
        """An empty (B, width)."""
        return self.xp.empty((self.B, width), self.dtype)

    def sheet(self, *lead: int) -> Any:
        """An empty (*lead, B*H)."""
        return self.xp.empty((*lead, self.B * self.H), self.dtype)

    def unfold(self, sheet: Any) -> Any:
        """(..., B*H) as (..., B, H)."""
        return sheet.reshape(*sheet.shape[:-1], self.B, self.H)

    def gates(self, matrix: Any) -> Any:
        """(B, n*H) as (n, B, H)."""
        return matrix.reshape(self.B, -1, self.H).transpose(1, 0, 2)

    def right(self, stacked: Any) -> Any:
        """The transpose of ``stacked``, as the right-hand side of products with B rows.

        One row is a matrix-vector product, which reads either order. Otherwise it is transposed, and rows of whole
        pages are padded: they would all fall into the same few lines of the cache.
        """
        if self.B == 1:
            return self.xp.ascontiguousarray(stacked).T
        pad = 16 if stacked.shape[0] * stacked.itemsize % PAGE == 0 else 0
        right = self.xp.empty((stacked.shape[1], stacked.shape[0] + pad), self.dtype)[:, : stacked.shape[0]]
        right[...] = stacked.T
        return right

    def finite(self, a: Any) -> None:
        """Infinities of ``a`` become the largest number; NaN stays."""
        if not float(a.max()) < float("inf"):
            self.xp.minimum(a, self.xp.finfo(self.dtype).max, out=a)


def over_cosh_squared(L: Layout, factor: Any, a: Any, out: Any, spare: Any) -> None:
    """``factor`` tanh'(a) into ``out``; 0 where cosh^2 is beyond the largest number. ``spare`` is overwritten."""
    xp = L.xp
    mul, add, divide = xp.multiply, xp.add, xp.divide
    if COSH or xp is not np:
        xp.cosh(a, out=out)
        divide(factor, mul(out, out, out=out), out=out)
    else:  # 4 e / (1 + e)^2 with e = exp(-2|a|)
        xp.abs(a, out=out)
        xp.exp(mul(out, -2, out=out), out=out)
        divide(2, add(out, 1, out=spare), out=spare)
        mul(out, mul(spare, spare, out=spare), out=out)
        mul(out, factor, out=out)


def steps_in_block(B: int, H: int, itemsize: int) -> int:
    """K, from the shape of a step alone: a part of a sequence that begins at a multiple of K has the same blocks."""
    return min(LONGEST, max(CACHE // (B * H * itemsize), -(-ROWS // B), 4))


def flat(a: Any) -> Any:
    """A contiguous array as one axis, without a copy."""
    return a.reshape(-1)


class Padding(NamedTuple):
    """Which steps of which rows are padding, (T,B), or None if none is; the rows (B,1) that end at a step, by step.

    Padding stands at the end of rows alone, as ``lengths`` has it: ``Steps`` go the explicit way.
    """

    dead: Any
    ends: dict[int, Any]

    @classmethod
    def of(cls, alive: Any) -> "Padding":
        """From ``alive``, (T,B,1) or None."""
        if alive is None or bool(alive.all()):
            return cls(None, {})
        dead, ends = ~alive, alive.copy()
        ends[:-1] &= dead[1:]
        return cls(
            dead[..., 0], {t: ends[t] for t, any_row in enumerate(arrays.on_host(ends.any(axis=(1, 2)))) if any_row}
        )

    def within(self, t: int, n: int) -> "Padding":
        """That of n steps from t on."""
        if self.dead is None:
            return self
        dead = None if not self.dead[t + n - 1].any() else self.dead[t : t + n]
        return Padding(dead, {k: self.ends[t + k] for k in range(n) if t + k in self.ends})


class Loan(NamedTuple):
    """Buffers of one kind that come back when the tape that uses them is gone."""

    tape: Callable[[], Any]
    layout: Layout
    buffers: list[Any]


class Pool:
    """Free buffers by kind and layout, at most ``KEEP`` bytes of them, those on loan to tapes included.

    Whoever takes a buffer is the only one to hold it. There is no account to drift when a call is interrupted, no lock
    that a forked child could inherit closed, and no finaliser of a tape, where an interrupt would be lost: every change
    is one operation of the interpreter, and the pool looks whether a tape is still there.
    """

    def __init__(self) -> None:
        self._free: dict[Any, list[Any]] = {}
        self._lent: deque[Loan] = deque(maxlen=LOANS)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        kept = [*self._free.values(), *(loan.buffers for loan in self._lent.copy())]
        return sum(buffers[0].nbytes * len(buffers) for buffers in map(tuple, kept) if buffers)

    def take(self, kind: Callable[[Layout], Any], layout: Layout) -> Any:
        """A buffer of that kind and layout; its content is whatever was left in it."""
        try:
            return self._free[kind, layout].pop()
        except (KeyError, IndexError):
            return kind(layout)

    def give(self, layout: Layout, *buffers: Any) -> None:
        """Keep buffers of one kind that nobody else holds, unless they are too many."""
        if self._room(buffers):
            self._free.setdefault((type(buffers[0]), layout), []).extend(buffers)

    def lend(self, tape: "Tape") -> None:
        """Have the blocks of the tape back once it is gone, or as many as may be kept."""
        blocks = [block for _, _, block in tape.blocks]
        if blocks and self._room(blocks := blocks[: KEEP // blocks[0].nbytes]):
            self._lent.append(Loan(weakref.ref(tape), tape.layout, blocks))

    def collect(self) -> None:
        """Take back what was lent to tapes that are gone."""
        for _ in range(len(self._lent)):
            try:
                loan = self._lent.popleft()
            except IndexError:  # another thread was here
                return
            if loan.tape() is None:
                self.give(loan.layout, *loan.buffers)
            else:
                self._lent.append(loan)

    def _room(self, buffers: Sequence[Any]) -> bool:
        """Whether these, all alike, may be kept; all others are forgotten where together they would be too many."""
        size = buffers[0].nbytes * len(buffers) if buffers else 0
        if size <= KEEP < size + self.nbytes:
            self._free = {}
            self._lent.clear()
        return 0 < size <= KEEP


POOL = Pool()


def weight(buffer: Any) -> int:
    """Bytes of a buffer: its arrays, and the views that stand ready for each step, which may be more."""
    held = vars(buffer).values()
    tables = [table for table in held if isinstance(table, list)]
    views = sum(len(row) if isinstance(row, tuple) else 1 for table in tables for row in table)
    return VIEW * views + sum(int(a.nbytes) for a in held if hasattr(a, "nbytes") and a.base is None)


class Tape:
    """What a fast run keeps for its backward pass, in blocks of steps: ``blocks`` holds (first step, steps, block).

    The local factors and [h x 1]. Its arrays are reused once the tape is gone, so they are nobody else's business.
    """

    def __init__(self, cell: Any, layout: Layout, T: int) -> None:
        self.cell, self.layout, self.T = cell, layout, T
        self.blocks: list[tuple[int, int, Any]] = []

    def shapes(self) -> list[tuple[str, str, Any]]:
        """Name and axis letters of what a Trace would hold, and a stand-in of its shape, to be held against others."""
        L, zero = self.layout, self.layout.xp.zeros((), self.layout.dtype)
        widths = (("x", "TBD", L.D), ("h_prev", "TBR", L.H))
        return [(name, letters, L.xp.broadcast_to(zero, (self.T, L.B, N))) for name, letters, N in widths]

    def __repr__(self) -> str:
        return f"<Tape of {self.T} steps of {self.cell.name}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Tape cannot be copied or pickled, for its buffers have one owner; run forward again")
