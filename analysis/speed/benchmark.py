"""How fast: forward and backward against PyTorch, JAX, autograd, the explicit path, and the BLAS's own floor.

All peers of a problem run in one process, in turn, round after round, each time with another one first; a ratio is the
median of those of the rounds, which a busy machine disturbs least. Threads and kernels are fixed by the environment
of that process, before NumPy is loaded, so every combination of them is a process of its own: ``python -m
analysis.speed.benchmark`` measures and prints JSON, and ``run`` starts it, on as many processors as it has threads.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import doctor
from numpy_lstm.command import need, positive

from .. import figures, output
from . import peers

SHAPES = (
    (100, 32, 64, 128),
    (100, 1, 64, 128),
    (35, 20, 200, 200),
    (100, 64, 128, 512),
    (1000, 16, 64, 256),
    (100, 128, 10, 32),
    (100, 8, 16, 32),
)
BASE = {"T": 100, "B": 16, "D": 32, "H": 64}
SCALING = {"T": (25, 50, 100, 200, 400), "B": (4, 8, 16, 32, 64), "H": (32, 64, 128, 256)}
ROUNDS, BUDGET = (3, 40), 3.0  # fewest and most rounds, and seconds for each problem within these


def measure(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Seconds of every round by problem and peer, in this process; of the processor, where there is one thread."""
    clock, rows = time.process_time if options["threads"] == 1 else time.perf_counter, []
    for name in options["cells"]:
        for shape in options["shapes"]:
            for dtype in options["dtypes"]:
                problem = peers.problem(name, tuple(shape), np.dtype(dtype).type, options["seed"])
                calls = {peer: peers.PEERS[peer](problem) for peer in options["peers"]}
                seconds: dict[str, list[float]] = {peer: [] for peer in calls}
                for call in calls.values():
                    call()
                names, until = list(calls), time.perf_counter() + options["budget"]
                for k in range(ROUNDS[1]):
                    if k >= ROUNDS[0] and time.perf_counter() > until:
                        break
                    for peer in names[k % len(names) :] + names[: k % len(names)]:
                        start = clock()
                        calls[peer]()
                        seconds[peer].append(clock() - start)
                rows.append({"cell": name, "shape": list(shape), "dtype": dtype, "seconds": seconds})
    return rows


def in_process(threads: int, kernel: str | None, **options: Any) -> dict[str, Any]:
    """``measure`` with so many threads and processors, and these kernels (None: those OpenBLAS picks)."""
    env = doctor.child_environment(threads, kernel)
    if threads == 1:  # JAX has no variable for it
        env.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    command = [sys.executable, "-m", "analysis.speed.benchmark", json.dumps(options | {"threads": threads})]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the measuring process failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"asked": kernel or "default", "threads": threads}


def worker(text: str) -> None:
    """What the process that ``in_process`` starts does: measure, and print JSON."""
    options = json.loads(text)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, doctor.affinity()[: options["threads"]])
    blas = doctor.blas()
    print(json.dumps({"blas": blas.library, "kernel": blas.kernel, "rows": measure(options)}))


def table(found: dict[str, Any]) -> str:
    """Medians in milliseconds, and medians of ratios within a round: torch / fast, say, and fast / floor.

    One row for each problem, both dtypes beside each other. torch / floor is the limit: the ratio that no element-wise
    work at all would give.
    """
    names = [p for p in peers.PEERS if any(p in r["seconds"] for r in found["rows"])]
    pairs = [(p, "fast") for p in names if p not in {"fast", "floor"}]
    pairs += [(p, "floor") for p in ("torch", "fast") if {p, "floor"} <= set(names)]
    rows: dict[str, list[str]] = {}
    for r in found["rows"]:
        s = {p: np.array(v) for p, v in r["seconds"].items()}
        cells = [f"{1e3 * np.median(s['fast']):.3g}"]
        cells += [f"{np.median(s[p] / s[q]):.2f}" if {p, q} <= s.keys() else "" for p, q in pairs]
        name = f"{r['cell']} {','.join(map(str, r['shape']))}"
        rows.setdefault(name, [name]).extend(cells)
    dtypes = dict.fromkeys(r["dtype"] for r in found["rows"])
    header = [title for dtype in dtypes for title in (f"{dtype} ms", *map(" / ".join, pairs))]
    return output.table(["cell T,B,D,H", *header], list(rows.values()))


def gain(one: dict[str, Any], more: dict[str, Any]) -> str:
    """How many times as fast more threads are: minima over the rounds of each, which other work disturbs least."""
    rows = []
    for a, b in zip(one["rows"], more["rows"], strict=True):
        name = f"{a['cell']} {','.join(map(str, a['shape']))}"
        peers_of_both = [p for p in ("fast", "torch") if p in a["seconds"]]
        rows.append([name, a["dtype"], *(f"{min(a['seconds'][p]) / min(b['seconds'][p]):.2f}" for p in peers_of_both)])
    header = [f"{p}, {more['threads']} threads against {one['threads']}" for p in peers_of_both]
    return output.table(["cell T,B,D,H", "dtype", *header], rows)


def slopes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each axis and peer the medians, and the exponent fitted to their larger half."""
    curves = []
    for axis, values in SCALING.items():
        index = "TBDH".index(axis)
        shapes = [[*(n if k == axis else BASE[k] for k in "TBDH")] for n in values]
        for peer in rows[0]["seconds"]:
            times = [float(np.median(next(r for r in rows if r["shape"] == s)["seconds"][peer])) for s in shapes]
            half = len(values) // 2
            slope = float(np.polyfit(np.log(values[half:]), np.log(times[half:]), 1)[0])
            curves.append({"axis": axis, "peer": peer, "values": list(values), "seconds": times, "slope": slope})
            assert all(s[index] == n for s, n in zip(shapes, values, strict=True))
    return curves


def draw_scaling(curves: list[dict[str, Any]], caption: str, stem: Path) -> None:
    """Time against T, B and H, both axes logarithmic, with the fitted exponents."""
    names = list(dict.fromkeys(c["axis"] for c in curves))
    measured = list(dict.fromkeys(c["peer"] for c in curves))
    styles = {p: figures.style(k) | {"marker": figures.marker(k), "ms": 3} for k, p in enumerate(measured)}
    with figures.look_of(figures.RC):
        drawing = figures.figure(9, 3.6)
        panels = drawing.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            for c in (c for c in curves if c["axis"] == name):
                label = f"{c['peer']}: {name}$^{{{c['slope']:.2f}}}$"
                axes.loglog(c["values"], [1e3 * s for s in c["seconds"]], label=label, **styles[c["peer"]])
            axes.set_xticks(c["values"], [str(n) for n in c["values"]])
            axes.minorticks_off()
            axes.set_xlabel(name)
            axes.legend(frameon=False, fontsize=6.5)
        panels[0].set_ylabel("median ms, forward + backward")
        drawing.supxlabel(caption, fontsize=6, color="0.35")
        figures.save(drawing, stem)


def environment(found: dict[str, Any]) -> str:
    """Processor, BLAS, threads and versions, in one line for the head of a table."""
    versions = ", ".join(f"{k} {v}" for k, v in peers.versions().items())
    blas = f"{found['blas']}, {found['kernel'] or found['asked']} kernels, {found['threads']} threads"
    return f"{_processor()}, {len(doctor.affinity())} processors; {blas}; {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    known = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    family = f", family {known['cpu family']} model {known['model']}" if "cpu family" in known else ""
    return known.get("model name", "unknown processor") + family


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    only = parser.add_argument_group("benchmark only")
    only.add_argument("--shapes", metavar="T,B,D,H", nargs="+", type=shape, help="default: seven of them")
    only.add_argument("--threads", metavar="N", nargs="+", type=positive, help="default: 1 and all processors")
    only.add_argument("--cells", nargs="+", choices=list(peers.CELLS), help="default: all three")
    only.add_argument(
        "--peers", nargs="+", choices=list(peers.PEERS), help="default: of those installed torch, jax, floor"
    )
    only.add_argument("--no-scaling", dest="scaling", action="store_false", help="tables only, no scaling figure")


def run(out: Path, asked: argparse.Namespace) -> list[str]:
    """Measure, print and save tables and figure; nothing here can fail, so the list is empty."""
    widest = doctor.widest(doctor.diagnose())
    options = {
        "cells": asked.cells or list(peers.CELLS),
        "shapes": asked.shapes or SHAPES,
        "seed": asked.seed,
        "budget": BUDGET,
        "peers": [p for p in peers.installed() if p == "fast" or p in (asked.peers or ("floor", "torch", "jax"))],
    }
    if asked.scaling:
        need("matplotlib")
    found = []
    for count in asked.threads or sorted({1, len(doctor.affinity())}):
        for kernel in [None] + ([widest] if widest else []):
            found.append(in_process(count, kernel, dtypes=["float64", "float32"], **options))
            print(f"{environment(found[-1])}\n\n{table(found[-1])}\n", flush=True)
    saved = {"schema": 1, "environment": environment(found[0]), "seed": asked.seed, "measured": found}
    text = "\n".join(f"{environment(part)}\n\n{table(part)}\n" for part in found)
    for more in (
        part for part in found if part["threads"] > found[0]["threads"] and part["asked"] == found[0]["asked"]
    ):
        print(f"{gain(found[0], more)}\n")
        text += f"\n{gain(found[0], more)}\n"
    if asked.scaling:
        around = sorted({tuple(n if k == axis else BASE[k] for k in "TBDH") for axis, v in SCALING.items() for n in v})
        options |= {"shapes": around, "cells": ["LSTM"], "budget": BUDGET / 2}
        options["peers"] = [p for p in peers.installed() if p in {*options["peers"], "explicit"}]
        curves = slopes(in_process(1, widest, dtypes=["float64"], **options)["rows"])
        saved["scaling"] = curves
        rows = [[f"{c['axis']}, {c['peer']}", f"{c['slope']:.2f}"] for c in curves]
        exponents = "Time grows with the power\n\n" + output.table(["axis", "exponent"], rows) + "\n"
        print(exponents)
        text += f"\n{exponents}"
        base = ", ".join(f"{k} = {n}" for k, n in BASE.items())
        caption = f"LSTM forward + backward, float64, 1 thread; {base}. {environment(found[0])}"
        draw_scaling(curves, caption, out / "scaling")
    output.write_json(out / "benchmark.json", saved)
    output.write_text(out / "benchmark.md", text)
    return []


def shape(text: str) -> tuple[int, int, int, int]:
    """``100,32,64,128`` as T, B, D, H, for argparse."""
    numbers = tuple(int(n) for n in text.split(","))
    if len(numbers) != 4 or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not T,B,D,H")
    return numbers


if __name__ == "__main__":
    worker(sys.argv[1])
