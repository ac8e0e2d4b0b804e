"""Optimisers: pure functions over the record of the parameters, in PyTorch's order of operations.

``init(params) -> state`` and ``update(params, grads, state, rate) -> (params, state)``. Nothing is written to; a state
is a record of arrays, so that it is saved as the parameters are. All of them are taken as one vector, of which the new
records are views: a few calls in place of a few for each array. ``t`` counts the updates from 1.
"""

import math
from collections.abc import Callable
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
        p, g, v = map(tree.flatten, (params, grads, state.v))
        v = momentum * v + g
        return tree.unflatten(p - float(rate) * v, params), Velocity(tree.unflatten(v, params))

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

        if weight_decay:
            params = tree.map(lambda p: p * (1 - rate * weight_decay) if p.ndim > 1 else p, params)
        p, g, m, v = map(tree.flatten, (params, grads, state.m, state.v))  # copies, to be written to
        m += (1 - b1) * (g - m)
        v *= b2
        v += (1 - b2) * g * g
        moved = step * m
        moved /= arrays.sqrt(v) / root + eps
        p -= moved
        p, m, v = (tree.unflatten(a, params) for a in (p, m, v))
        return p, Moments(np.asarray(t), m, v)

    return Optimiser(f"adamw(b1={b1:g}, b2={b2:g}, eps={eps:g}, weight_decay={weight_decay:g})", init, update)


def _zeros(params: Any) -> Any:
    return tree.map(lambda a: arrays.zeros(a.shape, a), params)
