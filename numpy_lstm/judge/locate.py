"""Where an answer first goes wrong: the step, the value or cotangent, and the batch rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..cases.case import Case, computed
from ..cases.names import COTANGENT, VALUE, Name
from ..check.report import Report


class Node(NamedTuple):
    """One array at one step: ``name`` as the answer has it, ``step`` from 0, the wrong ``rows`` of the batch."""

    name: str
    step: int
    rows: tuple[int, ...]
    gap: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON: a gap that is not finite becomes None."""
        return self._asdict() | {"gap": self.gap if np.isfinite(self.gap) else None}

    def __str__(self) -> str:
        rows = ", ".join(map(str, self.rows))
        return f"{self.name} at step {self.step}, batch row{'s' * (len(self.rows) > 1)} {rows}: off by {self.gap:.1e}"


Arrays = Mapping[str, Any]


def first_value(case: Case, got: Arrays, truth: Arrays, paths: Arrays, report: Report) -> Node | None:
    """The first wrong forward value: step by step, each step in the order of its equations; without values, output."""
    T = case.sizes["T"]
    fields = computed(case.network.of_cell())
    for place in case.network.places():
        order = [(str(Name(place, VALUE, field)), t) for t in range(T) for field in fields]
        if node := _first(order, got, truth, paths, report):
            return node
    ahead = range(T - 1, -1, -1) if case.network.direction == "reverse" else range(T)
    return _first([("output", t) for t in ahead], got, truth, paths, report)


def first_cotangent(case: Case, got: Arrays, truth: Arrays, paths: Arrays, report: Report) -> Node | None:
    """The first wrong cotangent in backward order: last step first, each step read upward, top layer first.

    Without cotangents of each step, the first wrong row of d_x tells the step.
    """
    T = case.sizes["T"]
    fields = computed(case.network.of_cell())[::-1]
    for place in case.network.places()[::-1]:
        order = [(str(Name(place, COTANGENT, field)), t) for t in range(T - 1, -1, -1) for field in fields]
        if node := _first(order, got, truth, paths, report):
            return node
    back = range(T) if case.network.direction == "reverse" else range(T - 1, -1, -1)
    return _first([("d_x", t) for t in back], got, truth, paths, report)


def _first(order: Sequence[tuple[str, int]], got: Arrays, truth: Arrays, paths: Arrays, report: Report) -> Node | None:
    wrong, gaps = {}, {}
    for row in report:
        if row.verdict == "fail" and row.name in {name for name, _ in order}:
            gaps[row.name] = np.max(np.abs(got[row.name] - truth[row.name]), axis=2)
            allowed = row.allowed * report.unit_roundoff * np.max(paths[row.name], axis=2)
            wrong[row.name] = ~(gaps[row.name] <= allowed)  # NaN is wrong too
    for name, t in order:
        if name in wrong and wrong[name][t].any():
            rows = tuple(int(b) for b in np.flatnonzero(wrong[name][t]))
            return Node(name, t, rows, float(gaps[name][t].max()))
    return None
