"""Who takes part in the benchmark: each a callable that runs forward and backward once on the same numbers.

Gradients of x, of the first state and of all parameters, from cotangents of every h_t and of the last state.
"""

import importlib.util
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import tree

CELLS = {"LSTM": nl.LSTM, "GRU": nl.GRU, "RNN": nl.RNN}


class Task(NamedTuple):
    """One shape, cell and dtype, with numbers."""

    cell: Any
    params: Any
    xs: Any
    first: Any
    dhs: Any
    dlast: Any

    @classmethod
    def random(cls, name: str, shape: tuple[int, int, int, int], dtype: Any, seed: int) -> "Task":
        """Normal inputs, states and cotangents; torch's uniform initialisation."""
        (T, B, D, H), cell, g = shape, CELLS[name], np.random.default_rng(seed)
        params = tree.map(
            lambda a: (g.uniform(-1, 1, a.shape) / np.sqrt(H)).astype(dtype), cell.init(D, H, g, np.float32)
        )
        first, dlast = (tree.random_like(cell.zero_state(B, H, dtype), g) for _ in range(2))
        xs, dhs = (g.standard_normal((T, B, n)).astype(dtype) for n in (D, H))
        return cls(cell, params, xs, first, dhs, dlast)


def _ours(engine: Any) -> Callable[[Task], Callable[[], Any]]:
    def peer(task: Task) -> Callable[[], Any]:
        cell, params, xs, first, dhs, dlast = task

        def call() -> Any:
            run = engine.forward(cell, params, xs, first)
            return engine.backward(cell, params, run, dhs=dhs, dlast=dlast)

        return call

    return peer


def floor(task: Task) -> Callable[[], None]:
    """The products nobody can avoid, in the arrangement that this BLAS likes best, and nothing else."""
    T, B, D = task.xs.shape
    H, dtype = task.first.h.shape[1], task.xs.dtype
    G = {"lstm": 4, "gru": 3, "rnn": 1}[task.cell.equations] * H
    ones = [np.ones(s, dtype) for s in ((H, G), (G, H), (D, G), (G, D), (B, H), (B, G), (T * B, G), (T * B, H))]
    Ut, U, Wt, W, h, d, ds, hs = ones
    x, a, dh = task.xs.reshape(T * B, D), np.empty((B, G), dtype), np.empty((B, H), dtype)

    def call() -> None:
        x @ Wt, ds @ W, ds.T @ x, ds.T @ hs
        for _ in range(T):
            np.matmul(h, Ut, out=a)
            np.matmul(d, U, out=dh)

    return call


def _torch(task: Task) -> Callable[[], Any]:
    from reference import torch_oracle

    return torch_oracle.timed(*task)


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


def _stacked(task: Task) -> tuple[Any, ...]:
    arrays = nl.layouts.dump("torch", task.params, task.cell)
    return tuple(arrays[f"{k}_l0"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))


def _jax(task: Task) -> Callable[[], Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    step = _scan_loss(jax.numpy, jax.nn.sigmoid, task.cell.equations)

    def loss(p: Any, xs: Any, first: Any, dhs: Any, dlast: Any) -> Any:
        def body(s: Any, x: Any) -> Any:
            new = step(p, x, s)
            return new, new[0]

        last, hs = jax.lax.scan(body, first, xs)
        return (dhs * hs).sum() + sum((d * a).sum() for d, a in zip(dlast, last, strict=True))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    arguments = jax.device_put((_stacked(task), task.xs, tuple(task.first), task.dhs, tuple(task.dlast)))
    return lambda: jax.block_until_ready(gradient(*arguments))


def _autograd(task: Task) -> Callable[[], Any]:
    import autograd
    from autograd import numpy as anp

    step = _scan_loss(anp, lambda a: 0.5 * anp.tanh(0.5 * a) + 0.5, task.cell.equations)
    weights = _stacked(task)

    def loss(arguments: Any) -> Any:
        p, xs, state = arguments
        total = 0.0
        for t in range(len(xs)):
            state = step(p, xs[t], state)
            total = total + (task.dhs[t] * state[0]).sum()
        return total + sum((d * a).sum() for d, a in zip(task.dlast, state, strict=True))

    return lambda: autograd.grad(loss)((weights, task.xs, tuple(task.first)))


PEERS: dict[str, Callable[[Task], Callable[[], Any]]] = {
    "fast": _ours(nl.fast),
    "explicit": _ours(nl),
    "floor": floor,
    "torch": _torch,
    "jax": _jax,
    "autograd": _autograd,
}


def installed() -> list[str]:
    """Those that can be measured here."""
    return [name for name in PEERS if name in {"fast", "explicit", "floor"} or importlib.util.find_spec(name)]


def versions() -> dict[str, str]:
    """By distribution."""
    names = ["numpy", *(name for name in installed() if name in {"torch", "jax", "autograd"})]
    return {name: metadata.version(name) for name in names}
