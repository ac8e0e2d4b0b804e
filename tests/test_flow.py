"""Gradient-flow instruments: what they return is what the backward pass did, and what other routes say."""

from typing import Any

import numpy as np
import pytest
from own_cells import CHUNG, MGU

import numpy_lstm as nl
from cases import PAGES, READING, VARIANTS, standard
from numpy_lstm import check, flow, tree
from numpy_lstm.flow.passes import every_step

COMBINED = [nl.projected(nl.LSTM, 3), nl.projected(nl.PeepholeLSTM, 3), nl.zoneout(nl.LSTM), nl.zoneout(nl.GRU)]
OWN = [MGU, CHUNG, nl.zoneout(MGU)]
CELLS = [*PAGES, *VARIANTS, *COMBINED, *OWN, *READING]
LENGTHS = [20, 7, 1, 13]


def seen(cell: nl.Page, lengths: Any = None, dcs: bool = True, seed: int = 0) -> tuple[flow.Pass, nl.Backward]:
    """The standard problem as a Pass, with gradient into every h_t, c_t and the last state; and its backward pass."""
    (params, xs, first), (states, last) = standard(cell, seed)[1:3]
    given = {"dhs": states.h, "dcs": getattr(states, "c", None) if dcs else None, "dlast": last}
    run = nl.forward(cell, params, xs, first, lengths)
    back = nl.backward(cell, params, run, **given)
    (p,) = flow.passes(cell, params, xs, first, lengths, **given)
    return p, back


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_paths_add_up(cell: nl.Page, lengths: Any) -> None:
    p, back = seen(cell, lengths)
    for signal in cell.State._fields:
        parts = flow.split(p, signal)
        total = getattr(back.cotangents, signal)
        size = sum(np.abs(a) for a in parts.values())
        for t in range(20):
            gap = np.linalg.norm(sum(a[t] for a in parts.values()) - total[t])
            assert gap <= 1e-15 * np.linalg.norm(size[t])
        for name, part in parts.items():
            assert check.normwise(total - part, total) > 1e-12 or not np.any(part), f"without {name} nothing is missing"


@pytest.mark.parametrize("cell", [nl.LSTM, nl.PeepholeLSTM], ids=lambda cell: cell.name)
def test_the_paths_are_those_of_the_equations(cell: nl.Page) -> None:
    """Each part written out by hand, at each step."""
    p, back = seen(cell)
    params, v, d = p.params, p.run.values, back.cotangents
    _, (states, last) = standard(cell)[1:3]
    slope = v.o / np.cosh(v.c) ** 2
    parts = flow.split(p)
    for t in range(20):
        expected = {"given": states.c[t], "output": states.h[t] * slope[t]}
        if t == 19:
            expected = {"given": states.c[t] + last.c, "output": (states.h[t] + last.h) * slope[t]}
        else:
            expected["carry"] = d.c[t + 1] * v.f[t + 1]
            for k in "ifgo":
                expected[f"gate {k}"] = getattr(d, f"a_{k}")[t + 1] @ getattr(params, f"U_{k}") * slope[t]
        if cell is nl.PeepholeLSTM:
            expected["peephole o"] = d.a_o[t] * params.p_o
            if t < 19:
                expected |= {f"peephole {k}": getattr(d, f"a_{k}")[t + 1] * getattr(params, f"p_{k}") for k in "if"}
        for name, part in parts.items():
            assert check.normwise(part[t], expected.get(name, 0 * part[t])) <= 1e-14, (t, name)
        assert set(expected) <= set(parts)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_step_jacobians_by_complex_step(cell: nl.Page) -> None:
    p, _ = seen(cell)
    values = tree.map(lambda a: a[3], every_step(p.run))
    x = cell.input(values)
    state = cell.State(*(getattr(values, f"{k}_prev") for k in cell.State._fields))
    flat = tree.flatten(state, lead=1)  # (B,S)
    J = np.empty((*flat.shape, flat.shape[1]))
    for j in range(flat.shape[1]):
        stepped = flat.astype(complex)
        stepped[:, j] += 1e-30j
        complexes = tree.map(lambda a: a.astype(complex), (p.params, x))
        new, _ = cell.step(*complexes, tree.map(lambda a: a + 0j, _unflatten(stepped, state)))
        J[:, :, j] = tree.flatten(new, lead=1).imag / 1e-30
    assert check.normwise(flow.step_jacobian(cell, p.params, p.run, 3), J) <= 2e-15


def _unflatten(rows: Any, like: Any) -> Any:
    return type(like)(*np.split(rows, np.cumsum([a.shape[1] for a in like])[:-1], axis=1))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_product_of_jacobians_is_the_backward_pass(cell: nl.Page, lengths: Any) -> None:
    problem = standard(cell)
    (params, xs, first), (_, last) = problem[1:3]
    run = nl.forward(cell, params, xs, first, lengths)
    back = nl.backward(cell, params, run, dlast=last)
    product = flow.jacobian_product(cell, params, run)
    pulled = np.einsum("bi,bij->bj", tree.flatten(last, lead=1), product)
    assert check.normwise(pulled, tree.flatten(back.dfirst, lead=1)) <= 1e-13
    steps = flow.step_jacobians(cell, params, run)
    halves = flow.jacobian_product(cell, params, run, 5) @ flow.jacobian_product(cell, params, run, 0, 5)
    assert check.normwise(halves, product) <= 1e-13
    assert np.array_equal(steps[5], flow.step_jacobian(cell, params, run, 5))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_contributions_add_up_to_the_parameter_gradients(cell: nl.Page) -> None:
    p, back = seen(cell)
    total = tree.scale(0, back.dparams)
    for step in flow.contributions(p):
        total = tree.add(total, step)
    assert check.normwise(total, back.dparams) <= 1e-14
    table = flow.contribution_norms(p)
    assert table[cell.Params._fields[0]].shape == (20,)
    assert set(table.columns) == set(cell.Params._fields)


def test_norms_are_those_of_the_cotangents_at_any_scale() -> None:
    p, back = seen(nl.LSTM)
    table = flow.norms(p)
    for field in ("h", "c", "a_i", "a_f", "a_g", "a_o", "x"):
        np.testing.assert_allclose(table[field], np.linalg.norm(getattr(back.cotangents, field), axis=-1), rtol=1e-14)
    tiny = p._replace(cotangents=tree.scale(1e-200, p.cotangents))
    np.testing.assert_allclose(flow.norms(tiny)["c"], 1e-200 * table["c"], rtol=1e-13)


def test_every_cell_of_a_composed_layer_has_its_pass() -> None:
    both = nl.bidirectional(nl.LSTM)
    layer = nl.Stack((both, nl.Reversed(nl.Recurrent(nl.GRU)), both))
    g = np.random.default_rng(0)
    params, xs = layer.init(3, 4, g), g.standard_normal((6, 4, 3))
    masks = [nl.dropout_mask(g, (6, 4, n), 0.3) for n in (8, 4)]
    low, *others = layer.layers
    layer = nl.Stack((low, *(nl.Masked(one, {"x": m}) for one, m in zip(others, masks, strict=True))))
    for lengths in (None, [6, 2, 5, 1]):
        run = layer.forward(params, xs, lengths=lengths)
        dhs, dlast = g.standard_normal(run.hs.shape), tree.random_like(run.last, g)
        dc = g.standard_normal((6, 4, 4))  # into every c_t of one cell
        dcs = ((None, dc), None, None)
        found = flow.passes_of(layer, params, run, layer.backward(params, run, dhs, dcs, dlast), dhs, dcs, dlast)
        assert [p.name for p in found] == ["0.0", "0.1", "1", "2.0", "2.1"]
        for p in found:  # a split that adds up knows all that came from outside
            total = sum(flow.split(p).values())
            assert check.normwise(total, getattr(p.cotangents, p.cell.State._fields[-1])) <= 1e-15
            assert np.any(p.given.h)


@pytest.mark.parametrize("cell", [nl.RNN, nl.LSTM, nl.GRU], ids=lambda cell: cell.name)
def test_the_sensitivity_map_by_complex_step(cell: nl.Page) -> None:
    problem = standard(cell, T=6, B=2, D=3, H=4)
    params, xs, first = problem.point
    V = np.random.default_rng(1).standard_normal((2, 4))
    found = flow.sensitivity_map(cell, params, nl.forward(cell, params, xs, first), V)
    for s in (0, 3, 5):
        for b in range(2):
            rows = [
                check.complex_step(
                    lambda x, row=row, s=s, b=b: problem.outputs(check.Point(params, x, first)).states.h[s, b] @ row, xs
                )
                for row in V
            ]
            expected = np.sqrt(sum(np.sum(a[:, b] ** 2, axis=-1) for a in rows))
            np.testing.assert_allclose(found[s, :, b], expected, rtol=1e-13, atol=1e-300)
    assert np.all(found[2, 3:] == 0), "the future has no influence"
    last = flow.sensitivity_map(cell, params, nl.forward(cell, params, xs, first), V, outputs=[5])
    assert np.array_equal(last[0], found[5])


def test_a_linear_network_has_the_exponents_of_its_singular_values() -> None:
    linear = nl.RNN.having("linear", h=nl.activations.IDENTITY)
    g = np.random.default_rng(0)
    params = linear.init(2, 5, g)
    rho = np.diag([1.3, 0.9, 0.5, 0.2, 0.05])
    params = params._replace(U=rho)
    run = nl.forward(linear, params, g.standard_normal((400, 2, 2)))
    exponents = flow.lyapunov_exponents(linear, params, run, skip=100)
    np.testing.assert_allclose(exponents, np.log(np.diag(rho))[None] + np.zeros((2, 1)), atol=1e-9)
    assert flow.spectral_radius(rho) == pytest.approx(1.3)
    J = flow.step_jacobian(linear, params, run, 0)
    np.testing.assert_allclose(flow.singular_values(J), np.diag(rho)[None] + np.zeros((2, 1)))


def test_the_direct_path_is_all_there_is_without_recurrent_weights() -> None:
    p, _ = seen(nl.LSTM)
    bare = p.params._replace(**{k: 0 * getattr(p.params, k) for k in p.params._fields if k[0] == "U"})
    run = nl.forward(nl.LSTM, bare, p.run.values.x)
    direct, total = flow.direct_path(nl.LSTM, bare, run, 3, 15)
    np.testing.assert_allclose(total, direct[..., None] * np.eye(7), rtol=1e-13)
    with pytest.raises(TypeError, match="RNN has no direct path: no step multiplies h unit by unit"):
        flow.direct_path(nl.RNN, *seen(nl.RNN)[0][2:4])


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in (nl.RNN, nl.ReLURNN)], ids=lambda c: c.name)
def test_the_direct_path_of_any_cell_is_what_remains_without_parameters(cell: nl.Page) -> None:
    """With every recurrent parameter zero nothing else is left of the Jacobians, whatever the gates are called."""
    p, _ = seen(cell, LENGTHS)
    bare = p.params._replace(**{k: 0 * getattr(p.params, k) for k in p.params._fields if k[0] in "UpRK" or k == "W_q"})
    x = cell.input(p.run.values)
    run = nl.forward(cell, bare, x, lengths=LENGTHS)
    direct, total = flow.direct_path(cell, bare, run, 3, 15)
    np.testing.assert_allclose(total, direct[..., None] * np.eye(7), rtol=1e-13, atol=1e-300)
    assert np.array_equal(direct[2], np.ones(7)), "a row that ended before keeps its state"
    assert np.array_equal(flow.direct_path(cell, bare, run, 3, 3)[0], np.ones((4, 7)))


def test_rates_and_half_lives() -> None:
    assert flow.fit_rate(3 * 0.9 ** np.arange(50.0), (10, 40)) == pytest.approx(0.9, abs=1e-12)
    assert flow.half_life(0.5) == pytest.approx(1)
    assert flow.half_life(0.622) == pytest.approx(1.46, abs=0.01)
    assert flow.half_life(1.02) == np.inf
    assert np.isnan(flow.fit_rate(np.float32(0.1) ** np.arange(60.0, dtype=np.float32), (10, 59))), "met the floor"
    with pytest.raises(ValueError, match="lags are 10 to 60; expected two or more within 0 to 49"):
        flow.fit_rate(np.ones(50), (10, 60))


def test_tables_print_and_export(tmp_path: Any) -> None:
    p, _ = seen(nl.LSTM)
    table = flow.norms(p)
    lines = str(table).splitlines()
    assert lines[0] == "LSTM: norm of dL/d(.) at each step"
    assert len(lines) == 2 + 12
    assert len({len(line) for line in lines[1:]}) == 1
    text = table.to_csv(tmp_path / "norms.csv")
    assert (tmp_path / "norms.csv").read_text() == text
    header, *rows = [line.split(",") for line in text.splitlines()]
    assert header[:3] == ["step", "row", "x"]
    assert len(rows) == 20 * 4
    assert float(rows[5][header.index("c")]) == table["c"][1, 1]
    assert table.to_dict()["columns"]["c"][1][1] == table["c"][1, 1]
    with pytest.raises(KeyError, match="no column 'cc'; expected one of x, h_prev"):
        table["cc"]
    assert "step,W_i" in flow.contribution_norms(p).to_csv()


def test_progress_is_the_callers() -> None:
    p, _ = seen(nl.LSTM)
    counted: list[int] = []

    def progress(steps: Any) -> Any:
        for step in steps:
            counted.append(step)
            yield step

    flow.lyapunov_exponents(p.cell, p.params, p.run, 1, progress=progress)
    assert counted == list(range(20))
