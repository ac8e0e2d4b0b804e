"""Routes to a gradient that share no derivation with it, and the yardstick to compare by: for anyone's function."""

from . import truth
from .given import CaseError
from .metrics import normwise, worst
from .problem import Outputs, Point, Problem
from .report import K, Report, Row, compare
from .routes import complex_step, directional, dot_test, finite_difference, hessian_vector, richardson, taylor_test
from .testing import assert_gradients
from .verdict import BOUND
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
    "assert_gradients",
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
