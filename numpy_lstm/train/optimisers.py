"""Optimisers: pure functions over the record of the parameters, in PyTorch's order of operations.

``init(params) -> state`` and ``update(params, grads, state, rate) -> (params, state)``. Nothing is written to; a state
is a record of arrays, so that it is saved as the parameters are. ``t`` counts the updates from 1.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, tree
from .errors import expect_within


class Optimiser(NamedTuple):
    """``name`` says which, and with what numbers."""

    name: str
    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any, float], tuple[Any, Any]]


class Velocity(NamedTuple):
    """The state of ``sgd``: v in the shape of the parameters."""

    v: Any


class Moments(NamedTuple):
    """The state of ``adam``: the number of updates done, and running means m of g and v of g^2."""

    t: Any
    m: Any
    v: Any


def sgd(momentum: float = 0.0) -> Optimiser:
    """v <- momentum v + g; p <- p - rate v."""
    momentum = expect_within("momentum", momentum, 0, 1)

    def update(params: Any, grads: Any, state: Velocity, rate: float) -> tuple[Any, Velocity]:
        rate = float(rate)

        def moved(p: Any, g: Any, v: Any) -> tuple[Any, ...]:
            v = momentum * v + g
            return p - rate * v, v

        params, v = _each(moved, params, grads, state.v)
        return params, Velocity(v)

    return Optimiser(f"sgd(momentum={momentum:g})", lambda params: Velocity(_zeros(params)), update)


def adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimiser:
    """m <- m + (1-b1)(g-m); v <- b2 v + (1-b2) g^2; p <- p - rate/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps).

    Kingma & Ba 2015, arXiv:1412.6980.
    """
    return adamw(b1, b2, eps, 0.0)._replace(name=f"adam(b1={b1:g}, b2={b2:g}, eps={eps:g})")


def adamw(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01) -> Optimiser:
    """``adam`` after p <- (1 - rate weight_decay) p, of the matrices alone: biases, gains and peepholes do not decay.

    Loshchilov & Hutter 2019, arXiv:1711.05101.
    """
    b1, b2 = expect_within("b1", b1, 0, 1), expect_within("b2", b2, 0, 1)
    eps, weight_decay = expect_within("eps", eps, 0), expect_within("weight_decay", weight_decay, 0)

    def init(params: Any) -> Moments:
        return Moments(np.asarray(0), _zeros(params), _zeros(params))

    def update(params: Any, grads: Any, state: Moments, rate: float) -> tuple[Any, Moments]:
        t, rate = int(state.t) + 1, float(rate)
        step, root = rate / (1 - b1**t), math.sqrt(1 - b2**t)

        def moved(p: Any, g: Any, m: Any, v: Any) -> tuple[Any, ...]:
            m = m + (1 - b1) * (g - m)
            v = b2 * v + (1 - b2) * g * g
            return p - step * m / (arrays.sqrt(v) / root + eps), m, v

        if weight_decay:
            params = tree.map(lambda p: p * (1 - rate * weight_decay) if p.ndim > 1 else p, params)
        params, m, v = _each(moved, params, grads, state.m, state.v)
        return params, Moments(np.asarray(t), m, v)

    return Optimiser(f"adamw(b1={b1:g}, b2={b2:g}, eps={eps:g}, weight_decay={weight_decay:g})", init, update)


def _each(change: Callable[..., tuple[Any, ...]], params: Any, *trees: Any) -> Iterator[Any]:
    """What ``change`` makes of all leaves: trees. On a GPU, where each call costs a launch, of one vector each."""
    if tree.on_device(params):
        return (tree.unflatten(a, params) for a in change(*map(tree.flatten, (params, *trees))))
    leaves = zip(*map(tree.every, (params, *trees)), strict=True)
    columns = zip(*(change(*arrays) for arrays in leaves), strict=True)
    return (tree.holding(column, params) for column in columns)


def _zeros(params: Any) -> Any:
    return tree.map(lambda a: arrays.zeros(a.shape, a), params)
