"""Arrays that carry, beside each value, the sum of the absolute values of all terms that went into it.

Back-propagating them through a page, as through any other array library, gives S: the gradient with every path
counted positively, whatever the page computes.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import ops
from ..activations import SIGMOID, TANH, Activation
from ..pages.page import Page


class Sized:
    """A NumPy array ``value`` with its ``size`` >= abs(value): differences add sizes, products multiply them.

    A number added or subtracted (the 1 of 1 - z) is part of a function, and the result starts afresh with its own
    size: a page that loses digits there is not forgiven.
    """

    def __init__(self, value: Any, size: Any = None) -> None:
        self.value = value
        self.size = np.abs(value) if size is None else size

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: Sized(self.value.T, self.size.T))
    mT = property(lambda self: Sized(self.value.mT, self.size.mT))

    def __array_namespace__(self) -> Any:
        return NAMESPACE

    def __getitem__(self, key: Any) -> "Sized":
        return Sized(self.value[key], self.size[key])

    def astype(self, _: Any) -> "Sized":
        """Itself: there is one dtype."""
        return self

    def __neg__(self) -> "Sized":
        return Sized(-self.value, self.size)

    def __ge__(self, other: Any) -> Any:
        return self.value >= other

    def __gt__(self, other: Any) -> Any:
        return self.value > other

    def __lt__(self, other: Any) -> Any:
        return self.value < other

    def __add__(self, other: Any) -> "Sized":
        if isinstance(other, Sized):
            return Sized(self.value + other.value, self.size + other.size)
        return Sized(self.value + other)

    def __sub__(self, other: Any) -> "Sized":
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> "Sized":
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> "Sized":
        other = _sized(other)
        return Sized(self.value * other.value, self.size * other.size)

    def __truediv__(self, other: Any) -> "Sized":
        other = _sized(other)
        return Sized(self.value / other.value, self.size / np.abs(other.value))

    def __rtruediv__(self, other: Any) -> "Sized":
        return _sized(other) / self

    def __matmul__(self, other: Any) -> "Sized":
        return Sized(self.value @ other.value, self.size @ other.size)

    __radd__, __rmul__ = __add__, __mul__


def _sized(value: Any) -> Sized:
    return value if isinstance(value, Sized) else Sized(value)


def _of_value(f: Any) -> Any:
    """An elementary function: accurate in itself, so its result starts afresh with its own size."""
    return lambda a: Sized(f(a.value))


def _of_both(f: Any) -> Any:
    """A linear rearrangement or sum: the same for values and sizes."""
    return lambda a, *args, **options: Sized(f(a.value, *args, **options), f(a.size, *args, **options))


NAMESPACE = SimpleNamespace(
    __name__="numpy_lstm",
    **{f.__name__: _of_value(f) for f in (np.exp, np.tanh, np.sqrt, np.log1p, np.expm1)},
    **{f.__name__: _of_both(f) for f in (np.sum, np.flip, np.take, np.take_along_axis)},
    reshape=lambda a, shape: (_of_both(np.reshape) if isinstance(a, Sized) else np.reshape)(a, shape),
    permute_dims=_of_both(np.permute_dims),
    argmax=lambda a, axis: np.argmax(a.value, axis),
    zeros=lambda shape, dtype: Sized(np.zeros(shape, dtype)),
    stack=lambda arrays, axis: Sized(
        np.stack([a.value for a in arrays], axis), np.stack([a.size for a in arrays], axis)
    ),
    concat=lambda arrays, axis: Sized(
        np.concat([a.value for a in arrays], axis), np.concat([a.size for a in arrays], axis)
    ),
    where=lambda condition, a, b: Sized(
        *(np.where(_sized(condition).value, x, y) for x, y in ((a.value, b.value), (a.size, b.size)))
    ),
    asarray=np.asarray,
    bool=bool,
)


# A second size is carried along to first order, as the imaginary part of ``size`` over TINY: what an error made once,
# somewhere on a path, amounts to. (Multiplied out along all paths, such errors would grow without bound.)
TINY = 1e-30


def blurred(a: Sized) -> Sized:
    """A value whose error is as large as the sum that it came from, on paths where it is but a factor."""
    return Sized(a.value, np.abs(a.value) + 1j * TINY * a.size)


def total_size(a: Sized) -> Any:
    """The size, and the second size if there is one."""
    return a.size.real + a.size.imag / TINY if np.iscomplexobj(a.size) else a.size


def textbook(cell: Page) -> Page:
    """A page's ``cell`` for Sized arrays as a textbook computes it: s (1 - s), 1 - t^2 and 1 - s are differences.

    Along its paths stands what a code has to add up that takes derivatives from activations, as autograd does.
    """
    return _with_functions(cell, TEXTBOOK)


def lossy(cell: Page) -> Page:
    """A page as a textbook computes it, for plain arrays: what it loses is really lost."""
    return _with_functions(cell, LOSSY)


def _with_functions(cell: Page, other: dict[Activation, Activation]) -> Page:
    return cell.mapping(lambda f: other.get(f, f))


def _with_size(f: Any, size: Any, enter: Any = lambda a: a) -> Any:
    return lambda a: enter(Sized(f(a.value), size(a.value)))


TEXTBOOK: dict[Activation, Activation] = {
    SIGMOID: replace(
        SIGMOID,
        d=_with_size(SIGMOID.d, lambda a: ops.sigmoid(a) * (1 + ops.sigmoid(a)), blurred),
        complement=_with_size(SIGMOID.complement, lambda a: 1 + ops.sigmoid(a)),
    ),
    TANH: replace(TANH, d=_with_size(TANH.d, lambda a: 1 + np.tanh(a) ** 2, blurred)),
}

LOSSY: dict[Activation, Activation] = {
    SIGMOID: replace(SIGMOID, d=lambda a: SIGMOID(a) * (1 - SIGMOID(a)), complement=lambda a: 1 - SIGMOID(a)),
    TANH: replace(TANH, d=lambda a: 1 - TANH(a) * TANH(a)),
}
