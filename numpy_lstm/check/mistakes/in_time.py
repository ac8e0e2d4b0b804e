"""Mistakes of the time loop: a wrong step, a lost sum, a cotangent that is not let in, a carry that is cut."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import scan, tree
from .workbench import Mistake, Workbench, once

Change = Callable[[Any], Any]


def _rows(record: Any) -> Any:
    return tree.map(lambda a: a.reshape(-1, a.shape[-1]), record)


def _contracted(change: Change) -> Callable[[Workbench, str], dict[str, Any]]:
    """The parameter gradients are contracted from ``change(values)``."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        return back._replace(
            dparams=cell.gradients(cell.functions, params, _rows(change(run.values)), _rows(back.cotangents))
        )

    return lambda b, _: b.wrong_scan(backward)


def _from_values(change: Change) -> Callable[[Workbench, str], dict[str, Any]]:
    """The whole backward pass reads ``change(values)``."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        return scan.backward(cell, params, run._replace(values=change(run.values)), dhs, dlast=dlast)

    return lambda b, _: b.wrong_scan(backward)


def _shifted(a: Any, by: str) -> Any:
    return np.concatenate([a[1:], a[-1:]] if by == "next" else [a[:1], a[:-1]])


def _forgotten(values: Any, *names: str) -> Any:
    """Zero in place of the state before the first step."""
    known = {k: getattr(values, k) for k in (*names, "s") if k in values._fields}
    return values._replace(**{k: np.concatenate([0 * a[:1], a[1:]]) for k, a in known.items()})


def _before(values: Any) -> Any:
    return _forgotten(values, *(k for k in values._fields if k.endswith("_prev")))


def _several(b: Workbench) -> bool:
    return max(b.lengths, default=0) > 1


def _started(b: Workbench, *names: str) -> bool:
    """Whether a state before the first step is not zero."""
    states = b.case.network.unnest(b.call.first)
    return any(np.any(getattr(s, k)) for s in states for k in names if k in s._fields)


def _first_step_only(*kinds: str) -> Callable[[Workbench, str], dict[str, Any]]:
    """Gradients of these kinds are those of the step that is visited last, t = 1."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        last = cell.gradients(
            cell.functions, params, *(tree.map(lambda a: a[0], r) for r in (run.values, back.cotangents))
        )
        wrong = {k: a for k, a in last._asdict().items() if not kinds or k.startswith(kinds)}
        return back._replace(dparams=back.dparams._replace(**wrong))

    return lambda b, _: b.wrong_scan(backward)


STEPS = [
    Mistake(
        "next-forget-gate-in-carry",
        "dc_{t-1} = dc f_{t+1}: the forget gate of another step (L9')",
        "derived",
        lambda b: once(_several(b) and b.is_page and "c" in b.states),
        _from_values(lambda v: v._replace(f=_shifted(v.f, "next"))),
        ("c", 2),
    ),
    Mistake(
        "recurrent-gradient-from-new-state",
        "dU from h_t in place of h_{t-1} (L1'-L4')",
        "wvabrinskas/Neuron PR 181; zero_to_gpt 9",
        lambda b: once(b.is_page),
        _contracted(lambda v: v._replace(h_prev=v.h)),
    ),
    Mistake(
        "input-of-another-step",
        "dW from the x of the next or the previous step (L1'-L4')",
        "derived",
        lambda b: ["next", "previous"] if _several(b) else [],
        lambda b, k: _contracted(lambda v: v._replace(x=_shifted(v.x, k)))(b, k),
    ),
    Mistake(
        "initial-state-zero-in-backward",
        "the forward pass starts from h_0, c_0, the backward pass takes zeros for them",
        "TMVA with rememberState",
        lambda b: once(_started(b, *b.states)),
        _from_values(_before),
    ),
    Mistake(
        "initial-state-missing-in-recurrent-gradient",
        "dU lacks the term of the first step, da_1 h_0^T",
        "brainstorm lstm_layer.py; neon LSTM layer",
        lambda b: once(_started(b, "h")),
        _contracted(lambda v: _forgotten(v, "h_prev")),
    ),
    Mistake(
        "initial-cell-missing-in-peephole-gradient",
        "dp_i, dp_f lack the term of the first step, da_1 c_0",
        "brainstorm lstm_layer.py",
        lambda b: once(_started(b, "c") and "p_f" in b.cell.Params._fields),
        _contracted(lambda v: _forgotten(v, "c_prev")),
    ),
    Mistake(
        "gradient-overwritten",
        "parameter gradients assigned at each step, not added up: the first step's is left",
        "~llSourcell 5",
        lambda b: once(_several(b)),
        _first_step_only(),
    ),
    Mistake(
        "bias-gradient-overwritten",
        "db assigned at each step, not added up: the first step's is left",
        "TMVA's reference RNN of 2017",
        lambda b: once(_several(b)),
        _first_step_only("b"),
    ),
]


def _last_step_only(b: Workbench, _: str) -> dict[str, Any]:
    steps = np.arange(b.sizes["T"])[:, None, None]
    last = steps == np.array(b.lengths)[None, :, None] - 1
    return b.wrong_backward(dhs=np.where(last, b.call.dhs, 0.0))


def _last(b: Workbench, change: Change) -> dict[str, Any]:
    unnest, nest = b.case.network.unnest, b.case.network.nest
    return b.wrong_backward(dlast=nest([change(d) for d in unnest(b.call.dlast)]))


def _asked(b: Workbench) -> list[str]:
    """The fields of the last state that have a cotangent."""
    each = b.case.network.unnest(b.call.dlast)
    return [k for k in b.states if any(np.any(getattr(d, k)) for d in each)]


COTANGENTS = [
    Mistake(
        "middle-cotangents-ignored",
        "dL/dh_t enters at the last step of each row only",
        "torch-rnn 120",
        lambda b: once(_several(b) and bool(np.any(b.call.dhs))),
        _last_step_only,
        ("h", 1),
    ),
    Mistake(
        "last-state-cotangent-ignored",
        "dL/dh_n or dL/dc_n, the cotangent of the last state, is not let in",
        "deeplearning4j 8838",
        _asked,
        lambda b, k: _last(b, lambda d: d._replace(**{k: 0 * getattr(d, k)})),
        ("{}", 0),
    ),
    Mistake(
        "last-state-cotangents-exchanged",
        "dL/dh_n and dL/dc_n are taken for one another",
        "derived",
        lambda b: once("c" in b.states and b.sizes["R"] == b.sizes["H"] and bool(_asked(b))),
        lambda b, _: _last(b, lambda d: d._replace(h=d.c, c=d.h)),
        ("h", 0),
    ),
]


def _cut(b: Workbench, cuts: list[int]) -> dict[str, Any]:
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

    return b.wrong_scan(backward)


TRUNCATION = [
    Mistake(
        "truncated-windows",
        "truncated back-propagation: no carry between windows of so many steps, counted from the first",
        "common",
        lambda b: [str(k) for k in range(1, max(b.lengths, default=0))],
        lambda b, k: _cut(b, list(range(int(k), b.sizes["T"], int(k)))),
    ),
    Mistake(
        "truncated-at-the-end",
        "no carry further back than so many steps before the last",
        "common",
        lambda b: [str(k) for k in range(1, b.sizes["T"]) if b.sizes["T"] - k < max(b.lengths, default=0)],
        lambda b, k: _cut(b, [b.sizes["T"] - int(k)]),
    ),
]

MISTAKES = [*STEPS, *COTANGENTS, *TRUNCATION]
