"""Every cell, wiring and layout with its worst error against an oracle that does not know it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import check, layouts, tree
from numpy_lstm.check import truth
from numpy_lstm.progress import bar
from reference import frameworks

from .. import output
from . import routes

SIZES = {"T": 12, "B": 3, "D": 5, "H": 7, "S": 4, "N": 6, "A": 5}
CELLS = [
    *nl.PAGES,
    nl.ReLURNN,
    nl.projected(nl.LSTM, 3),
    nl.projected(nl.PeepholeLSTM, 3),
    nl.zoneout(nl.LSTM),
    nl.zoneout(nl.GRU),
    *nl.pages.LAYERS,
    nl.AdditiveAttentionLSTM,
]
TWINS: dict[str, Callable[[], Any]] = {
    "nn.RNN, 2 layers, bidirectional": lambda: nl.nn.RNN(2, 3, 2, bidirectional=True),
    "nn.GRU, 2 layers, bidirectional": lambda: nl.nn.GRU(2, 3, 2, bidirectional=True),
    "nn.LSTM, 3 layers": lambda: nl.nn.LSTM(2, 3, 3),
    "nn.LSTM, 2 layers, bidirectional, projected": lambda: nl.nn.LSTM(2, 4, 2, bidirectional=True, proj_size=3),
}
BOUND = 1e-14  # of every error


def cells(seed: int, seeds: int = 3) -> list[dict[str, Any]]:
    """Gradients of each cell: normwise error and K (masks apart) against 50-digit truth; error against two routes."""
    rows = []
    for cell in bar(CELLS, desc="cells"):
        worst = {"truth": 0.0, "K": 0.0, "complex step": 0.0} | ({"torch": 0.0} if routes.HAS_TORCH else {})
        for k in range(seeds):
            p = check.Problem.random(cell, rng=np.random.default_rng([seed, k]), **SIZES)
            ours, exact = p.gradient(), truth.gradient(p)
            compared = check.compare(ours, exact, p.absolute_paths())
            found = {
                "truth": check.normwise(ours, exact),
                "K": check.worst(row.K for row in compared if "keep" not in row.name),
                "complex step": check.normwise(ours, check.complex_step(p.loss, p.point, chunk=256)),
            }
            if routes.HAS_TORCH:
                oracle = routes.torch_oracle
                found["torch"] = check.normwise(ours, oracle.tensor_cell(p) if cell.carries else oracle.one_step(p)[1])
            worst = {name: check.worst([value, found[name]]) for name, value in worst.items()}
        rows.append({"name": cell.name} | worst)
    return rows


def twins(seed: int) -> list[dict[str, Any]]:
    """Outputs, states and all gradients of ragged batches: against torch.nn if installed, and complex steps."""
    rows = []
    for name, make in bar(TWINS.items(), desc="wirings"):
        twin, rng = make(), np.random.default_rng(seed)
        twin.load_state_dict({k: rng.uniform(-0.4, 0.4, a.shape) for k, a in twin.state_dict().items()})
        x, lengths = rng.standard_normal((4, 4, 2)), [4, 2, 1, 3]
        run = twin.forward(x, lengths=lengths)
        cotangents = [None if a is None else rng.standard_normal(a.shape) for a in (run.output, run.h_n, run.c_n)]
        grads = run.backward(*cotangents)
        row = {"name": name, "complex step": check.normwise(grads.params, _stepped(twin, x, lengths, cotangents))}
        if routes.HAS_TORCH:
            ours = [run.output, run.h_n, run.c_n, grads.x, grads.params]
            row["torch"] = check.normwise(ours, routes.torch_oracle.ragged(twin, x, lengths, cotangents))
        rows.append(row)
    return rows


def _stepped(twin: Any, x: Any, lengths: list[int], cotangents: list[Any]) -> dict[str, Any]:
    """The gradient of all parameters by complex steps through a complex twin."""
    wide = type(twin).__new__(type(twin))
    wide.__dict__.update(twin.__dict__, dtype=np.dtype(np.complex128))

    def loss(weights: dict[str, Any]) -> Any:
        wide._weights = weights
        run = wide.forward(x + 0j, lengths=lengths)
        return tree.dot(cotangents, [run.output, run.h_n, run.c_n])

    stepped: dict[str, Any] = check.complex_step(loss, twin.state_dict())
    return stepped


def layout(name: str, cell: nl.Page, seed: int) -> float:
    """One step in the framework's own form against ours: values, and gradients under the framework's names."""
    shapes, step = frameworks.FORMS[name, cell]
    rng = np.random.default_rng(seed)
    stored = {k: rng.uniform(-1, 1, shape) for k, shape in shapes.items()}
    first = tree.random_like(cell.zero_state(frameworks.B, frameworks.H), rng)
    x, given = rng.standard_normal((frameworks.B, frameworks.D)), tree.random_like(first, rng)

    def states(arrays: dict[str, Any]) -> Any:
        return step(arrays, x, first.h, getattr(first, "c", None))

    params = layouts.load(name, stored, cell)
    run = nl.forward(cell, params, x[None], first)
    back = nl.backward(cell, params, run, dlast=given)
    ours = layouts.dump_gradients(name, back.dparams, cell)
    theirs = check.complex_step(
        lambda arrays: sum(np.sum(d * a) for d, a in zip(given, states(arrays), strict=True)), stored
    )
    values = check.normwise(list(run.last), list(states(stored)))
    return check.worst([values, check.normwise([ours[k] for k in theirs], list(theirs.values()))])


def markdown(
    cell_rows: list[dict[str, Any]], twin_rows: list[dict[str, Any]], errors: dict[str, dict[str, Any]]
) -> str:
    """The tables of cells, wirings and layouts."""

    def listed(rows: list[dict[str, Any]], first: str) -> str:
        columns = [key for key in rows[0] if key != "name"]
        body = [[r["name"], *(f"{r[c]:.2g}" if c == "K" else f"{r[c]:.1e}" for c in columns)] for r in rows]
        return output.table([first, *columns], body)

    names = list(dict.fromkeys(cell for row in errors.values() for cell in row))
    grid = [[name, *(f"{row[c]:.1e}" if c in row else "" for c in names)] for name, row in errors.items()]
    said = f"bound: {BOUND:g}"
    return (
        f"Gradients of every cell against each oracle: worst normwise error, {said}; K against the truth, bound: "
        f"{check.BOUND:g}.\n\n{listed(cell_rows, 'cell')}\n\n"
        f"Wirings of ragged batches; {said}.\n\n{listed(twin_rows, 'wiring, ragged batch')}\n\n"
        f"One step in the form of each framework; {said}.\n\n{output.table(['layout', *names], grid)}\n"
    )


def run(out: Path, seed: int) -> list[str]:
    """Compute, print and save; returns every entry that is beyond its bound."""
    cell_rows, twin_rows = cells(seed), twins(seed)
    errors: dict[str, dict[str, float]] = {}
    for name, cell in bar(frameworks.FORMS, desc="layouts"):
        errors.setdefault(name, {})[cell.name] = layout(name, cell, seed)
    report = markdown(cell_rows, twin_rows, errors)
    print(report)
    output.write_text(out / "coverage.md", report)
    output.write_json(out / "coverage.json", {"schema": 1, "cells": cell_rows, "wirings": twin_rows, "layouts": errors})
    tables = {"cells": cell_rows, "wirings": twin_rows, "layouts": [{"name": k} | row for k, row in errors.items()]}
    return [
        f"{table}, {row['name']}, {column}: {value:.3g}, bound {bound(column):g}"
        for table, rows in tables.items()
        for row in rows
        for column, value in row.items()
        if column != "name" and not value <= bound(column)
    ]


def bound(column: str) -> float:
    """The bound of a column of the tables."""
    return check.BOUND if column == "K" else BOUND
