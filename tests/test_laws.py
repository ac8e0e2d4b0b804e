"""Laws that hold for every cell, whatever its equations. No oracle, and no tolerance where bits must agree."""

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS, standard
from numpy_lstm import check, tree

pytestmark = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


def backward(problem: check.Problem, **cotangents: object) -> nl.Backward:
    run = nl.forward(problem.cell, *problem.point)
    return nl.backward(problem.cell, problem.point.params, run, **cotangents)


def same_bits(a: object, b: object) -> bool:
    return all(np.array_equal(x, y) for (_, x), (_, y) in zip(tree.leaves(a), tree.leaves(b), strict=True))


def test_linear_in_the_cotangents(cell: nl.Page) -> None:
    problem = standard(cell)
    other = tree.random_like(problem.cotangents, np.random.default_rng(1))
    at = lambda w: problem._replace(cotangents=w).gradient()  # noqa: E731
    combined = at(tree.add(tree.scale(3.0, problem.cotangents), other))
    assert check.normwise(combined, tree.add(tree.scale(3.0, at(problem.cotangents)), at(other))) <= 2e-15
    assert same_bits(at(tree.scale(1024.0, problem.cotangents)), tree.scale(1024.0, problem.gradient()))


def test_a_sequence_in_two_parts_is_the_sequence(cell: nl.Page) -> None:
    problem = standard(cell)
    params, xs, first = problem.point
    whole = nl.forward(cell, params, xs, first)
    a = nl.forward(cell, params, xs[:8], first)
    b = nl.forward(cell, params, xs[8:], a.last)
    assert same_bits(np.concatenate([a.hs, b.hs]), whole.hs)
    assert same_bits(b.last, whole.last)
    back = backward(problem, dlast=problem.cotangents.last)
    back_b = nl.backward(cell, params, b, dlast=problem.cotangents.last)
    back_a = nl.backward(cell, params, a, dlast=back_b.dfirst)
    assert same_bits(back_a.dfirst, back.dfirst)
    assert same_bits(np.concatenate([back_a.dxs, back_b.dxs]), back.dxs)
    assert check.normwise(tree.add(back_a.dparams, back_b.dparams), back.dparams) <= 1e-15


def test_a_batch_is_its_rows(cell: nl.Page) -> None:
    problem = standard(cell)
    together = problem.gradient()
    params = tree.scale(0, problem.point.params)
    for b in range(4):
        at = slice(b, b + 1)
        states, last = problem.cotangents
        alone = problem._replace(
            point=check.Point(
                problem.point.params, problem.point.xs[:, at], tree.map(lambda a, at=at: a[at], problem.point.first)
            ),
            cotangents=check.Outputs(
                tree.map(lambda a, at=at: a[:, at], states), tree.map(lambda a, at=at: a[at], last)
            ),
        ).gradient()
        params = tree.add(params, alone.params)
        assert check.normwise(alone.xs, together.xs[:, at]) <= 2e-15
        assert check.normwise(alone.first, tree.map(lambda a, at=at: a[at], together.first)) <= 2e-15
    assert check.normwise(params, together.params) <= 2e-15


def test_hidden_units_have_no_order(cell: nl.Page) -> None:
    problem = standard(cell)
    order = np.random.default_rng(1).permutation(7)

    def permute(name: str, a: np.ndarray) -> np.ndarray:
        if name[0] in "UR":
            return a[order][:, order]
        return a[order] if name[0] == "W" else a[..., order]

    def permuted(record: object) -> object:
        return type(record)(**{k: None if a is None else permute(k, a) for k, a in record._asdict().items()})

    (params, xs, first), (states, last) = problem.point, problem.cotangents
    shuffled = check.Problem(
        cell, check.Point(permuted(params), xs, permuted(first)), check.Outputs(permuted(states), permuted(last))
    ).gradient()
    plain = problem.gradient()
    expected = check.Point(permuted(plain.params), plain.xs, permuted(plain.first))
    assert check.normwise(shuffled, expected) <= 2e-15


def test_no_array_of_the_caller_is_written_and_two_calls_agree(cell: nl.Page) -> None:
    problem = standard(cell)
    before = tree.map(np.copy, (problem.point, problem.cotangents))
    first, second = problem.gradient(), problem.gradient()
    assert same_bits(first, second)
    assert same_bits(before, (problem.point, problem.cotangents))


def test_a_tape_outlives_its_input_buffer(cell: nl.Page) -> None:
    problem = standard(cell)
    params, xs, first = tree.map(np.copy, problem.point)
    run = nl.forward(cell, params, xs, first)
    xs[:] = np.nan
    states, last = problem.cotangents
    back = nl.backward(cell, params, run, dlast=last, dstates=states)
    assert same_bits(check.Point(back.dparams, back.dxs, back.dfirst), problem.gradient())


def test_an_empty_sequence_is_defined(cell: nl.Page) -> None:
    problem = standard(cell)
    params, xs, first = problem.point
    run = nl.forward(cell, params, xs[:0], first)
    assert run.hs.shape == (0, 4, 7)
    assert same_bits(run.last, first)
    back = nl.backward(cell, params, run, dlast=problem.cotangents.last)
    assert same_bits(back.dfirst, problem.cotangents.last)
    assert back.dxs.shape == (0, 4, 5)
    assert same_bits(back.dparams, tree.scale(0, params))


def test_an_absent_first_state_is_zero(cell: nl.Page) -> None:
    params, xs, _ = standard(cell).point
    assert same_bits(nl.forward(cell, params, xs), nl.forward(cell, params, xs, cell.zero_state(4, 7)))


def test_nan_is_never_hidden(cell: nl.Page) -> None:
    params, xs, first = standard(cell).point
    name = params._fields[0]
    poisoned = params._replace(**{name: np.full_like(getattr(params, name), np.nan)})
    run = nl.forward(cell, poisoned, xs, first)
    back = nl.backward(cell, poisoned, run, dhs=np.ones_like(run.hs))
    assert np.isnan(run.hs).all()
    assert np.isnan(getattr(back.dparams, name)).all()
    assert np.isnan(back.dxs).all()


def test_the_layer_is_the_scan(cell: nl.Page) -> None:
    problem = standard(cell)
    layer = nl.Recurrent(cell)
    run = layer.forward(*problem.point)
    states, last = problem.cotangents
    back = layer.backward(problem.point.params, run, dlast=last, dstates=states)
    assert same_bits(check.Point(back.dparams, back.dxs, back.dfirst), problem.gradient())
    a, b = (owner.init(5, 7, np.random.default_rng(3)) for owner in (layer, cell))
    assert same_bits(a, b)


LENGTHS = [20, 7, 1, 0]


def test_padding_has_no_influence(cell: nl.Page) -> None:
    """Each row alone, at its own length, gives the same; NaN and inf in the padding change no bit."""
    problem = standard(cell)
    (params, xs, first), (states, last) = problem.point, problem.cotangents

    def run(xs: np.ndarray, dhs: np.ndarray) -> tuple[nl.Forward, nl.Backward]:
        forward = nl.forward(cell, params, xs, first, lengths=LENGTHS)
        return forward, nl.backward(cell, params, forward, dhs, getattr(states, "c", None), last)

    padding = np.arange(20)[:, None] >= np.array(LENGTHS)
    forward, back = run(xs, states.h)
    garbage_x, garbage_d = xs.copy(), states.h.copy()
    garbage_x[padding], garbage_d[padding] = np.nan, np.inf
    again, back_again = run(garbage_x, garbage_d)
    assert same_bits((forward.hs, forward.last), (again.hs, again.last))
    assert same_bits(back[:3], back_again[:3])
    assert not forward.hs[padding].any()
    assert not back.dxs[padding].any()
    for d in back.cotangents:
        assert not d[padding].any()

    dparams = tree.scale(0, params)
    for b, n in enumerate(LENGTHS):
        row = lambda a, b=b: a[..., b : b + 1, :]  # noqa: E731
        alone = nl.forward(cell, params, row(xs)[:n], tree.map(row, first))
        given = tree.map(lambda a, row=row, n=n: row(a)[:n], states)
        back_alone = nl.backward(cell, params, alone, given.h, getattr(given, "c", None), tree.map(row, last))
        assert check.normwise(row(forward.hs)[:n], alone.hs) <= 1e-15
        assert check.normwise(tree.map(row, forward.last), alone.last) <= 1e-15
        assert check.normwise(tree.map(row, back.dfirst), back_alone.dfirst) <= 2e-15
        assert check.normwise(row(back.dxs)[:n], back_alone.dxs) <= 2e-15
        dparams = tree.add(dparams, back_alone.dparams)
    assert check.normwise(back.dparams, dparams) <= 2e-15


def test_a_row_that_is_never_alive_contributes_nothing(cell: nl.Page) -> None:
    """Not even if its first state is NaN."""
    problem = standard(cell)
    (params, xs, first), (states, _) = problem.point, problem.cotangents
    first = tree.map(np.copy, first)
    for _, a in tree.leaves(first):
        a[3] = np.nan
    run = nl.forward(cell, params, xs, first, lengths=LENGTHS)
    back = nl.backward(cell, params, run, states.h)
    assert np.isfinite(tree.flatten(back.dparams)).all()


def test_lengths_of_an_empty_sequence(cell: nl.Page) -> None:
    params, xs, first = standard(cell).point
    run = nl.forward(cell, params, xs[:0], first, lengths=[0, 0, 0, 0])
    assert run.alive.shape == (0, 4, 1)
    assert run.alive.dtype == bool
    assert same_bits(nl.backward(cell, params, run, dlast=first).dfirst, first)
