"""Mistakes of the time loop, in the backward pass alone: a wrong step, a lost sum, a cotangent not let in."""

from typing import Any

import numpy as np

from .. import tree
from ..pages import LSTM
from ..sequences import at, folded
from .edits import contracted, fields, in_spans, returned, saved, shifted, without_first
from .mistake import Mistake
from .page_factors import has_cell
from .result_places import equal_states
from .results import plus_weights
from .workbench import Edits, Workbench


def several(bench: Workbench) -> bool:
    """Whether a row has more than one step."""
    return max(bench.lengths, default=0) > 1


def _forgotten(*names: str) -> Any:
    """Zero in place of the state before the first step."""
    return fields(**dict.fromkeys((*names, "s"), without_first))


def _computed(bench: Workbench) -> list[str]:
    """The fields that a step computes."""
    return [k for k in bench.fields if k not in bench.cell.reads and not k.endswith("_prev")] if bench.printed else []


def _of_step(t: int, *kinds: str) -> Edits:
    """Gradients of these kinds, or all, are those of one step."""

    def change(cell: Any, p: Any, run: Any, back: Any) -> Any:
        one = cell.gradients(cell.functions, p, at(run.values, t), at(back.cotangents, t))
        wrong = {k: a for k, a in one._asdict().items() if not kinds or k.startswith(kinds)}
        return back._replace(dparams=back.dparams._replace(**wrong))

    return returned(change)


def _row(record: Any) -> Any:
    """The last row of the batch alone."""
    return tree.map(lambda a: a[:, -1:], record)


def _all_from(at: Any) -> Any:
    """Every step of the record is the one at ``at``."""
    return lambda values: tree.map(lambda a: np.broadcast_to(a[at], a.shape), values)


def _projected(rule: Any) -> Edits:
    return returned(lambda cell, p, run, back: back._replace(dparams=back.dparams._replace(M=rule(run, back))))


def _outer(bench: Workbench, _: str) -> Edits:
    def loop(inner: Any) -> Any:
        def backward(cell: Any, p: Any, run: Any, dhs: Any, dlast: Any) -> Any:
            back = inner(cell, p, run, dhs, dlast=dlast)
            given = dhs if run.alive is None else np.where(run.alive, dhs, 0.0)
            return back._replace(dparams=back.dparams._replace(M=np.einsum("tbr,tbh->rh", given, run.values.m)))

        return backward

    return Edits(back=loop)


def _arriving(change: Any) -> Any:
    """The backward pass is given other cotangents: ``change(bench, call, variant)`` replaces fields of the call."""
    return lambda bench, k="": Edits(cotangents=lambda call: call._replace(**change(bench, call, k)))


def _last(bench: Workbench) -> Any:
    """1 at the last step of each row, (T,B,1)."""
    return np.arange(bench.sizes["T"])[:, None, None] == np.array(bench.lengths)[None, :, None] - 1


def _asked(bench: Workbench) -> list[str]:
    """The fields of the last state that have a cotangent."""
    return [k for k in bench.states if any(np.any(getattr(d, k)) for d in bench.case.network.unnest(bench.call.dlast))]


def _top(bench: Workbench) -> bool:
    """Whether the output is the state h of a single layer read forward."""
    return bench.plain and bench.whole.gives[0] == "h" in bench.states


def _late(bench: Workbench, _: str) -> Edits:
    """dfirst is the cotangent of h_1, c_1."""
    return returned(
        lambda cell, p, run, back: back._replace(
            dfirst=type(back.dfirst)(*(getattr(back.cotangents, k)[0] for k in back.dfirst._fields))
        )
    )


def _without_step(cell: Any, p: Any, run: Any, back: Any, change: Any = lambda v: v) -> Any:
    """No cotangent of step 1; the parameter gradients contracted from ``change(values)``."""
    d = tree.map(without_first, back.cotangents)
    dparams = cell.gradients(cell.functions, p, folded(change(run.values)), folded(d))
    dxs, dfirst = tree.map(without_first, back.dxs), tree.map(lambda a: 0 * a, back.dfirst)
    return back._replace(dxs=dxs, dfirst=dfirst, dparams=dparams, cotangents=d)


def _without_last(loop: Any) -> Any:
    def backward(cell: Any, p: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        before = slice(None, -1)
        part = run._replace(hs=run.hs[before], values=at(run.values, before))
        back = loop(cell, p, part, dhs[before], dlast=dlast)
        dxs, d = tree.map(lambda a: np.concatenate([a, 0 * a[:1]]), (back.dxs, back.cotangents))
        return back._replace(dxs=dxs, cotangents=d)

    return backward


def _thinc(bench: Workbench, _: str) -> Edits:
    return returned(lambda cell, p, run, back: _without_step(cell, p, run, back, fields(h_prev="h"))).and_then(
        plus_weights(bench)
    )


def _steps_apart(cell: Any, p: Any, run: Any, back: Any) -> Any:
    """Each step by itself; db_k = db_f + its own da_k at each, so that all of db_f and the da_k of step 1 are left."""
    first = cell.gradients(cell.functions, p, at(run.values, 0), at(back.cotangents, 0))
    wrong = {f"b_{k}": back.dparams.b_f + getattr(first, f"b_{k}") for k in "igo"}
    return back._replace(dparams=back.dparams._replace(**wrong))


# fmt: off
STEPS = [
    Mistake("next-forget-gate-in-carry", "dc_{t-1} = dc f_{t+1}: the forget gate of another step (L9')",
            lambda b: b.has("f") and "c" in b.states, saved(fields(f=lambda a: shifted(a, "next"))), ("c", 2)),
    Mistake("value-of-the-next-step", "the backward pass reads one stored value of step t+1 at step t",
            _computed, lambda b, k: saved(fields(**{k: lambda a: shifted(a, "next")}))),
    Mistake("value-of-the-previous-step", "the backward pass reads one stored value of step t-1 at step t",
            _computed, lambda b, k: saved(fields(**{k: lambda a: shifted(a, "previous")}))),
    Mistake("value-of-the-last-step", "one buffer for all steps: a stored value is that of the last step",
            _computed, lambda b, k: saved(fields(**{k: lambda a: np.broadcast_to(a[-1:], a.shape)}))),
    Mistake("cache-of-the-last-step", "one cache for all steps: all stored values are those of the last step",
            several, saved(_all_from(slice(-1, None)))),
    Mistake("cache-of-the-first-step", "all steps go back through the stored values of the first",
            several, saved(_all_from(slice(0, 1)))),
    Mistake("recurrent-gradient-from-new-state", "dU from h_t in place of h_{t-1} (L1'-L4')",
            lambda b: b.has("h", "h_prev"), contracted(fields(h_prev="h"))),
    Mistake("input-of-another-step", "dW from the x of the next or the previous step (L1'-L4')",
            lambda b: ["next", "previous"] if "x" in b.fields else [],
            lambda b, k: contracted(fields(x=lambda a: shifted(a, k)))),
    Mistake("state-of-another-step", "dU from the h_{t-1} of the next or the previous step (L1'-L4')",
            lambda b: ["next", "previous"] if "h_prev" in b.fields else [],
            lambda b, k: contracted(fields(h_prev=lambda a: shifted(a, k)))),
    Mistake("delta-of-another-step", "parameter gradients from the deltas of the next or the previous step (L1'-L4')",
            lambda b: ["next", "previous"],
            lambda b, k: contracted(lambda v: v, lambda d: tree.map(lambda a: shifted(a, k), d))),
    Mistake("initial-state-zero-in-backward", "the forward pass starts from h_0, c_0, the backward pass takes zeros",
            lambda b: True,
            saved(lambda v: _forgotten(*(k for k in v._fields if k.endswith("_prev")))(v))),
    Mistake("initial-state-missing-in-recurrent-gradient", "dU lacks the term of the first step, da_1 h_0^T",
            lambda b: "h" in b.states, contracted(_forgotten("h_prev"))),
    Mistake("initial-cell-missing-in-forget-gate", "df_1 = 0: the first step takes c_0 for zero (L9')",
            has_cell, saved(fields(c_prev=without_first))),
    Mistake("initial-cell-missing-in-peephole-gradient", "dp_i, dp_f lack the term of the first step, da_1 c_0",
            lambda b: b.weighs("p_f"), contracted(_forgotten("c_prev"))),
    Mistake("gradient-overwritten", "parameter gradients assigned at each step, not added up: the first step's is left",
            several, _of_step(0)),
    Mistake("bias-gradient-overwritten", "db assigned at each step, not added up: the first step's is left",
            lambda b: any(k[0] == "b" for k in b.cell.Params._fields), _of_step(0, "b")),
    Mistake("gradient-of-last-step", "parameter gradients of the last step alone", several, _of_step(-1)),
    Mistake("gradient-of-last-row", "parameter gradients assigned for each row of the batch: the last row's is left",
            lambda b: True, contracted(_row, _row)),
    Mistake("dx-of-another-step", "dx stands one step too early or too late",
            lambda b: ["next", "previous"],
            lambda b, k: Edits(answer=lambda out: out | {"d_x": shifted(out["d_x"], k)})),
    Mistake("dx-summed-over-steps", "dx is not reset between steps: it adds up from the last step on",
            lambda b: True, Edits(answer=lambda out: out | {"d_x": np.cumsum(out["d_x"][::-1], axis=0)[::-1]})),
    Mistake("dx-reversed-in-time", "dx stands in the order of the backward loop, the last step first",
            lambda b: True, Edits(answer=lambda out: out | {"d_x": out["d_x"][::-1]})),
    Mistake("initial-state-gradient-one-step-early", "the gradient of h_0, c_0 is that of h_1, c_1",
            lambda b: bool(b.states), _late),
]

PROJECTION = [
    Mistake("projection-gradient-from-outputs-only",
            "dM from the cotangents given for the outputs, without what comes back through the recurrent products",
            lambda b: bool(b.case.network.projection), _outer),
    Mistake("projection-gradient-from-previous-step", "dM from m_{t-1} in place of m_t",
            lambda b: bool(b.case.network.projection),
            _projected(lambda run, back: np.einsum("tbr,tbh->rh", back.cotangents.h[1:], run.values.m[:-1]))),
]

COTANGENTS = [
    Mistake("middle-cotangents-ignored", "dL/dh_t enters at the last step of each row only",
            lambda b: bool(np.any(b.call.dhs)),
            _arriving(lambda b, call, k: {"dhs": np.where(_last(b), call.dhs, 0.0)}), ("h", 1)),
    Mistake("last-output-cotangent-overwritten", "dL/dh_n assigned at the last step, where dL/dh_T is to be added",
            _top, _arriving(lambda b, call, k: {"dhs": np.where(_last(b), 0.0, call.dhs)}), ("h", 0)),
    Mistake("output-cotangents-doubled", "dL/dh_t enters twice: what is handed back holds it already",
            lambda b: True, _arriving(lambda b, call, k: {"dhs": 2 * call.dhs}), ("h", 0)),
    Mistake("output-cotangent-of-another-step", "dL/dh_t enters one step too early or too late",
            lambda b: ["next", "previous"], _arriving(lambda b, call, k: {"dhs": shifted(call.dhs, k)})),
    Mistake("output-cotangents-reversed-in-time", "dL/dh_t enters at step T - t",
            lambda b: True, _arriving(lambda b, call, k: {"dhs": call.dhs[::-1]})),
    Mistake("last-state-cotangent-ignored", "dL/dh_n or dL/dc_n, the cotangent of the last state, is not let in",
            _asked,
            _arriving(lambda b, call, k: {"dlast": b.each(call.dlast, fields(**{k: 0.0}))}), ("{}", 0)),
    Mistake("last-state-cotangent-doubled", "dL/dh_n or dL/dc_n is added twice", _asked,
            _arriving(lambda b, call, k: {"dlast": b.each(call.dlast, fields(**{k: lambda a: 2 * a}))}), ("{}", 0)),
    Mistake("last-state-cotangents-exchanged", "dL/dh_n and dL/dc_n are taken for one another", equal_states,
            _arriving(lambda b, call, k: {"dlast": b.each(call.dlast, fields(h="c", c="h"))}), ("h", 0)),
    Mistake("last-state-cotangent-at-every-step", "dL/dh_n is added at each step, not at the last alone", _top,
            _arriving(lambda b, call, k: {"dhs": call.dhs + np.where(_last(b), 0.0, call.dlast.h)}), ("h", 1)),
]

TRUNCATION = [
    Mistake("truncated-windows",
            "truncated back-propagation: no carry between windows of so many steps, counted from the first",
            lambda b: [str(k) for k in range(1, max(b.lengths, default=0)) if b.states],
            lambda b, k: in_spans(lambda T: range(int(k), T, int(k)), handed=0.0)),
    Mistake("truncated-at-the-end", "no carry further back than so many steps before the last",
            lambda b: [str(k) for k in range(1, b.sizes["T"]) if b.states],
            lambda b, k: in_spans(lambda T: [T - int(k)], handed=0.0)),
    Mistake("first-step-skipped", "the backward loop ends before step 1: da_1 = 0",
            lambda b: True, returned(_without_step)),
    Mistake("last-step-skipped", "the backward loop starts before the last step",
            lambda b: several(b) and b.call.lengths is None, Edits(back=_without_last)),
]

SHIPPED = [
    Mistake("first-step-skipped-new-state-added-to-weights",
            "three at once: da_1 = 0, dU from h_t in place of h_{t-1}, sums that start from the weights",
            lambda b: has_cell(b) and several(b), _thinc),
    Mistake("steps-apart-biases-of-forget-gate",
            "no carry between steps, and db_k = db_f + da_k at each for k = i, g, o",
            lambda b: b.cell == LSTM and b.call.lengths is None and b.sizes["T"] > 1,
            in_spans(lambda T: range(1, T), handed=0.0).and_then(returned(_steps_apart)), ("h", 1)),
    Mistake("first-df-from-new-cell", "df_1 = dc_1 c_1 in place of dc_1 c_0: an update of c_0 in place (L9')", has_cell,
            saved(lambda v: v._replace(c_prev=np.concatenate([v.c[:1], v.c_prev[1:]])))),
]
# fmt: on
