"""Sentences about a judgement: whose digits are lost, and where rounding the inputs is what counts."""

from collections.abc import Iterable

import numpy as np

from ..check.report import Row


def notes(case: str, report: Iterable[Row], own: Iterable[Row], single: bool) -> list[str]:
    """``report``: the rows of whole arrays; ``own``: those of our run; ``single``: errors as small as float32 makes."""
    mine: dict[str, Row] = {row.name: row for row in own}
    whole = list(report)
    said = [
        f"{row.name} has {row.nonfinite} numbers that are not finite, of {np.prod(row.shape, dtype=int)}: "
        "all inputs and all true results are finite."
        for row in whole
        if row.nonfinite
    ]
    for row in whole:
        if row.reason == "cancellation":
            seen = "is right by formula but loses" if row.verdict == "pass" else "cannot be told from right: it loses"
            said.append(
                f"{row.name} {seen} digits: at [{','.join(map(str, row.worst))}] it is {row.relative:.1e} off, "
                f"K = {row.K:.2g} roundings, where numpy-lstm has K = {mine[row.name].K:.2g}. "
                "1 - s and 1 - t^2 cancel in saturated gates; take derivatives from the pre-activation."
            )
    dominated = [row.name for row in whole if row.reason in ("forward-error", "noise-limited")]
    if dominated:
        said.append(
            f"forward errors dominate in {', '.join(dominated)}: rounding the inputs alone moves the true result by up "
            f"to K = {max(row.allowed for row in whole) / 16:.2g}; the comparison is with the high-precision run."
        )
    if single:
        said.append('if float32 is what the code promises, give float32 arrays, or "dtype": "float32" in the answer.')
    if any(row.verdict == "fail" for row in mine.values()):
        said.append(f"our own run does not give the expected results of {case}: damaged, or out of range?")
    return said
