"""Mistakes on the pages of the GRU, the RNN, the peepholes and layer norm, in the backward pass alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .. import ops
from ..activations import TOGETHER
from ..pages import GRU, GRUResetBefore, LayerNormLSTM, PeepholeLSTM, PeepholeOldLSTM
from ..pages.page import Page
from .edits import with_contracted, with_derivative, with_functions, with_gradients, with_params, with_values
from .mistake import Mistake
from .workbench import Edits, Workbench


def is_(*pages: Page) -> Callable[[Workbench], bool]:
    """Whether the cell is one of these pages as printed."""
    return lambda bench: bench.cell in pages


def _looks(bench: Workbench) -> list[str]:
    """The gates that look at the old cell."""
    return [*("if" if bench.cell == PeepholeLSTM else "ifo" if bench.cell == PeepholeOldLSTM else "")]


def _of(value: str) -> Callable[[Workbench, str], Edits]:
    """dp of one gate from another value."""
    return lambda _, k: with_gradients(
        lambda v, d, dp: dp._replace(**{f"p_{k}": ops.sum_rows(getattr(d, f"a_{k}") * getattr(v, value))})
    )


def _statistics(_: Workbench, constant: str) -> Edits:
    """The normalisation's adjoint with the mean, the variance or both (statistics) counted as constants."""

    def adjoint(d: Any, blocks: Any, eps: float) -> Any:
        count = sum(v.shape[-1] for v in blocks)

        def mean(arrays: Any) -> Any:
            return sum(a.sum(axis=-1, keepdims=True) for a in arrays) / count

        middle = mean(blocks)
        s = (mean([(v - middle) ** 2 for v in blocks]) + eps) ** 0.5
        n = [(v - middle) / s for v in blocks]
        through_mean = 0.0 if constant in ("mean", "statistics") else mean(d)
        through_s = 0.0 if constant in ("variance", "statistics") else mean([a * b for a, b in zip(d, n, strict=True)])
        return [(a - through_mean - b * through_s) / s for a, b in zip(d, n, strict=True)]

    return with_functions(norm=replace(TOGETHER, d=adjoint))


def _gains(_: Workbench, kind: str) -> Edits:
    return with_params(lambda p: p._replace(**{k: 0 * getattr(p, k) + 1 for k in p._fields if k.startswith(kind)}))


# fmt: off
IN_GRU = [
    Mistake("gru-kept-state-forgotten", "dh_{t-1} without dh z, the state that is kept (G9')",
            is_(GRU, GRUResetBefore), with_values(z=0.0), ("h", 1)),
    Mistake("gru-kept-state-by-candidate-share", "dh_{t-1} = dh (1 - z) in place of dh z (G9')",
            is_(GRU, GRUResetBefore), with_values(z="q"), ("h", 1)),
    Mistake("gru-candidate-share-missing", "dn = dh, without the factor 1 - z (G9')",
            is_(GRU, GRUResetBefore), with_values(q=1.0), ("n", 0)),
    Mistake("gru-candidate-by-update-gate", "dn = dh z in place of dh (1 - z) (G9')",
            is_(GRU, GRUResetBefore), with_values(q="z"), ("n", 0)),
    Mistake("gru-update-forgets-candidate", "dz = dh h_{t-1}: the share of 1 - z is left out (G9')",
            is_(GRU, GRUResetBefore), with_values(n=0.0), ("q", 0)),
    Mistake("gru-update-sign", "dz = dh (n - h_{t-1}), as if z let the new state in (G5', G8')",
            is_(GRU, GRUResetBefore), with_derivative(lambda f, a: -f.d(a), "z"), ("a_z", 0)),
    Mistake("gru-update-from-new-state", "dz = dh (h_t - n) in place of dh (h_{t-1} - n) (G9')",
            is_(GRU), with_values(h_prev="h"), ("z", 0)),
    Mistake("gru-reset-missing-in-product", "the cotangent of the recurrent product lacks the factor r (G6')",
            is_(GRU), with_values(r=1.0), ("u", 0)),
    Mistake("gru-reset-from-state", "dr = da_n h_{t-1} in place of da_n (U_n h_{t-1} + b_hn) (G6')",
            is_(GRU), with_values(u="h_prev"), ("r", 0)),
    Mistake("gru-second-bias-without-reset", "db_hn = db_n: the factor r is left out (G3')",
            is_(GRU), with_gradients(lambda v, d, dp: dp._replace(b_hn=dp.b_n))),
    Mistake("gru-candidate-weights-without-reset", "dU_n = da_n h_{t-1}^T: the factor r is left out (G3')",
            is_(GRU), with_gradients(lambda v, d, dp: dp._replace(U_n=ops.contract(d.a_n, v.h_prev)))),
    Mistake("gru-reset-missing-in-state", "dh_{t-1} takes the cotangent of r h_{t-1} without the factor r (B5')",
            is_(GRUResetBefore), with_values(r=1.0), ("h", 1)),
    Mistake("gru-candidate-from-unreset-state", "dU_n from h_{t-1} in place of r h_{t-1} (B6')",
            is_(GRUResetBefore), with_contracted(s="h_prev")),
]

IN_PEEPHOLES = [
    Mistake("output-peephole-missing-in-cell", "dc without the term p_o da_o (P8')",
            is_(PeepholeLSTM), with_params(p_o=0.0), ("c", 0)),
    Mistake("peephole-missing-in-cell", "dc_{t-1} without the term p da of one gate (P1', P2')",
            _looks, lambda b, k: with_params(**{f"p_{k}": 0.0}), ("c", 1)),
    Mistake("no-peephole-in-cell", "dc and dc_{t-1} without the terms of all three peepholes (P8', P2', P1')",
            is_(PeepholeLSTM), with_params(p_i=0.0, p_f=0.0, p_o=0.0), ("c", 0)),
    Mistake("output-peephole-from-old-cell", "dp_o from c_{t-1} in place of c_t (P8')",
            lambda b: ["o"] if b.cell == PeepholeLSTM else [], _of("c_prev")),
    Mistake("peephole-from-new-cell", "dp from c_t in place of c_{t-1} (P1', P2')", _looks, _of("c")),
    Mistake("peephole-from-tanh-of-cell", "dp from tanh(c_t) in place of c (P1', P2', P8')",
            lambda b: [*"ifo"] if b.cell in (PeepholeLSTM, PeepholeOldLSTM) else [], _of("y")),
    Mistake("forget-peephole-from-input-delta", "dp_f from da_i in place of da_f (P2')",
            is_(PeepholeLSTM, PeepholeOldLSTM), with_gradients(lambda v, d, dp: dp._replace(p_f=dp.p_i))),
]

IN_LAYER_NORM = [
    Mistake("statistics-constant",
            "the mean, the variance or both of a normalisation taken for constants (N9', N10', N20')",
            lambda b: ["mean", "variance", "statistics"] if b.cell == LayerNormLSTM else [], _statistics, ("c", 0)),
    Mistake("gain-missing-in-backward", "cotangents go back past the gains of a normalisation (N11'-N14', N21')",
            lambda b: ["gain_x", "gain_h", "gain_c"] if b.cell == LayerNormLSTM else [], _gains),
]
# fmt: on
