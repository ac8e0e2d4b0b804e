"""Two sets of gradients compared: a row for each array, with its distance and verdict, and a table to print."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..tables import columns, table
from .metrics import arrays_of, expect_alike, largest_K, measure, normwise, worst
from .verdict import BOUND, VERDICTS, Allowed, verdict

SCHEMA = "numpy-lstm/report/1"


class Row(NamedTuple):
    """One array of a comparison: its ``Metrics``, the verdict and its reason.

    ``allowed`` is the largest K that passes: 16, or more where rounded inputs move the truth by more.
    """

    name: str
    shape: tuple[int, ...]
    normwise: float
    K: float
    worst: tuple[int, ...]
    got: float
    truth: float
    absolute: float
    relative: float
    ulp: float
    zeros: int
    nonfinite: int
    allowed: float
    verdict: str
    reason: str


@dataclass(frozen=True)
class Report:
    """The rows of a comparison. Iterates over them; prints as a table.

    ``route`` is how the truth was found, and ``because`` why not by a better one, where ``verify`` says so; the verdict
    then stands above the table.
    """

    rows: tuple[Row, ...]
    unit_roundoff: float = 2.0**-53
    resolution: float = 0.0
    tolerance: float | None = None
    route: str = ""
    because: str = ""

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def verdict(self) -> str:
        """The worst verdict of all rows."""
        return max((row.verdict for row in self.rows), key=VERDICTS.index, default="cannot tell")

    def __str__(self) -> str:
        return self._head() + columns(*self._cells())

    def markdown(self) -> str:
        """A Markdown table."""
        return self._head() + table(*self._cells())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers that are not finite become None."""
        rows = [{k: _plain(v) for k, v in row._asdict().items()} for row in self.rows]
        limits = {
            "unit_roundoff": self.unit_roundoff,
            "resolution": _plain(self.resolution),
            "tolerance": self.tolerance,
        }
        found_by = {"route": self.route, "because": self.because} if self.route else {}
        return {"schema": SCHEMA, "verdict": self.verdict} | found_by | limits | {"rows": rows}

    def _head(self) -> str:
        if not self.route:
            return ""
        return f"{self.verdict.upper()}, by {self.route}{f'; {self.because}' if self.because else ''}\n\n"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        header = ["array", "shape", "normwise", "K", "absolute", "relative", "ulp", "at", "got", "true", "verdict"]
        rows = []
        for r in self.rows:
            shape = "x".join(map(str, r.shape)) or "1"
            numbers = [f"{v:.1e}" for v in (r.normwise, r.K, r.absolute, r.relative, r.ulp)]
            at = ",".join(map(str, r.worst))
            counts = [f"{r.zeros} zeros"] * (r.zeros > 0) + [f"{r.nonfinite} not finite"] * (r.nonfinite > 0)
            verdict = f"{r.verdict} ({'; '.join([r.reason, *counts])})"
            rows.append([r.name, shape, *numbers, at, f"{r.got:.10g}", f"{r.truth:.10g}", verdict])
        return header, rows


def K(got: Any, truth: Any, paths: Any, unit_roundoff: float = 2.0**-53) -> float:
    """The largest K of all components; ``paths`` is S, from ``Problem.absolute_paths``."""
    return worst(row.K for row in compare(got, truth, paths, unit_roundoff))


def compare(
    got: Any,
    truth: Any,
    paths: Any = None,
    unit_roundoff: float = 2.0**-53,
    *,
    textbook_paths: Any = None,
    noise: Sequence[Any] = (),
    textbook: Sequence[Any] = (),
    resolution: float | Mapping[str, float] = 0.0,
    tolerance: float | None = None,
) -> Report:
    """One row for each array of ``got``, a tree like ``truth`` and all others.

    Parameters
    ----------
    paths, textbook_paths : S of every component, see ``metrics``; absent, the largest |truth| of an array
    unit_roundoff : of the precision that was promised, 2^-53 or 2^-24
    noise : the truth again, each time from inputs rounded differently
    textbook : the same by a textbook code
    resolution : normwise, how well the route knows ``truth``, perhaps by name; 0 for a truth of many digits
    tolerance : normwise; to ask for that instead of K <= 16
    """

    def of(value: Any) -> list[Any]:
        return [None] * len(truth) if value is None else list(arrays_of(value).values())

    got, truth = arrays_of(got), arrays_of(truth)
    names = list(truth)
    for other in (got, *(a for a in (paths, textbook_paths, *noise, *textbook) if a is not None)):
        expect_alike(arrays_of(other), truth)

    rows = []
    runs = zip(*map(of, (*noise, *textbook)), strict=True) if noise or textbook else ((),) * len(names)
    each = zip(tree.leaves(got), *map(of, (truth, paths, textbook_paths)), runs, strict=True)
    for (name, g), t, s, wide, others in each:
        if not g.size:
            raise ValueError(f"{name} has shape {g.shape}; expected at least one component")
        moved, lossy = others[: len(noise)], others[len(noise) :]
        found = measure(g, t, s, unit_roundoff)
        moves = worst(normwise(m, t) for m in moved) if moved else np.inf
        allowed = Allowed(
            K=BOUND * max(1.0, largest_K(moved, t, s, unit_roundoff)),
            K_textbook=np.inf if wide is None else largest_K([g], t, wide, unit_roundoff),
            noise=moves,
            lost=max(moves, worst(normwise(m, t) for m in lossy)) if lossy else np.inf,
            resolution=resolution[name] if isinstance(resolution, Mapping) else resolution,
            tolerance=tolerance,
        )
        rows.append(Row(name, g.shape, *found, allowed.K, *verdict(found, g, allowed, unit_roundoff)))
    finest = worst(resolution.values()) if isinstance(resolution, Mapping) else resolution
    return Report(tuple(rows), unit_roundoff, finest, tolerance)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value
