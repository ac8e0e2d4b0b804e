"""Any gradient held against its loss alone, by the best route that the loss allows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..arrays import as_numpy, type_name
from . import given
from .given import CaseError
from .report import Report, compare
from .routes import LEVELS, complex_step, differences, extrapolated

COMPLEX_STEP = 90  # unit roundoffs, normwise: what the complex step resolves
STEPS = [2.0 ** -(4 + k) for k in range(LEVELS + 1)]  # of two extrapolations, whose gap tells the resolution
SAFETY = 10.0  # such estimates are too small, up to 8.5 times, on some 7 % of components
DRAWS = 2  # of directions along which the complex step is compared with differences
REACHES = [2.0 ** -(5 * k) for k in range(6)]  # times the steps: tried in turn
SETTLED, STRAIGHT = (
    0.1,
    1e-9,
)  # two extrapolations so near, relative to the slopes, say something; need no shorter steps


def verify(loss: Any, gradient: Any, point: Any, tolerance: float = 1e-7, chunk: int | None = None) -> Report:
    """Compare ``gradient`` at ``point`` with what ``loss`` itself tells, by the best route that it allows.

    ``loss`` maps a tree of NumPy arrays (float64) to a number. Where it accepts complex arrays, and its complex step
    is what differences say along random directions of each array, the route is the complex step, one call of the loss
    for each component; else Richardson's extrapolation of differences, 10 to 60 calls. What differences resolve is
    estimated from two step sizes and from the rounding of the loss, an offset of the loss included; what they could
    not see, a small term that is not analytic, is in doubt by either route. An error below that resolution gives
    ``cannot tell``, and so does any subgradient at a kink. ``chunk`` as in the routes.

    The Report prints its verdict, the route, and why it was not the complex step (``because``), above the table.
    Raises CaseError where ``loss`` gives no finite number, ``point`` is no tree of float64 arrays, or ``gradient`` has
    other names or shapes.
    """
    given.tolerance(tolerance)
    if chunk is not None and chunk < 1:
        raise CaseError(f"chunk is {chunk}; expected how many directions a call takes, at least 1")
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
        finest = COMPLEX_STEP * roundoff
        doubt = [unseen if np.any(a) else 0.0 for unseen, (_, a) in zip(doubt, tree.leaves(got), strict=True)]
        route = "complex step"
    else:
        found, calls = _difference(numbers, point, float(at), roundoff, chunk)
        found = _confirmed(found, numbers, point, float(at), roundoff)
        finest, doubt = 0.0, [one.doubt for one in found]
        both = list(zip(found, tree.leaves(got), strict=True))
        kinks = {name for one, (name, _) in both if np.any(one.jump)}
        near = iter([np.clip(a, one.slopes - one.jump / 2, one.slopes + one.jump / 2) for one, (_, a) in both])
        want = tree.map(lambda _: next(near), point)
        route = f"Richardson differences, {calls} calls of the loss for each of {tree.size(point)} numbers"
    each = zip(doubt, tree.leaves(want), tree.leaves(got), strict=True)
    resolution = {name: max(finest, _normwise(unseen, a, b)) for unseen, (name, a), (_, b) in each}
    report = compare(got, want, resolution=resolution, tolerance=tolerance)
    rows = (
        row._replace(verdict="cannot tell", reason="kink") if row.name in kinks and row.verdict == "pass" else row
        for row in report
    )
    return replace(
        report, rows=tuple(row._replace(name=row.name or "gradient") for row in rows), route=route, because=because
    )


class _Slopes(NamedTuple):
    """Of one array: how far its ``slopes`` may be off, in their norm, and by how much they ``jump`` at a kink."""

    doubt: float
    slopes: Any
    jump: Any


def _difference(
    loss: Callable[[Any], Any], point: Any, at: float, roundoff: float, chunk: int | None
) -> tuple[list[_Slopes], int]:
    """Each array by the steps that show it best, since a kink may be near; and how often the loss was called.

    Where it varies too fast for all of them, the doubt is infinite.
    """
    tried: list[list[_Slopes]] = []
    for reach in REACHES:
        floor = SAFETY * roundoff * abs(at) / (reach * STEPS[-1])  # rounding of the loss may be all that shows
        central, bends = zip(*(differences(loss, point, at, reach * step, chunk) for step in STEPS), strict=True)
        trees = (extrapolated(central[:-1]), extrapolated(central[1:]), *bends[-3:])
        here, enough = [], True
        for coarse, fine, *bend in zip(*([as_numpy(a) for _, a in tree.leaves(t)] for t in trees), strict=True):
            known, noise = SAFETY * tree.norm(fine - coarse), floor * math.sqrt(fine.size)
            says = known <= max(SETTLED * tree.norm(fine), noise)
            here.append(_Slopes(known + noise if says else math.inf, fine, _jump(bend, floor)))
            enough = enough and known <= max(STRAIGHT * tree.norm(fine), noise)
        tried.append(here)
        if enough:
            break
    return [_best(array) for array in zip(*tried, strict=True)], 2 * len(STEPS) * len(tried)


def _best(tried: Sequence[_Slopes]) -> _Slopes:
    """The least doubtful; in more doubt where another says something else: a loss of few digits, say."""
    best = min(tried, key=lambda one: one.doubt)
    gaps = [(tree.norm(one.slopes - best.slopes), one.doubt) for one in tried]
    return best._replace(doubt=max([best.doubt, *(gap + doubt for gap, doubt in gaps if gap > best.doubt + doubt)]))


def _confirmed(
    found: list[_Slopes], loss: Callable[[Any], Any], point: Any, at: float, roundoff: float
) -> list[_Slopes]:
    """In infinite doubt where differences along a random direction of the array say something else.

    A loss of a high frequency may look smooth at steps that are all near multiples of its period.
    """
    rng = np.random.default_rng(0)
    ways = tree.map(lambda v: v * (rng.uniform(0.5, 1) / tree.norm(v)), tree.random_like(point, rng))
    each = _difference(_along(loss, point, ways), [np.zeros(()) for _ in found], at, roundoff, None)[0]
    confirmed = []
    for one, other, (_, way) in zip(found, each, tree.leaves(ways), strict=True):
        gap = abs(float(other.slopes) - float(np.vdot(as_numpy(way), one.slopes)))
        agrees = gap <= one.doubt + other.doubt < math.inf or np.any(one.jump)
        confirmed.append(one if agrees else one._replace(doubt=math.inf))
    return confirmed


def _along(loss: Callable[[Any], Any], point: Any, ways: Any) -> Callable[[Any], Any]:
    """``loss`` as a function of how far each array goes its way."""

    def moved(steps: Any) -> Any:
        each = iter(steps)
        return loss(tree.map(lambda a, way: a + next(each) * way, point, ways))

    return moved


def _jump(bend: Sequence[Any], floor: float) -> Any:
    """(L(p+h) - 2 L(p) + L(p-h)) / h at h = 0: nothing, unless the slopes on both sides differ."""
    rough, middle, last = bend
    first, then = 2 * middle - rough, 2 * last - middle
    limit = (8 * then - first) / 7
    return np.where(np.abs(limit) > SAFETY * np.abs(limit - then) + 4 * floor, np.abs(limit), 0.0)


def _normwise(doubt: float, want: Any, got: Any) -> float:
    """A doubt relative to the array; where that is zero, infinite unless ``got`` is beyond it."""
    if size := tree.norm(want):
        return doubt / size
    return math.inf if 0 < doubt >= tree.norm(got) else 0.0


def _in_doubt(loss: Callable[[Any], Any], point: Any, at: float, roundoff: float) -> tuple[list[float], str]:
    """What differences of ``loss`` could not see of each array's gradient, in its norm; and why they are needed.

    The reason is empty if ``loss`` takes complex arrays and its complex step is its difference, array by array.
    """
    (names, sizes), rng = zip(*((k, a.size) for k, a in tree.leaves(point)), strict=True), np.random.default_rng(0)
    doubt, still = [0.0] * len(names), [np.zeros(()) for _ in names]
    for _ in range(DRAWS):
        drawn = tree.random_like(point, rng)
        ways = tree.map(lambda v: v / tree.norm(v), drawn)
        along = _along(loss, point, ways)
        try:
            value = along([s + 1e-30j for s in still])
            stepped = complex_step(along, still) if value.dtype.kind == "c" else None
        except Exception as error:  # whatever a loss in another library says to complex numbers
            said = " ".join(str(error).split())
            said = said if len(said) <= 100 else said[:97] + "..."
            return doubt, f"the loss does not take complex arrays: {type(error).__name__}: {said}"
        if stepped is None:
            return doubt, "the loss gives a real number for complex arrays: is there an abs or a .real in it?"
        for k, (known, slope, _) in enumerate(_difference(along, still, at, roundoff, None)[0]):
            if not abs(stepped[k] - slope) <= known:
                return doubt, (
                    f"its complex step is not its difference, {stepped[k]:.7g} against {slope:.7g} in one "
                    f"direction{f' of {names[k]}' if names[k] else ''}: is there an abs, a norm, a conjugate or a "
                    "comparison of complex numbers in it?"
                )
            doubt[k] = max(doubt[k], known * math.sqrt(sizes[k]))
    return doubt, ""
