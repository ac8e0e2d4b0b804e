"""Any gradient held against its loss alone, by the best route that the loss allows."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import tree
from ..arrays import as_numpy, type_name
from . import given
from .given import CaseError
from .metrics import normwise, worst
from .report import Report, compare
from .routes import LEVELS, complex_step, richardson

COMPLEX_STEP = 90  # unit roundoffs, normwise: what the complex step resolves
STEPS = (2.0**-4, 2.0**-5)  # of the two extrapolations whose gap tells the resolution
SAFETY = 10.0  # such estimates are too small, up to 8.5 times, on some 7 % of components


def verify(loss: Any, gradient: Any, point: Any, tolerance: float = 1e-7, chunk: int | None = None) -> Report:
    """Compare ``gradient`` at ``point`` with what ``loss`` itself tells, by the best route that it allows.

    ``loss`` maps a tree of NumPy arrays (float64) to a number. Where it accepts complex arrays the route is the complex
    step, exact to rounding, one call of the loss for each component; else Richardson's extrapolation of differences,
    sixteen calls, whose resolution is estimated from two step sizes and from the rounding of the loss, an offset of the
    loss included. An error below that resolution gives ``cannot tell``. ``chunk`` as in the routes.

    The Report prints its verdict, the route, and why it was not the complex step (``because``), above the table.
    Raises CaseError where ``loss`` gives no finite number, ``point`` is no tree of float64 arrays, or ``gradient`` has
    other names or shapes.
    """
    if not callable(loss):
        raise CaseError(f"loss is a {type_name(loss)}; expected a function of the point")
    given.floats(point)
    at = given.number(loss(point))
    given.like(gradient, point)  # before the long work
    roundoff = max(2.0**-53, float(np.finfo(at.dtype).eps) / 2 if at.dtype.kind == "f" else 0.0)

    def numbers(p: Any) -> Any:
        return as_numpy(loss(p))

    if not (because := _why_differences(numbers, point, roundoff)):
        want = complex_step(numbers, point, chunk=chunk)
        resolution: Any = COMPLEX_STEP * roundoff
        route = "complex step"
    else:
        coarse, want = (richardson(numbers, point, step, chunk=chunk) for step in STEPS)
        resolution = _resolution(coarse, want, roundoff * abs(float(at)))
        calls = 2 * LEVELS * len(STEPS)
        route = f"Richardson differences, {calls} calls of the loss for each of {tree.size(point)} numbers"
    report = compare(given.like(gradient, want), want, resolution=resolution, tolerance=tolerance)
    rows = tuple(row._replace(name=row.name or "gradient") for row in report)
    return replace(report, rows=rows, route=route, because=because)


def _resolution(coarse: Any, fine: Any, rounding: float) -> dict[str, float]:
    """How well two extrapolations know each array, normwise; infinite where rounding of the loss is all they show."""
    rounding /= STEPS[1] / 2 ** (LEVELS - 1)  # of one difference, and so of one component

    def of(a: Any, b: Any) -> float:
        floor, size = SAFETY * rounding * math.sqrt(b.size), tree.norm(b)
        return worst([SAFETY * normwise(a, b), floor / size]) if floor < size else math.inf

    return {name: of(a, b) for (name, b), (_, a) in zip(tree.leaves(fine), tree.leaves(coarse), strict=True)}


def _why_differences(loss: Callable[[Any], Any], point: Any, roundoff: float) -> str:
    """Nothing if ``loss`` takes complex arrays and its complex step is, to a few digits, its difference."""
    direction, h = tree.random_like(point, np.random.default_rng(0)), 1e-30
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*imaginary part")  # NumPy and torch drop it with a warning
            value = loss(tree.map(lambda a, v: a + 1j * h * v, point, direction))
            stepped = float(np.imag(value)) / h
    except Exception as error:  # whatever a loss in another library says to complex numbers
        said = " ".join(str(error).split())
        said = said if len(said) <= 100 else said[:97] + "..."
        return f"the loss does not take complex arrays: {type(error).__name__}: {said}"
    if value.dtype.kind != "c":
        return "the loss gives a real number for complex arrays: is there an abs or a .real in it?"
    ahead, behind = (float(loss(tree.add(point, tree.scale(sign * 1e-4, direction)))) for sign in (1, -1))
    difference, noise = (ahead - behind) / 2e-4, roundoff * max(abs(ahead), abs(behind)) / 1e-4
    if abs(stepped - difference) <= 1e-3 * abs(stepped) + SAFETY * noise:
        return ""
    return (
        f"its complex step is not its difference, {stepped:.4g} against {difference:.4g} in one direction: "
        "is there an abs, a conjugate or a comparison of complex numbers in it?"
    )
