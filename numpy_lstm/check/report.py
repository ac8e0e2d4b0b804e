"""Two sets of gradients compared: a row for each array, with its distance and verdict, and a table to print.

K = |got - truth| / (u S) counts unit roundoffs u of the sum S of absolute path contributions, component by
component. It is dimensionless, does not see the scale of the loss, and stays finite where a component cancels to
zero; a correct careful code has K of a few, whatever the data. (An ulp count only measures cancellation.)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..tables import columns, table
from .metrics import arrays_of, difference, expect_alike, ratio, worst
from .verdict import BOUND, VERDICTS, Yardstick, roundings

SCHEMA = "numpy-lstm/report/1"


class Row(NamedTuple):
    """One array of a comparison: how far it is from the truth, the verdict and its reason.

    ``normwise`` error |got - truth| / |truth|; ``K`` and ``worst``, the index where it is largest, with both values
    there; the largest ``absolute`` and ``relative`` error and that in ``ulp`` of the truth; ``zeros`` and
    ``nonfinite``: how many components are zero where the truth is not, and how many are no numbers. ``allowed`` is the
    largest K that passes: 16, or more where rounded inputs move the truth by more.
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

    @classmethod
    def of(cls, name: str, got: Any, known: Yardstick) -> "Row":
        """The row of one array, as it came; raises ValueError if it is empty."""
        if not got.size:
            raise ValueError(f"{name} has shape {got.shape}; expected at least one component")
        truth, u = known.truth, known.unit_roundoff
        gap, size = (np.abs(a).astype(np.float64) for a in (difference(got, truth), truth))
        K, apart = roundings(gap, known.paths, u), ratio(gap, size)
        where = tuple(int(k) for k in np.unravel_index(np.argmax(K), got.shape))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            spacing = np.maximum(2 * u * 2.0 ** np.floor(np.log2(size)), 5e-324)
            relative, ulp = (np.where(gap == 0, 0.0, gap / unit) for unit in (size, spacing))
        return cls(
            name=name,
            shape=got.shape,
            normwise=apart,
            K=float(K[where]),
            worst=where,
            got=float(got[where]),
            truth=float(truth[where]),
            absolute=worst([np.max(gap)]),
            relative=worst([np.max(relative)]),
            ulp=worst([np.max(ulp)]),
            zeros=int(np.sum((got == 0) & (size > 0))),
            nonfinite=int(np.sum(~np.isfinite(got.astype(np.float64)))),
            allowed=BOUND * known.K,
            **dict(zip(("verdict", "reason"), known.judged(got, gap, apart), strict=True)),
        )


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
        """The report as a Markdown table."""
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
    paths, textbook_paths : S of every component; absent, the largest |truth| of an array
    unit_roundoff : of the precision that was promised, 2^-53 or 2^-24
    noise : our own run, then more of them, each time from inputs rounded differently
    textbook : the same by a textbook code, all from rounded inputs
    resolution : normwise, how well the route knows ``truth``, perhaps by name; 0 for a truth of many digits
    tolerance : normwise; to ask for that instead of K <= 16
    """
    got, truth = arrays_of(got), arrays_of(truth)
    known = yardsticks(truth, paths, textbook_paths, unit_roundoff, noise, textbook, resolution, tolerance)
    expect_alike(got, truth)
    finest = worst(resolution.values()) if isinstance(resolution, Mapping) else resolution
    return Report(tuple(Row.of(k, a, known[k]) for k, a in got.items()), unit_roundoff, finest, tolerance)


def yardsticks(
    truth: dict[str, Any],
    paths: Any,
    textbook_paths: Any,
    unit_roundoff: float,
    noise: Sequence[Any] = (),
    textbook: Sequence[Any] = (),
    resolution: float | Mapping[str, float] = 0.0,
    tolerance: float | None = None,
) -> dict[str, Yardstick]:
    """A Yardstick for each array of ``truth``, by name: see ``compare``."""
    trees = [None if a is None else arrays_of(a) for a in (paths, textbook_paths, *noise, *textbook)]
    for a in trees:
        expect_alike(truth if a is None else a, truth)
    found = {}
    for k, t in truth.items():
        s, wide, *runs = (None if a is None else a[k] for a in trees)
        finest = resolution[k] if isinstance(resolution, Mapping) else resolution
        moved, lost = runs[: len(noise)], runs[len(noise) :]
        found[k] = Yardstick.of(t, s, wide, unit_roundoff, moved, lost, finest, tolerance)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value
