"""For other people's test suites: one assertion whose failure text is the whole comparison."""

import math
import warnings
from os import PathLike
from typing import Any

import numpy as np

from .. import layouts, tree
from .case import Case
from .judge import UNIT_ROUNDOFF, judge
from .network import CaseError
from .report import Report, compare, normwise, worst
from .routes import complex_step, directional, richardson

COMPLEX_STEP = 1e-14  # normwise, what the complex step resolves
STEPS = (2.0**-4, 2.0**-5)  # of the two extrapolations whose gap tells the resolution
SAFETY = 10.0  # such estimates are too small, up to 8.5 times, on some 7 % of components


def assert_gradients(
    expected: Case | str | PathLike[str] | dict[str, Any] | tuple[Any, ...],
    got: Any,
    *,
    tolerance: float | None = None,
    resolution: float = 0.0,
    seed: int = 0,
    partial: bool = False,
) -> Any:
    """Raise AssertionError, with the table as its text, unless ``got`` passes; returns the Judgement or Report.

    ``expected`` is a case (or its file), and then ``got`` an answer, a whole one unless ``partial``: see ``judge``. Or
    it is a dict (or any tree) of arrays of trusted gradients, and ``got`` one of the same names and shapes, from
    wherever: NumPy, torch, JAX, files. Without S there, K is relative to the largest component of each array;
    ``tolerance`` asks for a normwise error instead, and ``resolution`` says how well ``expected`` itself is known.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise CaseError(f"tolerance is {tolerance}; expected a number between 0 and 1")
    if isinstance(expected, Case | str | PathLike):
        if tolerance is not None or resolution:
            raise CaseError("tolerance and resolution are for plain arrays; a case is judged by K")
        return require(judge(expected, got, seed, partial=partial))
    if partial:
        raise CaseError("partial is for a case; of plain arrays, expect only those that are given")
    want = tree.map(lambda a: layouts.as_numpy(a).astype(np.float64), expected)
    given = _like(tree.map(layouts.as_numpy, got), want)
    for name, a in tree.leaves(given):
        if a.dtype.kind not in "fiu" or not a.size:
            raise CaseError(f"{name} has dtype {a.dtype} and shape {a.shape}; expected real numbers, at least one")
    single = all(a.dtype == np.float32 for _, a in tree.leaves(given))
    roundoff = UNIT_ROUNDOFF["float32" if single else "float64"]
    return require(compare(given, want, None, roundoff, resolution=resolution, tolerance=tolerance))


def require(outcome: Any) -> Any:
    """The ``Judgement`` or ``Report``; raises AssertionError with it as text unless it passes."""
    if outcome.verdict != "pass":
        raise AssertionError(f"{outcome.verdict}\n\n{outcome}")
    return outcome


def verify(loss: Any, gradient: Any, point: Any, tolerance: float = 1e-7, chunk: int | None = None) -> Report:
    """Compare ``gradient`` at ``point`` with what ``loss`` itself tells, by the best route that it allows.

    ``loss`` maps a tree of NumPy arrays to a number. Where it accepts complex arrays that is the complex step, exact
    to rounding; else Richardson's extrapolation of differences, whose resolution is estimated from two step sizes and
    from the rounding of the loss, an offset of the loss included. An error below that resolution gives ``cannot
    tell``. ``chunk`` as in the routes.
    """
    with warnings.catch_warnings(action="error"):
        analytic = _is_analytic(loss, point)
    if analytic:
        want = complex_step(loss, point, chunk=chunk)
        return compare(_like(gradient, want), want, resolution=COMPLEX_STEP, tolerance=tolerance)
    coarse, want = (richardson(loss, point, step, chunk=chunk) for step in STEPS)
    rounding = 2.0**-53 * abs(float(loss(point))) / (STEPS[1] / 8)  # of one difference, and so of one component

    def resolution(a: Any, b: Any) -> float:
        """Of one array, normwise; infinite where rounding is all that it shows."""
        floor, size = SAFETY * rounding * math.sqrt(b.size), tree.norm(b)
        return worst([SAFETY * normwise(a, b), floor / size]) if floor < size else math.inf

    limits = {name: resolution(a, b) for (name, b), (_, a) in zip(tree.leaves(want), tree.leaves(coarse), strict=True)}
    return compare(_like(gradient, want), want, resolution=limits, tolerance=tolerance)


def _is_analytic(loss: Any, point: Any) -> bool:
    """Whether ``loss`` takes complex arrays and its complex step is, to a few digits, its difference."""
    direction = tree.random_like(point, np.random.default_rng(0))
    try:
        stepped = float(directional(loss, point, direction))
    except Exception:  # whatever a loss in another library says to complex numbers
        return False
    ahead, behind = (float(loss(tree.add(point, tree.scale(sign * 1e-4, direction)))) for sign in (1, -1))
    noise = 2.0**-53 * max(abs(ahead), abs(behind)) / 1e-4
    return abs(stepped - (ahead - behind) / 2e-4) <= 1e-3 * abs(stepped) + SAFETY * noise


def _like(got: Any, want: Any) -> Any:
    """``got`` as arrays of the names and shapes of ``want``; raises CaseError if it has others."""
    have, need = ({k: tuple(a.shape) for k, a in tree.leaves(value)} for value in (got, want))
    if have != need:
        wrong = sorted(k for k in have.keys() | need.keys() if have.get(k) != need.get(k))
        said = "; ".join(f"{k}: {have.get(k, 'absent')}, expected {need.get(k, 'nothing')}" for k in wrong)
        raise CaseError(f"the gradients do not match in shape: {said}")
    return tree.map(lambda _, a: a, want, got)  # in the order of want, which may name them in another
