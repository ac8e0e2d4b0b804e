"""For other people's test suites: one assertion whose failure text is the whole judgement."""

from os import PathLike
from typing import Any

from ..cases.case import Case
from ..check import testing
from .judging import judge


def assert_gradients(expected: Case | str | PathLike[str] | Any, got: Any, **options: Any) -> Any:
    """Raise AssertionError, with the table as its text, unless ``got`` passes; returns the Judgement or Report.

    ``expected`` is a case (or its file), and then ``got`` an answer, and the options ``seed`` and ``partial`` those of
    ``judge``. Plain arrays, and their options, are for ``check.assert_gradients``, which this calls.
    """
    if isinstance(expected, Case | str | PathLike):
        return testing.require(judge(expected, got, **options))
    return testing.assert_gradients(expected, got, **options)
