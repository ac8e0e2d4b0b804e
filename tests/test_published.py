"""Numbers that others have printed: we equal the right ones and differ from the wrong ones."""

import mpmath
import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm import check, tree
from numpy_lstm.check import truth
from reference import differences, published

GOMEZ = published.load("gomez")
COURSE = published.load("deeplearning_ai")


def gomez_problem() -> tuple[check.Problem, nl.Forward]:
    gates = GOMEZ["gates"]
    params = nl.LSTM.Params(
        **{f"W_{k}": np.array([GOMEZ["W"][r]]) for r, k in enumerate(gates)},
        **{f"U_{k}": np.array([GOMEZ["U"][r]]) for r, k in enumerate(gates)},
        **{f"b_{k}": np.array([GOMEZ["b"][r]]) for r, k in enumerate(gates)},
    )
    xs = np.array(GOMEZ["x"])[:, None, :]
    first = nl.LSTM.zero_state(1, 1)
    run = nl.forward(nl.LSTM, params, xs, first)
    dhs = run.hs - np.array(GOMEZ["labels"])[:, None, None]
    return check.Problem.of(nl.LSTM, params, xs, first, dhs=dhs), run


def stacked(params: nl.LSTM.Params) -> dict[str, np.ndarray]:
    """W, U, b with the rows of the source: g, i, f, o."""
    return {kind: np.concatenate([getattr(params, f"{kind}_{k}") for k in GOMEZ["gates"]]) for kind in "WUb"}


def gomez_loss(params: nl.LSTM.Params) -> float:
    hs = nl.forward(nl.LSTM, params, np.array(GOMEZ["x"])[:, None, :]).hs[:, 0, 0]
    return float(np.sum((hs - GOMEZ["labels"]) ** 2) / 2)


def test_gomez_forward() -> None:
    _, run = gomez_problem()
    for t, (step, recomputed) in enumerate(zip(GOMEZ["published"]["steps"], GOMEZ["recomputed"]["steps"], strict=True)):
        for name, value in step.items():
            four_decimals = (name, t) == ("c", 1)
            tolerance = GOMEZ["published"]["tolerance of the four-decimal value" if four_decimals else "tolerance"]
            assert abs(getattr(run.values, name)[t, 0, 0] - value) <= tolerance, (name, t)
        for name, value in recomputed.items():
            assert getattr(run.values, name)[t, 0, 0] == pytest.approx(value, rel=1e-15), (name, t)


def test_gomez_backward_every_quantity() -> None:
    problem, run = gomez_problem()
    back = nl.backward(nl.LSTM, problem.point.params, run, dhs=problem.cotangents.states.h)
    for t, step in enumerate(GOMEZ["recomputed"]["cotangents"]):
        for name, value in step.items():
            got = getattr(back.cotangents, name)[t, 0]
            np.testing.assert_allclose(got, np.reshape(value, got.shape), rtol=0, atol=1e-16, err_msg=f"{name} {t}")


def test_gomez_gradient_to_thirty_digits() -> None:
    problem, _ = gomez_problem()
    with mpmath.workdps(50):  # the example's decimals as decimals, not as the nearest float64
        decimals = lambda a: np.vectorize(lambda v: mpmath.mpf(repr(float(v))), otypes=[object])(a)  # noqa: E731
        params, xs, first = tree.map(decimals, problem.point)
        run = nl.forward(nl.LSTM, params, xs, first)
        labels = np.array([mpmath.mpf(repr(v)) for v in GOMEZ["labels"]], dtype=object)[:, None, None]
        exact = nl.backward(nl.LSTM, params, run, dhs=run.hs - labels).dparams
        for kind, rows in stacked(exact).items():
            expected = np.vectorize(mpmath.mpf, otypes=[object])(GOMEZ["thirty_digits"][f"d{kind}"])
            gap = np.abs(rows - np.reshape(expected, rows.shape)) / np.abs(np.reshape(expected, rows.shape))
            assert np.max(gap) <= 1e-29
    for kind, rows in stacked(problem.gradient().params).items():
        np.testing.assert_allclose(rows.astype(float), stacked(exact)[kind].astype(float), rtol=0, atol=1e-16)


def test_gomez_update() -> None:
    problem, _ = gomez_problem()
    params = problem.point.params
    assert gomez_loss(params) == pytest.approx(GOMEZ["recomputed"]["loss"], rel=1e-15)
    updated = tree.add(params, tree.scale(-GOMEZ["learning_rate"], problem.gradient().params))
    assert gomez_loss(updated) == pytest.approx(GOMEZ["recomputed"]["loss_after_update"], rel=1e-15)
    for kind, rows in stacked(updated).items():
        for source, tolerance in (("published", 5e-9), ("recomputed", 1e-16)):
            expected = np.reshape(GOMEZ[source][f"{kind}_new"], rows.shape)
            np.testing.assert_allclose(rows, expected, rtol=0, atol=tolerance)


def test_gomez_1997_truncation_differs() -> None:
    """Without the gradient through U the example gives the source's negative control, and not our gradient."""
    problem, run = gomez_problem()
    params = problem.point.params
    cut = params._replace(**{f"U_{k}": 0 * getattr(params, f"U_{k}") for k in "ifgo"})
    wrong = nl.backward(nl.LSTM, cut, run, dhs=problem.cotangents.states.h).dparams
    control = next(iter(GOMEZ["wrong"].values()))
    for kind, rows in stacked(wrong).items():
        np.testing.assert_allclose(rows, np.reshape(control[f"d{kind}"], rows.shape), rtol=0, atol=1e-16)
    assert check.normwise(wrong, problem.gradient().params) > 0.03


def course_arrays(part: str) -> dict[str, np.ndarray]:
    rng = np.random.RandomState(1)  # the course's numbers come from the legacy generator
    return {name: rng.randn(*shape) for name, shape in COURSE[part]["draws"]}


def course_params(a: dict[str, np.ndarray]) -> nl.LSTM.Params:
    names, n = {"i": "i", "f": "f", "g": "c", "o": "o"}, COURSE["sizes"]["n_a"]
    return nl.LSTM.Params(
        **{f"W_{k}": a[f"W{v}"][:, n:] for k, v in names.items()},
        **{f"U_{k}": a[f"W{v}"][:, :n] for k, v in names.items()},
        **{f"b_{k}": a[f"b{v}"][:, 0] for k, v in names.items()},
    )


def course_names(back: nl.Backward) -> dict[str, np.ndarray]:
    """Our gradients under the course's names and orientation (samples are columns)."""
    p = back.dparams
    names = {"i": "i", "f": "f", "c": "g", "o": "o"}
    named = {f"dW{k}": np.hstack([getattr(p, f"U_{v}"), getattr(p, f"W_{v}")]) for k, v in names.items()}
    named |= {f"db{k}": getattr(p, f"b_{v}") for k, v in names.items()}
    return named | {"dx": back.dxs.transpose(2, 1, 0), "da0": back.dfirst.h.T, "dc0": back.dfirst.c.T}


def entry(named: dict[str, np.ndarray], key: str) -> np.ndarray:
    """The array or number that a key such as ``dWf[3][1]`` names."""
    if key == "db_f_i_c_o[4]":
        return np.array([named[f"db{k}"][4] for k in "fico"])
    name, *indices = key.replace("]", "").split("[")
    return named[name][tuple(int(i) for i in indices)]


def test_course_cell() -> None:
    a = course_arrays("cell")
    params, state = course_params(a), nl.LSTM.State(h=a["a_prev"].T, c=a["c_prev"].T)
    run = nl.forward(nl.LSTM, params, a["xt"].T[None], state)
    back = nl.backward(nl.LSTM, params, run, dlast=nl.LSTM.State(h=a["da_next"].T, c=a["dc_next"].T))
    named = course_names(back)
    named |= {"dxt": named["dx"][..., 0], "da_prev": named["da0"], "dc_prev": named["dc0"]}
    for key, value in COURSE["cell"]["published"].items():
        assert entry(named, key) == pytest.approx(value, abs=5e-9 if key.startswith("db") else 5e-12), key


def course_sequence(chunk: int) -> dict[str, np.ndarray]:
    """Back-propagation over the first 4 steps, the carries cut every ``chunk`` steps."""
    a = course_arrays("sequence")
    params, xs, dhs = course_params(a), a["x"].transpose(2, 1, 0)[:4], a["da"].transpose(2, 1, 0)
    state = nl.LSTM.State(h=a["a0"].T, c=np.zeros((10, 5)))
    backs = []
    for t in range(0, 4, chunk):
        run = nl.forward(nl.LSTM, params, xs[t : t + chunk], state)
        backs.append(nl.backward(nl.LSTM, params, run, dhs=dhs[t : t + chunk]))
        state = run.last
    total = backs[0]._replace(dxs=np.concatenate([b.dxs for b in backs]))
    for back in backs[1:]:
        total = total._replace(dparams=tree.add(total.dparams, back.dparams))
    return course_names(total)


@pytest.mark.parametrize(("column", "chunk"), [("true", 4), ("wrong", 1)])
def test_course_sequence(column: str, chunk: int) -> None:
    """We equal the true column; the published wrong one is what dropping both carries gives."""
    named = course_sequence(chunk)
    other = COURSE["sequence"]["wrong" if column == "true" else "true"]
    for key, value in COURSE["sequence"][column].items():
        np.testing.assert_allclose(entry(named, key), value, rtol=0, atol=6e-9, err_msg=key)
        assert np.max(np.abs(entry(named, key) - other[key])) > 1e-3, key


def test_truth_agrees_with_itself_on_the_example() -> None:
    problem, _ = gomez_problem()
    assert (
        check.normwise(truth.gradient(problem).params, differences.central_difference(problem.dense()).params) <= 1e-40
    )
