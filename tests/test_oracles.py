"""The hand-derived gradient against every route that shares no derivation with it. Bounds are promises."""

from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS, PAGES, seeds, standard
from numpy_lstm import check, tree
from numpy_lstm.check import truth
from reference import differences, mechanical, regimes, torch_oracle

each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
each_page = pytest.mark.parametrize("cell", PAGES, ids=lambda cell: cell.name)
REFERENCE = (nl.RNN, nl.LSTM)  # the reference pages meet every route with every seed, the others with fewer


def without(problem: check.Problem, *absent: str) -> check.Problem:
    """The problem without cotangents for ``every_h``, ``every_c``, ``last_h`` or ``last_c``."""

    def drop(state: tuple, when: str) -> tuple:
        return state._replace(**{k: None for k in state._fields if f"{when}_{k}" in absent})

    states, last = problem.cotangents
    return problem._replace(cotangents=check.Outputs(drop(states, "every"), drop(last, "last")))


@each_page
def test_50_digits_against_a_formula_free_70_digit_difference(cell: nl.Page) -> None:
    problem = standard(cell, T=2, B=1, D=1, H=3)
    rows = check.compare(truth.gradient(problem), differences.central_difference(problem), problem.absolute_paths())
    assert check.worst(row.normwise for row in rows) <= 1e-40


def each_cell_and_seed(all_seeds: Any, fewer: int) -> Any:
    pairs = [(cell, seed) for cell in CELLS for seed in (all_seeds if cell in REFERENCE else range(fewer))]
    return pytest.mark.parametrize(("cell", "seed"), pairs, ids=lambda value: getattr(value, "name", None))


@each_cell_and_seed(seeds(20), len(seeds(2, 1)))
def test_against_truth(cell: nl.Page, seed: int) -> None:
    problem = standard(cell, seed)
    ours, exact = problem.gradient(), truth.gradient(problem)
    rows = check.compare(ours, exact, problem.absolute_paths())
    assert check.normwise(ours, exact) <= 1e-15
    if cell in REFERENCE:  # the reference pages: array by array
        assert check.worst(row.normwise for row in rows) <= 1e-15
    assert check.worst(row.K for row in rows) <= 4

    single = problem.astype(np.float32).gradient()
    assert {a.dtype for _, a in tree.leaves(single)} == {np.dtype(np.float32)}
    # Outside the reference pages the forward pass may amplify what rounding did to it (layer norm divides by a spread).
    assert check.normwise(single, exact) <= (3e-7 if cell in REFERENCE else 1e-6)


@pytest.mark.parametrize("regime", [name for name in regimes.REGIMES if name != "standard"])
def test_saturated_gates_against_truth(regime: str) -> None:
    """K <= 16 for us in every run; torch takes derivatives from the activation, and loses what 1 - s has lost."""
    ours, theirs = [], {torch_oracle.tensor_cell: [], torch_oracle.module: []}
    for seed in seeds(20):
        problem = regimes.lstm_problem(regime, seed)
        exact, paths = truth.gradient(problem), problem.absolute_paths()
        ours.append(check.K(problem.gradient(), exact, paths))
        for route, errors in theirs.items():
            errors.append(check.K(route(problem), exact, paths))
    assert check.worst(ours) <= 16
    if regime.endswith(("+10", "+15", "+8")):  # 1 / (1 - s) is above 1000: three digits or more
        for errors in theirs.values():
            assert max(errors) > 16


@pytest.mark.parametrize(
    ("cell", "regime"),
    [
        (cell, name)
        for cell in PAGES
        if cell is not nl.LSTM
        for name in regimes.OF_PAGE[cell.equations]
        if name != "standard"
    ],
)
def test_every_page_keeps_its_digits_in_saturation(cell: nl.Page, regime: str) -> None:
    for seed in seeds(2, 1):
        problem = regimes.problem(cell, regime, seed)
        assert check.K(problem.gradient(), truth.gradient(problem), problem.absolute_paths()) <= 16


@each_cell
@pytest.mark.parametrize("h", [1e-200, 1e-100, 1e-30, 1e-16])
def test_complex_step(cell: nl.Page, h: float) -> None:
    problem = standard(cell, T=20 if h == 1e-30 else 5)
    stepped = check.complex_step(problem.loss, problem.point, h=h, chunk=256)
    assert check.normwise(stepped, problem.gradient()) <= 2e-15


@each_page
def test_one_direction_at_a_time_is_the_batch_of_directions(cell: nl.Page) -> None:
    problem = standard(cell, T=2, B=3, D=1, H=2)
    for route in (check.complex_step, check.finite_difference, check.richardson):
        one, batch = (route(problem.loss, problem.point, chunk=n) for n in (None, 7))
        assert check.normwise(one, batch) <= 1e-11  # BLAS may add in another order, which a difference magnifies


@each_page
@pytest.mark.parametrize("route", [mechanical.reverse_mode, mechanical.forward_mode, mechanical.rtrl])
@pytest.mark.parametrize("seed", seeds(3, 2))
def test_routes_through_the_rows(cell: nl.Page, route: object, seed: int) -> None:
    problem = standard(cell, seed)
    got, ours = route(problem), problem.gradient()
    if route is mechanical.rtrl:  # which has no gradient for the inputs
        ours = ours._replace(xs=None)
    assert check.normwise(got, ours) <= 2e-15


@each_page
def test_dot_identity(cell: nl.Page) -> None:
    problem = standard(cell)
    vjp = lambda w: problem._replace(cotangents=w).gradient()  # noqa: E731
    by_complex_step = lambda v: check.directional(problem.outputs, problem.point, v)  # noqa: E731
    by_rows = lambda v: tree.map(  # noqa: E731
        lambda a: a[0], mechanical.jvp(problem, tree.map(lambda a: a[None], v))
    )
    for jvp in (by_complex_step, by_rows):
        result = check.dot_test(
            jvp, vjp, problem.point, problem.cotangents, np.random.default_rng(1), len(seeds(200, 10))
        )
        assert result.error <= 1e-15


@each_page
@pytest.mark.parametrize("seed", seeds(2, 1))
def test_taylor_slopes_and_hessian_vector(cell: nl.Page, seed: int) -> None:
    problem = standard(cell, seed, T=10)
    rng = np.random.default_rng(seed)
    u, v = (tree.random_like(problem.point, rng) for _ in range(2))
    v = tree.scale(1 / tree.norm(v), v)
    Hu, Hv = (check.hessian_vector(problem.gradient, problem.point, d) for d in (u, v))
    assert check.normwise(Hv, differences.hessian_vector(problem, v)) <= 2e-15
    assert abs(tree.dot(u, Hv) - tree.dot(v, Hu)) <= 2e-15 * tree.norm(u) * tree.norm(Hv)

    wide = problem.astype(np.longdouble)  # where it is wider than float64, the third order has room
    gradient = wide.gradient()
    assert abs(check.taylor_test(wide.loss, gradient, wide.point, v).slope - 2) <= 0.02
    assert abs(check.taylor_test(problem.loss, problem.gradient(), problem.point, v).slope - 2) <= 0.02
    Hv = check.hessian_vector(wide.gradient, wide.point, v)
    assert abs(check.taylor_test(wide.loss, gradient, wide.point, v, Hv).slope - 3) <= 0.1
    wrong = tree.scale(1.1, gradient)
    assert check.taylor_test(wide.loss, wrong, wide.point, v).slope < 1.98


@each_cell_and_seed(seeds(50, 15), len(seeds(10, 5)))
def test_torch(cell: nl.Page, seed: int) -> None:
    """Random sizes, each axis 1 in turn. nn.LSTM sees whole sequences (no c_t), then single steps (every c_t)."""
    rng = np.random.default_rng(seed)
    T, B, D, H = (int(n) for n in rng.integers(1, 24, 4))
    sizes = {"T": T, "B": B, "D": D, "H": H}
    if seed % 5:
        sizes["TBDH"[seed % 5 - 1]] = 1
    if cell is nl.LayerNormLSTM:  # one or two normalised units are constant, and torch's layer_norm loses 1e-14 there
        sizes["H"] = max(sizes["H"], 3)
    problem = standard(cell, seed, **sizes)
    ours = problem.gradient()
    assert check.normwise(torch_oracle.tensor_cell(problem), ours) <= 3e-15
    if cell in (nl.RNN, nl.ReLURNN, nl.LSTM, nl.GRU):
        assert check.normwise(torch_oracle.module(problem), ours) <= 3e-15
        whole = without(problem, "every_c")
        assert check.normwise(torch_oracle.module(whole), whole.gradient()) <= 3e-15


@each_page
def test_differences_with_the_step_swept(cell: nl.Page) -> None:
    """Truncation falls as step^2 until rounding rises as 1/step; where the best lies depends on the cell."""
    problem = standard(cell, T=8, B=3, D=3, H=5)
    ours = problem.gradient()

    def errors(route: Any, steps: list[float]) -> list[float]:
        return [check.normwise(route(problem.loss, problem.point, h, chunk=256), ours) for h in steps]

    central = errors(check.finite_difference, [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8])
    assert min(central) <= 1e-9
    if cell is not nl.ReLURNN:  # a kink within a step has an error of another order
        assert central[1] / central[2] == pytest.approx(100, rel=0.2)
    assert central[-1] > 10 * min(central)
    assert min(errors(check.richardson, [2.0**-k for k in (5, 7, 9, 11)])) <= 1e-11


@each_cell
@pytest.mark.parametrize("absent", [("every_h",), ("every_c",), ("last_h", "last_c"), ("every_h", "every_c", "last_h")])
def test_absent_cotangents_count_as_zero(cell: nl.Page, absent: tuple[str, ...]) -> None:
    partial = without(standard(cell), *(absent if "c" in cell.State._fields else absent[:1]))
    dense = partial.dense()
    for (_, a), (_, b) in zip(tree.leaves(partial.gradient()), tree.leaves(dense.gradient()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_zero_cotangents_give_zero() -> None:
    problem = standard(nl.LSTM)
    run = nl.forward(nl.LSTM, *problem.point)
    back = nl.backward(nl.LSTM, problem.point.params, run, dhs=np.zeros_like(run.hs))
    assert not any(np.any(a) for _, a in tree.leaves(back))


@pytest.mark.parametrize("length", [1, 3, 7])
def test_truncated_bptt_is_a_composition_of_calls(length: int) -> None:
    """The state is carried and the cotangent is not: torch says the same when the state is detached."""
    problem = without(standard(nl.LSTM), "last_h", "last_c")
    params, xs, state = problem.point
    dhs, dcs = problem.cotangents.states
    total = tree.scale(0, params)
    for t in range(0, len(xs), length):
        chunk = slice(t, t + length)
        run = nl.forward(nl.LSTM, params, xs[chunk], state)
        total = tree.add(total, nl.backward(nl.LSTM, params, run, dhs[chunk], dcs[chunk]).dparams)
        state = run.last
    assert check.normwise(total, torch_oracle.truncated(problem, length).params) <= 3e-15
    assert check.normwise(total, problem.gradient().params) > 0.01


def test_chunks_with_the_cotangent_carried_are_the_full_gradient() -> None:
    problem = standard(nl.LSTM)
    params, xs, state = problem.point
    (dhs, dcs), carried = problem.cotangents
    runs = []
    for t in range(0, len(xs), 6):
        runs.append((slice(t, t + 6), nl.forward(nl.LSTM, params, xs[t : t + 6], state)))
        state = runs[-1][1].last
    total = tree.scale(0, params)
    for chunk, run in reversed(runs):
        back = nl.backward(nl.LSTM, params, run, dhs[chunk], dcs[chunk], carried)
        total, carried = tree.add(total, back.dparams), back.dfirst
    full = problem.gradient()
    assert check.normwise(total, full.params) <= 1e-15
    assert check.normwise(carried, full.first) == 0


def test_a_dot_test_measures_what_is_wrong() -> None:
    """A vjp that is 1e-8 too large shows as about 1e-8 over the norms; NaN and all zeros are failures."""
    problem = standard(nl.LSTM)
    jvp = lambda v: check.directional(problem.outputs, problem.point, v)  # noqa: E731
    vjp = lambda w: problem._replace(cotangents=w).gradient()  # noqa: E731

    def error(factor: float) -> float:
        rng = np.random.default_rng(0)
        wrong = lambda w: tree.scale(factor, vjp(w))  # noqa: E731
        return check.dot_test(jvp, wrong, problem.point, problem.cotangents, rng, pairs=50).error

    assert 1e-10 < error(1 + 1e-8) < 1e-8
    assert error(np.nan) == np.inf
    assert error(0.0) == np.inf


@each_cell
def test_the_yardstick_is_the_sum_of_absolute_paths(cell: nl.Page) -> None:
    """S bounds the gradient, does not depend on any sign of a cotangent, and is linear in their sizes."""
    problem = standard(cell, T=6)
    S, g = problem.absolute_paths(), problem.gradient()
    for (_, s), (_, a) in zip(tree.leaves(S), tree.leaves(g), strict=True):
        assert np.all(s >= np.abs(a) * (1 - 1e-12))
    flipped = problem._replace(cotangents=tree.map(lambda a: -a, problem.cotangents)).absolute_paths()
    assert check.normwise(flipped, S) == 0
    double = problem._replace(cotangents=tree.scale(2.0, problem.cotangents)).absolute_paths()
    assert check.normwise(double, tree.scale(2.0, S)) == 0


def test_where_all_paths_are_positive_the_yardstick_is_the_gradient() -> None:
    problem = standard(nl.LSTM)
    positive = problem._replace(point=tree.map(np.abs, problem.point), cotangents=tree.map(np.abs, problem.cotangents))
    S, g = positive.absolute_paths(), positive.gradient()
    for (name, s), (_, a) in zip(tree.leaves(S), tree.leaves(g), strict=True):
        np.testing.assert_array_equal(s, a, err_msg=name)


def test_a_problem_is_bound_as_forward_and_backward_are() -> None:
    params, xs, first = standard(nl.LSTM, T=3).point
    with pytest.raises(nl.ShapeError, match=r"^dhs has shape \(1, 4, 7\); expected \(T=3, B=4, R=7\)"):
        check.Problem.of(nl.LSTM, params, xs, first, dhs=np.ones((1, 4, 7)))
    with pytest.raises(TypeError, match=r"^no cotangent was given, so there is nothing to propagate; expected dhs"):
        check.Problem.of(nl.LSTM, params, xs)
    silent = check.Problem.of(nl.LSTM, params, xs, dhs=np.zeros((3, 4, 7)))
    assert silent.loss(silent.point) == 0
    assert not tree.flatten(silent.gradient()).any()


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1.0, 1e170, 1e300])
def test_normwise_error_at_any_scale(scale: float) -> None:
    truth_, got = np.array([scale, -scale]), np.array([2 * scale, -scale])
    assert check.normwise([got], [truth_]) == pytest.approx(1 / np.sqrt(2))
    assert tree.norm([truth_]) == pytest.approx(np.sqrt(2) * scale)
    assert check.normwise([0 * got], [truth_]) == pytest.approx(1)
    assert check.normwise([np.nan * got], [truth_]) == np.inf


def test_nan_is_never_the_smaller_error() -> None:
    assert check.worst([0.0, np.nan, 1.0]) == np.inf
    one, bad = {"a": np.ones(2)}, {"a": np.array([1.0, np.nan])}
    assert check.K(bad, one, one) == np.inf
    assert check.K(bad, bad, bad) == np.inf
    assert check.K(one, one, bad) == np.inf
