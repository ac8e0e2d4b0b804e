"""Arrays of balls, intervals around exact numbers (python-flint), on which the pages run."""

import importlib
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np


def library(name: str) -> Any:
    """The module; raises ImportError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        need = "python-flint" if name == "flint" else name
        raise ImportError(f"{need} is not installed; pip install 'numpy-lstm[truth]'") from None


class Balls:
    """An array of balls, for the pages. Where a ball lies on both sides of a branch, ``where`` takes both branches.

    One of the two holds the exact value, whichever it is, so their union does. (Left to themselves, balls answer
    False to every comparison they cannot decide, and a page would take one branch as if it were decided.)
    """

    __array_ufunc__ = None
    dtype = np.dtype(float)  # of the numbers that the balls enclose

    def __init__(self, value: Any) -> None:
        self.value = value

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    T = property(lambda self: Balls(self.value.T))
    mT = property(lambda self: Balls(self.value.mT))

    def __array_namespace__(self) -> Any:
        return NAMESPACE

    def __getitem__(self, key: Any) -> "Balls":
        return Balls(self.value[key])

    def astype(self, _: Any) -> "Balls":
        """Itself: there is one dtype."""
        return self

    def __ge__(self, other: Any) -> "Decision":
        return Decision(self.value >= other, self.value < other)

    def __gt__(self, other: Any) -> "Decision":
        return Decision(self.value > other, self.value <= other)

    def __lt__(self, other: Any) -> "Decision":
        return Decision(self.value < other, self.value >= other)

    def __neg__(self) -> "Balls":
        return Balls(-self.value)

    def __add__(self, other: Any) -> "Balls":
        return Balls(self.value + value_of(other))

    def __sub__(self, other: Any) -> "Balls":
        return Balls(self.value - value_of(other))

    def __rsub__(self, other: Any) -> "Balls":
        return Balls(other - self.value)

    def __mul__(self, other: Any) -> "Balls":
        return Balls(self.value * value_of(other))

    def __truediv__(self, other: Any) -> "Balls":
        return Balls(self.value / value_of(other))

    def __rtruediv__(self, other: Any) -> "Balls":
        return Balls(other / self.value)

    def __matmul__(self, other: Any) -> "Balls":
        return Balls(self.value @ other.value)

    __radd__, __rmul__ = __add__, __mul__


class Decision(NamedTuple):
    """Where a comparison of balls is certainly true, and where it is certainly false; elsewhere it is neither."""

    yes: Any
    no: Any


def _where(condition: Any, a: Balls, b: Balls) -> Balls:
    if not isinstance(condition, Decision):
        return Balls(np.where(condition, a.value, b.value))
    either = ~(condition.yes | condition.no)
    chosen = np.where(condition.yes, a.value, b.value)
    if np.any(either):
        chosen[either] = np.frompyfunc(lambda x, y: x.union(y), 2, 1)(a.value[either], b.value[either])
    return Balls(chosen)


def value_of(a: Any) -> Any:
    """The array of balls itself; other arrays as they are."""
    return a.value if isinstance(a, Balls) else a


def _of_value(f: Any) -> Any:
    return lambda a, *args, **named: Balls(f(a.value, *args, **named))


def _of_values(f: Any) -> Any:
    return lambda arrays, axis: Balls(f([a.value for a in arrays], axis))


def _zeros(shape: tuple[int, ...], dtype: Any) -> Balls:
    return Balls(np.full(shape, library("flint").arb(0), dtype=object))


NAMESPACE = SimpleNamespace(
    __name__="numpy_lstm",
    **{f.__name__: _of_value(f) for f in (np.exp, np.tanh, np.sqrt, np.log1p, np.expm1, np.sum, np.flip)},
    **{f.__name__: _of_value(f) for f in (np.take, np.take_along_axis)},
    permute_dims=_of_value(np.permute_dims),
    argmax=lambda a, axis: np.argmax(a.value, axis),  # whichever is taken, what is computed from it is exact
    **{f.__name__: _of_values(f) for f in (np.stack, np.concat)},
    reshape=lambda a, shape: Balls(np.reshape(a.value, shape)) if isinstance(a, Balls) else np.reshape(a, shape),
    asarray=np.asarray,
    bool=np.bool,
    zeros=_zeros,
    where=_where,
)
