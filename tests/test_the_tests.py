"""Deliberate mistakes in the backward pass, each of which the suite's checks must see, and name where they can.

A mutation edits the source of a page or of the scan. It is *caught* when the complex step disagrees with the
resulting gradient by more than the promised 2e-15, when K exceeds its promise, or when a law is broken. Where one
row is wrong, the row-by-row check must name that row and operand, first in the order of the backward pass: what is
wrong above flows into the rows below.
"""

from dataclasses import replace
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import numpy_lstm as nl
from cases import equation_error, equation_ids, standard
from numpy_lstm import check, scan, tree
from numpy_lstm.check import truth
from numpy_lstm.pages import lstm
from reference import regimes


def mutate(module: ModuleType, *edits: tuple[str, str]) -> ModuleType:
    """The module with pieces of its source replaced, each of which must occur exactly once."""
    source = Path(util.find_spec(module.__name__).origin).read_text(encoding="utf-8")
    for old, new in edits:
        assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
        source = source.replace(old, new)
    mutant = ModuleType(module.__name__)
    mutant.__package__ = module.__package__
    exec(compile(source, "mutant", "exec"), mutant.__dict__)
    return mutant


def wrong_page(*edits: tuple[str, str]) -> nl.Page:
    """The LSTM with an edited page, on the records of the true one."""
    mutant = mutate(lstm, *edits)
    return replace(nl.LSTM, adjoint=mutant.adjoint, gradients=mutant.gradients)


SMALL = {"T": 4, "B": 3, "D": 2, "H": 5}  # all that a mistake in a page needs: unequal sizes, and steps before others


def check_fails(problem: check.Problem) -> bool:
    """The plain check: complex step against the gradient, at the promised tolerance."""
    stepped = check.complex_step(problem.loss, problem.point, chunk=512)
    return check.normwise(stepped, problem.gradient()) > 2e-15


PAGE: dict[str, tuple[list[tuple[str, str]], set[str]]] = {
    "dc not carried to t-1": ([("dc_prev = dc * v.f ", "dc_prev = 0 * dc * v.f ")], {"L9'-c_prev"}),
    "dc_prev without the factor f": ([("dc_prev = dc * v.f ", "dc_prev = dc ")], {"L9'-c_prev"}),
    "dc overwritten, not accumulated": ([("dc = d.c + dy", "dc = dy")], {"L9'-f", "L9'-i", "L9'-g", "L9'-c_prev"}),
    "h to c path missing": ([("dc = d.c + dy * F.y.d(v.c)", "dc = d.c")], {"L10'-c"}),
    "dh not carried to t-1": (
        [("return Trace(x=dx, h_prev=dh_prev", "return Trace(x=dx, h_prev=0 * dh_prev")],
        {f"L{k}'-h_prev" for k in (1, 2, 3, 4)},
    ),
    "o missing on the way to c": ([("do, dy = dh * v.y, dh * v.o", "do, dy = dh * v.y, dh")], {"L11'-y"}),
    "do from c, not tanh c": ([("do, dy = dh * v.y", "do, dy = dh * v.c")], {"L11'-o"}),
    "df from c_t, not c_{t-1}": ([("df, di, dg = dc * v.c_prev", "df, di, dg = dc * v.c")], {"L9'-f"}),
    "di from i, not g": ([("dc * v.c_prev, dc * v.g, dc * v.i", "dc * v.c_prev, dc * v.i, dc * v.i")], {"L9'-i"}),
    "dg from g, not i": ([("dc * v.c_prev, dc * v.g, dc * v.i", "dc * v.c_prev, dc * v.g, dc * v.g")], {"L9'-g"}),
    "tanh' of tanh c": ([("dy * F.y.d(v.c)", "dy * F.y.d(v.y)")], {"L10'-c"}),
    "1 - c^2": ([("dy * F.y.d(v.c)", "dy * (1 - v.c * v.c)")], {"L10'-c"}),
    "tanh' omitted": ([("dy * F.y.d(v.c)", "dy")], {"L10'-c"}),
    "sigmoid' omitted on f": ([("df * F.f.d(v.a_f)", "df")], {"L6'-a_f"}),
    "sigmoid' of the activation": ([("di * F.i.d(v.a_i)", "di * F.i.d(v.i)")], {"L5'-a_i"}),
    "candidate treated as a sigmoid": ([("dg * F.g.d(v.a_g)", "dg * F.f.d(v.a_g)")], {"L7'-a_g"}),
    "tanh' of the candidate twice": ([("dg * F.g.d(v.a_g)", "dg * F.g.d(v.a_g) * F.g.d(v.a_g)")], {"L7'-a_g"}),
    "dU from h_t": ([("U_o=contract(d.a_o, v.h_prev)", "U_o=contract(d.a_o, v.h)")], {"L4'-U_o"}),
    "one gate omitted in dh_prev": ([("dh_prev + da_f @ p.U_f", "dh_prev")], {"L2'-h_prev"}),
    "one gate omitted in dx": ([("dx + da_g @ p.W_g", "dx")], {"L3'-x"}),
    "U transposed": ([("dh_prev + da_i @ p.U_i", "dh_prev + da_i @ p.U_i.T")], {"L1'-h_prev"}),
    "gates i and f exchanged": (
        [("W_i=contract(d.a_i, v.x)", "W_i=contract(d.a_f, v.x)"), ("W_f=contract(d.a_f", "W_f=contract(d.a_i")],
        {"L1'-W_i", "L2'-W_f"},
    ),
    "one bias gradient for two gates": ([("b_o=sum_rows(d.a_o)", "b_o=sum_rows(d.a_g)")], {"L4'-b_o"}),
    "bias counted twice": ([("b_f=sum_rows(d.a_f)", "b_f=2 * sum_rows(d.a_f)")], {"L2'-b_f"}),
    "mean over the batch": ([("b_f=sum_rows(d.a_f)", "b_f=sum_rows(d.a_f) / v.x.shape[0]")], {"L2'-b_f"}),
}


@pytest.mark.parametrize("name", PAGE)
def test_a_wrong_page_is_caught_and_named(name: str) -> None:
    edits, rows = PAGE[name]
    mutant = wrong_page(*edits)
    assert check_fails(standard(mutant, **SMALL))
    failing = {e for e in equation_ids(mutant) if equation_error(mutant, e) > 2e-15}
    # A wrong cotangent high on the page flows into rows below it; the first in backward order is the culprit.
    named = {e.removeprefix("lstm-") for e in failing}
    assert rows <= named
    order = [f"L{k}'" for k in range(11, 0, -1)]
    first = min((order.index(e.split("-")[0]) for e in named), default=None)
    assert first == min((order.index(e.split("-")[0]) for e in rows), default=None)


def test_the_page_itself_is_not_caught() -> None:
    same = wrong_page(("(L9)", "(L9)"))
    assert not check_fails(standard(same))
    assert not any(equation_error(same, e) > 2e-15 for e in equation_ids(same))


TEXTBOOK = {
    "s(1-s) for the forget gate": (("df * F.f.d(v.a_f)", "df * v.f * (1 - v.f)"), "forget bias +10"),
    "1-t^2 for the candidate": (("dg * F.g.d(v.a_g)", "dg * (1 - v.g * v.g)"), "candidate bias +8"),
    "(1-t)(1+t) for the candidate": (("dg * F.g.d(v.a_g)", "dg * (1 - v.g) * (1 + v.g)"), "candidate bias +8"),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_right_formula_that_loses_digits_is_caught_by_K_only(name: str) -> None:
    edit, regime = TEXTBOOK[name]
    problem = regimes.lstm_problem(regime, seed=0)._replace(cell=wrong_page(edit))
    assert check.normwise(problem.gradient(), truth.gradient(problem)) <= 2e-15
    assert check.K(problem.gradient(), truth.gradient(problem), problem.absolute_paths()) > 16


def test_clipping_inside_the_backward_pass_is_caught_by_linearity() -> None:
    """No check sees a clip at 50 whose cotangents stay below it: the backward pass must be linear at any scale."""
    problem = standard(wrong_page(("dh = d.h", "dh = d.h.clip(-50, 50)")))
    assert not check_fails(problem)
    large = problem._replace(cotangents=tree.scale(1024.0, problem.cotangents))
    assert check.normwise(large.gradient(), tree.scale(1024.0, problem.gradient())) > 0.1


SCAN = {
    "cotangents between the ends ignored": ("_asdict()), at(given, t))", "_asdict()), None)"),
    "cotangent of the last state ignored": ("tree.add(sizes.zeros(cell.State), dlast)", "sizes.zeros(cell.State)"),
    "cell cotangents ignored": (
        "bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)",
        "bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates and dstates._replace(c=None))",
    ),
    "time not reversed in the tape": ("stack(traces[::-1])", "stack(traces)"),
    "initial state taken for zero": (
        "params, folded(values, t, stop)",
        "params, folded(values._replace(h_prev=_shifted(values.h)), t, stop)",
    ),
    "truncated after 12 steps": (
        "for t in reversed(range(T)):\n",
        "for t in reversed(range(T)):\n        dstate = tree.scale(t != 7, dstate)\n",
    ),
}


@pytest.mark.parametrize("name", SCAN)
def test_a_wrong_scan_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant: Any = mutate(scan, SCAN[name])
    mutant._shifted = lambda hs: np.concatenate([0 * hs[:1], hs[:-1]])
    monkeypatch.setattr("numpy_lstm.check.problem.scan", mutant)
    assert check_fails(standard(nl.LSTM, B=3, D=2, H=5))


DRAWN: list[Any] = []


@pytest.mark.parametrize("before", [0, 1, 5])
def test_what_is_not_seeded_is_the_same_in_every_order(before: int) -> None:
    """Twins and torch modules that are made without a generator; two of them differ."""
    twins = [nl.nn.GRU(2, 3).state_dict()["weight_hh_l0"] for _ in range(2)]
    DRAWN.append([*twins, torch.nn.GRU(2, 3).weight_hh_l0.detach().numpy(), np.random.default_rng().random()])
    assert not np.array_equal(*twins)
    assert all(np.array_equal(a, b) for a, b in zip(DRAWN[0], DRAWN[-1], strict=True))
    [(np.random.default_rng(), torch.rand(1)) for _ in range(before)]


ONE_STEP: dict[str, tuple[nl.Page, str, str]] = {
    "rows of one code not added": (nl.Embedding, "scatter_rows(d.y, v.x, p.W.shape[0])", "0 * p.W"),
    "bias of one row": (nl.Linear, "b=sum_rows(d.y)", "b=d.y[0]"),
    "mask not applied": (nl.Dropout, "dx, dmask = v.mask * d.y", "dx, dmask = d.y"),
    "memory as answer only": (nl.Attention, "dmemory + outer(de, v.q)", "dmemory"),
    "question without gradient": (nl.Attention, "dx = dx + dq @ p.W_a", "dx = dx"),
    "softmax as a sigmoid": (nl.Attention, "softmax_adjoint(dw, v.w)", "dw * v.w * (1 - v.w)"),
    "term of the question forgotten": (nl.AdditiveAttentionLSTM, "dh_prev = dh_prev + dq @ p.W_q", "dh_prev = dh_prev"),
    "question of one place": (nl.AdditiveAttentionLSTM, "sum_rows(dz)", "dz[..., 0, :]"),
    "keys without gradient": (nl.AdditiveAttentionLSTM, "keys=dz", "keys=0 * dz"),
    "derivative of the score from its value": (nl.AdditiveAttentionLSTM, "F.n.d(v.z)", "F.n.d(v.n)"),
    "1 + s forgotten": (nl.CrossEntropy, "d.loss / (1 + v.s)", "d.loss"),
    "probability of the target forgotten": (nl.CrossEntropy, "-sum_columns(dx)", "-d.loss"),
    "2 forgotten": (nl.SquaredError, "2 * keep_last", "keep_last"),
    "sign of the target": (nl.SquaredError, "dr, -dr", "dr, dr"),
}


@pytest.mark.parametrize("name", ONE_STEP)
def test_mistakes_in_pages_that_read_more_than_an_array_are_caught(name: str) -> None:
    page, old, new = ONE_STEP[name]
    mutant = mutate(import_module(page.values.__module__), (old, new))
    wrong = replace(page, adjoint=mutant.adjoint, gradients=mutant.gradients)
    assert check_fails(standard(page, T=3)._replace(cell=wrong))
    assert not check_fails(standard(page, T=3))


def test_a_difference_in_the_softmax_is_caught_once_the_target_leads() -> None:
    edit = ("-sum_columns(dx)", "pick(keep_last(ds) * v.e, v.target) - d.loss")
    wrong = replace(nl.CrossEntropy, adjoint=mutate(import_module(nl.CrossEntropy.values.__module__), edit).adjoint)
    assert not check_fails(regimes.softmax_problem(0, 0)._replace(cell=wrong))
    assert check_fails(regimes.softmax_problem(10, 0)._replace(cell=wrong))
