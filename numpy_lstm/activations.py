"""Activations as pairs: a function of the pre-activation and its derivative, both to full precision.

A page asks for nothing more, so another function, a gate that is always open, or a clipped pre-activation is
another pair and never a flag. The named ones and their parameters are those of ONNX. relu'(0) = 0, as in PyTorch;
branches look at the real part only. At infinite pre-activations, also those of an overflow, each has its limit; NaN
stays NaN.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from . import ops
from .arrays import Array, constant, exp, expm1, log1p, real, where

Function = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Activation:
    """``f`` and its derivative ``d`` at the pre-activation; ``complement`` is 1 - f, without cancellation.

    ``made`` is the function of this module that made it, by name, and its arguments: two made alike are equal, and they
    pickle, as the named ones do. One of your own pickles if its functions do.
    """

    name: str
    f: Function
    d: Function
    complement: Function
    made: tuple[Any, ...] | None = field(default=None, init=False)  # a replaced one was not made so

    def _key(self) -> tuple[Any, ...]:
        return self.made or (self.name, self.f, self.d, self.complement)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remade, self.made) if self.made else (Activation, (self.name, self.f, self.d, self.complement))

    def __call__(self, a: Array) -> Array:
        """``f`` at the pre-activation."""
        return self.f(a)

    def __repr__(self) -> str:
        return f"<Activation {self.name}>"


def _remade(name: str, *arguments: Any) -> Any:
    made = globals()[name]
    return made(*arguments) if callable(made) and not isinstance(made, Activation) else made


def _maker(make: Callable[..., Activation]) -> Callable[..., Activation]:
    """The function with what it makes knowing how it was made."""

    @wraps(make)
    def made(*args: Any, **options: Any) -> Activation:
        bound = inspect.signature(make).bind(*args, **options)
        bound.apply_defaults()
        found = make(*args, **options)
        object.__setattr__(found, "made", (make.__name__, *bound.arguments.values()))
        return found

    return made


def activation(name: str, f: Function, d: Function) -> Activation:
    """A pair of your own; its complement is taken by subtraction."""
    return Activation(name, f, d, lambda a: 1 - f(a))


@dataclass(frozen=True)
class Normalisation:
    """What a layer norm does to the blocks of a row: ``f(blocks, eps)`` and ``adjoint(d, blocks, eps)``.

    ``eps`` is added to the variance.
    """

    name: str
    f: Callable[[Sequence[Array], float], list[Array]]
    d: Callable[[Sequence[Array], Sequence[Array], float], list[Array]]
    eps: float = 1e-5  # as in torch.nn.LayerNorm

    def __call__(self, blocks: Sequence[Array]) -> list[Array]:
        """The normalised blocks (...,B,N)."""
        return self.f(blocks, self.eps)

    def adjoint(self, d: Sequence[Array], blocks: Sequence[Array]) -> list[Array]:
        """The cotangents of ``blocks`` from those of the normalised ones."""
        return self.d(d, blocks, self.eps)

    def __repr__(self) -> str:
        return f"<Normalisation {self.name}, eps {self.eps:g}>"


def _apart(blocks: Sequence[Array], eps: float) -> list[Array]:
    return [ops.normalise([v], eps)[0] for v in blocks]


def _apart_adjoint(d: Sequence[Array], blocks: Sequence[Array], eps: float) -> list[Array]:
    return [ops.normalise_adjoint([a], [v], eps)[0] for a, v in zip(d, blocks, strict=True)]


def _unchanged(blocks: Sequence[Array], *_: Any) -> list[Array]:
    return list(blocks)


TOGETHER = Normalisation("together", ops.normalise, ops.normalise_adjoint)
APART = Normalisation("apart", _apart, _apart_adjoint)
UNCHANGED = Normalisation("unchanged", _unchanged, _unchanged)
SIGMOID = Activation("sigmoid", ops.sigmoid, ops.dsigmoid, lambda a: ops.sigmoid(-a))
TANH = activation("tanh", ops.tanh, ops.dtanh)
RELU = activation("relu", lambda a: _bend(a, constant(a, 0), a), lambda a: _bend(a, constant(a, 0), constant(a, 1)))
IDENTITY = activation("identity", lambda a: a, lambda a: constant(a, 1))
ONE = Activation("one", lambda a: constant(a, 1), lambda a: constant(a, 0), lambda a: constant(a, 0))
SOFTSIGN = activation("softsign", lambda a: _softsign(a), lambda a: _inverse(a) * _inverse(a))
SOFTPLUS = activation("softplus", lambda a: _bend(a, constant(a, 0), a) + log1p(exp(-ops.magnitude(a))), ops.sigmoid)

for _name, _named in list(globals().items()):
    if isinstance(_named, Activation):  # the named ones are found again by their names
        object.__setattr__(_named, "made", (_name,))


@_maker
def affine(alpha: float = 1.0, beta: float = 0.0) -> Activation:
    """alpha a + beta."""
    return activation("affine", lambda a: alpha * a + beta, lambda a: constant(a, alpha))


@_maker
def leaky_relu(alpha: float = 0.01) -> Activation:
    """a, or alpha a where a is negative."""
    return activation(
        "leaky_relu", lambda a: _bend(a, alpha * a, a), lambda a: _bend(a, constant(a, alpha), constant(a, 1))
    )


@_maker
def thresholded_relu(alpha: float = 1.0) -> Activation:
    """a where a >= alpha, else 0: as in the text of ONNX's LSTM. (The operator ThresholdedRelu has a > alpha.)"""
    return activation(
        "thresholded_relu",
        lambda a: where(real(a) < alpha, constant(a, 0), a),
        lambda a: where(real(a) < alpha, constant(a, 0), constant(a, 1)),
    )


@_maker
def scaled_tanh(alpha: float = 1.0, beta: float = 1.0) -> Activation:
    """alpha tanh(beta a)."""
    return activation("scaled_tanh", lambda a: alpha * ops.tanh(beta * a), lambda a: alpha * beta * ops.dtanh(beta * a))


@_maker
def hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> Activation:
    """max(0, min(1, alpha a + beta)). Keras 3 has alpha = 1/6."""

    def between(a: Array, inside: Array, below: Array, above: Array) -> Array:
        line = alpha * a + beta
        return _bend(line, below, where(real(line) >= 1, above, inside))

    return activation(
        "hard_sigmoid",
        lambda a: between(a, alpha * a + beta, constant(a, 0), constant(a, 1)),
        lambda a: between(a, constant(a, alpha), constant(a, 0), constant(a, 0)),
    )


@_maker
def elu(alpha: float = 1.0) -> Activation:
    """a, or alpha (exp(a) - 1) where a is negative."""

    return activation(  # -magnitude(a) is a where it is used, and cannot overflow where it is not
        "elu",
        lambda a: _bend(a, alpha * expm1(-ops.magnitude(a)), a),
        lambda a: _bend(a, alpha * exp(-ops.magnitude(a)), constant(a, 1)),
    )


@_maker
def clipped(inner: Activation, limit: float, straight_through: bool = False) -> Activation:
    """``inner`` of the pre-activation clipped to [-limit, limit].

    The true derivative is zero outside. With ``straight_through`` the clip counts as the identity in the backward
    pass, as in TensorFlow's block kernels: then the gradient is that of no function.
    """

    def clip(a: Array) -> Array:
        return where(real(a) > limit, constant(a, limit), where(real(a) < -limit, constant(a, -limit), a))

    def d(a: Array) -> Array:
        slope = inner.d(clip(a))
        return slope if straight_through else where(real(ops.magnitude(a)) > limit, constant(slope, 0), slope)

    return replace(
        inner,
        name=f"{inner.name} clipped at {limit:g}",
        f=lambda a: inner.f(clip(a)),
        d=d,
        complement=lambda a: inner.complement(clip(a)),
    )


@_maker
def clip(limit: float, straight_through: bool = False) -> Activation:
    """max(-limit, min(limit, a)); see ``clipped``."""
    return replace(clipped(IDENTITY, limit, straight_through), name=f"clip_{limit:g}")


@_maker
def complement(inner: Activation) -> Activation:
    """1 - inner: a forget gate tied to its input gate."""
    return Activation(f"1 - {inner.name}", inner.complement, lambda a: -inner.d(a), inner.f)


def _bend(a: Array, below: Array, above: Array) -> Array:
    """``above`` where a > 0, else ``below``, where a is NaN too."""
    return where(real(a) > 0, above, below)


def _softsign(a: Array) -> Array:
    """a / (1 + |a|): for large ones sign(a) (1 - 1/(1 + |a|)), which has a limit."""
    m, one = ops.magnitude(a), constant(a, 1)
    small = where(real(m) > 1, one, m)
    value = where(real(m) > 1, 1 - _inverse(a), small / (1 + small))
    return where(real(a) < 0, -value, value)


def _inverse(a: Array) -> Array:
    """1 / (1 + |a|)."""
    return 1 / (1 + ops.magnitude(a))
