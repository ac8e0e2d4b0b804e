"""How the arrays of the fast path are laid out: sizes, buffers, and the views by which steps read them.

Rows are rows of the batch, as everywhere. A *matrix* takes part in products and holds its gates side by side in a row,
(steps, B, width); a *sheet* takes part in element-wise work only and holds each gate apart, (..., B*H), so that several
gates are one contiguous run. The products of a step may be made in *groups* of N columns each: see ``columns``.
"""

import sys
from typing import Any, NamedTuple

import numpy as np

from .. import products
from ..products import AVX512, columns, empty

CACHE = 2**17  # bytes of one gate in one block: with all its gates a block should stay in a core's own cache
ROWS = 256  # rows of a block that make the contraction over them worth a call
LONGEST = 128
PANEL = 256  # inner width up to which [h x 1] in one product is as good as two
SMALL = 64  # units up to which a product for each gate is as good as one for all
PAGE = 4096
VIEW = 160  # bytes of a view of an array
COSH = AVX512 and sys.platform == "linux"  # NumPy takes cosh of a vector at once; elsewhere exp is quicker


class Layout(NamedTuple):
    """The sizes that fix every buffer: array module, dtype, K steps in a block, B, D, H.

    ``grouped``: whether the products of a step may be made in groups, see ``unpacked``.
    """

    xp: Any
    dtype: Any
    K: int
    B: int
    D: int
    H: int
    grouped: bool = False

    @property
    def joined(self) -> bool:
        """Whether a step multiplies [h x 1] at once, or x was multiplied for the whole block before."""
        return self.B > 1 and self.D + self.H <= PANEL

    @property
    def columns(self) -> int:
        """N, the columns of a group, a divisor of H; 0 where a product is not made in groups."""
        inner = self.H + self.joined * (self.D + 1)
        most = products.UNPACKED // (self.B * inner) if self.grouped and self.B > 1 else 0
        return columns(self.H, most, self.dtype.itemsize)

    @property
    def apart(self) -> bool:
        """Whether each gate has products of its own, and so its pre-activations are one run: costs less if small."""
        return self.joined and (self.columns > 0 or self.H <= SMALL)

    def multiplies_like(self, other: "Layout") -> bool:
        """Whether the same right-hand sides serve products with B rows of the one and of the other."""
        return (self.B == 1, self.joined, self.columns) == (other.B == 1, other.joined, other.columns)  # so are D and H

    def empty(self, *shape: int) -> Any:
        """An empty array that begins a line of the cache."""
        return empty(self.xp, self.dtype, *shape)

    def contiguous(self, a: Any) -> Any:
        """A copy of it that begins a line of the cache."""
        copy = self.empty(*a.shape)
        copy[...] = a
        return copy

    def matrix(self, steps: int, width: int) -> Any:
        """An empty (steps, B, width). Its first steps, however many, fold to rows (n*B, width) without a copy."""
        return self.empty(steps, self.B, width)

    def rows(self, width: int) -> Any:
        """An empty (B, width)."""
        return self.empty(self.B, width)

    def sheet(self, *lead: int) -> Any:
        """An empty (*lead, B*H)."""
        return self.empty(*lead, self.B * self.H)

    def unfold(self, sheet: Any) -> Any:
        """(..., B*H) as (..., B, H)."""
        return sheet.reshape(*sheet.shape[:-1], self.B, self.H)

    def gates(self, matrix: Any) -> Any:
        """(B, n*H) as (n, B, H)."""
        return matrix.reshape(self.B, -1, self.H).transpose(1, 0, 2)

    def spread(self, gates: Any, columns: int) -> Any:
        """(n, B, H) as (n, H/N, B, N), which a product in groups of N ``columns`` writes to."""
        return gates.reshape(len(gates), self.B, -1, columns).swapaxes(1, 2)

    def product(self, gates: Any, apart: bool = False) -> Any:
        """What the product of a step writes to, so that it becomes ``gates`` (n, B, H)."""
        if columns := self.columns or self.H * apart:
            return self.spread(gates, columns)
        return gates.swapaxes(0, 1).reshape(self.B, -1)

    def right(self, stacked: Any) -> Any:
        """The transpose of ``stacked``, as the right-hand side of products with B rows.

        One row is a matrix-vector product, which reads either order. Otherwise it is transposed, and rows of whole
        pages are padded: they would all fall into the same few lines of the cache.
        """
        if self.B == 1:
            return self.xp.ascontiguousarray(stacked).T
        pad = 16 if stacked.shape[0] * stacked.itemsize % PAGE == 0 else 0
        right = self.empty(stacked.shape[1], stacked.shape[0] + pad)[:, : stacked.shape[0]]
        right[...] = stacked.T
        return right

    def step_right(self, stacked: Any, apart: bool = False) -> Any:
        """As ``right``, of what is multiplied at each step: (n, H/N, inner, N) if in groups; see ``product``."""
        if not (columns := self.columns or self.H * apart):
            return self.right(stacked)
        return self.contiguous(stacked.reshape(-1, self.H // columns, columns, stacked.shape[1]).swapaxes(2, 3))

    def back(self, gates: int) -> tuple[int, int]:
        """The parts and columns in which h gets its cotangent from so many gates; (0, 0) for one plain product."""
        if not self.columns:
            return 0, 0
        every = range(1, gates + 1)
        return products.parted(
            gates * self.H, self.B, self.H, self.dtype.itemsize, (p for p in every if gates % p == 0)
        )

    def back_sums(self, rec: Any, gates: int) -> tuple[Any, Any]:
        """What the product back writes to, and its parts (parts, B, H), which add up to ``rec``; None if it is one."""
        parts, columns = self.back(gates)
        if not parts:
            return rec, None
        several = self.unfold(self.sheet(parts)) if parts > 1 else None
        return self.spread(rec[None] if several is None else several, columns), several

    def back_left(self, d: Any) -> Any:
        """d (B,n*H) as it meets ``back_right``."""
        parts, _ = self.back(d.shape[1] // self.H)
        return d.reshape(self.B, parts, 1, -1).transpose(1, 2, 0, 3) if parts else d

    def back_right(self, U: Any) -> Any:
        """U (n*H,H) as it stands, or (parts, H/N, inner, N)."""
        parts, columns = self.back(len(U) // self.H)
        return self.contiguous(U.reshape(parts, -1, self.H // columns, columns).swapaxes(1, 2)) if parts else U

    def finite(self, a: Any) -> None:
        """Infinities of ``a`` become the largest number; NaN stays."""
        if not float(a.max()) < float("inf"):
            self.xp.minimum(a, self.xp.finfo(self.dtype).max, out=a)


def add_parts(parts: Any, out: Any) -> None:
    """The parts of a product, if there are several, as one sum: see ``Layout.back_sums``."""
    if parts is not None:
        np.add.reduce(parts, 0, None, out)


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


def weight(buffer: Any) -> int:
    """Bytes of a buffer: its arrays, and the views that stand ready for each step, which may be more."""
    held = vars(buffer).values()
    rows = [row if isinstance(row, tuple) else (row,) for table in held if isinstance(table, list) for row in table]
    owners = {id(o): o.nbytes for o in (a if a.base is None else a.base for a in held if hasattr(a, "nbytes"))}
    return VIEW * len({id(view) for row in rows for view in row}) + sum(map(int, owners.values()))
