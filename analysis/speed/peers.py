"""The peers of the benchmark: each a callable that runs forward and backward once on the same numbers.

Gradients of x, of the first state and of all parameters, from cotangents of every h_t and of the last state.
"""

import importlib.util
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm.check import Outputs, Problem
from numpy_lstm.fast.layout import Layout
from numpy_lstm.products import Right, contraction, unpacked

CELLS = {"LSTM": nl.LSTM, "GRU": nl.GRU, "RNN": nl.RNN}


def problem(name: str, shape: tuple[int, int, int, int], dtype: Any, seed: int) -> Problem:
    """A random problem of one cell, shape (T, B, D, H) and dtype, with cotangents as a layer above sends them."""
    drawn = Problem.random(CELLS[name], *shape, np.random.default_rng(seed), dtype)
    states, last = drawn.cotangents
    return drawn._replace(cotangents=Outputs(drawn.cell.partial_state(h=states.h), last))


def _ours(engine: Any) -> Callable[[Problem], Callable[[], Any]]:
    def peer(problem: Problem) -> Callable[[], Any]:
        cell, (params, xs, first), (states, last) = problem[:3]

        def call() -> Any:
            run = engine.forward(cell, params, xs, first)
            return engine.backward(cell, params, run, dhs=states.h, dlast=last)

        return call

    return peer


def floor(problem: Problem) -> Callable[[], None]:
    """The matrix products that every implementation needs, in the form quickest for this BLAS, and nothing else."""
    _, xs, first = problem.point
    (T, B, D), dtype, H = xs.shape, xs.dtype, first.h.shape[1]
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[problem.cell.equations]
    G, L = gates * H, Layout(np, dtype, 1, B, D, H, unpacked())
    x, h, d, ds, hs, U, W = (
        np.ones(s, dtype) for s in ((T * B, D), (B, H), (B, G), (T * B, G), (T * B, H), (G, H), (G, D))
    )
    ahead, back = (Right(b, L.grouped) for b in (L.right(W), W))
    a, dx, (rec, _) = np.empty((T * B, G), dtype), np.empty_like(x), L.back_sums(L.rows(H), gates)
    out, step, left, right = L.product(L.gates(L.rows(G))), L.step_right(U), L.back_left(d), L.back_right(U)

    def call() -> None:
        ahead.product(x, a)
        back.product(ds, dx)
        contraction(ds, x), contraction(ds, hs)
        for _ in range(T):
            np.matmul(h, step, out=out)
            np.matmul(left, right, out=rec)

    return call


def _torch(problem: Problem) -> Callable[[], Any]:
    from reference import torch_oracle

    return torch_oracle.timed(problem)


def _scan_loss(np_like: Any, sigmoid: Any, page: str) -> Callable[..., Any]:
    """One step of the cell from stacked weights, for JAX and autograd: (p, x, state) -> state."""

    def lstm(p: Any, x: Any, s: Any) -> Any:
        i, f, g, o = np_like.split(x @ p[0].T + s[0] @ p[1].T + p[2], 4, 1)
        c = sigmoid(f) * s[1] + sigmoid(i) * np_like.tanh(g)
        return (sigmoid(o) * np_like.tanh(c), c)

    def gru(p: Any, x: Any, s: Any) -> Any:
        xr, xz, xn = np_like.split(x @ p[0].T + p[2], 3, 1)
        hr, hz, hn = np_like.split(s[0] @ p[1].T + p[3], 3, 1)
        z = sigmoid(xz + hz)
        n = np_like.tanh(xn + sigmoid(xr + hr) * hn)
        return ((1 - z) * n + z * s[0],)

    def rnn(p: Any, x: Any, s: Any) -> Any:
        return (np_like.tanh(x @ p[0].T + s[0] @ p[1].T + p[2]),)

    return {"lstm": lstm, "gru": gru, "rnn": rnn}[page]


def _arguments(problem: Problem) -> tuple[Any, ...]:
    """Weights stacked as torch has them, xs, and the first state."""
    arrays = nl.layouts.dump("torch", problem.point.params, problem.cell)
    stacked = tuple(arrays[f"{k}_l0"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return stacked, problem.point.xs, tuple(problem.point.first)


def _jax(problem: Problem) -> Callable[[], Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    step = _scan_loss(jax.numpy, jax.nn.sigmoid, problem.cell.equations)

    def loss(p: Any, xs: Any, first: Any, dhs: Any, dlast: Any) -> Any:
        def body(s: Any, x: Any) -> Any:
            new = step(p, x, s)
            return new, new[0]

        last, hs = jax.lax.scan(body, first, xs)
        return (dhs * hs).sum() + sum((d * a).sum() for d, a in zip(dlast, last, strict=True))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    states, last = problem.cotangents
    arguments = jax.device_put((*_arguments(problem), states.h, tuple(last)))
    return lambda: jax.block_until_ready(gradient(*arguments))


def _autograd(problem: Problem) -> Callable[[], Any]:
    import autograd
    from autograd import numpy as anp

    step = _scan_loss(anp, lambda a: 0.5 * anp.tanh(0.5 * a) + 0.5, problem.cell.equations)
    states, last = problem.cotangents

    def loss(arguments: Any) -> Any:
        p, xs, state = arguments
        total = 0.0
        for t in range(len(xs)):
            state = step(p, xs[t], state)
            total = total + (states.h[t] * state[0]).sum()
        return total + sum((d * a).sum() for d, a in zip(last, state, strict=True))

    return lambda: autograd.grad(loss)(_arguments(problem))


PEERS: dict[str, Callable[[Problem], Callable[[], Any]]] = {
    "fast": _ours(nl.fast),
    "explicit": _ours(nl),
    "floor": floor,
    "torch": _torch,
    "jax": _jax,
    "autograd": _autograd,
}


def installed() -> list[str]:
    """The names of those that can be measured here."""
    return [name for name in PEERS if name in {"fast", "explicit", "floor"} or importlib.util.find_spec(name)]


def versions() -> dict[str, str]:
    """The version of NumPy and of each of these libraries, by name."""
    names = ["numpy", *(name for name in installed() if name in {"torch", "jax", "autograd"})]
    return {name: metadata.version(name) for name in names}
