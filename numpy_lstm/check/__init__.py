"""Routes to a gradient that share no derivation with the pages, the yardstick to compare by, and the judge."""

from . import files, mistakes, truth, vectors
from .case import Case
from .judge import Judge, Judgement, judge
from .judge_set import SetJudgement, judge_set
from .network import CaseError, Network
from .problem import Outputs, Point, Problem
from .report import BOUND, K, Report, Row, compare, normwise, worst
from .routes import complex_step, directional, dot_test, finite_difference, hessian_vector, richardson, taylor_test
from .testing import assert_gradients
from .verify import verify

__all__ = [
    "BOUND",
    "Case",
    "CaseError",
    "Judge",
    "Judgement",
    "K",
    "Network",
    "Outputs",
    "Point",
    "Problem",
    "Report",
    "Row",
    "SetJudgement",
    "assert_gradients",
    "compare",
    "complex_step",
    "directional",
    "dot_test",
    "files",
    "finite_difference",
    "hessian_vector",
    "judge",
    "judge_set",
    "mistakes",
    "normwise",
    "richardson",
    "taylor_test",
    "truth",
    "vectors",
    "verify",
    "worst",
]
