"""Mistakes as they shipped: several that stand together, each edit alone where it can, and one other recurrence.

``python -m analysis case_studies`` runs the software in which they were found, or its equations typed again.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ... import scan, tree
from ...pages.page import Page
from ..network import Parts
from .edits import with_gradients, with_params
from .in_lstm import has_cell, on_page, per_gate
from .workbench import Mistake, Workbench, once


def _is(*pages: str) -> Callable[[Workbench], bool]:
    return lambda b: b.is_page and b.cell.equations in pages


def _several(b: Workbench) -> bool:
    return max(b.lengths, default=0) > 1


def _exchanged(record: Any, pair: str, kinds: str) -> Any:
    one, other = tuple(pair)
    names = [(f"{kind}_{j}", f"{kind}_{k}") for kind in kinds for j, k in ((one, other), (other, one))]
    return record._replace(**{target: getattr(record, source) for target, source in names})


def _gates_exchanged(pair: str) -> Callable[[Page], Page]:
    """W, U of two gates exchanged where cotangents are multiplied back, W, U, b where gradients are handed out."""

    def edit(cell: Page) -> Page:
        cell = with_params(lambda p: _exchanged(p, pair, "WU"))(cell)
        return with_gradients(lambda v, d, dp: _exchanged(dp, pair, "WUb"))(cell)

    return edit


def _rows(record: Any) -> Any:
    return tree.map(lambda a: a.reshape(-1, a.shape[-1]), record)


def _first_step_skipped(b: Workbench, change: Callable[[Any], Any] = lambda v: v) -> dict[str, Any]:
    """No cotangent of step 1; the parameter gradients contracted from ``change(values)``."""

    def skipped(a: Any) -> Any:
        return np.concatenate([0 * a[:1], a[1:]])

    def backward(cell: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        d = tree.map(skipped, back.cotangents)
        dparams = cell.gradients(cell.functions, params, _rows(change(run.values)), _rows(d))
        return scan.Backward(tree.map(skipped, back.dxs), tree.map(lambda a: 0 * a, back.dfirst), dparams, d)

    return b.wrong_scan(backward)


def _plus_weights(b: Workbench, answer: dict[str, Any]) -> dict[str, Any]:
    names = [(place, k) for place in b.case.network.places() for k in b.case.names()]
    return answer | {f"{place}d_{k}": answer[f"{place}d_{k}"] + b.case.arrays[place + k] for place, k in names}


def _thinc(b: Workbench, _: str) -> dict[str, Any]:
    return _plus_weights(b, _first_step_skipped(b, lambda v: v._replace(h_prev=v.h)))


def _steps_apart(b: Workbench, _: str) -> dict[str, Any]:
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

    return b.wrong_scan(backward)


def _first_cell_after_update(b: Workbench, _: str) -> dict[str, Any]:
    def backward(cell: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        c_prev = np.concatenate([run.values.c[:1], run.values.c_prev[1:]])
        return scan.backward(cell, params, run._replace(values=run.values._replace(c_prev=c_prev)), dhs, dlast=dlast)

    return b.wrong_scan(backward)


def carried_tanh(cell: Page) -> Page:
    """The page with y = tanh(c) carried to the next step, where it says c; forward and backward pass are right."""

    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        v = cell.values(F, p, x, prev)
        return v._replace(c=v.y)

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        c = v.f * v.c_prev + v.i * v.g
        back = cell.adjoint(F, p, v._replace(c=c), d._replace(c=d.c * F.y.d(c)))
        return back._replace(y=back.y + d.c)

    return replace(cell, values=values, adjoint=adjoint)


MISTAKES = [
    per_gate(
        "gates-exchanged-in-backward",
        "the backward pass takes the columns of two gates for one another: their weights, and their gradients' places",
        "tensorflow raw_ops.BlockLSTMV2 under autodiff (f and g)",
        lambda b: ["".join(p) for p in combinations(b.gates, 2)] if _is("lstm", "peephole_lstm")(b) else [],
        _gates_exchanged,
        ("h", 1),
    ),
    on_page(
        "no-peephole-in-cell",
        "dc and dc_{t-1} without the terms of all three peepholes (P8', P2', P1')",
        "onnxruntime-training LSTMGrad (microsoft/onnxruntime PR 15034)",
        _is("peephole_lstm"),
        with_params(lambda p: p._replace(**{k: 0 * getattr(p, k) for k in ("p_i", "p_f", "p_o")})),
        ("c", 0),
    ),
    Mistake(
        "first-step-skipped",
        "the backward loop ends before step 1: da_1 = 0",
        "~thinc backprop_lstm",
        lambda b: [""],
        lambda b, _: _first_step_skipped(b),
    ),
    Mistake(
        "gradient-added-to-weights",
        "the gradient's sums start from the weights, not from zero",
        "~thinc backprop_lstm",
        lambda b: [""],
        lambda b, _: _plus_weights(b, b.right),
    ),
    Mistake(
        "first-step-skipped-new-state-added-to-weights",
        "three at once: da_1 = 0, dU from h_t in place of h_{t-1}, sums that start from the weights",
        "thinc 8.3.14 and 9.1.1 NumpyOps.backprop_lstm (explosion/thinc PR 459)",
        lambda b: once(has_cell(b) and _several(b)),
        _thinc,
    ),
    Mistake(
        "steps-apart-biases-of-forget-gate",
        "no carry between steps, and db_k = db_f + da_k at each step for k = i, g, o",
        "deeplearning.ai, expected output of the first notebook of the sequence exercise",
        lambda b: once(_is("lstm")(b) and b.call.lengths is None and b.sizes["T"] > 1),
        _steps_apart,
        ("h", 1),
    ),
    Mistake(
        "first-df-from-new-cell",
        "df_1 = dc_1 c_1 in place of dc_1 c_0: an update of c_0 in place (L9')",
        "community.deeplearning.ai topic 67533",
        lambda b: once(has_cell(b)),
        _first_cell_after_update,
    ),
    Mistake(
        "tanh-of-cell-carried",
        "another recurrence: tanh(c_t), not c_t, is carried to step t+1 (L9, L10)",
        "hipsternet",
        lambda b: once(_is("lstm")(b) and not b.case.network.zoneout),
        lambda b, _: b.wrong_throughout(Parts(cell=carried_tanh)),
        None,
        True,
    ),
]
