"""The CUDA kernels on the CPU: the same source, as C++ by g++ (``emulated.cpp``), behind the same ``Device``."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import strict_cupy
from numpy_lstm.fast import device
from numpy_lstm.fast.plan import THREADS, Kind, Limits, Plan

OPTIONS = ["-O0", "-U_FORTIFY_SOURCE", "-std=c++17", "-shared", "-fPIC", "-fno-strict-aliasing", "-w"]
HOPPER = Limits(multiprocessors=132, shared=227 * 1024, shared_all=228 * 1024, cluster=16, cooperative=True)
FAULTS = {1: "the threads wait for one another for ever", 2: "a write beyond the end of shared memory"}


def build(folder: Path) -> ctypes.CDLL:
    """The library; the compiler is ``g++``."""
    path = folder / "emulated.so"
    source = Path(__file__).with_name("emulated.cpp")
    command = [shutil.which("g++") or "g++", *OPTIONS]
    subprocess.run([*command, f'-DSOURCE="{device.SOURCE}"', "-o", str(path), str(source)], check=True)
    return ctypes.CDLL(str(path))


class Emulated(device.Device):
    """A device whose kernels run here. ``plan`` settles how; ``seed`` in which order threads do (0: as they stand)."""

    def __init__(self, library: ctypes.CDLL, plan: Plan | None, seed: int = 0) -> None:
        self.cupy, self.limits, self.library = strict_cupy.MODULE, HOPPER, library
        self.plan, self.seed, self.ran = plan, seed, set()
        self._kept = {d: np.array([0.0, 1.0], d) for d in device.CTYPES}
        self._scalars = {d: (a.ctypes.data, a.ctypes.data + a.itemsize) for d, a in self._kept.items()}
        self._made, self._keep = {}, []

    def choose(self, kind: Kind, dtype: Any, B: int, H: int) -> Plan | None:
        """The plan of this test."""
        return self.plan

    def kernel(
        self, name: str, kind: Kind, dtype: str, tile: int = 1, cluster: int = 0, together: bool = False
    ) -> device.Launch:
        """A call of the library."""

        def launch(blocks: int, shared: int, given: device.Packed) -> None:
            number = ("ahead", "back", "ahead_one", "back_one", "gather").index(name)
            cell = ("Lstm", "Gru", "Rnn").index(kind.name)
            group = cluster or (self.plan.C if self.plan is not None and tile else 1)
            fault = self.library.launch(
                *(number, cell, int(dtype == "float32"), tile, int(bool(cluster))),
                *(blocks, THREADS, shared, group, self.seed),
                ctypes.c_void_p(given.address),
            )
            assert not fault, FAULTS[fault]
            self.ran.add(name)

        return launch

    def products(self, dtype: str) -> device.Products:
        """As cuBLAS, column after column: what is a row here is a column there."""

        def gemm(_: Any, ta: int, tb: int, m: int, n: int, k: int, one: int, *rest: int) -> None:
            a, lda, b, ldb, beta, c, ldc = rest
            left = _view((a, lda), (m, k) if ta else (k, m), dtype)
            right = _view((b, ldb), (k, n) if tb else (n, k), dtype)
            result = (right.T if tb else right) @ (left.T if ta else left)
            target = _view((c, ldc), (n, m), dtype)
            target[...] = target + result if _view((beta, 1), (1, 1), dtype)[0, 0] else result

        def gemv(_: Any, t: int, m: int, n: int, one: int, a: int, lda: int, x: int, *rest: int) -> None:
            _, beta, y, _ = rest
            result = _view((x, n), (1, n), dtype) @ _view((a, lda), (n, m), dtype)
            target = _view((y, m), (1, m), dtype)
            target[...] = target + result if _view((beta, 1), (1, 1), dtype)[0, 0] else result

        ones = strict_cupy.MODULE.ones(10000, dtype)
        self._keep.append(ones)
        return device.Products(None, gemm, gemv, self._scalars[dtype], lambda m: ones.data.ptr)


def _view(matrix: tuple[int, int], shape: tuple[int, int], dtype: str) -> Any:
    address, lead = matrix
    assert lead >= shape[1]
    z, count = np.dtype(dtype).itemsize, (shape[0] - 1) * lead + shape[1]
    flat = np.ctypeslib.as_array((ctypes.c_byte * (count * z)).from_address(address)).view(dtype)
    return np.lib.stride_tricks.as_strided(flat, shape, (lead * z, z))
