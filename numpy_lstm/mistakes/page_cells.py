"""Mistakes on the pages of the GRU, the RNN, the peepholes and layer norm."""

from dataclasses import replace
from typing import Any

from .. import ops
from ..activations import TOGETHER
from ..pages import GRU, RNN, GRUResetBefore, LayerNormLSTM, PeepholeLSTM, PeepholeOldLSTM
from ..pages.page import Page
from .page_edits import (
    PageEdit,
    Where,
    on_page,
    per_gate,
    with_contracted,
    with_derivative,
    with_functions,
    with_gradients,
    with_params,
    with_values,
)
from .workbench import Mistake, Workbench


def _field(kind: str, gate: str) -> str:
    return f"{kind}_{gate}" if gate else kind


def _without(kind: str, gate: str) -> PageEdit:
    name = _field(kind, gate)
    return with_params(lambda p: p._replace(**{name: 0 * getattr(p, name)}))


def _is(*pages: Page) -> Where:
    return lambda bench: bench.cell in pages


IN_GRU = [
    on_page(
        "gru-kept-state-forgotten",
        "dh_{t-1} without dh z, the state that is kept (G9')",
        "derived",
        _is(GRU, GRUResetBefore),
        with_values(lambda v: v._replace(z=0 * v.z)),
        ("h", 1),
    ),
    on_page(
        "gru-update-forgets-candidate",
        "dz = dh h_{t-1}: the share of 1 - z is left out (G8')",
        "derived",
        _is(GRU, GRUResetBefore),
        with_values(lambda v: v._replace(n=0 * v.n)),
        ("q", 0),
    ),
    on_page(
        "gru-update-sign",
        "dz = dh (n - h_{t-1}), as if z let the new state in (G8', G9')",
        "derived; polarity as in keras PR 22115",
        _is(GRU, GRUResetBefore),
        with_derivative(lambda f: lambda a: -f.d(a), "z"),
        ("a_z", 0),
    ),
    on_page(
        "gru-reset-missing-in-product",
        "the cotangent of the recurrent product lacks the factor r (G6')",
        "derived",
        _is(GRU),
        with_values(lambda v: v._replace(r=0 * v.r + 1)),
        ("u", 0),
    ),
    on_page(
        "gru-second-bias-without-reset",
        "db_hn = db_n: the factor r is left out (G3')",
        "derived; a second bias as in nntrainer PR 1644",
        _is(GRU),
        with_gradients(lambda v, d, dp: dp._replace(b_hn=dp.b_n)),
    ),
    on_page(
        "gru-reset-missing-in-state",
        "dh_{t-1} takes the cotangent of r h_{t-1} without the factor r (B5')",
        "derived",
        _is(GRUResetBefore),
        with_values(lambda v: v._replace(r=0 * v.r + 1)),
        ("h", 1),
    ),
    on_page(
        "gru-candidate-from-unreset-state",
        "dU_n from h_{t-1} in place of r h_{t-1} (B6')",
        "derived",
        _is(GRUResetBefore),
        with_contracted(lambda v: v._replace(s=v.h_prev)),
    ),
]

IN_RNN = [
    on_page(
        "rnn-derivative-missing",
        "da = dh, without 1 - h^2 (R2')",
        "derived",
        _is(RNN),
        with_derivative(lambda f: lambda a: 1 + 0 * a, "h"),
        ("a", 0),
    ),
    on_page(
        "rnn-derivative-of-output",
        "tanh'(h) in place of tanh'(a) (R2')",
        "~nicklashansen 1",
        _is(RNN),
        with_derivative(lambda f: lambda a: f.d(f(a)), "h"),
        ("a", 0),
    ),
]


def _peepholes(bench: Workbench) -> list[str]:
    """The gates that look at the old cell."""
    return [*("if" if bench.cell == PeepholeLSTM else "ifo" if bench.cell == PeepholeOldLSTM else "")]


IN_PEEPHOLES = [
    on_page(
        "output-peephole-missing-in-cell",
        "dc without the term p_o da_o (P8')",
        "ONNX Runtime backward_np; ~tensorflow 34171",
        _is(PeepholeLSTM),
        _without("p", "o"),
        ("c", 0),
    ),
    per_gate(
        "peephole-missing-in-cell",
        "dc_{t-1} without the term p da of one gate (P1', P2')",
        "ONNX Runtime backward_np; ~tensorflow 34171",
        _peepholes,
        lambda k: _without("p", k),
        ("c", 1),
    ),
    on_page(
        "output-peephole-from-old-cell",
        "dp_o from c_{t-1} in place of c_t (P8')",
        "derived",
        _is(PeepholeLSTM),
        with_gradients(lambda v, d, dp: dp._replace(p_o=ops.sum_rows(d.a_o * v.c_prev))),
    ),
    per_gate(
        "peephole-from-new-cell",
        "dp from c_t in place of c_{t-1} (P1', P2')",
        "derived",
        _peepholes,
        lambda k: with_gradients(lambda v, d, dp: dp._replace(**{f"p_{k}": ops.sum_rows(getattr(d, f"a_{k}") * v.c)})),
    ),
    on_page(
        "forget-peephole-from-input-delta",
        "dp_f from da_i in place of da_f (P2')",
        "brainstorm lstm_layer.py",
        _is(PeepholeLSTM, PeepholeOldLSTM),
        with_gradients(lambda v, d, dp: dp._replace(p_f=dp.p_i)),
    ),
]


def _statistics(constant: str) -> PageEdit:
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


IN_LAYER_NORM: list[Mistake] = [
    per_gate(
        "statistics-constant",
        "the mean, the variance or both of a normalisation taken for constants (N9', N10', N20')",
        "derived",
        lambda bench: ["mean", "variance", "statistics"] if bench.cell == LayerNormLSTM else [],
        _statistics,
        ("c", 0),
    )
]

NO_PEEPHOLES = [
    on_page(
        "no-peephole-in-cell",
        "dc and dc_{t-1} without the terms of all three peepholes (P8', P2', P1')",
        "onnxruntime-training LSTMGrad (microsoft/onnxruntime PR 15034)",
        _is(PeepholeLSTM),
        with_params(lambda p: p._replace(**{k: 0 * getattr(p, k) for k in ("p_i", "p_f", "p_o")})),
        ("c", 0),
    ),
]
