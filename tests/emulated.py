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

HOPPER = Limits(multiprocessors=132, shared=227 * 1024, shared_all=228 * 1024, cluster=16, cooperative=True)
FAULTS = {1: "the threads wait for one another for ever", 2: "a write beyond the end of shared memory"}


def build(folder: Path) -> ctypes.CDLL:
    """The library; the compiler is ``g++``."""
    path = folder / "emulated.so"
    source = Path(__file__).with_name("emulated.cpp")
    command = [shutil.which("g++") or "g++", "-O1", "-std=c++17", "-shared", "-fPIC", "-fno-strict-aliasing", "-w"]
    subprocess.run([*command, f'-DSOURCE="{device.SOURCE}"', "-o", str(path), str(source)], check=True)
    return ctypes.CDLL(str(path))


class Emulated(device.Device):
    """A device whose kernels run here. ``plan`` settles how; ``seed`` in which order threads do (0: as they stand)."""

    def __init__(self, library: ctypes.CDLL, plan: Plan | None, seed: int = 0) -> None:
        self.cupy, self.limits, self.library = strict_cupy.MODULE, HOPPER, library
        self.plan, self.seed, self.ran = plan, seed, set()
        self._made = {}

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

    def product(
        self, dtype: str, shape: Any, out: Any, a: Any, b: Any, ta: bool = False, tb: bool = False, add: bool = False
    ) -> None:
        """As cuBLAS: from addresses."""
        m, k, n = shape
        left = _view(a, (k, m) if ta else (m, k), dtype)
        right = _view(b, (n, k) if tb else (k, n), dtype)
        result, target = (left.T if ta else left) @ (right.T if tb else right), _view(out, (m, n), dtype)
        target[...] = target + result if add else result

    def multiplier(self, dtype: str, shape: Any, out: Any, lead: int, b: Any, tb: bool = False) -> Any:
        """The same."""
        return lambda a: self.product(dtype, shape, out, (a, lead), b, tb=tb)

    def column_sums(self, dtype: str, shape: Any, out: int, a: int, add: bool = False) -> None:
        """The same."""
        result, target = _view((a, shape[1]), shape, dtype).sum(axis=0), _view((out, shape[1]), (1, shape[1]), dtype)
        target[...] = target + result if add else result


def _view(matrix: tuple[int, int], shape: tuple[int, int], dtype: str) -> Any:
    address, lead = matrix
    assert lead >= shape[1]
    z, count = np.dtype(dtype).itemsize, (shape[0] - 1) * lead + shape[1]
    flat = np.ctypeslib.as_array((ctypes.c_byte * (count * z)).from_address(address)).view(dtype)
    return np.lib.stride_tricks.as_strided(flat, shape, (lead * z, z))
