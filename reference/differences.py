"""Differences in 70 digits with step 1e-22, which check the 50-digit truth.

``central_difference`` uses the loss alone: no rule of differentiation is used anywhere. It agrees with
``check.truth.gradient`` to about 1e-43.
"""

from typing import Any

from numpy_lstm import check, tree
from numpy_lstm.check.truth import exact, gradient


def central_difference(problem: check.Problem, digits: int = 70, step: str = "1e-22") -> check.Point:
    """(L(p + h e) - L(p - h e)) / 2h for every component, truncation about h^2: a Point of object arrays."""
    import mpmath

    with mpmath.workdps(digits):
        exactly = problem._replace(cotangents=exact(problem.cotangents))
        return check.finite_difference(exactly.loss, exact(problem.point), mpmath.mpf(step))


def hessian_vector(problem: check.Problem, direction: check.Point, digits: int = 70, step: str = "1e-22") -> Any:
    """H v as a central difference of the ``digits``-digit gradient: a Point of object arrays."""
    import mpmath

    with mpmath.workdps(digits):
        h, point = mpmath.mpf(step), exact(problem.point)
        d = tree.scale(h, exact(direction))
        ahead, behind = (gradient(problem._replace(point=tree.add(point, tree.scale(s, d))), digits) for s in (1, -1))
        return tree.map(lambda a, b: (a - b) / (2 * h), ahead, behind)
