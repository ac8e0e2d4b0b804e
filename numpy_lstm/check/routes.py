"""Routes to a derivative that never look at a backward pass.

Each takes plain functions of a point, and a point is any tree of arrays of NumPy or CuPy: ``Problem.loss`` and
``Problem.point``, or your own function and a dict. With ``chunk=n`` a loss is called with n directions at
once: every leaf then has a leading axis of at most n, and the loss returns one number for each entry.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..arrays import is_cupy, namespace, type_name
from .metrics import worst

Function = Callable[[Any], Any]
LEVELS = 4  # of an extrapolation


def complex_step(loss: Function, point: Any, h: float = 1e-30, chunk: int | None = None) -> Any:
    """The gradient as Im L(point + i h e_j) / h, exact to rounding for any h from 1e-200 to 1e-16.

    No difference is taken, so nothing cancels (Squire & Trapp 1998). ``loss`` must be analytic: no abs, no
    conjugate, and comparisons of real parts only. Returns a tree like ``point``.
    """
    expect_arrays(point)
    z = tree.map(lambda a: a.astype(np.result_type(a.dtype, np.complex64)), point)
    return tree.map(lambda a: a / h, tree.map(np.imag, _per_component(loss, z, chunk, 1j * h)))


def finite_difference(loss: Function, point: Any, step: float = 1e-5, chunk: int | None = None) -> Any:
    """The gradient as (L(point + step e_j) - L(point - step e_j)) / 2 step: error O(step^2) + O(u/step).

    In float64 the best step lies near 1e-5 and reaches about 1e-10. Returns a tree like ``point``.
    """
    expect_arrays(point)
    return differences(loss, point, 0, step, chunk)[0]


def differences(loss: Function, point: Any, at: Any, step: float, chunk: int | None = None) -> tuple[Any, Any]:
    """The central difference, and (L(point + step e_j) - 2 at + L(point - step e_j)) / step, with ``at`` = L(point)."""
    ahead, behind = (_per_component(loss, point, chunk, s) for s in (step, -step))
    central = tree.map(lambda a, b: (a - b) / (2 * step), ahead, behind)
    return central, tree.map(lambda a, b: ((a - at) + (b - at)) / step, ahead, behind)


def richardson(
    loss: Function, point: Any, step: float = 2.0**-5, levels: int = LEVELS, chunk: int | None = None
) -> Any:
    """Central differences at step, step/2, ..., combined so that an error of O(step^(2 levels)) is left."""
    return extrapolated([finite_difference(loss, point, step / 2**k, chunk) for k in range(levels)])


def extrapolated(row: Sequence[Any]) -> Any:
    """Richardson's combination of central differences, each of half the step of the one before."""
    for order in range(1, len(row)):
        weight = 4.0**order
        row = [tree.map(lambda fine, rough, w=weight: fine + (fine - rough) / (w - 1), b, a) for a, b in pairwise(row)]
    return row[0]


def directional(f: Function, point: Any, direction: Any, h: float = 1e-30) -> Any:
    """J v for ``f`` with any tree as value: the complex step along ``direction``. Nothing but ``f`` is used."""
    expect_arrays(point)
    z = tree.map(lambda a, v: a.astype(np.result_type(a.dtype, np.complex64)) + 1j * h * v, point, direction)
    return tree.map(lambda a: np.imag(a) / h, f(z))


def hessian_vector(gradient: Function, point: Any, direction: Any, h: float = 1e-30) -> Any:
    """H v: the complex step through a gradient, whose code must run in complex arithmetic and never conjugate."""
    return directional(gradient, point, direction, h)


class DotTest(NamedTuple):
    """<w, J v> and <J^T w, v> for random pairs; ``error`` is the largest gap over the norms |J^T w| |v|."""

    error: float
    pairs: int


def dot_test(
    jvp: Function, vjp: Function, point: Any, outputs: Any, rng: np.random.Generator, pairs: int = 200
) -> DotTest:
    """The adjoint identity <w, J v> = <J^T w, v>, for ``jvp(v)`` and ``vjp(w)`` at one point.

    The gap is divided by the norms and not by the inner product, which may be anywhere near zero.
    """
    errors = []
    for _ in range(pairs):
        v, w = tree.random_like(point, rng), tree.random_like(outputs, rng)
        pulled = vjp(w)
        gap, scale = float(abs(tree.dot(w, jvp(v)) - tree.dot(pulled, v))), tree.norm(pulled) * tree.norm(v)
        errors.append(gap / scale if scale > 0 else (0.0 if gap == 0 else math.inf))
    return DotTest(worst(errors), pairs)


class TaylorTest(NamedTuple):
    """Remainders of the Taylor polynomial for steps e; ``slope`` is that of log against log where it is straight."""

    steps: tuple[float, ...]
    remainders: tuple[float, ...]
    slope: float


def taylor_test(
    loss: Function,
    gradient: Any,
    point: Any,
    direction: Any,
    hessian_vector: Any = None,
    steps: tuple[float, ...] | None = None,
) -> TaylorTest:
    """|L(p + e v) - L(p) - e <g, v>| falls as e^2, and as e^3 once e^2/2 <v, H v> is subtracted too.

    ``gradient`` and ``hessian_vector`` are the values under test at ``point``, H v along ``direction``. A wrong
    gradient pulls the slope to 1, a wrong H v to 2, at any scale of the loss and without a tolerance. The default
    steps, for a direction of norm 1, span five decades. At the coarse end the next Taylor term shows, at the fine
    end the rounding of the loss (less of it at a longdouble point); the slope is taken between them, over the five
    consecutive steps where the line is straightest.
    """
    at, slope = loss(point), tree.dot(gradient, direction)
    if steps is None:
        steps = tuple(10.0**k for k in np.linspace(-0.5, -5.5, 16))
    curvature = 0 if hessian_vector is None else tree.dot(hessian_vector, direction)
    remainders = tuple(
        float(abs(loss(tree.add(point, tree.scale(e, direction))) - at - e * slope - e * e / 2 * curvature))
        for e in steps
    )
    if not min(remainders) > 0:
        return TaylorTest(steps, remainders, math.nan)
    slopes = np.diff(np.log(remainders)) / np.diff(np.log(steps))
    windows = [slopes[k : k + 4] for k in range(max(1, len(slopes) - 3))]
    return TaylorTest(steps, remainders, float(np.median(min(windows, key=np.ptp))))


def expect_arrays(point: Any) -> None:
    """Raises TypeError unless every leaf of ``point`` is an array of NumPy or CuPy."""
    for name, a in tree.leaves(point, "point"):
        if not (isinstance(a, np.ndarray | np.generic) or is_cupy(a)):
            hint = "a.detach().numpy() makes one" if hasattr(a, "detach") else "np.array(a) makes one, of a list too"
            raise TypeError(f"{name} is a {type_name(a)}; expected a NumPy array ({hint})")


def _per_component(loss: Function, point: Any, chunk: int | None, step: Any) -> Any:
    """The loss with each component in turn moved by ``step``, gathered in a tree like ``point``."""
    flat, columns = tree.flatten(point) + 0 * step, []
    xp = namespace(flat)
    for moved, count in _moved(point, flat, chunk, step):
        column = xp.asarray(loss(moved))
        if column.size != 1 if chunk is None else column.shape != (count,):
            expected = "one number" if chunk is None else "one number for each of the points along the leading axis"
            raise ValueError(f"the loss gives an array of shape {column.shape}; expected {expected}")
        columns.append(column.reshape(-1))
    return tree.unflatten(xp.concatenate(columns), point)


def _moved(point: Any, flat: Any, chunk: int | None, step: Any) -> Iterator[tuple[Any, int]]:
    """The points with one component of ``flat`` moved, alone or ``chunk`` along a leading axis; and how many."""
    n = flat.shape[0]
    for start in range(0, n, chunk or 1):
        block = namespace(flat).tile(flat, (min(chunk or 1, n - start), 1))
        block.reshape(-1)[start :: n + 1] += step
        moved = tree.unflatten(block if chunk else block[0], point)
        yield moved if chunk else tree.map(lambda a: a[()], moved), block.shape[0]  # of no axes, a number
