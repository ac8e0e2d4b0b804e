"""The same pages and the fast path on CuPy arrays: checked against NumPy, then timed against cuDNN through torch."""

import time
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import check, tree
from numpy_lstm.command import NoVerdict

from .. import output
from . import benchmark, peers

BOUND = {"float64": 1e-13, "float32": 1e-4}


def unavailable() -> str | None:
    """Why there is nothing to run on, or None."""
    import cupy

    try:
        return None if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no GPU"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no GPU: {error}"


def run(out: Path, seed: int) -> list[str]:
    """Check, time, print and save; returns what is beyond its bound. Raises NoVerdict without a GPU."""
    if (reason := unavailable()) is not None:
        raise NoVerdict(f"no GPU was available: {reason}")
    import cupy

    rows, failed = [], []
    for name in peers.CELLS:
        for shape in benchmark.SHAPES:
            for dtype in ("float64", "float32"):
                problem = peers.problem(name, shape, np.dtype(dtype).type, seed)
                cell, point, cotangents = problem
                there = check.Problem(cell, *tree.map(cupy.asarray, (point, cotangents)))
                want, last = peers.PEERS["explicit"](problem)(), nl.forward(cell, *point).last.h
                cells = [f"{name} {','.join(map(str, shape))}", dtype]
                for engine in (nl, nl.fast):
                    run = engine.forward(cell, *there.point)
                    call = peers.PEERS["fast" if engine is nl.fast else "explicit"](there)
                    back = tree.map(cupy.asnumpy, tuple(call())[:3])
                    error = check.normwise((cupy.asnumpy(run.last.h), back), (last, tuple(want)[:3]))
                    if not error <= BOUND[dtype]:
                        failed.append(f"{' '.join(cells[:2])}: {error:.1e}, bound {BOUND[dtype]:g}")
                    cells += [f"{error:.1e}", f"{1e3 * _median(call, cupy):.3g}"]
                rows.append([*cells, _torch(problem, cupy)])
    header = ["cell T,B,D,H", "dtype", "explicit error", "ms", "fast error", "ms", "cuDNN ms"]
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    text = f"{properties['name'].decode()}; CuPy {cupy.__version__}; {peers.versions()}\n\n"
    text += output.table(header, rows) + f"\n\nBounds of the errors: {BOUND['float64']:g} and {BOUND['float32']:g}.\n"
    print(text)
    output.write_text(out / "gpu.md", text)
    return failed


def _median(call: Any, cupy: Any, rounds: int = 7) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        cupy.cuda.Device().synchronize()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def _torch(problem: check.Problem, cupy: Any) -> str:
    if "torch" not in peers.installed():
        return ""
    from reference import torch_oracle

    call = torch_oracle.timed(problem, device="cuda")
    return f"{1e3 * _median(call, cupy):.3g}" if call else "torch without CUDA"
