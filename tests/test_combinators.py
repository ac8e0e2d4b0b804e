"""Cells made from cells: identities, and the oracles that do not care how a cell was made."""

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS, seeds, standard
from numpy_lstm import check, tree
from numpy_lstm.check import truth
from reference import differences, torch_oracle

COMBINED = [
    nl.projected(nl.LSTM, 3),
    nl.projected(nl.PeepholeLSTM, 3),
    nl.projected(nl.CoupledLSTM, 9),
    nl.projected(nl.LayerNormLSTM, 3),
    nl.projected(nl.FullGateLSTM, 3),
    nl.projected(nl.RNN, 4),
    *(nl.zoneout(cell) for cell in CELLS[:8]),
    nl.zoneout(nl.projected(nl.LSTM, 3)),
    nl.zoneout(nl.projected(nl.RNN, 4)),
]
each = pytest.mark.parametrize("cell", COMBINED, ids=lambda cell: cell.name)


def drawn(cell: nl.Page, seed: int = 0, **sizes: int) -> check.Problem:
    """The standard problem; the masks of a zoneout are zeros and ones in its first half, fractions in the rest."""
    problem = standard(cell, seed, **sizes)
    if len(cell.reads) == 1:
        return problem
    rng = np.random.default_rng(seed)

    def mask(a: np.ndarray) -> np.ndarray:
        half = len(a) // 2
        parts = [rng.random(a[:half].shape) < 0.4, rng.random(a[half:].shape)]
        return np.concatenate(parts).astype(np.float32).astype(np.float64)

    xs = problem.point.xs
    xs = xs._replace(**{k: mask(a) for k, a in xs._asdict().items() if k.startswith("keep")})
    return problem._replace(point=problem.point._replace(xs=xs))


@each
@pytest.mark.parametrize("seed", seeds(3, 1))
def test_against_every_oracle(cell: nl.Page, seed: int) -> None:
    short = drawn(cell, seed, T=6, B=3)
    assert check.normwise(check.complex_step(short.loss, short.point, chunk=256), short.gradient()) <= 2e-15
    problem = drawn(cell, seed)
    ours = problem.gradient()
    assert check.normwise(torch_oracle.tensor_cell(problem), ours) <= 3e-15
    rows = check.compare(ours, truth.gradient(problem), problem.absolute_paths())
    assert check.worst(row.normwise for row in rows) <= 2e-15
    # K promises nothing for a mask: its cotangent is a single product, which shows what the forward pass did to it.
    assert check.worst(row.K for row in rows if "keep" not in row.name) <= 6
    jvp = lambda v: check.directional(problem.outputs, problem.point, v)  # noqa: E731
    vjp = lambda w: problem._replace(cotangents=w).gradient()  # noqa: E731
    rng = np.random.default_rng(seed)
    assert check.dot_test(jvp, vjp, problem.point, problem.cotangents, rng, pairs=len(seeds(20, 5))).error <= 1e-15


@each
def test_against_a_formula_free_difference(cell: nl.Page) -> None:
    problem = drawn(cell, T=2, B=1, D=2, H=2) if cell.R is None else drawn(cell, T=2, B=1, D=1, H=2)
    assert check.normwise(truth.gradient(problem), differences.central_difference(problem)) <= 1e-40


@each
def test_lengths(cell: nl.Page) -> None:
    problem = drawn(cell)
    (params, xs, first), (states, last) = problem.point, problem.cotangents
    lengths = [20, 7, 1, 0]
    padding = np.arange(20)[:, None] >= np.array(lengths)
    garbage = tree.map(lambda a: np.where(padding[..., None], np.nan, a), xs)
    runs = [nl.forward(cell, params, x, first, lengths) for x in (xs, garbage)]
    backs = [nl.backward(cell, params, run, dlast=last, dstates=states) for run in runs]
    for (_, a), (_, b) in zip(tree.leaves(backs[0][:3]), tree.leaves(backs[1][:3]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(not a[padding].any() for _, a in tree.leaves((backs[0].dxs, runs[0].hs)))
    row = lambda a: a[..., 1:2, :]  # noqa: E731
    alone = nl.forward(cell, params, tree.map(lambda a: row(a)[:7], xs), tree.map(row, first))
    assert check.normwise(row(runs[0].hs)[:7], alone.hs) <= 1e-15
    assert check.normwise(tree.map(row, runs[0].last), alone.last) <= 1e-15


def as_records(cell: nl.Page, back: nl.Backward) -> check.Point:
    return check.Point(back.dparams, back.dxs, back.dfirst)


def test_peepholes_of_zero_are_the_lstm() -> None:
    problem = standard(nl.LSTM)
    p, xs, first = problem.point
    zero = {k: np.zeros(7) for k in ("p_i", "p_f", "p_o")}
    same = check.Problem(
        nl.PeepholeLSTM,
        check.Point(nl.PeepholeLSTM.Params(**p._asdict(), **zero), xs, nl.PeepholeLSTM.State(*first)),
        check.Outputs(*(nl.PeepholeLSTM.State(*s) for s in problem.cotangents)),
    ).gradient()
    ours = problem.gradient()
    for name, a in tree.leaves(ours.params):
        np.testing.assert_allclose(getattr(same.params, name), a, rtol=0, atol=2e-15 * np.abs(a).max())
    assert check.normwise([same.xs, *same.first], [ours.xs, *ours.first]) <= 2e-15


@pytest.mark.parametrize("cell", [nl.LSTM, nl.PeepholeLSTM, nl.RNN], ids=lambda c: c.name)
def test_a_projection_by_the_identity_is_the_cell(cell: nl.Page) -> None:
    problem = standard(cell)
    wide = nl.projected(cell, 7)
    p, xs, first = problem.point
    same = check.Problem(wide, check.Point(wide.Params(*p, M=np.eye(7)), xs, first), problem.cotangents).gradient()
    assert (
        check.normwise(
            [*same.params[:-1], same.xs, *same.first],
            [*problem.gradient().params, *problem.gradient()[1:2], *problem.gradient().first],
        )
        <= 2e-15
    )


def test_coupled_gates_are_an_lstm_with_opposite_gates() -> None:
    """i = sigmoid(-a_f): W_i, U_i, b_i are -W_f, -U_f, -b_f, and the gradient of f collects minus that of i."""
    problem = standard(nl.CoupledLSTM)
    p, xs, first = problem.point
    both = nl.LSTM.Params(**p._asdict(), W_i=-p.W_f, U_i=-p.U_f, b_i=-p.b_f)
    lstm = check.Problem(
        nl.LSTM,
        check.Point(both, xs, nl.LSTM.State(*first)),
        check.Outputs(*(nl.LSTM.State(*s) for s in problem.cotangents)),
    ).gradient()
    ours = problem.gradient()
    for kind in "WUb":
        expected = getattr(lstm.params, f"{kind}_f") - getattr(lstm.params, f"{kind}_i")
        assert check.normwise(getattr(ours.params, f"{kind}_f"), expected) <= 2e-15
    assert check.normwise([ours.xs, *ours.first], [lstm.xs, *lstm.first]) <= 2e-15


def test_the_carousel() -> None:
    """f = 1, i = 0 and no recurrence: the cell and its cotangent stay what they are, bit for bit."""
    problem = standard(nl.LSTM)
    p, xs, first = problem.point
    p = p._replace(
        **{k: 0 * getattr(p, k) for k in p._fields if k[0] in "WU"}, b_f=np.full(7, 40.0), b_i=np.full(7, -800.0)
    )
    run = nl.forward(nl.LSTM, p, xs, first)
    dc = problem.cotangents.last.c
    back = nl.backward(nl.LSTM, p, run, dlast=nl.LSTM.State(h=None, c=dc))
    np.testing.assert_array_equal(run.values.c, np.broadcast_to(first.c, (20, 4, 7)))
    np.testing.assert_array_equal(back.cotangents.c, np.broadcast_to(dc, (20, 4, 7)))


@pytest.mark.parametrize("name", ["NIG", "NFG", "NOG"])
def test_a_gate_that_is_gone_has_no_gradient(name: str) -> None:
    cell, gate = nl.ABLATIONS[name], name[1].lower()
    problem = standard(cell)
    gradient = problem.gradient().params
    run = nl.forward(cell, *problem.point)
    assert np.all(getattr(run.values, gate) == 1)
    for kind in "WUb":
        assert not getattr(gradient, f"{kind}_{gate}").any()
    assert set(nl.ABLATIONS) == {"V", "NP", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR"}


@pytest.mark.parametrize("cell", [nl.LSTM, nl.GRU], ids=lambda c: c.name)
def test_zoneout_at_its_ends(cell: nl.Page) -> None:
    """Keep nothing: the cell. Keep everything: the state never moves, and its cotangent neither."""
    problem = standard(cell)
    params, xs, first = problem.point
    z = nl.zoneout(cell)
    none, all_ = (nl.zoneout_input(cell, xs, 7, **dict.fromkeys(cell.State._fields, p)) for p in (0.0, 1.0))
    run, plain = nl.forward(z, params, none, first), nl.forward(cell, params, xs, first)
    np.testing.assert_array_equal(run.hs, plain.hs)
    stuck = nl.forward(z, params, all_, first)
    np.testing.assert_array_equal(stuck.hs, np.broadcast_to(first.h, stuck.hs.shape))
    back = nl.backward(z, params, stuck, dlast=problem.cotangents.last)
    for (_, a), (_, b) in zip(tree.leaves(back.dfirst), tree.leaves(problem.cotangents.last), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not tree.flatten(back.dparams).any()


def test_zoneout_masks() -> None:
    xs = np.zeros((50, 40, 3))
    x = nl.zoneout_input(nl.LSTM, xs, 8, np.random.default_rng(0), h=0.05, c=0.5)
    assert set(np.unique(x.keep_h)) == {0.0, 1.0}
    assert x.keep_h.mean() == pytest.approx(0.05, abs=0.01)
    assert x.keep_c.mean() == pytest.approx(0.5, abs=0.02)
    expected = nl.zoneout_input(nl.LSTM, xs, 8, h=0.05, c=0.5)
    assert np.all(expected.keep_h == 0.05)
    assert np.all(expected.keep_c == 0.5)
    with pytest.raises(ValueError, match="GRU has no c in its state, only h"):
        nl.zoneout_input(nl.GRU, xs, 8, c=0.1)
    with pytest.raises(ValueError, match=r"the probabilities \{'h': 1.5\} are not between 0 and 1"):
        nl.zoneout_input(nl.GRU, xs, 8, h=1.5)


@pytest.mark.parametrize("cell", [nl.GRU, nl.GRUResetBefore, nl.projected(nl.LSTM, 3)], ids=lambda c: c.name)
def test_what_cannot_be_projected(cell: nl.Page) -> None:
    with pytest.raises(ValueError, match="cannot be projected: its equations need an output of width H"):
        nl.projected(cell, 2)
    with pytest.raises(ValueError, match=r"^R is 0; expected a positive integer$"):
        nl.projected(nl.LSTM, 0)
    with pytest.raises(ValueError, match=r"^R is 2.0; expected a positive integer$"):
        nl.projected(nl.LSTM, 2.0)
    assert nl.projected(nl.LSTM, 2).R == 2
    with pytest.raises(ValueError, match=r"^zoneout\(LSTM\) cannot be projected: project first, then zoneout$"):
        nl.projected(nl.zoneout(nl.LSTM), 2)
    with pytest.raises(ValueError, match=r"^zoneout\(LSTM\) already has masks$"):
        nl.zoneout(nl.zoneout(nl.LSTM))


def test_a_projected_width_is_checked_by_name() -> None:
    cell = nl.projected(nl.LSTM, 3)
    p = cell.init(5, 7, np.random.default_rng(0))
    assert p.U_i.shape == (7, 3)
    assert p.M.shape == (3, 7)
    with pytest.raises(nl.ShapeError) as caught:
        nl.forward(cell, p._replace(U_f=np.zeros((7, 7))), np.zeros((2, 4, 5)))
    assert (
        str(caught.value)
        == "params.U_f has shape (7, 7); expected (H=7, R=3), where R=3 was fixed by projected(LSTM, 3)"
    )
    zoned = nl.zoneout(nl.LSTM)
    with pytest.raises(TypeError, match=r"xs is a numpy.ndarray; expected zoneout\(LSTM\).Input\(x, keep_h, keep_c\)"):
        nl.forward(zoned, nl.LSTM.init(5, 7, np.random.default_rng(0)), np.zeros((2, 4, 5)))
