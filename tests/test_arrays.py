"""One code path for every library and every kind of number."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

import numpy_lstm as nl
from cases import CELLS, standard
from numpy_lstm import activations, check, ops, tree

RAGGED = [20, 3, 0, 7]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize(
    ("dtype", "lengths"), [(np.float32, None), *((d, RAGGED) for d in (np.float64, np.complex128))]
)
def test_every_library_gives_the_same_numbers(
    to_library: Callable[[Any], Any], cell: nl.Page, dtype: Any, lengths: Any
) -> None:
    problem = standard(cell).astype(dtype)

    def gradients(move: Callable[[Any], Any]) -> Any:
        (params, xs, first), (states, last) = (tree.map(move, part) for part in (problem.point, problem.cotangents))
        run = nl.forward(cell, params, xs, first, lengths)
        back = nl.backward(cell, params, run, dlast=last, dstates=states)
        return run, back

    for (name, here), (_, plain) in zip(
        tree.leaves(gradients(to_library)), tree.leaves(gradients(np.copy)), strict=True
    ):
        assert nl.arrays.library(here) == nl.arrays.library(to_library(np.zeros(1))), name
        np.testing.assert_array_equal(np.asarray(here), plain, err_msg=name)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.longdouble, np.complex64, np.complex128, np.clongdouble, object]
)
def test_dtype_in_is_dtype_out(cell: nl.Page, dtype: Any) -> None:
    problem = standard(cell, T=2)
    problem = (
        problem.astype(dtype)
        if dtype is not object
        else problem._replace(
            point=tree.map(np.vectorize(mpmath.mpf, otypes=[object]), problem.point),
            cotangents=tree.map(np.vectorize(mpmath.mpf, otypes=[object]), problem.cotangents),
        )
    )
    run = nl.forward(cell, *problem.point)
    for part in (run, problem.gradient()):
        assert {a.dtype for name, a in tree.leaves(part)} == {np.dtype(dtype)}


GRID = np.concatenate([np.linspace(-40, 40, 801), [-1e3, -750.0, -1e-8, 0.0, 1e-8, 750.0, 1e3]])
EXACT = {
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "dsigmoid": lambda a: 1 / (2 + mpmath.exp(a) + mpmath.exp(-a)),
    "dtanh": lambda a: mpmath.sech(a) ** 2,
    "tanh": mpmath.tanh,
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("dtype", "ulps"), [(np.float64, 6), (np.float32, 12)])
def test_gate_functions_are_accurate_everywhere(name: str, dtype: Any, ulps: float) -> None:
    """Relative error in units of eps, saturated tails included (results below the normal range excepted)."""
    a = GRID.astype(dtype)
    got = getattr(ops, name)(a)
    assert got.dtype == dtype
    with mpmath.workdps(40):
        truth = np.array([EXACT[name](mpmath.mpf(float(z))) for z in a], dtype=object)
        error = np.array([float(abs(g - t) / abs(t)) if t else 0.0 for g, t in zip(got.tolist(), truth, strict=True)])
    normal = np.abs(truth).astype(float) >= np.finfo(dtype).tiny * 4
    assert normal.sum() > 100
    assert np.max(error[normal]) <= ulps * np.finfo(dtype).eps
    assert np.all(np.isfinite(got))


def test_textbook_derivatives_would_not_be() -> None:
    """Why the pages take derivatives from the pre-activation."""
    a = np.array([15.0])
    s, t = special.expit(a), np.tanh(a)
    assert abs(s * (1 - s) / ops.dsigmoid(a) - 1) > 1e-11
    assert abs((1 - t * t) / ops.dtanh(a) - 1) > 1e-5


SLOPES = {
    "sigmoid": EXACT["dsigmoid"],
    "tanh": EXACT["dtanh"],
    "dsigmoid": lambda a: -EXACT["dsigmoid"](a) * mpmath.tanh(a / 2),
    "dtanh": lambda a: -2 * EXACT["dtanh"](a) * mpmath.tanh(a),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gate_functions_are_analytic(name: str) -> None:
    """The complex step through a function is its derivative, far into saturation: no abs, no branch on a tangent."""
    a = np.linspace(-300, 300, 1201)
    slope = np.imag(getattr(ops, name)(a + 1e-30j)) / 1e-30
    with mpmath.workdps(40):
        truth = np.array([float(SLOPES[name](mpmath.mpf(z))) for z in a])
    assert np.all(np.abs(slope - truth) <= 1e-13 * np.abs(truth) + 1e-270)
    assert np.all(getattr(ops, name)(a + 0j).imag == 0)


def test_numbers_bring_their_own_functions() -> None:
    """exp may be a method of the number, or belong to its context; what cannot be found is refused."""
    a = np.array([[Decimal(1), Decimal(-2)]], dtype=object)
    np.testing.assert_allclose(ops.sigmoid(a).astype(float), special.expit([[1.0, -2.0]]), rtol=1e-15)
    with pytest.raises(TypeError, match="cannot take tanh of a Decimal in an object array"):
        ops.tanh(a)


def test_complex_numbers_in_object_arrays() -> None:
    """A branch looks at the real part there too: a complex step in 50 digits."""
    with mpmath.workdps(50):
        h = mpmath.mpf("1e-40")
        for name, slope in SLOPES.items():
            for z in (-3, 2):
                a = np.array([mpmath.mpc(z, h)], dtype=object)
                assert abs(getattr(ops, name)(a)[0].imag / h - slope(mpmath.mpf(z))) < 1e-45, (name, z)


def test_numbers_in_foreign_byte_order_are_refused() -> None:
    params, xs, _ = standard(nl.RNN).point
    swapped = params._replace(W=params.W.astype(">f8"))
    with pytest.raises(TypeError, match=r"^params.W has dtype >f8; expected float32"):
        nl.forward(nl.RNN, swapped, xs)


def test_trees_are_vectors() -> None:
    rng = np.random.default_rng(0)
    record = {"a": (rng.standard_normal((2, 3)), None), "b": [rng.standard_normal(4)]}
    assert tree.size(record) == 10
    assert [name for name, _ in tree.leaves(record)] == ["a.0", "b.0"]
    vector = tree.flatten(record)
    again = tree.unflatten(vector, record)
    np.testing.assert_array_equal(tree.flatten(again), vector)
    assert again["a"][1] is None
    assert tree.dot(record, record) == pytest.approx(tree.norm(record) ** 2)
    batch = tree.unflatten(np.stack([vector, 2 * vector]), record)
    assert batch["a"][0].shape == (2, 2, 3)
    np.testing.assert_array_equal(tree.flatten(batch, lead=1)[1], 2 * vector)


def test_compare_reports_the_worst_entry() -> None:
    truth = {"a": np.ones((2, 3)), "b": np.zeros(2)}
    got = {"a": np.ones((2, 3)), "b": np.zeros(2)}
    assert check.K(got, truth, {"a": np.ones((2, 3)), "b": np.ones(2)}) == 0
    got["a"] = got["a"].copy()
    got["a"][1, 2] += 2.0**-50
    rows = {row.name: row for row in check.compare(got, truth, {"a": np.ones((2, 3)), "b": np.ones(2)})}
    assert rows["a"].worst == (1, 2)
    assert abs(rows["a"].K - 8) < 1e-9
    got["b"] = np.array([0, np.nan])
    assert check.K(got, truth, {"a": np.ones((2, 3)), "b": np.ones(2)}) == np.inf
    assert check.normwise({"b": np.ones(2)}, {"b": np.zeros(2)}) == np.inf


PAIRS = [
    activations.SIGMOID,
    activations.TANH,
    activations.RELU,
    activations.IDENTITY,
    activations.ONE,
    activations.SOFTSIGN,
    activations.SOFTPLUS,
    activations.affine(0.7, -0.2),
    activations.leaky_relu(0.1),
    activations.thresholded_relu(0.6),
    activations.scaled_tanh(1.7, 0.6),
    activations.hard_sigmoid(),
    activations.elu(0.8),
    activations.clipped(activations.TANH, 1.5),
    activations.clipped(activations.SIGMOID, 0.5),
    activations.complement(activations.SIGMOID),
    activations.complement(activations.hard_sigmoid(0.3, 0.4)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_activation_and_its_derivative_are_a_pair(pair: activations.Activation, dtype: Any) -> None:
    """The derivative is the complex step of the function, away from kinks; the complement is 1 - f."""
    a = np.random.default_rng(0).uniform(-4, 4, 500).astype(dtype)
    for f in (pair, pair.d, pair.complement):
        assert f(a).dtype == dtype
        assert f(a).shape == a.shape
    step = np.imag(pair(a + (1e-20j if dtype == np.float64 else np.complex64(1e-20j)))) / 1e-20
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(pair.d(a), step, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(pair.complement(a), 1 - pair(a), rtol=0, atol=4 * tolerance)
    values = mpmath_values(pair, a[:5].astype(np.float64))
    np.testing.assert_allclose(values.astype(float), pair(a[:5]).astype(np.float64), rtol=4 * tolerance, atol=tolerance)


def mpmath_values(pair: activations.Activation, a: np.ndarray) -> np.ndarray:
    """The same code on 50-digit numbers."""
    with mpmath.workdps(50):
        return pair(np.vectorize(mpmath.mpf, otypes=[object])(a))


def test_a_saturated_gate_has_an_exact_complement() -> None:
    a = np.array([40.0, 100.0, 700.0])
    np.testing.assert_allclose(activations.SIGMOID.complement(a), np.exp(-a), rtol=1e-15)
    assert np.all(1 - activations.SIGMOID(a) == 0)


def test_straight_through_differs_where_it_clips_only() -> None:
    true, through = (activations.clipped(activations.TANH, 1.0, s) for s in (False, True))
    a = np.array([-3.0, -0.5, 0.5, 3.0])
    np.testing.assert_array_equal(true(a), through(a))
    np.testing.assert_array_equal(true.d(a)[1:3], through.d(a)[1:3])
    assert not true.d(a)[[0, 3]].any()
    np.testing.assert_array_equal(through.d(a)[[0, 3]], ops.dtanh(np.array([-1.0, 1.0])))
