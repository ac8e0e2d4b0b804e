"""Mistakes on a page, in the backward pass alone: a wrong factor, a path that is lost, a wrong derivative."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..pages import LSTM, RNN, PeepholeLSTM
from .edits import (
    exchanged,
    fields,
    with_arriving,
    with_derivative,
    with_gradients,
    with_leaving,
    with_params,
    with_values,
)
from .mistake import Mistake
from .workbench import Edits, Workbench


def has_cell(bench: Workbench) -> bool:
    """Whether the state has a cell c."""
    return bench.printed and "c" in bench.states


def plain_cell(bench: Workbench) -> bool:
    """Whether the cell leaves through y = tanh(c)."""
    return has_cell(bench) and "z" not in bench.fields and bench.has("y") and bool(bench.function("y"))


def _apart(bench: Workbench) -> bool:
    """Whether the input gate is a gate of its own."""
    return has_cell(bench) and bench.has("a_i", "i", "g")


def _coupled(bench: Workbench) -> bool:
    return has_cell(bench) and bench.has("i", "g") and "a_i" not in bench.fields


def _remembers(bench: Workbench) -> bool:
    return bench.printed and "h" in bench.states


def _leaves(bench: Workbench) -> bool:
    return has_cell(bench) and bench.has("o", "y")


# fmt: off
PATHS = [
    Mistake("cell-carry-dropped", "dL/dc_t is not handed to step t-1 (L9')",
            has_cell, with_leaving(c=0.0), ("c", 1)),
    Mistake("hidden-carry-dropped", "dL/dh_{t-1} through the gates is lost: no recurrent path (L1'-L4')",
            _remembers, with_leaving(h=0.0), ("h", 1)),
    Mistake("immediate-derivative", "the derivative at each step alone: neither dh nor dc is handed back",
            lambda b: has_cell(b) and "h" in b.states, with_leaving(h=0.0, c=0.0), ("h", 1)),
    Mistake("carry-doubled", "the cotangent of the old state is added twice (L1'-L4', L9')",
            lambda b: b.states if b.printed else [], lambda b, k: with_leaving(**{k: 2.0}), ("{}", 1)),
    Mistake("carry-halved", "half of the cotangent of the old state is handed on (L1'-L4', L9')",
            lambda b: b.states if b.printed else [], lambda b, k: with_leaving(**{k: 0.5}), ("{}", 1)),
    Mistake("carry-sign", "the cotangent of the old state is subtracted (L1'-L4', L9')",
            lambda b: b.states if b.printed else [], lambda b, k: with_leaving(**{k: -1.0}), ("{}", 1)),
    Mistake("cell-cotangent-overwritten", "dc = dh o tanh'(c) assigned, not added to what comes from step t+1 (L10')",
            has_cell, with_arriving(lambda cell, v, d: fields(c=0.0)(d)), ("c", 0)),
    Mistake("carry-through-tanh-derivative",
            "dc = (dc + dh o) tanh'(c): the carry, too, goes through the derivative of tanh (L10')",
            plain_cell, with_arriving(lambda cell, v, d: d._replace(c=d.c * cell.functions.y.d(v.c))), ("c", 0)),
    Mistake("carry-through-output-gate", "dc = dh o tanh'(c) + dc o: the carry, too, is multiplied by o (L10')",
            _leaves, with_arriving(lambda cell, v, d: d._replace(c=d.c * v.o)), ("c", 0)),
    Mistake("output-path-to-cell-missing", "dc from step t+1 only, nothing from h_t = o tanh(c_t) (L10')",
            plain_cell, with_derivative(lambda f, a: 0 * a, "y"), ("c", 0)),
    Mistake("output-path-to-cell-twice", "dc = 2 dh o tanh'(c) + what comes from step t+1 (L10')",
            plain_cell, with_derivative(lambda f, a: 2 * f.d(a), "y"), ("c", 0)),
    Mistake("clipped-on-the-way", "dh_t clipped to [-limit, limit] at each step; clipping belongs after the pass",
            lambda b: ["1", "5"] if _remembers(b) else [],
            lambda b, k: with_arriving(lambda cell, v, d: fields(h=lambda a: a.clip(-float(k), float(k)))(d))),
    Mistake("cell-carry-clipped", "dc_t clipped to [-limit, limit] where a step hands it on",
            lambda b: ["1", "5"] if has_cell(b) else [],
            lambda b, k: with_leaving(c=lambda a, v, d: a.clip(-float(k), float(k)))),
    Mistake("kept-path-forgotten", "the cotangent of the old state past the cell, ds keep, is left out (Z1')",
            lambda b: b.states if b.case.network.zoneout else [],
            lambda b, k: with_leaving(True, **{k: lambda a, v, d: a - getattr(d, k) * getattr(v, f"keep_{k}")})),
]

FACTORS = [
    Mistake("forget-gate-missing-in-carry", "dc_{t-1} = dc, without the factor f (L9')",
            lambda b: has_cell(b) and b.has("f"), with_values(f=1.0), ("c", 1)),
    Mistake("output-gate-missing", "dc = dh tanh'(c), without the factor o (L11')",
            lambda b: has_cell(b) and b.has("o"), with_values(o=1.0), ("y", 0)),
    Mistake("input-gate-missing", "dg = dc, without the factor i (L9')",
            lambda b: has_cell(b) and b.has("i", "g"), with_values(i=1.0), ("g", 0)),
    Mistake("candidate-missing", "di = dc, without the factor g (L9')", _apart, with_values(g=1.0), ("i", 0)),
    Mistake("old-cell-missing", "df = dc, without the factor c_{t-1} (L9')",
            has_cell, with_values(c_prev=1.0), ("f", 0)),
    Mistake("output-tanh-missing", "do = dh, without the factor tanh(c) (L11')", _leaves, with_values(y=1.0), ("o", 0)),
    Mistake("df-from-new-cell", "df = dc c_t in place of dc c_{t-1} (L9'); an update of c in place does this too",
            has_cell, with_values(c_prev="c"), ("f", 0)),
    Mistake("df-from-forget-gate", "df = dc f in place of dc c_{t-1} (L9')",
            lambda b: has_cell(b) and b.has("a_f", "f"), with_values(c_prev="f"), ("f", 0)),
    Mistake("df-from-tanh-of-old-cell", "df = dc tanh(c_{t-1}) in place of dc c_{t-1} (L9')",
            has_cell, with_values(c_prev=np.tanh), ("f", 0)),
    Mistake("di-from-input-gate", "di = dc i in place of dc g (L9')", _apart, with_values(g="i"), ("i", 0)),
    Mistake("di-from-pre-activation", "di = dc a_g in place of dc g (L9')",
            lambda b: _apart(b) and b.has("a_g"), with_values(g="a_g"), ("i", 0)),
    Mistake("dg-from-candidate", "dg = dc g in place of dc i (L9')",
            lambda b: has_cell(b) and b.has("i", "g"), with_values(i="g"), ("g", 0)),
    Mistake("dg-from-forget-gate", "dg = dc f in place of dc i (L9')",
            lambda b: _apart(b) and b.has("f"), with_values(i="f"), ("g", 0)),
    Mistake("carry-from-input-gate", "dc_{t-1} = dc i in place of dc f (L9')",
            lambda b: _apart(b) and b.has("f"), with_values(f="i"), ("c", 1)),
    Mistake("do-from-cell", "do = dh c in place of dh tanh(c) (L11')",
            lambda b: plain_cell(b) and b.has("o"), with_values(y="c"), ("o", 0)),
    Mistake("do-from-hidden", "do = dh h in place of dh tanh(c) (L11')", _leaves, with_values(y="h"), ("o", 0)),
    Mistake("do-from-old-cell", "do = dh tanh(c_{t-1}) in place of dh tanh(c_t) (L11')",
            lambda b: plain_cell(b) and b.has("o"), with_values(lambda v: v._replace(y=np.tanh(v.c_prev))), ("o", 0)),
    Mistake("output-path-from-input-gate", "dc = dh i tanh'(c) in place of dh o tanh'(c) (L11')",
            lambda b: _apart(b) and b.has("o"), with_values(o="i"), ("y", 0)),
    Mistake("coupled-share-forgotten", "df = dc c_{t-1}: the share of i = 1 - f is left out (C7')",
            _coupled, with_values(g=0.0), ("i", 0)),
    Mistake("coupled-share-added", "df = dc (c_{t-1} + g) in place of dc (c_{t-1} - g) (C7')",
            _coupled, with_values(g=lambda a: -a), ("i", 0)),
    Mistake("cached-gates-exchanged", "the backward pass takes the stored values of two gates for one another",
            lambda b: [k for k in b.pairs if b.has(*k)], lambda b, k: with_values(exchanged(k, "", "a_"))),
    Mistake("cached-activations-exchanged", "two gates' stored activations, not their pre-activations, are exchanged",
            lambda b: [k for k in b.pairs if b.has(*k)], lambda b, k: with_values(exchanged(k, ""))),
]


def _sigmoid(name: str, says: str, wrong: Any) -> Mistake:
    return Mistake(name, f"{says} (L5', L6', L8')", lambda b: b.acting("sigmoid"),
                   lambda b, k: with_derivative(wrong, k), ("a_{}", 0))


def _candidate(name: str, says: str, wrong: Any) -> Mistake:
    return Mistake(name, f"{says} (L7')", lambda b: [k for k in b.gates if b.function(k) == "tanh"],
                   lambda b, k: with_derivative(wrong, k), ("a_{}", 0))


def _output(name: str, says: str, wrong: Any) -> Mistake:
    return Mistake(name, f"{says} (L10')", plain_cell, with_derivative(wrong, "y"), ("c", 0))


def _rnn(name: str, says: str, wrong: Any) -> Mistake:
    return Mistake(name, f"{says} (R2')", lambda b: b.cell == RNN or b.cell.values == RNN.values,
                   with_derivative(wrong, "h"), ("a", 0))


DERIVATIVES = [
    _output("tanh-derivative-of-tanh", "1 - tanh(tanh c)^2 in place of 1 - tanh(c)^2", lambda f, a: f.d(f(a))),
    _output("one-minus-cell-squared", "1 - c^2 in place of 1 - tanh(c)^2", lambda f, a: 1 - a * a),
    _output("tanh-derivative-missing", "dc = dh o, without tanh'(c)", lambda f, a: 1 + 0 * a),
    _output("tanh-derivative-twice", "dc = dh o tanh'(c)^2", lambda f, a: f.d(a) ** 2),
    _output("tanh-derivative-not-squared", "1 - tanh(c) in place of 1 - tanh(c)^2", lambda f, a: 1 - f(a)),
    _output("tanh-derivative-sign", "1 + tanh(c)^2 in place of 1 - tanh(c)^2", lambda f, a: 1 + f(a) ** 2),
    _output("tanh-in-place-of-its-derivative", "dc = dh o tanh(c)", lambda f, a: f(a)),
    _output("tanh-derivative-of-sigmoid", "tanh(c) (1 - tanh(c)) in place of 1 - tanh(c)^2",
            lambda f, a: f(a) * (1 - f(a))),
    _sigmoid("sigmoid-derivative-missing", "da = d(gate), without sigmoid'(a)", lambda f, a: 1 + 0 * a),
    _sigmoid("sigmoid-derivative-of-activation", "sigmoid'(sigmoid(a)) in place of sigmoid'(a)",
             lambda f, a: f.d(f(a))),
    _sigmoid("sigmoid-in-place-of-its-derivative", "da = d(gate) sigmoid(a)", lambda f, a: f(a)),
    _sigmoid("sigmoid-complement-for-its-derivative", "da = d(gate) (1 - sigmoid(a))", lambda f, a: 1 - f(a)),
    _sigmoid("sigmoid-derivative-sign", "s (s - 1) in place of s (1 - s)", lambda f, a: -f.d(a)),
    _sigmoid("sigmoid-derivative-twice", "da = d(gate) sigmoid'(a)^2", lambda f, a: f.d(a) ** 2),
    _sigmoid("sigmoid-derivative-of-tanh", "1 - s^2 in place of s (1 - s): a gate treated as the candidate",
             lambda f, a: 1 - f(a) ** 2),
    _sigmoid("pre-activation-taken-for-gate", "a (1 - a) in place of s (1 - s)", lambda f, a: a * (1 - a)),
    _candidate("candidate-derivative-missing", "da = dg, without tanh'(a)", lambda f, a: 1 + 0 * a),
    _candidate("candidate-derivative-of-activation", "tanh'(tanh a) in place of tanh'(a)", lambda f, a: f.d(f(a))),
    _candidate("candidate-derivative-twice", "da = dg tanh'(a)^2", lambda f, a: f.d(a) ** 2),
    _candidate("candidate-derivative-of-sigmoid", "da = dg g (1 - g): the candidate treated as one of the gates",
               lambda f, a: f(a) * (1 - f(a))),
    _candidate("candidate-derivative-not-squared", "1 - g in place of 1 - g^2", lambda f, a: 1 - f(a)),
    _candidate("candidate-derivative-sign", "1 + g^2 in place of 1 - g^2", lambda f, a: 1 + f(a) ** 2),
    _candidate("candidate-in-place-of-its-derivative", "da = dg g", lambda f, a: f(a)),
    _candidate("one-minus-pre-activation-squared", "1 - a^2 in place of 1 - g^2", lambda f, a: 1 - a * a),
    _rnn("rnn-derivative-missing", "da = dh, without 1 - h^2", lambda f, a: 1 + 0 * a),
    _rnn("rnn-derivative-of-output", "tanh'(h) in place of tanh'(a)", lambda f, a: f.d(f(a))),
    _rnn("rnn-derivative-of-pre-activation", "1 - a^2 in place of 1 - h^2", lambda f, a: 1 - a * a),
    _rnn("rnn-derivative-not-squared", "1 - h in place of 1 - h^2", lambda f, a: 1 - f(a)),
    Mistake("gate-without-gradient", "da of one gate stays zero: its deltas are computed and never stored",
            lambda b: [k for k in b.gates if b.function(k)], lambda b, k: with_derivative(lambda f, a: 0 * a, k),
            ("a_{}", 0)),
    Mistake("gate-cotangent-sign", "da of one gate has the opposite sign",
            lambda b: [k for k in b.gates if b.function(k)], lambda b, k: with_derivative(lambda f, a: -f.d(a), k),
            ("a_{}", 0)),
    Mistake("gate-cotangent-doubled", "da of one gate is added twice",
            lambda b: [k for k in b.gates if b.function(k)], lambda b, k: with_derivative(lambda f, a: 2 * f.d(a), k),
            ("a_{}", 0)),
]
# fmt: on


def recurrent(bench: Workbench) -> list[str]:
    """What follows the U of each recurrent matrix: "_f", or nothing for the RNN."""
    return bench.gates or ([""] if bench.printed and bench.weighs("W", "U") else [])


def field(kind: str, gate: str) -> str:
    """``U_f``, or ``U`` of the RNN."""
    return f"{kind}_{gate}" if gate else kind


def _square(bench: Workbench) -> list[str]:
    if not bench.printed or bench.sizes["R"] != bench.sizes["H"]:
        return []
    return [*bench.gates, "all"] if bench.gates else recurrent(bench)


def _transposed(bench: Workbench, gate: str) -> Edits:
    names = [k for k in bench.cell.Params._fields if k[0] == "U"] if gate == "all" else [field("U", gate)]
    return with_params(**{k: lambda a: a.T for k in names})


def _for_one_another(bench: Workbench, kind: str) -> Edits:
    """Input weights where recurrent ones belong, or the other way round."""
    other = {"U": "W", "W": "U"}[kind]
    return with_params(**{field(kind, k): field(other, k) for k in recurrent(bench)})


def _state_cut(cell: Any) -> Any:
    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        d = cell.adjoint(F, p, v, d)
        joined, D = np.concatenate([d.h_prev, d.x], axis=1), d.x.shape[1]
        return d._replace(x=joined[:, :D], h_prev=joined[:, D:])

    return replace(cell, adjoint=adjoint)


# fmt: off
GATES = [
    Mistake("gate-omitted-in-dh", "dh_{t-1} without the term of one gate (L1'-L4')",
            lambda b: b.gates, lambda b, k: with_params(**{f"U_{k}": 0.0}), ("h", 1)),
    Mistake("gate-omitted-in-dx", "dx_t without the term of one gate (L1'-L4')",
            recurrent, lambda b, k: with_params(**{field("W", k): 0.0})),
    Mistake("gate-doubled-in-dh", "dh_{t-1} with the term of one gate twice (L1'-L4')",
            lambda b: b.gates, lambda b, k: with_params(**{f"U_{k}": lambda a: 2 * a}), ("h", 1)),
    Mistake("recurrent-weights-transposed", "dh_{t-1} = da U^T in place of da U (L1'-L4')",
            _square, _transposed, ("h", 1)),
    Mistake("weights-for-one-another-in-backward", "dx goes through U, or dh_{t-1} through W (L1'-L4')",
            lambda b: ["U", "W"] if b.printed and b.sizes["D"] == b.sizes["R"] == b.sizes["H"] and b.plain else [],
            _for_one_another),
    Mistake("concatenated-state-cut-wrong",
            "the cotangent of [h, x] cut as that of [x, h]: parts of dx and dh in each other's place",
            lambda b: has_cell(b) or b.cell == RNN, Edits(page=_state_cut), ("h", 1)),
    Mistake("gates-exchanged-in-backward",
            "the backward pass takes the columns of two gates for one another: weights, and gradients' places",
            lambda b: b.pairs if b.cell in (LSTM, PeepholeLSTM) else [],
            lambda b, k: with_params(exchanged(k, "W_", "U_")).and_then(
                with_gradients(lambda v, d, dp: exchanged(k, "W_", "U_", "b_")(dp))), ("h", 1)),
    Mistake("gates-weights-exchanged-in-backward",
            "cotangents of two gates go back through each other's U and W (L1'-L4')",
            lambda b: b.pairs, lambda b, k: with_params(exchanged(k, "W_", "U_"))),
]
# fmt: on
