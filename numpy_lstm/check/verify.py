"""Any gradient held against its loss alone, by the best route that the loss allows."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..arrays import as_numpy, type_name
from . import given
from .given import CaseError
from .metrics import normwise, worst
from .report import Report, compare
from .routes import LEVELS, complex_step, differences, extrapolated

COMPLEX_STEP = 90  # unit roundoffs, normwise: what the complex step resolves
STEPS = [2.0 ** -(4 + k) for k in range(LEVELS + 1)]  # of two extrapolations, whose gap tells the resolution
SAFETY = 10.0  # such estimates are too small, up to 8.5 times, on some 7 % of components
DRAWS = 2  # of directions along which the complex step is compared with differences
REACH = 4.0  # of such a direction, at most


def verify(loss: Any, gradient: Any, point: Any, tolerance: float = 1e-7, chunk: int | None = None) -> Report:
    """Compare ``gradient`` at ``point`` with what ``loss`` itself tells, by the best route that it allows.

    ``loss`` maps a tree of NumPy arrays (float64) to a number. Where it accepts complex arrays, and its complex step
    is what differences say along random directions of each array, the route is the complex step, one call of the loss
    for each component; else Richardson's extrapolation of differences, ten calls. What differences resolve is estimated
    from two step sizes and from the rounding of the loss, an offset of the loss included; what they could not see, a
    small term that is not analytic, is in doubt by either route. An error below that resolution gives ``cannot tell``,
    and so does any subgradient at a kink. ``chunk`` as in the routes.

    The Report prints its verdict, the route, and why it was not the complex step (``because``), above the table.
    Raises CaseError where ``loss`` gives no finite number, ``point`` is no tree of float64 arrays, or ``gradient`` has
    other names or shapes.
    """
    if not callable(loss):
        raise CaseError(f"loss is a {type_name(loss)}; expected a function of the point")
    given.floats(point)
    at = given.number(loss(point))
    got = given.like(gradient, point)  # before the long work
    roundoff = max(2.0**-53, float(np.finfo(at.dtype).eps) / 2 if at.dtype.kind == "f" else 0.0)
    kinks: set[str] = set()

    def numbers(p: Any) -> Any:
        return as_numpy(loss(p))

    doubt, because = _in_doubt(numbers, point, float(at), roundoff)
    if not because:
        want = complex_step(numbers, point, chunk=chunk)
        resolution = {
            name: max(COMPLEX_STEP * roundoff, unseen / size if (size := tree.norm(a)) else unseen and math.inf)
            for unseen, (name, a) in zip(doubt, tree.leaves(want), strict=True)
        }
        route = "complex step"
    else:
        found = _difference(numbers, point, float(at), roundoff, chunk)
        resolution = found.resolution()
        kinks = {name for name, a in tree.leaves(found.jump) if np.any(a)}
        want = tree.map(lambda a, b, j: np.clip(a, b - j / 2, b + j / 2), got, found.fine, found.jump)
        route = f"Richardson differences, {2 * len(STEPS)} calls of the loss for each of {tree.size(point)} numbers"
    report = compare(got, want, resolution=resolution, tolerance=tolerance)
    unsure = {"verdict": "cannot tell", "reason": "kink"}
    rows = (row._replace(**unsure if row.name in kinks and row.verdict == "pass" else {}) for row in report)
    named = tuple(row._replace(name=row.name or "gradient") for row in rows)
    return replace(report, rows=named, route=route, because=because)


class _Found(NamedTuple):
    """Two extrapolations of differences, what rounding leaves in doubt, and by how much the slope jumps at a kink."""

    coarse: Any
    fine: Any
    jump: Any
    floor: float

    def resolution(self) -> dict[str, float]:
        """How well each array is known, normwise; infinite where rounding of the loss is all that differences show."""

        def of(a: Any, b: Any) -> float:
            floor, size = self.floor * math.sqrt(b.size), tree.norm(b)
            return worst([SAFETY * normwise(a, b), floor / size]) if floor < size else math.inf

        pairs = zip(tree.leaves(self.fine), tree.leaves(self.coarse), strict=True)
        return {name: of(a, b) for (name, b), (_, a) in pairs}


def _difference(loss: Callable[[Any], Any], point: Any, at: float, roundoff: float, chunk: int | None) -> _Found:
    central, second = zip(*(differences(loss, point, at, step, chunk) for step in STEPS), strict=True)
    floor = SAFETY * roundoff * abs(at) / STEPS[-1]

    def jump(rough: Any, middle: Any, last: Any) -> Any:
        """(L(p+h) - 2 L(p) + L(p-h)) / h at h = 0: nothing, unless the slopes on both sides differ."""
        first, then = 2 * middle - rough, 2 * last - middle
        limit = (8 * then - first) / 7
        return np.where(np.abs(limit) > SAFETY * np.abs(limit - then) + 4 * floor, np.abs(limit), 0.0)

    return _Found(extrapolated(central[:-1]), extrapolated(central[1:]), tree.map(jump, *second[-3:]), floor)


def _in_doubt(loss: Callable[[Any], Any], point: Any, at: float, roundoff: float) -> tuple[list[float], str]:
    """What differences of ``loss`` could not see of each array's gradient, in its norm; and why they are needed.

    The reason is empty if ``loss`` takes complex arrays and its complex step is its difference, array by array.
    """
    rng, doubt = np.random.default_rng(0), [0.0] * len(list(tree.leaves(point)))
    for _ in range(DRAWS):
        ways = tree.map(lambda a: _way(rng.standard_normal(a.shape)), point)
        still = [np.zeros(()) for _ in doubt]

        def along(steps: Any, ways: Any = ways) -> Any:
            each = iter(steps)
            return loss(tree.map(lambda a, way: a + next(each) * way, point, ways))

        try:
            value = along([s + 1e-30j for s in still])
            stepped = complex_step(along, still) if value.dtype.kind == "c" else None
        except Exception as error:  # whatever a loss in another library says to complex numbers
            said = " ".join(str(error).split())
            said = said if len(said) <= 100 else said[:97] + "..."
            return doubt, f"the loss does not take complex arrays: {type(error).__name__}: {said}"
        if stepped is None:
            return doubt, "the loss gives a real number for complex arrays: is there an abs or a .real in it?"
        found = _difference(along, still, at, roundoff, None)
        for k, (name, v) in enumerate(tree.leaves(ways)):
            known = SAFETY * abs(found.fine[k] - found.coarse[k]) + found.floor
            if not abs(stepped[k] - found.fine[k]) <= known:
                return doubt, (
                    f"its complex step is not its difference, {stepped[k]:.7g} against {found.fine[k]:.7g} in one "
                    f"direction{f' of {name}' if name else ''}: is there an abs, a norm, a conjugate or a comparison "
                    "of complex numbers in it?"
                )
            doubt[k] = max(doubt[k], float(known) * math.sqrt(v.size) / tree.norm(v))
    return doubt, ""


def _way(v: Any) -> Any:
    """A direction of this shape, as long as the square root of its size, but not beyond the reach."""
    return v * (min(math.sqrt(v.size), REACH) / tree.norm(v))
