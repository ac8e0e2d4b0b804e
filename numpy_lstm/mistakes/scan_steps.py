"""Mistakes of the time loop: a wrong step, a lost sum, a cotangent that is not let in, a carry that is cut."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import scan, tree
from .workbench import Mistake, Workbench, when

Change = Callable[[Any], Any]


def rows(record: Any) -> Any:
    """The steps folded into the batch: (T,B,N) becomes (T*B,N)."""
    return tree.map(lambda a: a.reshape(-1, a.shape[-1]), record)


def _contracted(change: Change) -> Callable[[Workbench, str], dict[str, Any]]:
    """The parameter gradients are contracted from ``change(values)``."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        return back._replace(
            dparams=cell.gradients(cell.functions, params, rows(change(run.values)), rows(back.cotangents))
        )

    return lambda bench, _: bench.wrong_scan(backward)


def _from_values(change: Change) -> Callable[[Workbench, str], dict[str, Any]]:
    """The whole backward pass reads ``change(values)``."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        return scan.backward(cell, params, run._replace(values=change(run.values)), dhs, dlast=dlast)

    return lambda bench, _: bench.wrong_scan(backward)


def _shifted(a: Any, by: str) -> Any:
    return np.concatenate([a[1:], a[-1:]] if by == "next" else [a[:1], a[:-1]])


def _forgotten(values: Any, *names: str) -> Any:
    """Zero in place of the state before the first step."""
    known = {k: getattr(values, k) for k in (*names, "s") if k in values._fields}
    return values._replace(**{k: np.concatenate([0 * a[:1], a[1:]]) for k, a in known.items()})


def _before(values: Any) -> Any:
    return _forgotten(values, *(k for k in values._fields if k.endswith("_prev")))


def several(bench: Workbench) -> bool:
    """Whether a row has more than one step."""
    return max(bench.lengths, default=0) > 1


def _started(bench: Workbench, *names: str) -> bool:
    """Whether a state before the first step is not zero."""
    states = bench.case.network.unnest(bench.call.first)
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

    return lambda bench, _: bench.wrong_scan(backward)


STEPS = [
    Mistake(
        "next-forget-gate-in-carry",
        "dc_{t-1} = dc f_{t+1}: the forget gate of another step (L9')",
        "derived",
        lambda bench: when(several(bench) and bench.has("f") and "c" in bench.states),
        _from_values(lambda v: v._replace(f=_shifted(v.f, "next"))),
        ("c", 2),
    ),
    Mistake(
        "recurrent-gradient-from-new-state",
        "dU from h_t in place of h_{t-1} (L1'-L4')",
        "wvabrinskas/Neuron PR 181; zero_to_gpt 9",
        lambda bench: when(bench.has("h", "h_prev")),
        _contracted(lambda v: v._replace(h_prev=v.h)),
    ),
    Mistake(
        "input-of-another-step",
        "dW from the x of the next or the previous step (L1'-L4')",
        "derived",
        lambda bench: ["next", "previous"] if several(bench) and "x" in bench.fields else [],
        lambda bench, k: _contracted(lambda v: v._replace(x=_shifted(v.x, k)))(bench, k),
    ),
    Mistake(
        "initial-state-zero-in-backward",
        "the forward pass starts from h_0, c_0, the backward pass takes zeros for them",
        "TMVA with rememberState",
        lambda bench: when(_started(bench, *bench.states)),
        _from_values(_before),
    ),
    Mistake(
        "initial-state-missing-in-recurrent-gradient",
        "dU lacks the term of the first step, da_1 h_0^T",
        "brainstorm lstm_layer.py; neon LSTM layer",
        lambda bench: when(_started(bench, "h")),
        _contracted(lambda v: _forgotten(v, "h_prev")),
    ),
    Mistake(
        "initial-cell-missing-in-peephole-gradient",
        "dp_i, dp_f lack the term of the first step, da_1 c_0",
        "brainstorm lstm_layer.py",
        lambda bench: when(_started(bench, "c") and "p_f" in bench.cell.Params._fields),
        _contracted(lambda v: _forgotten(v, "c_prev")),
    ),
    Mistake(
        "gradient-overwritten",
        "parameter gradients assigned at each step, not added up: the first step's is left",
        "~llSourcell 5",
        lambda bench: when(several(bench)),
        _first_step_only(),
    ),
    Mistake(
        "bias-gradient-overwritten",
        "db assigned at each step, not added up: the first step's is left",
        "TMVA's reference RNN of 2017",
        lambda bench: when(several(bench) and any(k[0] == "b" for k in bench.cell.Params._fields)),
        _first_step_only("b"),
    ),
]


def _projection_shifted(bench: Workbench, _: str) -> dict[str, Any]:
    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        M = np.einsum("tbr,tbh->rh", back.cotangents.h[1:], run.values.m[:-1])
        return back._replace(dparams=back.dparams._replace(M=M))

    return bench.wrong_scan(backward)


def _projection_outer(bench: Workbench, _: str) -> dict[str, Any]:
    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        given = dhs if run.alive is None else np.where(run.alive, dhs, 0.0)
        return back._replace(dparams=back.dparams._replace(M=np.einsum("tbr,tbh->rh", given, run.values.m)))

    return bench.wrong_scan(backward)


PROJECTION = [
    Mistake(
        "projection-gradient-from-outputs-only",
        "dM from the cotangents given for the outputs, without what comes back through the recurrent products",
        "derived",
        lambda bench: when(bool(bench.case.network.projection)),
        _projection_outer,
    ),
    Mistake(
        "projection-gradient-from-previous-step",
        "dM from m_{t-1} in place of m_t",
        "derived",
        lambda bench: when(bool(bench.case.network.projection)),
        _projection_shifted,
    ),
]


def _masks(change: Callable[[Any], Any]) -> Callable[[Workbench, str], dict[str, Any]]:
    """The backward pass reads other masks."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        masks = {k: change(a) for k, a in run.values._asdict().items() if k.startswith("keep_")}
        return scan.backward(cell, params, run._replace(values=run.values._replace(**masks)), dhs, dlast=dlast)

    return lambda bench, _: bench.wrong_scan(backward)


def _zoned(bench: Workbench) -> bool:
    return bench.case.network.zoneout


MASKS = [
    Mistake(
        "first-mask-at-every-step",
        "the backward pass uses the zoneout mask of the first step for all steps",
        "lmnt-com/haste 43",
        lambda bench: when(_zoned(bench) and bench.sizes["T"] > 1),
        _masks(lambda a: np.broadcast_to(a[:1], a.shape)),
    ),
    Mistake(
        "mask-inverted",
        "the backward pass keeps where the forward pass renews",
        "derived",
        lambda bench: when(_zoned(bench)),
        _masks(lambda a: 1 - a),
    ),
]
