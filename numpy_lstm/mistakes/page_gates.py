"""Mistakes on any page: the weights of a gate left out, transposed or exchanged, a cotangent cut or forgotten."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ..cases.network import Parts
from ..layers import Recurrent
from ..pages import LSTM, RNN, PeepholeLSTM
from ..pages.page import Page
from .page_edits import PageEdit, has_cell, per_gate, with_gradients, with_params
from .results_places import cut_at_inputs
from .workbench import Mistake, Workbench, when


def _recurrent(bench: Workbench) -> list[str]:
    """What follows the U of each recurrent matrix: "_f", or nothing for the RNN."""
    return bench.gates or ([""] if bench.printed and {"W", "U"} <= set(bench.cell.Params._fields) else [])


def _field(kind: str, gate: str) -> str:
    return f"{kind}_{gate}" if gate else kind


def _without(kind: str, gate: str) -> PageEdit:
    name = _field(kind, gate)
    return with_params(lambda p: p._replace(**{name: 0 * getattr(p, name)}))


def _transposed(gate: str) -> PageEdit:
    def change(p: Any) -> Any:
        names = [k for k in p._fields if k[0] == "U"] if gate == "all" else [_field("U", gate)]
        return p._replace(**{k: getattr(p, k).T for k in names})

    return with_params(change)


def _square(bench: Workbench) -> list[str]:
    if not bench.printed or bench.sizes["R"] != bench.sizes["H"] or bench.sizes["H"] == 1:
        return []
    return [*bench.gates, "all"] if bench.gates else _recurrent(bench)


ANY = [
    per_gate(
        "gate-omitted-in-dh",
        "dh_{t-1} without the term of one gate (L1'-L4')",
        "derived",
        lambda bench: bench.gates,
        lambda k: _without("U", k),
        ("h", 1),
    ),
    per_gate(
        "gate-omitted-in-dx",
        "dx_t without the term of one gate (L1'-L4')",
        "derived",
        _recurrent,
        lambda k: _without("W", k),
    ),
    per_gate(
        "recurrent-weights-transposed",
        "dh_{t-1} = da U^T in place of da U (L1'-L4')",
        "TMVA's reference RNN of 2017",
        _square,
        _transposed,
        ("h", 1),
    ),
]


def _state_cut(bench: Workbench, _: str) -> dict[str, Any]:
    def edit(cell: Any) -> Any:
        def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
            d = cell.adjoint(F, p, v, d)
            x, h = cut_at_inputs(np.concatenate([d.h_prev, d.x], axis=1), d.x.shape[1])
            return d._replace(x=x, h_prev=h)

        return replace(cell, adjoint=adjoint)

    return bench.wrong_backward(Parts(cell=edit))


CUT = [
    Mistake(
        "concatenated-state-cut-wrong",
        "the cotangent of [h, x] cut as that of [x, h]: parts of dx and dh in each other's place",
        "deeplearning.ai threads on its equations 19 and 21",
        lambda bench: when(has_cell(bench) or bench.cell == RNN),
        _state_cut,
        ("h", 1),
    ),
]


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


EXCHANGED = [
    per_gate(
        "gates-exchanged-in-backward",
        "the backward pass takes the columns of two gates for one another: their weights, and their gradients' places",
        "tensorflow raw_ops.BlockLSTMV2 under autodiff (f and g)",
        lambda bench: ["".join(p) for p in combinations(bench.gates, 2)] if bench.cell in (LSTM, PeepholeLSTM) else [],
        _gates_exchanged,
        ("h", 1),
    ),
]


def _not_kept(bench: Workbench, field: str) -> dict[str, Any]:
    """The backward pass forgets the path from the old state past the cell."""

    def forgetful(cell: Any) -> Any:
        def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
            back = cell.adjoint(F, p, v, d)
            kept = getattr(d, field) * getattr(v, f"keep_{field}")
            return back._replace(**{f"{field}_prev": getattr(back, f"{field}_prev") - kept})

        return Recurrent(replace(cell, adjoint=adjoint))

    return bench.wrong_backward(Parts(recurrent=forgetful))


KEPT = [
    Mistake(
        "kept-path-forgotten",
        "the cotangent of the old state past the cell, ds keep, is left out",
        "derived",
        lambda bench: list(bench.states) if bench.case.network.zoneout else [],
        _not_kept,
    ),
]
