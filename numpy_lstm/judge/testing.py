"""For other people's test suites: one assertion whose failure text is the whole judgement."""

from os import PathLike
from typing import Any

from ..cases.case import Case
from ..check import testing
from ..check.given import CaseError
from .judging import judge


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

    ``expected`` is a case (or its file), and then ``got`` an answer, a whole one unless ``partial``: see ``judge``.
    Plain arrays, and with them ``tolerance`` and ``resolution``, are for ``check.assert_gradients``, which this calls.
    """
    if isinstance(expected, Case | str | PathLike):
        if tolerance is not None or resolution:
            raise CaseError("tolerance and resolution are for plain arrays; a case is judged by K")
        return testing.require(judge(expected, got, seed, partial=partial))
    if partial:
        raise CaseError("partial is for a case; of plain arrays, expect only those that are given")
    return testing.assert_gradients(expected, got, tolerance=tolerance, resolution=resolution)
