"""How much memory: the peak above the inputs of one forward + backward, each code in a process of its own.

Peaks are resident bytes as Linux counts them (VmHWM), so they hold for every library; results (outputs and gradients)
are part of them. A checkpointed run is compared with the full one of its engine in memory and in time.
"""

import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import checkpointed, doctor
from numpy_lstm.check import Problem
from numpy_lstm.command import NoVerdict

from .. import output
from . import peers

SHAPE = (1000, 16, 64, 256)
LONG = (100_000, 1, 16, 32)
CODES = ("torch", "fast", "fast, checkpointed", "explicit", "explicit, checkpointed")


def call(code: str, problem: Problem) -> Callable[[], Any]:
    """Forward and backward by one of ``CODES``."""
    engine, _, how = code.partition(", ")
    if not how:
        return peers.PEERS[code](problem)
    cell, (params, xs, first), (states, last) = problem[:3]

    def bounded() -> Any:
        run = checkpointed.forward(cell, params, xs, first, engine=engine)
        return run.hs, checkpointed.backward(cell, params, run, dhs=states.h, dlast=last)

    return bounded


def worker(code: str, shape: list[int], seed: int) -> None:
    """Print the peak in bytes and the best of three times in seconds."""
    T, B, D, H = shape
    call(code, peers.problem("LSTM", (2, B, D, H), np.float64, seed))()
    work = call(code, peers.problem("LSTM", (T, B, D, H), np.float64, seed))
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # give back what drawing the numbers has freed: it would be used again and not be counted
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    start = time.perf_counter()
    work()
    seconds, peak = [time.perf_counter() - start], _status("VmHWM") - before
    for _ in range(2 if seconds[0] < 5 else 0):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    print(json.dumps([peak, min(seconds)]))


def _status(field: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return 1024 * int(lines[field].split()[0])


def measured(code: str, shape: tuple[int, ...], seed: int) -> tuple[int, float]:
    """Peak bytes and seconds in a new process on one thread."""
    command = [sys.executable, "-m", "analysis.speed.memory", code, json.dumps(shape), str(seed)]
    done = subprocess.run(command, env=doctor.child_environment(), capture_output=True, text=True, check=True)
    peak, seconds = json.loads(done.stdout)
    return peak, seconds


def run(out: Path, seed: int) -> list[str]:
    """Measure, print and save; nothing here can fail, so the list is empty.

    Raises NoVerdict where Linux's counters are missing.
    """
    if not Path("/proc/self/clear_refs").exists():
        raise NoVerdict("not measured; this needs Linux's /proc/self/clear_refs")
    codes = [c for c in CODES if c.partition(", ")[0] in peers.installed()]
    found = {code: measured(code, SHAPE, seed) for code in codes}
    long = {code: measured(code, LONG, seed) for code in codes if code == "fast, checkpointed"}
    rows = []
    for shape, values in ((SHAPE, found), (LONG, long)):
        for code, (peak, seconds) in values.items():
            full = found.get(code.partition(", ")[0]) if shape is SHAPE else None
            relative = [f"{peak / full[0]:.2f}", f"{seconds / full[1]:.2f}"] if full else ["", ""]
            name = f"{code} {','.join(map(str, shape))}"
            rows.append([name, f"{peak / 2**20:.0f}", *relative[:1], f"{seconds:.2f}", *relative[1:]])
    table = output.table(["LSTM T,B,D,H, float64", "peak MiB", "of full", "seconds", "of full"], rows)
    print(table)
    output.write_text(out / "memory.md", table + "\n")
    output.write_json(
        out / "memory.json",
        {"schema": 1, "seed": seed, "shape": SHAPE, "found": found, "long": LONG, "at_length": long},
    )
    return []


if __name__ == "__main__":
    worker(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))
