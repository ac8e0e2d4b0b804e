"""Initialisers: distributions, defaults, seeds."""

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS
from numpy_lstm import init, tree

SIZES = {"D": 40, "H": 60, "R": 60}


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_default_of_a_cell(cell: nl.Page) -> None:
    params = cell.init(40, 60, rng())
    limit = np.sqrt(6 / 100)
    for name, a in params._asdict().items():
        if name[0] == "W":
            assert a.shape == (60, 40)
            assert 0.99 * limit < np.abs(a).max() <= limit
            assert np.std(a) == pytest.approx(limit / np.sqrt(3), rel=0.05)
        elif name[0] in "UR":
            np.testing.assert_allclose(a @ a.T, np.eye(60), atol=1e-14)
        else:
            assert np.all(a == (1.0 if name == "b_f" or name.startswith("gain") else 0.0))


def test_gate_blocks_differ() -> None:
    params = nl.LSTM.init(5, 7, rng())
    blocks = [a for name, a in params._asdict().items() if name[0] == "U"]
    assert all(np.abs(a - b).max() > 0.1 for i, a in enumerate(blocks) for b in blocks[:i])


@pytest.mark.parametrize("shape", [{"D": 3, "H": 8, "R": 5}, {"D": 3, "H": 5, "R": 8}])
def test_rectangular_recurrent_blocks_are_orthonormal(shape: dict[str, int]) -> None:
    U = init.glorot_orthogonal(nl.RNN.Params, shape, rng()).U
    gram = U.T @ U if shape["H"] > shape["R"] else U @ U.T
    np.testing.assert_allclose(gram, np.eye(5), atol=1e-14)


def test_orthogonal_blocks_are_uniformly_distributed() -> None:
    """Of the uniform distribution the trace has mean 0 and variance 1; QR without its signs has a mean far below 0."""
    traces = [np.trace(init.glorot_orthogonal(nl.RNN.Params, {"D": 1, "H": 4, "R": 4}, g).U) for g in rng().spawn(2000)]
    assert abs(np.mean(traces)) < 0.1
    assert np.var(traces) == pytest.approx(1, abs=0.1)


def test_uniform_is_that_of_torch() -> None:
    params = init.uniform(nl.LSTM.Params, SIZES, rng())
    for _, a in tree.leaves(params):
        assert 0.95 / np.sqrt(60) < np.abs(a).max() <= 1 / np.sqrt(60)
    assert np.abs(params.W_i).max() > 0.998 / np.sqrt(60)


def test_chrono() -> None:
    params = nl.LSTM.init(40, 60, rng())
    changed = init.chrono(params, 1000, rng())
    assert np.exp(changed.b_f).min() >= 1
    assert 950 < np.exp(changed.b_f).max() <= 999
    assert np.exp(changed.b_f).mean() == pytest.approx(500, rel=0.2)
    np.testing.assert_array_equal(changed.b_i, -changed.b_f)
    assert changed._replace(b_f=None, b_i=None)[:8] == params._replace(b_f=None, b_i=None)[:8]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: init.chrono(nl.LSTM.init(2, 3, rng()), 2, rng()),
            r"^T_max is 2; expected at least 3, so that U\(1, T_max - 1\) has room$",
        ),
        (
            lambda: init.chrono(nl.RNN.init(2, 3, rng()), 9, rng()),
            "^chrono sets b_i and b_f; the parameters have only W, U, b$",
        ),
        (lambda: nl.LSTM.init(0, 3, rng()), r"^W_i would have shape \(3, 0\); every size must be at least 1$"),
    ],
)
def test_bad_sizes(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_one_seed_is_one_network_in_every_dtype(dtype: type) -> None:
    drawn, double = (nl.LSTM.init(5, 7, rng(), d) for d in (dtype, np.float64))
    for (_, a), (_, b) in zip(tree.leaves(drawn), tree.leaves(double), strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b.astype(dtype))


def test_an_integer_network_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^dtype is int64; expected a floating one: float32, float64 or longdouble$"):
        nl.LSTM.init(5, 7, rng(), int)
