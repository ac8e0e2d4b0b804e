"""Mistakes with the derivative of an activation: missing, taken elsewhere, taken twice, or that of another function."""

from .page_edits import on_page, per_gate, plain_cell, with_derivative
from .workbench import Workbench


def _sigmoids(bench: Workbench) -> list[str]:
    return [k for k in bench.cell.functions._fields if bench.function(k) == "sigmoid"]


def _candidates(bench: Workbench) -> list[str]:
    return [k for k in bench.gates if bench.function(k) == "tanh"]


DERIVATIVES = [
    on_page(
        "tanh-derivative-of-tanh",
        "1 - tanh(tanh c)^2 in place of 1 - tanh(c)^2 (L10')",
        "wvabrinskas/Neuron PR 181; ~nicklashansen 1",
        plain_cell,
        with_derivative(lambda f: lambda a: f.d(f(a)), "y"),
        ("c", 0),
    ),
    on_page(
        "one-minus-cell-squared",
        "1 - c^2 in place of 1 - tanh(c)^2 (L10')",
        "derived",
        plain_cell,
        with_derivative(lambda f: lambda a: 1 - a * a, "y"),
        ("c", 0),
    ),
    on_page(
        "tanh-derivative-missing",
        "dc = dh o, without tanh'(c) (L10')",
        "nicodjimenez 9, 47",
        plain_cell,
        with_derivative(lambda f: lambda a: 1 + 0 * a, "y"),
        ("c", 0),
    ),
    per_gate(
        "sigmoid-derivative-missing",
        "da = d(gate), without sigmoid'(a) (L5', L6', L8')",
        "CaptainE 1, PR 2",
        _sigmoids,
        lambda k: with_derivative(lambda f: lambda a: 1 + 0 * a, k),
        ("a_{}", 0),
    ),
    per_gate(
        "sigmoid-derivative-of-activation",
        "sigmoid'(sigmoid(a)) in place of sigmoid'(a) (L5', L6', L8')",
        "~libBrain 78; ~DrBigMau 1; ~neon 65",
        _sigmoids,
        lambda k: with_derivative(lambda f: lambda a: f.d(f(a)), k),
        ("a_{}", 0),
    ),
    per_gate(
        "gate-without-gradient",
        "da of one gate stays zero: its deltas are computed and never stored",
        "derived",
        lambda bench: [k for k in bench.gates if bench.function(k)],
        lambda k: with_derivative(lambda f: lambda a: 0 * a, k),
        ("a_{}", 0),
    ),
    per_gate(
        "candidate-derivative-of-sigmoid",
        "da = dg g (1 - g): the candidate treated as one of the gates (L7')",
        "common",
        _candidates,
        lambda k: with_derivative(lambda f: lambda a: f(a) * (1 - f(a)), k),
        ("a_{}", 0),
    ),
    per_gate(
        "candidate-derivative-twice",
        "da = dg tanh'(a)^2: the derivative of the candidate applied twice (L7')",
        "~nicklashansen 1",
        _candidates,
        lambda k: with_derivative(lambda f: lambda a: f.d(a) * f.d(a), k),
        ("a_{}", 0),
    ),
    per_gate(
        "candidate-derivative-of-activation",
        "tanh'(tanh a) in place of tanh'(a) for the candidate (L7')",
        "~nicklashansen 1",
        _candidates,
        lambda k: with_derivative(lambda f: lambda a: f.d(f(a)), k),
        ("a_{}", 0),
    ),
    per_gate(
        "candidate-derivative-missing",
        "da = dg, without tanh'(a) (L7')",
        "derived",
        _candidates,
        lambda k: with_derivative(lambda f: lambda a: 1 + 0 * a, k),
        ("a_{}", 0),
    ),
]
