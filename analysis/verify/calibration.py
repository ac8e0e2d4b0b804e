"""How often the judge errs: right answers of other codes that it fails, and mistakes that it passes.

The cases are drawn afresh for every seed: any cell and wiring, weights from a tenth of the usual to thirty times, one
step to fifty. Right answers come from PyTorch, from textbook derivatives, from sums in another order, and from runs
whose parameter gradients are added up step by step; mistakes from the catalogue, and from single numbers off by a
little.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import scan, tree
from numpy_lstm.cases import RECORDS, Case, Network, truth
from numpy_lstm.cases.network import Parts
from numpy_lstm.check.paths import lossy
from numpy_lstm.judge import Judge
from numpy_lstm.mistakes import Workbench, possible
from numpy_lstm.mistakes.workbench import Scanned

from .. import output
from ..progress import bar
from .routes import HAS_TORCH

RIGHT = 2000  # answers asked for, at least
TINY = 1e-10  # by which a median number is off
SCALES = {"small": (0.1, 0.5), "usual": (0.5, 2.0), "large": (2.0, 8.0), "huge": (8.0, 30.0)}
SHIFTS = {"usual": {"b_f": 5.0}}


def draw(rng: np.random.Generator) -> tuple[str, Case]:
    """A regime, and a case of it with its truth."""
    pages = [page for page in nl.PAGES] + [nl.ReLURNN, *nl.ABLATIONS.values()]
    page = pages[rng.integers(len(pages))] if rng.random() < 0.5 else (nl.LSTM, nl.GRU, nl.RNN)[rng.integers(3)]
    several = len(page.reads) == 1 and rng.random() < 0.4
    direction = ("forward", "reverse", "bidirectional")[rng.integers(3)] if several else "forward"
    B, D, H = (int(n) for n in rng.integers(1, [4, 9, 9]))
    projection = int(rng.integers(1, H)) if H > 1 and rng.random() < 0.15 and page.equations in ("lstm", "peephole_lstm") else 0
    zoneout = direction == "forward" and not several and rng.random() < 0.1
    network = Network(page, projection, zoneout, direction, int(rng.integers(1, 3)) if several else 1)
    T = int(np.exp(rng.uniform(0, np.log(50.5))))
    regime = ("small", "usual", "usual", "large", "huge")[rng.integers(5)]
    scale = np.exp(rng.uniform(*np.log(SCALES[regime]))) * (1 if regime == "usual" or H < 1 else 1)
    lengths = [int(n) for n in rng.integers(1, T + 1, B)] if rng.random() < 0.3 else None
    torch_like = page in (nl.LSTM, nl.GRU, nl.RNN) and not zoneout and direction != "reverse"
    layout = "torch" if torch_like and rng.random() < 0.7 else RECORDS
    case = Case.random(network, layout, {"T": T, "B": B, "D": D, "H": H}, rng, lengths=lengths, scale=scale)
    return regime, truth.fill(case)


class StepByStep(Scanned):
    """A page whose parameter gradients are added up step by step, the last first, as autograd and textbooks do."""

    def __init__(self, cell: nl.Page) -> None:
        super().__init__(cell, _step_by_step)


def _step_by_step(cell: nl.Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
    back = scan.backward(cell, params, run, dhs, dlast=dlast)
    steps = [
        cell.gradients(cell.functions, params, *(tree.map(lambda a, t=t: a[t], r) for r in (run.values, back.cotangents)))
        for t in range(len(run.hs))
    ]
    total = steps[-1]
    for step in steps[-2::-1]:
        total = tree.add(total, step)
    return back._replace(dparams=total)


def flipped(case: Case, arrays: dict[str, Any]) -> dict[str, Any]:
    """Every axis but time read backwards, of inputs or results in the layout of records: units, features, rows."""
    ways = 2 if case.network.direction == "bidirectional" else 1
    found = {}
    for k, a in arrays.items():
        time = k in ("x", "d_x", "output", "d_output") or "values." in k or "cotangents." in k or k.startswith("keep")
        found[k] = np.flip(a, tuple(range(1 if time else 0, a.ndim)))
        deeper = k.rpartition(".")[0] not in ("", "l0", "l0_reverse") and ".W" in k.replace("d_W", "W")
        if ways == 2 and (k in ("output", "d_output") or deeper):
            found[k] = np.roll(found[k], a.shape[-1] // 2, -1)  # two directions side by side
    return found


def answers(case: Case) -> Iterator[tuple[str, dict[str, Any]]]:
    """Right answers to a case, by who gives them."""
    lossy_parts = Parts(cell=lossy)
    stepwise = Parts(cell=lossy, recurrent=StepByStep)
    for dtype in ("float64", "float32"):
        to = np.dtype(dtype).type
        yield f"numpy_lstm, {dtype}", case.run(to)
        yield f"textbook, {dtype}", case.run(to, lossy_parts)
        yield f"step by step, {dtype}", case.run(to, stepwise)
        if case.layout == RECORDS:
            turned = case._replace(arrays=flipped(case, case.arrays))
            yield f"other order, {dtype}", flipped(case, turned.run(to, stepwise))
        if HAS_TORCH:
            from reference import torch_oracle
            if case.layout == "torch":
                yield f"torch.nn, {dtype}", torch_oracle.answer(case._replace(dtype=dtype))
