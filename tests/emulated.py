"""The CUDA kernels on the CPU: the same source, compiled as C++ by g++ (``emulated.cpp``), behind the same ``Device``."""

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

        def launch(blocks: int, shared: int, arguments: Any) -> None:
            values = [_value(a) for a in arguments]
            pointers = (ctypes.c_void_p * len(values))(*(ctypes.cast(ctypes.pointer(v), ctypes.c_void_p) for v in values))
            for k, (v, a) in enumerate(zip(values, arguments, strict=True)):
                if isinstance(v, ctypes.c_void_p):
                    pointers[k] = v.value
            number = ("ahead", "back", "ahead_one", "back_one").index(name)
            cell = ("Lstm", "Gru", "Rnn").index(kind.name)
            group = cluster or (self.plan.C if self.plan is not None and tile else 1)
            fault = self.library.launch(
                *(number, cell, int(dtype == "float32"), tile, int(bool(cluster))),
                *(blocks, THREADS, shared, group, self.seed),
                pointers,
            )
            assert not fault, FAULTS[fault]
            self.ran.add(name)

        return launch

    def product(self, out: Any, a: Any, b: Any, ta: bool = False, tb: bool = False, add: bool = False) -> None:
        """As cuBLAS: rows may lie apart, columns not."""
        for v in (out, a, b):
            assert v.strides[1] == v.itemsize or v.shape[1] == 1
        result = (a._a.T if ta else a._a) @ (b._a.T if tb else b._a)
        out._a[...] = out._a + result if add else result

    def column_sums(self, out: Any, a: Any, add: bool = False) -> None:
        """The same."""
        out._a[...] = out._a + a._a.sum(axis=0) if add else a._a.sum(axis=0)


def _value(a: Any) -> Any:
    if a is None:
        return ctypes.c_void_p(None)
    if isinstance(a, strict_cupy.ndarray):
        assert a._a.flags.c_contiguous, "a kernel takes contiguous arrays"
        return ctypes.c_void_p(a._a.ctypes.data)
    assert type(a) is np.int32, a
    return ctypes.c_int(int(a))
