"""Products in groups, so small that OpenBLAS multiplies what lies in memory, and packs nothing. See fast/fast.md."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import arrays, doctor

UNPACKED = 10**6  # rows x columns x inner width of such a product, at most
NARROWEST, NARROW, WIDE = 128, 256, 1024  # bytes of a row of a group: at least, as a rule at most, alone at most
FEWEST, ROWS, MOST = 16, 32, 64  # rows of a group, where there are many
VECTOR = 64  # bytes, of AVX-512, and of a line of the cache
AVX512 = not {"AVX512_SKX", "X86_V4"}.isdisjoint(
    np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", ())
)


def unpacked() -> bool:
    """Whether groups are quicker than a whole: on one thread, with the kernels of OpenBLAS for AVX-512."""
    kernel, threads = doctor.kernel_and_threads()
    return AVX512 and kernel in {"SkylakeX", "Cooperlake", "SapphireRapids"} and threads == 1


def empty(xp: Any, dtype: Any, *shape: int) -> Any:
    """An empty array; of NumPy one that begins a line of the cache."""
    if xp is not np:
        return xp.empty(shape, dtype)
    n = math.prod(shape) * dtype.itemsize
    memory = np.empty(n + VECTOR, np.uint8)
    start = -memory.ctypes.data % VECTOR
    return memory[start : start + n].view(dtype).reshape(shape)


def contraction(d: Any, z: Any, sums: Any = None) -> Any:
    """d^T z for d (R,M) and z (R,N), added to ``sums`` (M,N), which may be written to.

    In one call of SciPy's BLAS where rows follow one another in memory; in float64 the transpose, 6 to 8 % quicker.
    """
    xp: Any = arrays.namespace(d)
    turned = d.dtype == np.float64
    if sums is None:
        return xp.matmul(z.T, d).T if turned else xp.matmul(d.T, z)
    if xp is not np or not (d.flags.c_contiguous and z.flags.c_contiguous):
        return xp.add(sums, contraction(d, z), out=sums)
    from scipy.linalg import blas  # type: ignore[import-untyped]

    gemm, (a, b, c) = blas.dgemm if turned else blas.sgemm, (d, z, sums) if turned else (z, d, sums.T)
    found = gemm(1.0, a.T, b.T, beta=1.0, c=c, trans_b=1, overwrite_c=1)
    return found if turned else found.T


def columns(width: int, most: int, itemsize: int, least: int = NARROWEST) -> int:
    """The columns of a group, ``most`` of them: a divisor of ``width``, a multiple of 8; 0 if there is none."""
    found = range(min(most, NARROW // itemsize, width) // 8 * 8, least // itemsize - 1, -8)
    return next((n for n in found if width % n == 0), 0)


def parted(inner: int, rows: int, width: int, itemsize: int, parts: Iterable[int]) -> tuple[int, int]:
    """The parts of the inner width, and the columns of a group, of products with so many rows; (0, 0) if none fit."""
    parts = [p for p in parts if inner and inner % p == 0]
    for least in (NARROW, NARROWEST):
        for p in parts:
            if n := columns(width, UNPACKED * p // (inner * rows), itemsize, least):
                return p, n
    return 0, 0


class Right:
    """The right-hand side b (K,N) of products with many rows: whole, or columns in groups, the inner width in parts."""

    def __init__(self, b: Any, grouped: bool) -> None:
        self.b, (self.rows, self.parts, self.columns) = b, _groups(b) if grouped else (0, 0, 0)
        self.groups: Any = None  # made when first needed

    def product(self, a: Any, out: Any) -> Any:
        """a b for a (R,K), into ``out`` (R,N)."""
        (R, K), N, p, n = a.shape, self.b.shape[1], self.parts, self.columns
        if self.rows > R or R * K * N <= UNPACKED or not self.rows:
            return arrays.namespace(a).matmul(a, self.b, out=out)
        if self.groups is None:
            width = -(-n * a.itemsize // VECTOR) * VECTOR // a.itemsize  # so that every row begins a line
            groups = empty(np, a.dtype, p, 1, N // n, K // p, width)[..., :n]
            groups[:, 0] = self.b.reshape(p, K // p, N // n, n).swapaxes(1, 2)
            self.groups = groups  # once it is filled: another thread may be here too
        m = next((m for m in range(self.rows, FEWEST - 1, -1) if R % m == 0), min(self.rows, ROWS))
        q = R // m * m
        left = a[:q].reshape(q // m, 1, m, p, K // p).transpose(3, 0, 1, 2, 4)
        sums = out[None, :q] if p == 1 else empty(np, a.dtype, p, q, N)
        np.matmul(left, self.groups, out=sums.reshape(p, q // m, m, N // n, n).swapaxes(2, 3))
        if p > 1:
            np.add.reduce(sums, 0, None, out[:q])
        if q < R:
            np.matmul(a[q:], self.b, out=out[q:])
        return out


def _groups(b: Any) -> tuple[int, int, int]:
    """The most rows, parts of the inner width, and columns; 0 where there are none that fit."""
    (K, N), itemsize = b.shape, b.itemsize
    alone = K * N * ROWS <= UNPACKED and N * itemsize <= WIDE
    p, n = (1, N) if alone else parted(K, ROWS, N, itemsize, (1, 2, 4))
    return (min(MOST, UNPACKED * p // (K * n)), p, n) if n else (0, 0, 0)
