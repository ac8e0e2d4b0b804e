"""For other people's test suites: one assertion whose failure text is the whole comparison."""

from os import PathLike
from typing import Any

import numpy as np

from .. import tree
from ..arrays import as_numpy, type_name
from . import given
from .given import CaseError
from .metrics import UNIT_ROUNDOFF
from .report import Report, compare


def assert_gradients(expected: Any, got: Any, *, tolerance: float | None = None, resolution: float = 0.0) -> Report:
    """Raise AssertionError, with the table as its text, unless ``got`` passes; returns the Report.

    ``expected`` is a dict (or any tree) of arrays of trusted gradients, and ``got`` one of the same names and shapes,
    from wherever: NumPy, torch, JAX, files. Without S there, K is relative to the largest component of each array;
    ``tolerance`` asks for a normwise error instead, and ``resolution`` says how well ``expected`` itself is known.
    Raises CaseError where the two do not fit. For a case there is ``numpy_lstm.judge.assert_gradients``.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise CaseError(f"tolerance is {tolerance}; expected a number between 0 and 1")
    if isinstance(expected, str | PathLike) or hasattr(expected, "problem"):
        raise CaseError(f"expected is a {type_name(expected)}; numpy_lstm.judge.assert_gradients takes a case")
    want = tree.map(lambda a: as_numpy(a).astype(np.float64), expected)
    found = given.like(got, want)
    single = all(a.dtype == np.float32 for _, a in tree.leaves(found))
    roundoff = UNIT_ROUNDOFF["float32" if single else "float64"]
    report: Report = require(compare(found, want, None, roundoff, resolution=resolution, tolerance=tolerance))
    return report


def require(outcome: Any) -> Any:
    """The ``Judgement`` or ``Report``; raises AssertionError with it as text unless it passes."""
    if outcome.verdict != "pass":
        raise AssertionError(f"{outcome.verdict}\n\n{outcome}")
    return outcome
