"""The truth: gradients of a Problem, and values and gradients of any run of pages, correctly rounded to float64.

The pages themselves are run, in one of two arithmetics. mpmath carries ``digits`` decimal digits (and is faster where
gmpy2 is installed, which it then uses by itself). python-flint carries balls: an interval around every number, which
holds the exact value whatever was rounded (Johansson 2017, Arb). A component is certified when both ends of its ball
round to the same float64. Precision is doubled until every component is, or the limit is met.

Both are optional: ``pip install 'numpy-lstm[truth]'``. Seconds for values, gradients and cotangents of an LSTM:

    T,B,D,H    components    mpmath    with gmpy2    balls (167 bits, all certified)
    6,3,4,5          2422      0.04         0.03      0.02
    20,4,5,7        13784      0.27         0.20      0.09
"""

import importlib.metadata
import importlib.util
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from .balls import Balls, library, value_of
from .problem import Point, Problem

DOUBLINGS = 3
BALLS = threading.RLock()  # the precision of python-flint is that of the process

# Runs the pages on object arrays: the first function makes those of an array, the second wraps them for the pages.
Calculation = Callable[[Callable[[Any], Any], Callable[[Any], Any]], dict[str, Any]]


class Truth(NamedTuple):
    """``values`` are float64 arrays by name: ``params.W_i`` and so on of a Problem.

    ``certified`` of ``total`` components are proved to be correctly rounded; None where no proof was tried. The
    others are ``digits``-digit results, rounded to nearest. ``arithmetic`` names library, version and precision.
    """

    values: dict[str, Any]
    digits: int
    arithmetic: str
    certified: int | None
    total: int
    seconds: float


def results(problem: Problem, digits: int = 50, certify: bool | None = None) -> Truth:
    """The gradient of ``problem``, its numbers taken as exact, rounded to float64: see ``rounded``."""
    return rounded(partial(_run, problem), digits, certify)


def _run(problem: Problem, number: Callable[[Any], Any], array: Callable[[Any], Any]) -> dict[str, Any]:
    return dict(tree.leaves(tree.map(value_of, problem.mapped(lambda a: array(number(a))).gradient())))


def rounded(run: Calculation, digits: int = 50, certify: bool | None = None) -> Truth:
    """What ``run`` gives on numbers of so many digits, rounded to float64.

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
        values, proved, how = _certified(run, digits)
        used.append(how)
    if not certify or not all(np.all(a) for a in proved.values()):
        nearest_ones, how = _rounded(run, digits)
        values = {k: np.where(proved[k], values[k], a) if certify else a for k, a in nearest_ones.items()}
        used.append(how)
    total = sum(a.size for a in values.values())
    certified = sum(int(np.sum(a)) for a in proved.values()) if certify else None
    return Truth(values, digits, "; else ".join(used), certified, total, time.perf_counter() - start)


def gradient(problem: Problem, digits: int = 50) -> Point:
    """Back-propagation in ``digits`` decimal digits, not rounded: a Point of object arrays of mpmath numbers.

    Where python-flint is installed they are the midpoints of balls, at a seventh of the time, unless a ball is wider
    than half of the digits of its array's largest number.
    """
    if importlib.util.find_spec("flint") is not None:
        bits = _bits(digits)
        with BALLS, library("flint").ctx.workprec(bits):
            balls = tree.map(value_of, problem.mapped(lambda a: Balls(_numbers(a, _ball))).gradient())
            if all(_narrow(a, 2.0 ** -(bits // 2)) for _, a in tree.leaves(balls)):
                return Point(*tree.map(lambda a: _numbers(a, _midpoint), balls))
    found: Point = tree.map(exact, problem.mapped(_in_digits(digits)).gradient())
    return found


def exact(value: Any) -> Any:
    """Floats (float64 or shorter) as mpmath numbers, without rounding: a tree of object arrays. mpmath's own stay."""
    return _numbers(value, _to(library("mpmath").mp))


def _in_digits(digits: int) -> Callable[[Any], Any]:
    """``exact`` in a context of mpmath of its own, of so many digits: that of the process is everybody's."""
    context = library("mpmath").MPContext()
    context.dps = digits
    return lambda value: _numbers(value, _to(context))


def _to(context: Any) -> Callable[[Any], Any]:
    return lambda z: context.make_mpf(z._mpf_) if hasattr(z, "_mpf_") else context.mpf(float(z))


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


def _certified(run: Calculation, digits: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Values, where they are proved, and the arithmetic."""
    flint, bits = library("flint"), _bits(digits)

    def ends(z: Any) -> tuple[float, bool]:
        """The float64 next to the lower end, and whether it serves the whole ball. 0 must be exact."""
        z = flint.arb(z)
        if not z.is_finite():
            return math.nan, False
        low, high = (nearest(*map(int, end.man_exp())) for end in (z.lower(), z.upper()))
        return low, low == high and (not z.contains(0) or bool(z.is_zero()))

    for doubling in range(DOUBLINGS + 1):
        with BALLS, flint.ctx.workprec(bits << doubling):
            found = run(lambda value: _numbers(value, _ball), Balls)
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
    arb = library("flint").arb
    return z if isinstance(z, arb) else arb(z) if hasattr(z, "_mpf_") else arb(float(z))


def _midpoint(z: Any) -> Any:
    mpmath = library("mpmath")
    mantissa, exponent = _ball(z).mid().man_exp()
    return mpmath.make_mpf(mpmath.libmp.from_man_exp(int(mantissa), int(exponent)))


def _narrow(balls: Any, share: float) -> bool:
    """Whether no ball of an array is wider than this share of its largest number."""
    found = [_ball(z) for z in np.ravel(balls)]
    if not all(z.is_finite() for z in found):
        return False
    return max((float(z.rad()) for z in found), default=0.0) <= share * max((abs(float(z)) for z in found), default=0.0)


def _rounded(run: Calculation, digits: int) -> tuple[dict[str, Any], str]:
    """The values by mpmath, rounded to float64, and the name of the arithmetic."""
    mpmath = library("mpmath")

    def to_float(z: Any) -> float:
        sign, mantissa, exponent, _ = z._mpf_ if hasattr(z, "_mpf_") else mpmath.mpf(z)._mpf_
        if not mantissa:  # zero, infinite, or NaN
            return float(z)
        return nearest(-int(mantissa) if sign else int(mantissa), int(exponent))

    found = run(_in_digits(digits), lambda a: a)
    how = f"mpmath {mpmath.__version__}"
    if mpmath.libmp.BACKEND == "gmpy":
        how += f" with gmpy2 {importlib.metadata.version('gmpy2')}"
    rounding = np.frompyfunc(to_float, 1, 1)
    return {k: np.asarray(rounding(a), np.float64) for k, a in found.items()}, f"{how}, {digits} digits"


def _numbers(value: Any, number: Any) -> Any:
    with np.errstate(invalid="ignore"):  # a NaN on padding
        return tree.map(lambda a: np.asarray(np.frompyfunc(number, 1, 1)(a), dtype=object), value)
