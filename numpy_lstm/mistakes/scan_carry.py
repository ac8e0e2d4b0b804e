"""Mistakes of the time loop: a cotangent that is not let in, a carry that is cut, a step that is left out."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import scan, tree
from ..pages import LSTM
from ..pages.page import Page
from .page_edits import has_cell
from .results_places import plus_weights
from .scan_steps import rows, several
from .workbench import Mistake, Workbench, when

Change = Callable[[Any], Any]


def _last_step_only(bench: Workbench, _: str) -> dict[str, Any]:
    steps = np.arange(bench.sizes["T"])[:, None, None]
    last = steps == np.array(bench.lengths)[None, :, None] - 1
    return bench.wrong_backward(dhs=np.where(last, bench.call.dhs, 0.0))


def _last(bench: Workbench, change: Change) -> dict[str, Any]:
    unnest, nest = bench.case.network.unnest, bench.case.network.nest
    return bench.wrong_backward(dlast=nest([change(d) for d in unnest(bench.call.dlast)]))


def _asked(bench: Workbench) -> list[str]:
    """The fields of the last state that have a cotangent."""
    each = bench.case.network.unnest(bench.call.dlast)
    return [k for k in bench.states if any(np.any(getattr(d, k)) for d in each)]


COTANGENTS = [
    Mistake(
        "middle-cotangents-ignored",
        "dL/dh_t enters at the last step of each row only",
        "torch-rnn 120",
        lambda bench: when(several(bench) and bool(np.any(bench.call.dhs))),
        _last_step_only,
        ("h", 1),
    ),
    Mistake(
        "last-state-cotangent-ignored",
        "dL/dh_n or dL/dc_n, the cotangent of the last state, is not let in",
        "deeplearning4j 8838",
        _asked,
        lambda bench, k: _last(bench, lambda d: d._replace(**{k: 0 * getattr(d, k)})),
        ("{}", 0),
    ),
    Mistake(
        "last-state-cotangents-exchanged",
        "dL/dh_n and dL/dc_n are taken for one another",
        "derived",
        lambda bench: when("c" in bench.states and bench.sizes["R"] == bench.sizes["H"] and bool(_asked(bench))),
        lambda bench, _: _last(bench, lambda d: d._replace(h=d.c, c=d.h)),
        ("h", 0),
    ),
]


def _cut(bench: Workbench, cuts: list[int]) -> dict[str, Any]:
    """The carry is zero where a step after one of the ``cuts`` hands it to the step before."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        backs: list[Any] = []
        later, stop = dlast, len(dhs)
        for start in [*sorted(cuts, reverse=True), 0]:
            here = slice(start, stop)
            alive = None if run.alive is None else run.alive[here]
            part = scan.Forward(run.hs[here], None, tree.map(lambda a, here=here: a[here], run.values), alive)
            back = scan.backward(cell, params, part, dhs[here], dlast=later)
            dead = 0.0 if alive is None else ~alive[0]  # a row that has ended has not come this far
            later, stop = tree.map(lambda a, dead=dead: a * dead, back.dfirst), start
            backs.insert(0, back)
        dparams = backs[0].dparams
        for back in backs[1:]:
            dparams = tree.add(dparams, back.dparams)
        dxs, cotangents = (
            tree.map(lambda *a: np.concatenate(a), *(getattr(back, k) for back in backs)) for k in ("dxs", "cotangents")
        )
        return scan.Backward(dxs, backs[0].dfirst, dparams, cotangents)

    return bench.wrong_scan(backward)


TRUNCATION = [
    Mistake(
        "truncated-windows",
        "truncated back-propagation: no carry between windows of so many steps, counted from the first",
        "common",
        lambda bench: [str(k) for k in range(1, max(bench.lengths, default=0)) if bench.states],
        lambda bench, k: _cut(bench, list(range(int(k), bench.sizes["T"], int(k)))),
    ),
    Mistake(
        "truncated-at-the-end",
        "no carry further back than so many steps before the last",
        "common",
        lambda bench: [
            str(k)
            for k in range(1, bench.sizes["T"])
            if bench.states and bench.sizes["T"] - k < max(bench.lengths, default=0)
        ],
        lambda bench, k: _cut(bench, [bench.sizes["T"] - int(k)]),
    ),
]


def _first_step_skipped(bench: Workbench, change: Callable[[Any], Any] = lambda v: v) -> dict[str, Any]:
    """No cotangent of step 1; the parameter gradients contracted from ``change(values)``."""

    def skipped(a: Any) -> Any:
        return np.concatenate([0 * a[:1], a[1:]])

    def backward(cell: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        d = tree.map(skipped, back.cotangents)
        dparams = cell.gradients(cell.functions, params, rows(change(run.values)), rows(d))
        return scan.Backward(tree.map(skipped, back.dxs), tree.map(lambda a: 0 * a, back.dfirst), dparams, d)

    return bench.wrong_scan(backward)


def _thinc(bench: Workbench, _: str) -> dict[str, Any]:
    return plus_weights(bench, _first_step_skipped(bench, lambda v: v._replace(h_prev=v.h)))


def _steps_apart(bench: Workbench, _: str) -> dict[str, Any]:
    """Each step by itself; db_k = db_f + its own da_k at each, so that all of db_f and the da_k of step 1 are left."""

    def backward(cell: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        def alone(t: int) -> Any:
            here = slice(t, t + 1)
            part = run._replace(hs=run.hs[here], values=tree.map(lambda a: a[here], run.values))
            return scan.backward(cell, params, part, dhs[here], dlast=dlast if here.stop == len(dhs) else None)

        backs = [alone(t) for t in range(len(dhs))]
        dxs, d = (
            tree.map(lambda *a: np.concatenate(a), *(getattr(x, k) for x in backs)) for k in ("dxs", "cotangents")
        )
        dparams = tree.map(lambda *a: np.sum(a, axis=0), *(x.dparams for x in backs))
        wrong = {f"b_{k}": dparams.b_f + getattr(backs[0].dparams, f"b_{k}") for k in "igo"}
        return scan.Backward(dxs, backs[0].dfirst, dparams._replace(**wrong), d)

    return bench.wrong_scan(backward)


def _first_cell_after_update(bench: Workbench, _: str) -> dict[str, Any]:
    def backward(cell: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        c_prev = np.concatenate([run.values.c[:1], run.values.c_prev[1:]])
        return scan.backward(cell, params, run._replace(values=run.values._replace(c_prev=c_prev)), dhs, dlast=dlast)

    return bench.wrong_scan(backward)


SKIPPED = [
    Mistake(
        "first-step-skipped",
        "the backward loop ends before step 1: da_1 = 0",
        "~thinc backprop_lstm",
        lambda bench: [""],
        lambda bench, _: _first_step_skipped(bench),
    ),
]

SHIPPED = [
    Mistake(
        "first-step-skipped-new-state-added-to-weights",
        "three at when: da_1 = 0, dU from h_t in place of h_{t-1}, sums that start from the weights",
        "thinc 8.3.14 and 9.1.1 NumpyOps.backprop_lstm (explosion/thinc PR 459)",
        lambda bench: when(has_cell(bench) and several(bench)),
        _thinc,
    ),
    Mistake(
        "steps-apart-biases-of-forget-gate",
        "no carry between steps, and db_k = db_f + da_k at each step for k = i, g, o",
        "deeplearning.ai, expected output of the first notebook of the sequence exercise",
        lambda bench: when(bench.cell == LSTM and bench.call.lengths is None and bench.sizes["T"] > 1),
        _steps_apart,
        ("h", 1),
    ),
    Mistake(
        "first-df-from-new-cell",
        "df_1 = dc_1 c_1 in place of dc_1 c_0: an update of c_0 in place (L9')",
        "community.deeplearning.ai topic 67533",
        lambda bench: when(has_cell(bench)),
        _first_cell_after_update,
    ),
]
