"""CuPy arrays on a GPU: every room against NumPy, then training and the fast path timed against torch and cuDNN."""

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import check, tree
from numpy_lstm.command import NO_VERDICT, NoVerdict, positive
from numpy_lstm.fast import cuda, device

from .. import output
from ..verify import rooms
from ..verify.instruments import EXACT
from . import benchmark, gpu_training, peers

BOUND = {"float64": 1e-13, "float32": 1e-4}
SHAPES = (  # T, B, D, H
    (100, 32, 64, 128),
    (100, 1, 64, 128),
    (35, 20, 200, 200),
    (1000, 16, 64, 256),
    (100, 128, 10, 32),
    (100, 64, 128, 512),
    (50, 64, 256, 1024),
)
TARGETS = {"float64": (3.0, 0.9), "float32": (1.1, 0.9)}  # cuDNN / ours: up to H = 256, and beyond
ROUNDS = 15


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    only = parser.add_argument_group("gpu only")
    only.add_argument("--cells", nargs="+", choices=list(peers.CELLS), help="cells to time; default: all")
    only.add_argument(
        "--shapes", metavar="T,B,D,H", nargs="+", type=benchmark.shape, help="default: seven of them, two but for LSTM"
    )
    only.add_argument("--no-rooms", dest="rooms", action="store_false", help="timings only")
    only.add_argument("--no-training", dest="training", action="store_false", help="no updates of a character model")
    only.add_argument("--limit", metavar="SECONDS", type=positive, default=170, help="give up then; default: 170")


def unavailable() -> str | None:
    """Why there is nothing to run on, or None."""
    import cupy

    try:
        return None if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no GPU"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no GPU: {error}"


def run(out: Path, asked: argparse.Namespace) -> list[str]:
    """Check, time, print and save; returns what is beyond its bound. Raises NoVerdict without a GPU."""
    if (reason := unavailable()) is not None:
        raise NoVerdict(f"no GPU was available: {reason}")
    import cupy

    texts, failed = [environment(cupy)], []
    found: dict[str, Any] = {"schema": 2, "environment": texts[0], "seed": asked.seed}
    with limited(asked.limit, out):
        print(f"{texts[0]}\n", flush=True)
        if asked.rooms:
            failed, text = every_room(cupy, asked.seed)
            texts.append(text)
            print(f"{text}\n", flush=True)
        for part, tabled, cases in (
            ("trained", gpu_training.table, gpu_training.cases(cupy, asked.seed) if asked.training else ()),
            ("timed", table, _timings(cupy, asked)),
        ):
            rows: list[dict[str, Any]] = []
            for name, case, bound in cases:
                try:
                    row = case()
                    line, right = tabled([row]).splitlines()[-1], row["error"] <= bound
                    rows.append(row)
                except Exception as fault:  # whatever it is, the others are measured too
                    line, right = f"{name}: {type(fault).__name__}: {str(fault)[:200]}", False
                failed += [] if right else [line]
                print(line, flush=True)
                output.write_json(out / "gpu.json", found | {part: rows, "failed": failed})
            found[part] = rows
            texts += [tabled(rows)] if rows else []
            print(f"\n{texts[-1]}\n", flush=True)
    output.write_text(out / "gpu.md", "\n\n".join(texts) + "\n")
    return failed


@contextmanager
def limited(seconds: int, out: Path) -> Iterator[None]:
    """End this process with status 2 after so many seconds, even if it waits for a kernel that never ends."""

    def give_up() -> None:
        print(
            f"no verdict: gpu: not done in {seconds} s (--limit); what was measured is in {out / 'gpu.json'}",
            flush=True,
        )
        os._exit(NO_VERDICT)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _timings(cupy: Any, asked: argparse.Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]], float]]:
    """Name, measurement and bound of each."""
    for name in asked.cells or peers.CELLS:
        for shape in asked.shapes or (SHAPES if name == "LSTM" else SHAPES[::5]):
            for dtype in ("float32", "float64"):
                said = f"{name} {shape} {dtype}"
                yield said, partial(timed, cupy, name, shape, dtype, asked.seed), BOUND[dtype]


def environment(cupy: Any) -> str:
    """The GPU and all versions, in the line above each table."""
    properties, driver = cupy.cuda.runtime.getDeviceProperties(0), cupy.cuda.runtime.driverGetVersion()
    versions = ", ".join(f"{k} {v}" for k, v in peers.versions().items() if k in ("numpy", "torch"))
    runtime = cupy.cuda.runtime.runtimeGetVersion()
    return f"{properties['name'].decode()}; CuPy {cupy.__version__}, CUDA {runtime}, driver {driver}; {versions}"


def every_room(cupy: Any, seed: int) -> tuple[list[str], str]:
    """The rooms that fail, and the table."""
    rows, failed = [], []
    for name, case in rooms.cases(cupy, seed):
        start = time.perf_counter()
        try:
            error = case()
            right, said = error <= EXACT, f"{error:.1e}"
        except Exception as fault:  # whatever it is, the others are looked at too
            right, said = False, f"{type(fault).__name__}: {str(fault)[:120]}"
        failed += [] if right else [f"{name}: {said}"]
        rows.append([name, "works" if right else "FAILED", said, f"{time.perf_counter() - start:.2f} s"])
    return failed, output.table(["room", "on CuPy arrays", "error", "time"], rows)


def timed(cupy: Any, name: str, shape: tuple[int, int, int, int], dtype: str, seed: int) -> dict[str, Any]:
    """Seconds of forward and backward, ours and cuDNN's in turn; the error against NumPy; how the recurrence ran."""
    problem = peers.problem(name, shape, np.dtype(dtype).type, seed)
    there = check.Problem(problem.cell, *tree.map(cupy.asarray, (problem.point, problem.cotangents)))
    calls = {"ours": peers.PEERS["fast"](there)}
    if "torch" in peers.installed():
        from reference import torch_oracle

        if (call := torch_oracle.timed(problem, device="cuda")) is not None:
            calls["cuDNN"] = call
    got = tree.map(cupy.asnumpy, tuple(calls["ours"]())[:3])
    error = check.normwise(got, tuple(peers.PEERS["fast"](problem)())[:3])
    seconds: dict[str, list[float]] = {k: [] for k in calls}
    for call in calls.values():
        for _ in range(3):
            call()
    for _ in range(ROUNDS):
        for k, call in calls.items():
            cupy.cuda.Device().synchronize()
            start = time.perf_counter()
            call()
            cupy.cuda.Device().synchronize()
            seconds[k].append(time.perf_counter() - start)
    row = {"cell": name, "shape": list(shape), "dtype": dtype, "error": error, "way": _way(there)}
    return row | {"seconds": {k: float(np.median(v)) for k, v in seconds.items()}}


def _way(problem: check.Problem) -> str:
    """How the recurrence runs."""
    _, xs, first = problem.point
    kind, (_, B, _), H = cuda.KINDS[problem.cell.equations], xs.shape, first.h.shape[1]
    if (gpu := device.of(xs, kind)) is None:
        return "as NumPy arrays"
    if (plan := gpu.choose(kind, xs.dtype, B, H)) is None:
        return "stepped"
    blocks = "cluster" if plan.cluster else "grid" if plan.C > 1 else "block"
    return f"persistent: {plan.groups} x {blocks} of {plan.C}, {plan.R} rows"


def table(rows: list[dict[str, Any]]) -> str:
    """Milliseconds, ratios and targets."""
    cells = []
    for row in rows:
        H, ours, theirs = row["shape"][3], row["seconds"]["ours"], row["seconds"].get("cuDNN")
        target = f"{TARGETS[row['dtype']][H > 256]:.1f}" if row["cell"] == "LSTM" else ""
        cells.append(
            [
                f"{row['cell']} {','.join(map(str, row['shape']))}",
                row["dtype"],
                f"{1e3 * theirs:.2f}" if theirs else "",
                f"{1e3 * ours:.2f}",
                f"{theirs / ours:.2f}" if theirs else "",
                target,
                f"{row['error']:.1e}",
                row["way"],
            ]
        )
    header = ["cell T,B,D,H", "dtype", "cuDNN ms", "ours ms", "cuDNN / ours", "target", "error", "recurrence"]
    return output.table(header, cells)
