"""For other people's test suites: one assertion whose failure text is the whole comparison."""

from os import PathLike
from typing import Any

import numpy as np

from .. import layouts, tree
from . import given
from .case import Case
from .judge import UNIT_ROUNDOFF, judge
from .network import CaseError
from .report import compare


def assert_gradients(
    expected: Case | str | PathLike[str] | dict[str, Any] | tuple[Any, ...],
    got: Any,
    *,
    tolerance: float | None = None,
    resolution: float = 0.0,
    seed: int = 0,
    partial: bool = False,
) -> Any:
    """Raise AssertionError, with the table as its text, unless ``got`` passes; returns the Judgement or Report.

    ``expected`` is a case (or its file), and then ``got`` an answer, a whole one unless ``partial``: see ``judge``. Or
    it is a dict (or any tree) of arrays of trusted gradients, and ``got`` one of the same names and shapes, from
    wherever: NumPy, torch, JAX, files. Without S there, K is relative to the largest component of each array;
    ``tolerance`` asks for a normwise error instead, and ``resolution`` says how well ``expected`` itself is known.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise CaseError(f"tolerance is {tolerance}; expected a number between 0 and 1")
    if isinstance(expected, Case | str | PathLike):
        if tolerance is not None or resolution:
            raise CaseError("tolerance and resolution are for plain arrays; a case is judged by K")
        return require(judge(expected, got, seed, partial=partial))
    if partial:
        raise CaseError("partial is for a case; of plain arrays, expect only those that are given")
    want = tree.map(lambda a: layouts.as_numpy(a).astype(np.float64), expected)
    found = given.like(got, want)
    single = all(a.dtype == np.float32 for _, a in tree.leaves(found))
    roundoff = UNIT_ROUNDOFF["float32" if single else "float64"]
    return require(compare(found, want, None, roundoff, resolution=resolution, tolerance=tolerance))


def require(outcome: Any) -> Any:
    """The ``Judgement`` or ``Report``; raises AssertionError with it as text unless it passes."""
    if outcome.verdict != "pass":
        raise AssertionError(f"{outcome.verdict}\n\n{outcome}")
    return outcome
