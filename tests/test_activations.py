"""Activations at the ends: infinite pre-activations, overflow, NaN; their limits, and PyTorch's values."""

from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from torch.nn import functional

import numpy_lstm as nl
from numpy_lstm.activations import Activation
from numpy_lstm.check.balls import Balls
from numpy_lstm.check.paths import Sized

A = nl.activations
INF = np.inf
LIMITS: list[tuple[Activation, list[float], list[float]]] = [  # f(-inf), f(inf); f'(-inf), f'(inf)
    (A.SIGMOID, [0, 1], [0, 0]),
    (A.TANH, [-1, 1], [0, 0]),
    (A.RELU, [0, INF], [0, 1]),
    (A.IDENTITY, [-INF, INF], [1, 1]),
    (A.ONE, [1, 1], [0, 0]),
    (A.SOFTSIGN, [-1, 1], [0, 0]),
    (A.SOFTPLUS, [0, INF], [0, 1]),
    (A.affine(-0.5, 2), [INF, -INF], [-0.5, -0.5]),
    (A.leaky_relu(0.25), [-INF, INF], [0.25, 1]),
    (A.thresholded_relu(0.5), [0, INF], [0, 1]),
    (A.scaled_tanh(2, 0.5), [-2, 2], [0, 0]),
    (A.hard_sigmoid(0.25, 0.5), [0, 1], [0, 0]),
    (A.elu(1.5), [-1.5, INF], [0, 1]),
    (A.clipped(A.RELU, 3), [0, 3], [0, 0]),
    (A.clipped(A.IDENTITY, 2, straight_through=True), [-2, 2], [1, 1]),
    (A.clip(2), [-2, 2], [0, 0]),
    (A.complement(A.SIGMOID), [1, 0], [0, 0]),
]
TORCH = {
    A.SIGMOID: torch.sigmoid,
    A.TANH: torch.tanh,
    A.RELU: torch.relu,
    A.IDENTITY: lambda a: 1 * a,
    A.SOFTPLUS: functional.softplus,
    A.leaky_relu(0.25): lambda a: functional.leaky_relu(a, 0.25),
    A.hard_sigmoid(1 / 6, 0.5): functional.hardsigmoid,
    A.elu(1.5): lambda a: functional.elu(a, 1.5),
    A.clipped(A.IDENTITY, 2): lambda a: torch.clamp(a, -2, 2),
}


def test_all_are_here() -> None:
    made = {f.made[0] for f, *_ in LIMITS if f.made}
    assert made == {k for k, v in vars(A).items() if isinstance(v, Activation) or hasattr(v, "__wrapped__")} - {
        "_named"
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, object, "array_api_strict"], ids=str)
@pytest.mark.parametrize(("f", "values", "slopes"), LIMITS, ids=lambda v: v.name if isinstance(v, Activation) else "")
def test_limits(f: Activation, values: list[float], slopes: list[float], dtype: Any) -> None:
    largest = np.finfo(dtype if dtype in (np.float32, np.longdouble) else np.float64).max
    a: Any = np.array([-INF, INF, -largest, largest, np.nan], object if dtype is object else type(largest))
    if dtype is object:
        flint = pytest.importorskip("flint")
        a = np.array([flint.arb(v) for v in a], object)
    elif dtype == "array_api_strict":
        a = array_api_strict.asarray(a)
    with np.errstate(over="ignore"):
        value, slope = ([float(v) for v in np.array(g(a))] for g in (f, f.d))
    assert value[:2] == values
    assert slope[:4] == slopes * 2
    assert np.isnan(value[4]) or dtype is object


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("f", TORCH, ids=lambda f: f.name)
def test_torch_has_the_same(f: Activation, dtype: torch.dtype) -> None:
    rng, largest = np.random.default_rng(len(f.name)), torch.finfo(dtype).max
    points = [*rng.standard_normal(40) * 10 ** rng.uniform(-6, 37, 40), 0, -0.0, INF, -INF, largest, -largest, np.nan]
    a = torch.tensor(rng.permutation(points), dtype=dtype, requires_grad=True)
    values = TORCH[f](a)
    values.sum().backward()
    eps, points = torch.finfo(dtype).eps, a.detach().numpy()
    known = ~np.isnan(points)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(f(points), values.detach().numpy(), rtol=4 * eps, atol=0)
        rtol = 2**-24 if f.name == "hard_sigmoid" else 4 * eps  # torch's 1/6 is that of float32 in float64 too
        np.testing.assert_allclose(f.d(points)[known], a.grad.numpy()[known], rtol, atol=eps)  # 1 - t^2 loses digits


@pytest.mark.parametrize("seed", range(3))
def test_an_overflow_in_float32_is_as_in_torch(seed: int) -> None:
    """Products beyond float32 are infinite pre-activations; where torch's results are finite, ours are the same."""
    rng = np.random.default_rng(seed)
    twin = nl.nn.RNN(3, 4, nonlinearity="relu", dtype=np.float32, rng=rng)
    state = {k: a * np.float32(1e20 if k == "weight_ih_l0" else 1) for k, a in twin.state_dict().items()}
    x = -np.abs(rng.standard_normal((5, 2, 3))).astype(np.float32) * np.float32(1e20)
    state["weight_ih_l0"] = np.abs(state["weight_ih_l0"])
    twin.load_state_dict(state)
    oracle = torch.nn.RNN(3, 4, nonlinearity="relu")
    oracle.load_state_dict({k: torch.tensor(a) for k, a in state.items()})
    inputs, h_0 = torch.tensor(x, requires_grad=True), rng.standard_normal((1, 2, 4)).astype(np.float32)
    output, _ = oracle(inputs, torch.tensor(h_0))
    d = rng.standard_normal(output.shape).astype(np.float32)
    output.backward(torch.tensor(d))
    with np.errstate(over="ignore"):
        run = twin.forward(x, h_0)
        grads = run.backward(d)
    np.testing.assert_array_equal(run.output, output.detach().numpy())
    np.testing.assert_array_equal(grads.x, inputs.grad.numpy())
    for name, p in oracle.named_parameters():
        np.testing.assert_array_equal(grads.params[name], p.grad.numpy())


def test_the_checks_own_arrays_run_through_every_activation() -> None:
    """Balls and values with sizes compare as arrays do: what truth and S are computed with."""
    flint = pytest.importorskip("flint")
    a = np.array([-3.0, -2.0, -0.3, 0.0, 0.4, 0.5, 2.0, 5.0])
    for f, *_ in LIMITS:
        for each in (f, f.d, f.complement):
            found = each(Balls(np.array([flint.arb(v) for v in a], object))).value
            np.testing.assert_allclose([float(v.mid()) for v in found], each(a), rtol=1e-15, atol=1e-15)
            np.testing.assert_array_equal(each(Sized(a)).value, each(a))
