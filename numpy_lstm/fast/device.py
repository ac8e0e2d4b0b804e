"""The one file that speaks to a GPU, through CuPy: limits, compiled kernels, launches, and products of cuBLAS."""

import ctypes
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .plan import THREADS, Kind, Limits, Plan, plans

SOURCE = Path(__file__).with_name("recurrence.cu")
CTYPES = {"float32": "float", "float64": "double"}
PERSISTENT, STEPPED = ("ahead", "back"), ("ahead_one", "back_one")
GATHERED = 13  # arrays that ``gather`` takes at most
LOG = logging.getLogger("numpy_lstm.fast")
SHARED_LIMIT, NON_PORTABLE_CLUSTER = 8, 14  # of CUfunction_attribute


class Packed:
    """Arguments of a kernel as the driver takes them: addresses of arrays (None: no array) and integers.

    Each has eight bytes; an argument of four is the lower half of them.
    """

    def __init__(self, arguments: Sequence[Any]) -> None:
        n = len(arguments)
        plain = [a if type(a) is int else 0 if a is None else a.data.ptr for a in arguments]
        self.values = (ctypes.c_longlong * n)(*plain)
        start = ctypes.addressof(self.values)
        self._pointers = (ctypes.c_void_p * n)(*range(start, start + 8 * n, 8))
        self.address = ctypes.addressof(self._pointers)


Launch = Callable[[int, int, Packed], None]  # thread blocks, bytes of shared memory, arguments


def name(dtype: Any) -> str:
    """``float32`` or ``float64``; quicker than asking NumPy."""
    return "float32" if dtype.itemsize == 4 else "float64"


class Device:
    """A GPU with its kernels. ``choose`` settles once for each shape how a recurrence runs there."""

    def __init__(self, index: int) -> None:
        import cupy
        from cupy.cuda import cublas, device

        self.cupy, self._cublas, self._handle = cupy, cublas, device.get_cublas_handle
        self.limits = _limits(cupy.cuda.runtime.getDeviceProperties(index))
        self._made: dict[Any, Launch] = {}
        self._chosen: dict[Any, Plan | None] = {}
        self._kept = {d: np.array([0.0, 1.0], d) for d in CTYPES}
        self._scalars = {d: (a.ctypes.data, a.ctypes.data + a.itemsize) for d, a in self._kept.items()}  # 0 and 1
        self._ones: dict[str, Any] = {}

    def kernel(
        self, name: str, kind: Kind, dtype: str, tile: int = 1, cluster: int = 0, together: bool = False
    ) -> Launch:
        """The compiled kernel. ``cluster`` thread blocks are one cluster; ``together``: a cooperative launch."""
        key = (name, kind, dtype, tile, cluster, together)
        if key not in self._made:
            self._made |= self._compile(*key[1:])
        return self._made[key]

    def _compile(self, kind: Kind, dtype: str, tile: int, cluster: int, together: bool) -> dict[Any, Launch]:
        full = {name: f"{name}<{kind.name}, {CTYPES[dtype]}, {tile}>" for name in (PERSISTENT if tile else STEPPED)}
        if not tile:
            full["gather"] = f"gather<{CTYPES[dtype]}>"
        module = self.cupy.RawModule(
            code=SOURCE.read_text(encoding="utf-8"),
            options=("-std=c++17", *([f"-DCLUSTER={cluster}"] if cluster else [])),
            name_expressions=tuple(full.values()),
            enable_cooperative_groups=together,
        )
        made = {k: self._launcher(module.get_function(text), cluster, together) for k, text in full.items()}
        return {(k, kind, dtype, tile, cluster, together): launch for k, launch in made.items()}

    def _launcher(self, function: Any, cluster: int, together: bool) -> Launch:
        """A launch by the driver itself, which takes a third of the time of a call of ``function``."""
        from cupy_backends.cuda.api import driver

        here, now = function.kernel.ptr, self.cupy.cuda.get_current_stream
        most = 48 * 1024  # that needs no asking
        if cluster > 8:
            driver.funcSetAttribute(here, NON_PORTABLE_CLUSTER, 1)

        def launch(blocks: int, shared: int, given: Packed) -> None:
            nonlocal most
            if shared > most:
                driver.funcSetAttribute(here, SHARED_LIMIT, shared)
                most = shared
            shape = (here, blocks, 1, 1, THREADS, 1, 1, shared, now().ptr, given.address)
            if together:
                driver.launchCooperativeKernel(*shape)
            else:
                driver.launchKernel(*shape, 0)

        return launch

    def choose(self, kind: Kind, dtype: Any, B: int, H: int) -> Plan | None:
        """The best plan that this device takes, tried once; None: step by step."""
        key = (kind, dtype.itemsize, B, H)
        if key not in self._chosen:
            able = (p for p in plans(kind, dtype.itemsize, B, H, self.limits) if self._takes(p, kind, dtype, B, H))
            self._chosen[key] = next(able, None)
        return self._chosen[key]

    def _takes(self, plan: Plan, kind: Kind, dtype: Any, B: int, H: int) -> bool:
        """Whether the device can hold the thread blocks of the plan, found out by launches of no step."""
        U, h = self.cupy.zeros((kind.G * H, H), dtype), self.cupy.zeros((2, B, H), dtype)
        b = self.cupy.zeros(kind.D * H, dtype)
        try:
            self.ahead(plan, kind, dtype.name, 0, B, H, (U, b, U, None, h, h, h, h, h, h, h))
            self.back(plan, kind, dtype.name, 0, B, H, (U, U, None, None, None, None, None, U, h, h, U))
        except (self.cupy.cuda.driver.CUDADriverError, self.cupy.cuda.runtime.CUDARuntimeError) as error:
            LOG.info("a plan for B=%d, H=%d is not taken (%s): %s", B, H, error, plan)
            return False
        return True

    def ahead(self, plan: Plan, kind: Kind, dtype: str, n: int, B: int, H: int, arguments: tuple[Any, ...]) -> None:
        """n steps forward in one launch; ``arguments`` as in ``recurrence.cu``, without counters and sizes."""
        self._all("ahead", plan, plan.shared[0], kind, dtype, n, B, H, arguments)

    def back(self, plan: Plan, kind: Kind, dtype: str, n: int, B: int, H: int, arguments: tuple[Any, ...]) -> None:
        """n steps back in one launch."""
        self._all("back", plan, plan.shared[1], kind, dtype, n, B, H, arguments)

    def _all(
        self, name: str, plan: Plan, shared: int, kind: Kind, dtype: str, n: int, B: int, H: int, given: tuple[Any, ...]
    ) -> None:
        apart = plan.C > 1 and not plan.cluster
        run = self.kernel(name, kind, dtype, plan.tile, plan.C if plan.cluster else 0, apart)
        counters = self.cupy.zeros(plan.groups, np.uint32) if apart else None
        run(plan.groups * plan.C, shared, Packed((*given, counters, *plan.sizes(n, B, H))))

    def one(
        self, name: str, kind: Kind, dtype: str, B: int, H: int, arguments: tuple[Any, ...]
    ) -> Callable[[int], None]:
        """``ahead_one`` or ``back_one``, to be called with the step."""
        run, blocks = self.kernel(name, kind, dtype, 0), -(-B * H // THREADS)
        given = Packed((*arguments, B, H, 0))
        last = len(given.values) - 1

        def step(t: int) -> None:
            given.values[last] = t
            run(blocks, 0, given)

        return step

    def gather(self, kind: Kind, arrays: list[Any]) -> tuple[Any, list[int]]:
        """The arrays one behind the other in one new array, and where each begins there."""
        like, starts, total = arrays[0], [], 0
        arrays = [a if a.flags.c_contiguous else self.cupy.ascontiguousarray(a) for a in arrays]
        for a in arrays:
            starts.append(total)
            total += a.size
        out = self.cupy.empty(total, like.dtype)
        run = self.kernel("gather", kind, name(like.dtype), 0)
        absent = GATHERED - len(arrays)
        counts = (*(a.size for a in arrays), *(0,) * absent)
        run(max(1, min(264, total // 2048)), 0, Packed((out, *arrays, *(None,) * absent, *counts)))
        return out, starts

    def products(self, dtype: str) -> "Products":
        """Products of cuBLAS on the current stream."""
        handle = self._handle()
        self._cublas.setStream(handle, self.cupy.cuda.get_current_stream().ptr)
        self._cublas.setPointerMode(handle, self._cublas.CUBLAS_POINTER_MODE_HOST)
        single = dtype == "float32"
        gemm = self._cublas.sgemm if single else self._cublas.dgemm
        gemv = self._cublas.sgemv if single else self._cublas.dgemv
        return Products(handle, gemm, gemv, self._scalars[dtype], lambda m: self._of_ones(dtype, m))

    def _of_ones(self, dtype: str, m: int) -> int:
        """The address of m ones."""
        if dtype not in self._ones or self._ones[dtype].size < m:
            self._ones[dtype] = self.cupy.ones(m, dtype)
        return int(self._ones[dtype].data.ptr)


class Products(NamedTuple):
    """Products of matrices in one dtype; never in tf32.

    A matrix is the address of its first number and how many numbers lie between its rows; ``ta`` and ``tb`` say that
    it is stored transposed.
    """

    handle: Any
    gemm: Any
    gemv: Any
    scalars: tuple[int, int]
    ones: Callable[[int], int]

    def matrix(
        self, shape: tuple[int, int, int], out: tuple[int, int], a: tuple[int, int], b: tuple[int, int],
        ta: bool = False, tb: bool = False, add: bool = False,
    ) -> None:  # fmt: skip
        """out (m,n) = a (m,k) b (k,n), or out += a b, for ``shape`` m, k, n."""
        m, k, n = shape
        zero, one = self.scalars
        beta = one if add else zero
        self.gemm(self.handle, int(tb), int(ta), n, m, k, one, b[0], b[1], a[0], a[1], beta, out[0], out[1])

    def many(
        self, shape: tuple[int, int, int], out: tuple[int, int], lead: int, b: tuple[int, int], tb: bool = False
    ) -> Callable[[int], None]:
        """``matrix`` for many a with ``lead`` numbers between their rows, to be called with the address of each."""
        (m, k, n), (zero, one), gemm, handle, t = shape, self.scalars, self.gemm, self.handle, int(tb)
        return lambda a: gemm(handle, t, 0, n, m, k, one, b[0], b[1], a, lead, zero, out[0], out[1])

    def column_sums(self, shape: tuple[int, int], out: int, a: int, add: bool = False) -> None:
        """out (n,) = the sums of the columns of a (m,n), or added to it; both by address, without gaps."""
        m, n = shape
        zero, one = self.scalars
        self.gemv(self.handle, 0, n, m, one, a, n, self.ones(m), 1, one if add else zero, out, 1)


def _limits(properties: Any) -> Limits:
    """Clusters are of Hopper and later; 16 thread blocks are more than every device promises, and tried."""
    shared = properties["sharedMemPerBlockOptin"] or properties["sharedMemPerBlock"]
    cluster = 16 if properties["major"] >= 9 else 1
    cooperative = bool(properties["cooperativeLaunch"]) and properties["major"] >= 6
    shared_all = properties["sharedMemPerMultiprocessor"]
    return Limits(properties["multiProcessorCount"], shared, shared_all, cluster, cooperative)


_device = cache(Device)
_FOUND: dict[Any, Device | None] = {}


def of(like: Any, kind: Kind) -> Device | None:
    """The device that holds ``like``, with kernels for the cell; None, and one warning that says why, without them."""
    index, precision = like.device.id, name(like.dtype)
    key = (index, kind.name, precision)
    if key not in _FOUND:
        try:
            _FOUND[key] = device = _device(index)
            device.kernel("gather", kind, precision, 0)
        except Exception as error:  # no compiler, no cuBLAS, an old driver: whatever it is, the results do not need it
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if None not in _FOUND.values():
                LOG.warning("CuPy arrays go the way of NumPy arrays: no CUDA kernels (%s)", reason)
            _FOUND[key] = None
    return _FOUND[key]
