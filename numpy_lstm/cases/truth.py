"""The true results of a case: its values, gradients and cotangents, correctly rounded (see ``check.truth``)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import tree
from ..check.balls import value_of
from ..check.given import CaseError
from ..check.truth import Truth, rounded
from .case import Case
from .inputs import INTEGERS

LARGE = 2 * 10**5  # products of a pass, beyond which 50 digits take more than a second


def results(case: Case, digits: int = 50, certify: bool | None = None) -> Truth:
    """All results of ``case`` by name, its numbers taken as exact, rounded to float64: see ``check.truth.rounded``."""
    return rounded(partial(_run, case), digits, certify)


def _run(case: Case, number: Callable[[Any], Any], array: Callable[[Any], Any]) -> dict[str, Any]:
    """Numbers come first, so that two biases of which a page reads the sum are added in the new arithmetic."""
    exact = case._replace(arrays={k: a if k in INTEGERS else number(a) for k, a in case.arrays.items()})
    return exact.answer(*(tree.map(value_of, found) for found in exact.problem(array).passes()))


def fill(case: Case, digits: int = 50, certify: bool | None = None) -> Case:
    """``case`` with the results as ``expected``, and ``about["truth"]`` saying how they were found.

    Raises CaseError for numbers that are not finite, and as ``check.truth.rounded`` does.
    """
    _expect_finite(case)
    truth = results(case, digits, certify)
    how: dict[str, Any] = {"arithmetic": truth.arithmetic, "digits": truth.digits}
    if truth.certified is not None:
        how |= {"certified": truth.certified, "total": truth.total}
    return case._replace(expected=truth.values, about=case.about | {"truth": how})


def fill_soon(case: Case) -> Case:
    """``fill``; by ``longdouble``, where that has more digits than float64, if 50 digits take more than a second.

    11 more bits do for judging: what they leave in doubt is a two-thousandth of what rounding the inputs does.
    """
    wide = np.finfo(np.longdouble)
    products = case.sizes["T"] * case.sizes["B"] * sum(a.size for _, a in tree.leaves(case.stored()))
    if products <= LARGE or wide.nmant < 63:
        return fill(case)
    _expect_finite(case)
    with np.errstate(all="ignore"):
        found = {k: a.astype(np.float64) for k, a in case.run(lambda a: a.astype(np.longdouble)).items()}
    return case._replace(
        expected=found, about=case.about | {"truth": {"arithmetic": "longdouble", "digits": wide.precision}}
    )


def _expect_finite(case: Case) -> None:
    for name, a in case.arrays.items():
        if a.dtype.kind not in "fiu" or not np.all(np.isfinite(a)):
            raise CaseError(f"{name} of case {case.name} has numbers that are not finite; expected real numbers")
