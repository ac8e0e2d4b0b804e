"""The gradient of a case by differences of its forward pass: complex steps, central and forward differences."""

from typing import Any

import numpy as np

from numpy_lstm import check
from numpy_lstm.cases.case import Case

Arrays = dict[str, Any]


def gradient_names(case: Case) -> dict[str, str]:
    """What the loss is differentiated by, x, first states and parameters, each with the name of its gradient."""
    states = [f"{k}_0" for k in case.network.of_cell().State._fields]
    of_place = {f"{place}{k}": f"{place}d_{k}" for place in case.network.places() for k in (*states, *case.names())}
    return {"x": "d_x"} | of_place


def loss(case: Case, inputs: Arrays) -> Any:
    """Cotangents times outputs and last states, with these arrays in place of the case's own, and in their dtype."""
    problem = case._replace(arrays=case.arrays | inputs).problem(lambda a: np.asarray(a, inputs["x"].dtype))
    return problem.loss(problem.point)


def complex_step(case: Case) -> Arrays:
    """Exact to rounding: nothing is subtracted."""
    return _named(case, check.complex_step(lambda a: loss(case, a), _inputs(case)))


def central(case: Case, step: float = 1e-6, dtype: Any = np.float64) -> Arrays:
    """Central differences with an absolute step, in ``dtype``."""
    return _named(case, check.finite_difference(lambda a: loss(case, a), _inputs(case, dtype), step))


def forward(case: Case, step: float = 2.0**-26) -> Arrays:
    """Forward differences with an absolute step."""
    inputs = _inputs(case)
    start, found = loss(case, inputs), {k: np.empty_like(a) for k, a in inputs.items()}
    for k, a in inputs.items():
        for at in np.ndindex(a.shape):
            moved = a.copy()
            moved[at] += step
            found[k][at] = (loss(case, inputs | {k: moved}) - start) / step
    return _named(case, found)


def _inputs(case: Case, dtype: Any = np.float64) -> Arrays:
    return {k: case.arrays[k].astype(dtype) for k in gradient_names(case)}


def _named(case: Case, gradients: Arrays) -> Arrays:
    return {name: gradients[k] for k, name in gradient_names(case).items()}
