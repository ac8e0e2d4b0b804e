"""Routes to a gradient that share no derivation with the pages, and the yardstick to compare by."""

from .problem import Outputs, Point, Problem
from .report import K, Row, compare, normwise, worst
from .routes import complex_step, directional, dot_test, finite_difference, hessian_vector, richardson, taylor_test

__all__ = [
    "K",
    "Outputs",
    "Point",
    "Problem",
    "Row",
    "compare",
    "complex_step",
    "directional",
    "dot_test",
    "finite_difference",
    "hessian_vector",
    "normwise",
    "richardson",
    "taylor_test",
    "worst",
]
