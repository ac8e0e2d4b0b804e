"""How accurate the fast path is where gates saturate: K and normwise error against 50-digit truth, beside others."""

from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import check
from numpy_lstm.check import truth
from numpy_lstm.progress import bar
from reference import regimes

from .. import output
from . import routes

REGIMES = [(cell, regime) for cell in (nl.LSTM, nl.GRU, nl.RNN) for regime in regimes.OF_PAGE[cell.equations]]
BOUND = 16
KINDS = ["K", "float64", "float32"]


def gradient(p: check.Problem) -> check.Point:
    """The gradient that the fast path gives."""
    params, xs, first = p.point
    states, last = p.cotangents
    run = nl.fast.forward(p.cell, params, xs, first)
    back = nl.fast.backward(p.cell, params, run, dhs=states.h, dcs=getattr(states, "c", None), dlast=last)
    return check.Point(back.dparams, back.dxs, back.dfirst)


def measure(seed: int, seeds: int = 6) -> list[dict[str, Any]]:
    """The worst over seeds, by cell and regime."""
    codes = {"fast": gradient, "explicit": lambda p: p.gradient()}
    if routes.HAS_TORCH:
        codes["torch.nn"] = routes.torch_oracle.module
    rows = []
    for cell, regime in bar(REGIMES, desc="accuracy"):
        worst: dict[str, float] = {}
        for k in range(seeds):
            p = regimes.problem(cell, regime, seed + k)
            exact, paths = truth.gradient(p), p.absolute_paths()
            for name, code in codes.items():
                wide, narrow = code(p), code(p.astype(np.float32))
                found = {
                    f"K, {name}": check.K(wide, exact, paths),
                    f"float64, {name}": check.normwise(wide, exact),
                    f"float32, {name}": check.normwise(narrow, exact),
                }
                worst |= {key: check.worst([value, worst.get(key, 0.0)]) for key, value in found.items()}
        rows.append({"name": f"{cell.name}, {regime}"} | worst)
    return rows


def run(out: Path, seed: int) -> list[str]:
    """Measure, print and save; returns where K of the fast path is beyond its bound."""
    rows = measure(seed)
    columns = sorted((key for key in rows[0] if key != "name"), key=lambda key: KINDS.index(key.partition(",")[0]))
    cells = [[r["name"], *(f"{r[c]:.2g}" if c[0] == "K" else f"{r[c]:.1e}" for c in columns)] for r in rows]
    table = output.table(["cell, regime", *columns], cells)
    print(f"{table}\n\nBound of K, fast: {BOUND}.\n")
    output.write_text(out / "accuracy.md", table + "\n")
    output.write_json(out / "accuracy.json", {"schema": 1, "seed": seed, "rows": rows})
    return [f"{r['name']}: K, fast {r['K, fast']:.3g}, bound {BOUND}" for r in rows if not r["K, fast"] <= BOUND]
