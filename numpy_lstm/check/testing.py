"""For other people's test suites: one assertion whose failure text is the whole comparison."""

import math
from os import PathLike
from typing import Any

import numpy as np

from .. import tree
from ..arrays import as_numpy, type_name
from . import given
from .given import CaseError
from .metrics import UNIT_ROUNDOFF
from .report import Report, compare

TERMS = 4096  # of the sums in a gradient, where nobody says how many: T = 64, B = 64


def assert_gradients(
    expected: Any, got: Any, *, tolerance: float | None = None, resolution: float = 0.0, terms: int = TERMS
) -> Report:
    """Raise AssertionError, with the table as its text, unless ``got`` passes; returns the Report.

    ``expected`` is a dict (or any tree) of arrays of trusted gradients, and ``got`` one of the same names and shapes,
    from wherever: NumPy, torch, JAX, files. Where S is not known, the rounding of a sum of n ``terms`` (T·B, of a
    parameter's gradient) grows as sqrt(n): K is relative to sqrt(n) times the largest component of each array.
    ``tolerance`` asks for a normwise error instead, and ``resolution`` says how well ``expected`` itself is known.
    Raises CaseError where the two do not fit. For a case there is ``numpy_lstm.judge.assert_gradients``.
    """
    given.tolerance(tolerance)
    if not isinstance(terms, int) or terms < 1:
        raise CaseError(f"terms is {terms!r}; expected how many terms a sum has, at least 1")
    if isinstance(expected, str | PathLike) or hasattr(expected, "problem"):
        raise CaseError(f"expected is a {type_name(expected)}; numpy_lstm.judge.assert_gradients takes a case")
    want = tree.map(lambda a: as_numpy(a).astype(np.float64), expected)
    found = given.like(got, want)
    single = all(a.dtype == np.float32 for _, a in tree.leaves(found))
    roundoff = UNIT_ROUNDOFF["float32" if single else "float64"]
    sums = tree.map(lambda a: np.full(a.shape, math.sqrt(terms) * np.max(np.abs(a), initial=0.0)), want)
    report: Report = require(compare(found, want, sums, roundoff, resolution=resolution, tolerance=tolerance))
    return report


def require(outcome: Any) -> Any:
    """The ``Judgement`` or ``Report``; raises AssertionError with it as text unless it passes."""
    if outcome.verdict != "pass":
        raise AssertionError(f"{outcome.verdict}\n\n{outcome}")
    return outcome
