"""50-digit truth: the pages run on object arrays of mpmath numbers, and a formula-free check of them.

``gradient`` is the same code path as every other precision; ``central_difference`` uses the loss alone, in 70
digits with step 1e-22, so that no derivative rule enters anywhere. The two agree to about 1e-43.
"""

from typing import Any

import mpmath
import numpy as np

from numpy_lstm import check, tree


def exact(value: Any) -> Any:
    """Floats as mpmath numbers, without rounding: a tree of object arrays."""
    to_mpf = np.frompyfunc(lambda number: mpmath.mpf(float(number)), 1, 1)
    return tree.map(lambda a: np.asarray(to_mpf(a), dtype=object), value)


def _in_objects(problem: check.Problem) -> check.Problem:
    return problem._replace(point=exact(problem.point), cotangents=exact(problem.cotangents))


def gradient(problem: check.Problem, digits: int = 50) -> check.Point:
    """Back-propagation in ``digits`` decimal digits: a Point of object arrays."""
    with mpmath.workdps(digits):
        return _in_objects(problem).gradient()


def central_difference(problem: check.Problem, digits: int = 70, step: str = "1e-22") -> check.Point:
    """(L(p + h e) - L(p - h e)) / 2h for every component, truncation about h^2: a Point of object arrays."""
    with mpmath.workdps(digits):
        exactly = _in_objects(problem)
        return check.finite_difference(exactly.loss, exactly.point, mpmath.mpf(step))


def hessian_vector(problem: check.Problem, direction: check.Point, digits: int = 70, step: str = "1e-22") -> Any:
    """H v as a central difference of the ``digits``-digit gradient: a Point of object arrays."""
    with mpmath.workdps(digits):
        exactly = _in_objects(problem)
        h = mpmath.mpf(step)
        d = tree.scale(h, exact(direction))
        ahead, behind = (exactly.gradient(tree.add(exactly.point, tree.scale(sign, d))) for sign in (1, -1))
        return tree.map(lambda a, b: (a - b) / (2 * h), ahead, behind)
