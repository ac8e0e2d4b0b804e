"""One spelling of a loss at a point: of a page, a page with lengths, a layer, a case; gradients and second order."""

from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm import check, tree
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.network import Network

T, B, D, H = 5, 3, 2, 3
LENGTHS = (3, 5, 0)
STACK = nl.Stack([nl.bidirectional(nl.LSTM), nl.bidirectional(nl.GRU)])


def of_layer(layer: Any, lengths: Any = LENGTHS) -> check.Problem:
    """Random parameters, unequal first states, and a cotangent for every output and last state."""
    rng = np.random.default_rng(0)
    params, xs = layer.init(D, H, rng), rng.standard_normal((T, B, D))
    run = layer.forward(params, xs, None, lengths)
    params, first, dlast = (tree.random_like(a, rng) for a in (params, run.last, run.last))
    dhs = rng.standard_normal(run.hs.shape)
    return check.Problem.of(layer, params, xs, first, dhs, dlast=dlast, lengths=lengths)


def of_case(network: Network) -> Case:
    sizes = {"T": T, "B": B, "D": D, "H": H}
    return Case.random(network, "records", sizes, np.random.default_rng(0), lengths=LENGTHS)


def ragged(page: nl.Page) -> check.Problem:
    whole = check.Problem.random(page, T, B, D, H, np.random.default_rng(0))
    (params, xs, first), (states, last) = whole.point, whole.cotangents
    return check.Problem.of(page, params, xs, first, dlast=last, dstates=states, lengths=LENGTHS)


PROBLEMS = {
    "page with lengths": lambda: ragged(nl.LayerNormLSTM),
    "masks with lengths": lambda: ragged(nl.zoneout(nl.LSTM)),
    "layer": lambda: of_layer(nl.Recurrent(nl.projected(nl.LSTM, 2))),
    "stack": lambda: of_layer(STACK),
    "stack without lengths": lambda: of_layer(STACK, None),
    "case": lambda: check.Problem.of(of_case(Network("GRU", direction="bidirectional", layers=2))),
    "case with masks": lambda: check.Problem.of(of_case(Network(zoneout=True))),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gradient_is_that_of_the_loss(name: str) -> None:
    problem = PROBLEMS[name]()
    ours = problem.gradient()
    stepped = check.complex_step(problem.loss, problem.point)
    assert check.normwise(ours, stepped) <= 4e-15
    rows = check.compare(ours, stepped, problem.absolute_paths(), textbook_paths=problem.textbook_paths())
    assert rows.verdict == "pass"
    for (_, a), (_, b) in zip(*map(tree.leaves, (problem.absolute_paths(), problem.textbook_paths())), strict=True):
        assert np.all(a <= b * (1 + 1e-12))
    wrong = problem._replace(cotangents=tree.map(lambda a: 1.001 * a, problem.cotangents)).gradient()
    assert check.normwise(wrong, stepped) > 1e-4


def test_lengths_of_a_page_are_those_of_its_layer() -> None:
    page, layer = ragged(nl.GRU), nl.Recurrent(nl.GRU)
    params, xs, first = page.point
    dhs, dlast = page.cotangents.states.h, page.cotangents.last
    same = check.Problem.of(layer, params, xs, first, dhs, dlast=dlast, lengths=LENGTHS)
    assert page.loss(page.point) == pytest.approx(same.loss(same.point), rel=1e-14)
    assert check.normwise(page.gradient(), same.gradient()) == 0


@pytest.mark.parametrize("name", ["stack", "case with masks", "page with lengths"])
def test_second_order(name: str) -> None:
    """H v by the complex step through the gradient: symmetric, and what differences of the gradient say."""
    problem, rng = PROBLEMS[name](), np.random.default_rng(1)
    u, v = (tree.random_like(problem.point, rng) for _ in range(2))
    Hu, Hv = (check.hessian_vector(problem.gradient, problem.point, d) for d in (u, v))
    assert abs(tree.dot(u, Hv) - tree.dot(v, Hu)) <= 1e-14 * tree.norm(u) * tree.norm(Hv)
    ahead, behind = (problem.gradient(tree.add(problem.point, tree.scale(s * 1e-5, v))) for s in (1, -1))
    assert check.normwise(tree.scale(0.5e5, tree.add(ahead, tree.scale(-1, behind))), Hv) <= 1e-7


def test_what_is_left_out() -> None:
    layer, rng = nl.bidirectional(nl.LSTM), np.random.default_rng(0)
    params, xs, dhs = layer.init(D, H, rng), rng.standard_normal((T, B, D)), rng.standard_normal((T, B, 2 * H))
    problem = check.Problem.of(layer, params, xs, dhs=dhs)
    assert all(not np.any(a) for _, a in tree.leaves(problem.point.first))
    stepped = check.complex_step(problem.loss, problem.point)
    assert check.normwise(problem.gradient(), stepped) <= 4e-15
    assert check.normwise(problem.dense().gradient(), stepped) <= 4e-15
    assert len(list(tree.leaves(problem.dense().cotangents))) == 5


def test_a_layer_takes_cotangents_of_every_cell() -> None:
    rng = np.random.default_rng(0)
    layer = nl.Stack([nl.bidirectional(nl.LSTM), nl.bidirectional(nl.GRU), nl.Recurrent(nl.CoupledLSTM)])
    params, xs = layer.init(D, H, rng), rng.standard_normal((T, B, D))
    dcs = ((None, rng.standard_normal((T, B, H))), None, rng.standard_normal((T, B, H)))
    problem = check.Problem.of(layer, params, xs, dcs=dcs, lengths=[T, 1, 0, T - 1][:B])
    stepped = check.complex_step(problem.loss, problem.point)
    assert check.normwise(problem.gradient(), stepped) <= 4e-15
    assert check.normwise(problem.dense().gradient(), stepped) <= 4e-15
    assert check.normwise(problem.gradient(), check.truth.gradient(problem, 30)) <= 2e-15
    with pytest.raises(TypeError, match="keeps no c of single steps"):
        check.Problem.of(nl.Recurrent(nl.LSTM, "fast"), nl.LSTM.init(D, H, rng), xs, dcs=dcs[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: check.Problem.of(of_case(Network()), 3),
            "params given beside a numpy_lstm.cases.case.Case, which has its own arguments",
        ),
        (
            lambda: check.Problem.of(nl.Recurrent(nl.LSTM), dstates=3),
            "dstates given to a numpy_lstm.layers.Recurrent; expected dhs, dcs and dlast",
        ),
        (lambda: check.Problem.of("LSTM"), "cell is a str; expected a Page such as numpy_lstm.LSTM"),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == message
