"""Routes to a gradient that share no derivation with it, and the yardstick to compare by: for anyone's function."""

from . import truth
from .given import CaseError
from .problem import Outputs, Point, Problem
from .report import BOUND, K, Report, Row, compare, normwise, worst
from .routes import complex_step, directional, dot_test, finite_difference, hessian_vector, richardson, taylor_test
from .verify import verify

__all__ = [
    "BOUND",
    "CaseError",
    "K",
    "Outputs",
    "Point",
    "Problem",
    "Report",
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
    "truth",
    "verify",
    "worst",
]
