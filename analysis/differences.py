"""The gradient of a case by routes that use its forward pass alone: complex step, central and forward differences."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_lstm.cases.case import Case

Arrays = dict[str, Any]
SMALL = 2.0**-100  # the complex step


def inputs(case: Case) -> list[str]:
    """The arrays by which the loss is differentiated: x, first states and parameters."""
    return [k for k in case.arrays if k != "lengths" and not re.search(r"^(l\d+(_reverse)?\.)?(d_|keep_)", k)]


def gradient_name(name: str) -> str:
    """``l0.weight_ih_l0`` becomes ``l0.d_weight_ih_l0``."""
    place = re.match(r"(l\d+(_reverse)?\.)?", name)
    return f"{place[0]}d_{name[place.end() :]}" if place else name


def loss(case: Case, dtype: Any = np.float64) -> Any:
    """The loss of the case: cotangents times outputs and last states, all in ``dtype``."""
    call = case.call(lambda a: np.asarray(a, dtype))
    run = case.network.layer(call.masks).forward(call.params, call.xs, call.first, call.lengths)
    pairs = zip(*map(case.network.unnest, (call.dlast, run.last)), strict=True)
    return np.sum(call.dhs * run.hs) + sum(np.sum(d * s) for ds, ss in pairs for d, s in zip(ds, ss, strict=True))


def complex_step(case: Case) -> Arrays:
    """Exact to rounding: nothing is subtracted."""
    return _each(case, np.complex128, lambda f, a, at: _imaginary(f, a, at))


def central(case: Case, step: float = 1e-6, dtype: Any = np.float64) -> Arrays:
    """Central differences with an absolute step, in ``dtype``."""

    def one(f: Callable[[], Any], a: Any, at: Any) -> float:
        old, values = a[at], []
        for sign in (1, -1):
            a[at] = old + a.dtype.type(sign * step)
            values.append(f())
        a[at] = old
        return float(values[0] - values[1]) / (2 * step)

    return _each(case, dtype, one)


def forward(case: Case, step: float = 2.0**-26) -> Arrays:
    """Forward differences with an absolute step."""
    start = loss(case)

    def one(f: Callable[[], Any], a: Any, at: Any) -> float:
        old = a[at]
        a[at] = old + step
        value = f()
        a[at] = old
        return float(value - start) / step

    return _each(case, np.float64, one)


def _imaginary(f: Callable[[], Any], a: Any, at: Any) -> float:
    a[at] += 1j * SMALL
    value = f()
    a[at] = a[at].real
    return float(value.imag) / SMALL


def _each(case: Case, dtype: Any, one: Callable[[Callable[[], Any], Any, Any], float]) -> Arrays:
    """``one(loss, array, index)`` for every number of every input, each array in turn open to changes."""
    copies = {k: np.array(case.arrays[k], dtype) for k in inputs(case)}
    other = case._replace(arrays=case.arrays | copies)
    found = {}
    for k, a in copies.items():
        gradient = np.empty(a.shape)
        for at in np.ndindex(a.shape):
            gradient[at] = one(lambda: loss(other, dtype), a, at)
        found[gradient_name(k)] = gradient
    return found
