"""Blocks of steps: how arrays are laid out, how many steps stand in one, and buffers kept between calls.

Rows are rows of the batch, as everywhere. A *matrix* takes part in products and holds its gates side by side in a row,
(steps, B, width); a *sheet* takes part in element-wise work only and holds each gate apart, (..., B*H), so that several
gates are one contiguous run. Buffers are reused, and nothing that a caller receives is a view of one.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

CACHE = 2**17  # bytes of one gate in one block: with all its gates a block should stay in a core's own cache
ROWS = 256  # rows of a block that make the contraction over them worth a call
LONGEST = 128
PANEL = 256  # inner width up to which [h x 1] in one product is as good as two
PAGE = 4096
KEEP = 2**26  # bytes of free buffers kept


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

    def matrix(self, steps: int, width: int) -> Any:
        """An empty (steps, B, width). Its first steps, however many, fold to rows (n*B, width) without a copy."""
        return self.xp.empty((steps, self.B, width), self.dtype)

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


def steps_in_block(B: int, H: int, itemsize: int) -> int:
    """K, from the shape of a step alone: a part of a sequence that begins at a multiple of K has the same blocks."""
    return min(LONGEST, max(CACHE // (B * H * itemsize), -(-ROWS // B), 4))


def flat(a: Any) -> Any:
    """A contiguous array as one axis, without a copy."""
    return a.reshape(-1)


class Pool:
    """Free buffers by kind and layout. What is taken belongs to the taker alone until it is given back."""

    def __init__(self) -> None:
        self._free: dict[Any, list[Any]] = {}
        self._bytes = 0
        self._lock = threading.RLock()  # re-entrant: the garbage collector may give back in the middle of a take

    def take(self, kind: Callable[[Layout], Any], layout: Layout) -> Any:
        """A buffer of that kind and layout; its content is whatever was left in it."""
        with self._lock:
            if free := self._free.get((kind, layout)):
                buffer = free.pop()
                self._bytes -= buffer.nbytes
                return buffer
        return kind(layout)

    def give(self, layout: Layout, buffer: Any) -> None:
        """Keep a buffer that nobody else holds; when too much is kept, forget all the others."""
        with self._lock:
            if self._bytes + buffer.nbytes > KEEP:
                self._free.clear()
                self._bytes = 0
            if buffer.nbytes <= KEEP:
                self._free.setdefault((type(buffer), layout), []).append(buffer)
                self._bytes += buffer.nbytes


POOL = Pool()


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

    def __del__(self) -> None:
        for _, _, block in self.blocks:
            POOL.give(self.layout, block)
