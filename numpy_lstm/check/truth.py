"""The truth service: the values and gradients of a case or problem, correctly rounded to float64.

The pages themselves are run, in one of two arithmetics. mpmath carries ``digits`` decimal digits (and is faster where
gmpy2 is installed, which it then uses by itself). python-flint carries balls: an interval around every number, which
holds the exact value whatever was rounded (Johansson 2017, Arb). A component is certified when both ends of its ball
round to the same float64. Precision is doubled until every component is, or the limit is met.

Both are optional: ``pip install 'numpy-lstm[truth]'``. Seconds for values, gradients and cotangents of an LSTM:

    T,B,D,H    components    mpmath    with gmpy2    balls (167 bits, all certified)
    6,3,4,5          2422      0.04         0.03      0.02
    20,4,5,7        13784      0.27         0.20      0.09
"""

import importlib
import importlib.metadata
import importlib.util
import math
import time
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from .case import Case
from .network import CaseError
from .problem import Point, Problem

DOUBLINGS = 3


class Truth(NamedTuple):
    """``values`` are float64 arrays by name: those of ``Case.run``, or ``params.W_i`` and so on of a Problem.

    ``certified`` of ``total`` components are proved to be correctly rounded; None where no proof was tried. The
    others are ``digits``-digit results, rounded to nearest. ``arithmetic`` names library, version and precision.
    """

    values: dict[str, Any]
    digits: int
    arithmetic: str
    certified: int | None
    total: int
    seconds: float


def results(task: Case | Problem, digits: int = 50, certify: bool | None = None) -> Truth:
    """All results of ``task``, its numbers taken as exact, rounded to float64.

    ``certify`` asks for proof; None means: if python-flint is there. Work is proportional to that of the pages, so
    this is for reference sizes. No proof reaches a component that is 0 only because inexact terms cancel, nor one
    behind such a pre-activation at a kink: a ReLU there is not certified, since its slope may be either.
    Raises ImportError, with the command that installs it, where a library is missing; ValueError for too few digits.
    """
    if digits < 17:
        raise ValueError(f"digits is {digits}; expected at least the 17 of float64")
    start = time.perf_counter()
    if certify is None:
        certify = importlib.util.find_spec("flint") is not None
    values: dict[str, Any] = {}
    proved: dict[str, Any] = {}
    used = []
    if certify:
        values, proved, how = _certified(task, digits)
        used.append(how)
    if not certify or not all(np.all(a) for a in proved.values()):
        rounded, how = _rounded(task, digits)
        values = {k: np.where(proved[k], values[k], a) if certify else a for k, a in rounded.items()}
        used.append(how)
    total = sum(a.size for a in values.values())
    certified = sum(int(np.sum(a)) for a in proved.values()) if certify else None
    return Truth(values, digits, "; else ".join(used), certified, total, time.perf_counter() - start)


def fill(case: Case, digits: int = 50, certify: bool | None = None) -> Case:
    """``case`` with the results as ``expected``, and ``about["truth"]`` saying how they were found."""
    for name, a in case.arrays.items():
        if a.dtype.kind not in "fiu" or not np.all(np.isfinite(a)):
            raise CaseError(f"{name} of case {case.name} has numbers that are not finite; expected real numbers")
    truth = results(case, digits, certify)
    how: dict[str, Any] = {"arithmetic": truth.arithmetic, "digits": truth.digits}
    if truth.certified is not None:
        how |= {"certified": truth.certified, "total": truth.total}
    return case._replace(expected=truth.values, about=case.about | {"truth": how})


def gradient(problem: Problem, digits: int = 50) -> Point:
    """Back-propagation in ``digits`` decimal digits, not rounded: a Point of object arrays of mpmath numbers.

    Where python-flint is installed they are the midpoints of balls, at a seventh of the time, unless a ball is wider
    than half of the digits of its array's largest number.
    """
    mpmath = _library("mpmath")
    if importlib.util.find_spec("flint") is not None:
        bits = _bits(digits)
        with _library("flint").ctx.workprec(bits):
            balls = tree.map(_value, _in_numbers(problem, lambda a: Balls(_numbers(a, _ball))).gradient())
            if all(_narrow(a, 2.0 ** -(bits // 2)) for _, a in tree.leaves(balls)):
                return Point(*tree.map(lambda a: _numbers(a, _midpoint), balls))
    with mpmath.workdps(digits):
        return _in_numbers(problem, exact).gradient()


def exact(value: Any) -> Any:
    """Floats (float64 or shorter) as mpmath numbers, without rounding: a tree of object arrays. mpmath's own stay."""
    mpf = _library("mpmath").mpf
    return _numbers(value, lambda z: z if isinstance(z, mpf) else mpf(float(z)))


def nearest(mantissa: int, exponent: int) -> float:
    """mantissa * 2**exponent rounded to the nearest float64, ties to even, subnormal numbers too."""
    top = mantissa.bit_length() + exponent  # the size is less than 2**top
    if top > 1024:
        return math.copysign(math.inf, mantissa)
    if mantissa == 0 or top < -1074:
        return math.copysign(0.0, mantissa)
    try:
        return float(mantissa << exponent) if exponent >= 0 else mantissa / (1 << -exponent)  # both round correctly
    except OverflowError:
        return math.copysign(math.inf, mantissa)


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
    mT = property(lambda self: Balls(self.value.mT))  # noqa: N815

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
        return Balls(self.value + _value(other))

    def __sub__(self, other: Any) -> "Balls":
        return Balls(self.value - _value(other))

    def __rsub__(self, other: Any) -> "Balls":
        return Balls(other - self.value)

    def __mul__(self, other: Any) -> "Balls":
        return Balls(self.value * _value(other))

    def __truediv__(self, other: Any) -> "Balls":
        return Balls(self.value / _value(other))

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


def _value(a: Any) -> Any:
    return a.value if isinstance(a, Balls) else a


def _of_value(f: Any) -> Any:
    return lambda a, *args, **named: Balls(f(a.value, *args, **named))


def _of_values(f: Any) -> Any:
    return lambda arrays, axis: Balls(f([a.value for a in arrays], axis))


def _zeros(shape: tuple[int, ...], dtype: Any) -> Balls:
    return Balls(np.full(shape, _library("flint").arb(0), dtype=object))


NAMESPACE = SimpleNamespace(
    __name__="numpy_lstm",
    **{f.__name__: _of_value(f) for f in (np.exp, np.tanh, np.sqrt, np.log1p, np.expm1, np.sum, np.flip)},
    **{f.__name__: _of_values(f) for f in (np.stack, np.concat)},
    reshape=lambda a, shape: Balls(np.reshape(a.value, shape)) if isinstance(a, Balls) else np.reshape(a, shape),
    asarray=np.asarray,
    bool=np.bool,
    zeros=_zeros,
    where=_where,
)


def _certified(task: Case | Problem, digits: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Values, where they are proved, and the arithmetic."""
    flint, bits = _library("flint"), _bits(digits)

    def ends(z: Any) -> tuple[float, bool]:
        """The float64 next to the lower end, and whether it serves the whole ball. 0 must be exact."""
        z = flint.arb(z)
        if not z.is_finite():
            return math.nan, False
        low, high = (nearest(*map(int, end.man_exp())) for end in (z.lower(), z.upper()))
        return low, low == high and (not z.contains(0) or bool(z.is_zero()))

    for doubling in range(DOUBLINGS + 1):
        with flint.ctx.workprec(bits << doubling):
            found = _run(task, lambda value: _numbers(value, _ball), Balls)
            both = {k: np.frompyfunc(ends, 1, 2)(a) for k, a in found.items()}
        proved = {k: np.asarray(p, bool) for k, (_, p) in both.items()}
        if all(np.all(p) for p in proved.values()):
            break
    how = f"python-flint {flint.__version__}, balls of {bits << doubling} bits"
    return {k: np.asarray(v, np.float64) for k, (v, _) in both.items()}, proved, how


def _bits(digits: int) -> int:
    return math.ceil(digits * math.log2(10))


def _ball(z: Any) -> Any:
    """A number as a ball without width: a float, an mpmath number of any precision, or a ball, which stays."""
    arb = _library("flint").arb
    return z if isinstance(z, arb) else arb(z) if hasattr(z, "_mpf_") else arb(float(z))


def _midpoint(z: Any) -> Any:
    mpmath = _library("mpmath")
    mantissa, exponent = _ball(z).mid().man_exp()
    return mpmath.make_mpf(mpmath.libmp.from_man_exp(int(mantissa), int(exponent)))


def _narrow(balls: Any, share: float) -> bool:
    """Whether no ball of an array is wider than this share of its largest number."""
    found = [_ball(z) for z in np.ravel(balls)]
    if not all(z.is_finite() for z in found):
        return False
    return max((float(z.rad()) for z in found), default=0.0) <= share * max((abs(float(z)) for z in found), default=0.0)


def _rounded(task: Case | Problem, digits: int) -> tuple[dict[str, Any], str]:
    """Values and the arithmetic."""
    mpmath = _library("mpmath")

    def to_float(z: Any) -> float:
        z = mpmath.mpf(z)
        if not mpmath.isfinite(z):
            return float(z)
        sign, mantissa, exponent, _ = z._mpf_
        return nearest(-int(mantissa) if sign else int(mantissa), int(exponent))

    with mpmath.workdps(digits):
        found = _run(task, exact, lambda a: a)
    how = f"mpmath {mpmath.__version__}"
    if mpmath.libmp.BACKEND == "gmpy":
        how += f" with gmpy2 {importlib.metadata.version('gmpy2')}"
    rounding = np.frompyfunc(to_float, 1, 1)
    return {k: np.asarray(rounding(a), np.float64) for k, a in found.items()}, f"{how}, {digits} digits"


def _run(task: Case | Problem, number: Any, array: Any) -> dict[str, Any]:
    """The results of ``task`` as object arrays: ``number`` makes its arrays into object arrays, ``array`` wraps those.

    Numbers come first, so that two biases of which a page reads the sum are added in the new arithmetic.
    """

    def enter(a: Any) -> Any:
        return array(number(a))

    if isinstance(task, Problem):
        return dict(tree.leaves(tree.map(_value, _in_numbers(task, enter).gradient())))
    arrays = {k: a if k == "lengths" else number(a) for k, a in task.arrays.items()}
    task = task._replace(arrays=arrays)
    call = task.call(enter)
    layer = task.network.layer(call.masks)
    run = layer.forward(call.params, call.xs, call.first, call.lengths)
    back = layer.backward(call.params, run, call.dhs, dlast=call.dlast)
    return task.answer(tree.map(_value, run), tree.map(_value, back))


def _in_numbers(problem: Problem, enter: Any) -> Problem:
    return problem._replace(point=tree.map(enter, problem.point), cotangents=tree.map(enter, problem.cotangents))


def _numbers(value: Any, number: Any) -> Any:
    with np.errstate(invalid="ignore"):  # a NaN on padding
        return tree.map(lambda a: np.asarray(np.frompyfunc(number, 1, 1)(a), dtype=object), value)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        need = "python-flint" if name == "flint" else name
        raise ImportError(f"{need} is not installed; pip install 'numpy-lstm[truth]'") from None
