"""The judge: somebody's answer to a case, compared, located, and held against the catalogue of mistakes."""

from .judge_set import SetJudgement, judge_set
from .judgement import Judgement
from .judging import Judge, judge
from .testing import assert_gradients

__all__ = ["Judge", "Judgement", "SetJudgement", "assert_gradients", "judge", "judge_set"]
