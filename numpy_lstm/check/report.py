"""How far two gradients are apart, and what that means: normwise, in K, and as a verdict.

K = |got - truth| / (u S) counts unit roundoffs u of the sum S of absolute path contributions, component by
component. It is dimensionless, does not see the scale of the loss, and stays finite where a component cancels to
zero; a correct careful code has K of a few, whatever the data. (An ulp count only measures cancellation.)

There are three verdicts, each with a reason:

pass         rounding           K <= 16, and normwise within 16 times what rounding the inputs does, if that is known
             cancellation       K <= 16 once S counts what a textbook adds up: s (1 - s) and 1 - t^2 as differences; and
                                normwise within 16 times what a textbook code is seen to lose, if that is known
             forward-error      no farther than the same network moves when its inputs are rounded differently
             within-tolerance   where a tolerance was asked for
cannot tell  cancellation       the same, where a textbook code loses more than half its digits
             below-resolution   the error is smaller than what the judging route itself can resolve
             noise-limited      rounding the inputs moves the truth by more than half its digits, and the answer no more
fail         not-finite, all-zero, single-precision (float64 was promised), different
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..layouts import as_numpy

SCHEMA = "numpy-lstm/report/1"
BOUND = 16.0  # of K, for codes that are right
VERDICTS = ("pass", "cannot tell", "fail")  # from good to bad


class Row(NamedTuple):
    """One array of a comparison.

    ``normwise`` error |got - truth| / |truth|; ``K`` and ``worst``, the index where it is largest, with both values
    there; the largest ``absolute`` and ``relative`` error and that in ``ulp`` of the truth; ``zeros`` and
    ``nonfinite``: how many components are zero where the truth is not, and how many are no numbers. ``allowed`` is
    the largest K that passes: 16, or more where rounded inputs move the truth by more.
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


def worst(values: Iterable[float]) -> float:
    """The largest; NaN, which every comparison would let pass, counts as infinite."""
    return max((np.inf if np.isnan(v) else float(v) for v in values), default=0.0)


def normwise(got: Any, truth: Any) -> float:
    """|got - truth| / |truth| over all components of two trees, at any scale; infinite if either has a NaN.

    The difference is taken in truth's arithmetic, so that 50 digits may be compared with 70. Torch tensors are read,
    CuPy arrays fetched. Raises ValueError for trees of other names or shapes.
    """
    got, truth = _arrays(got), _arrays(truth)
    _expect_alike(got, truth)
    gap = tree.flatten([_difference(a, truth[name]) for name, a in got.items()])
    vector = tree.flatten(truth)
    largest = np.max(np.abs(vector), initial=0)
    if largest == 0:
        return 0.0 if not np.any(gap) else np.inf
    return worst([float(np.linalg.norm((gap / largest).astype(np.float64))) / tree.norm(vector / largest)])


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
    paths, textbook_paths : S of every component, see the head of this file; absent, the largest |truth| of an array
    unit_roundoff : of the precision that was promised, 2^-53 or 2^-24
    noise : the truth again, each time from inputs rounded differently
    textbook : the same by a textbook code
    resolution : normwise, how well the route knows ``truth``, perhaps by name; 0 for a truth of many digits
    tolerance : normwise; to ask for that instead of K <= 16
    """

    def of(value: Any) -> list[Any]:
        return [None] * len(truth) if value is None else list(_arrays(value).values())

    got, truth = _arrays(got), _arrays(truth)
    names = list(truth)
    for other in (got, *(a for a in (paths, textbook_paths, *noise, *textbook) if a is not None)):
        _expect_alike(_arrays(other), truth)

    rows = []
    runs = zip(*map(of, (*noise, *textbook)), strict=True) if noise or textbook else ((),) * len(names)
    each = zip(tree.leaves(got), *map(of, (truth, paths, textbook_paths)), runs, strict=True)
    for (name, g), t, s, wide, others in each:
        moved, lossy = others[: len(noise)], others[len(noise) :]
        gap = _gap(g, t)
        t64 = np.abs(t.astype(np.float64))
        roundings = _roundings(gap, t64, s, unit_roundoff)
        if not g.size:
            raise ValueError(f"{name} has shape {g.shape}; expected at least one component")
        where = tuple(int(k) for k in np.unravel_index(np.argmax(roundings), g.shape))
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(gap == 0, 0.0, gap / t64)
        spacing = np.maximum(2 * unit_roundoff * 2.0 ** np.floor(np.log2(np.where(t64 > 0, t64, 1.0))), 5e-324)
        K_textbook = np.inf if wide is None else _largest(_roundings(gap, t64, wide, unit_roundoff))
        K_noise = worst(_largest(_roundings(_gap(m, t), t64, s, unit_roundoff)) for m in moved)
        row = Row(
            name=name,
            shape=g.shape,
            normwise=normwise(g, t),
            K=float(roundings[where]),
            worst=where,
            got=float(g[where]),
            truth=float(t[where]),
            absolute=_largest(gap),
            relative=_largest(relative),
            ulp=_largest(np.where(t64 > 0, gap / spacing, np.where(gap > 0, np.inf, 0.0))),
            zeros=int(np.sum((g == 0) & (t64 > 0))),
            nonfinite=int(np.sum(~np.isfinite(g.astype(np.float64)))),
            allowed=BOUND * max(1.0, K_noise),
            verdict="fail",
            reason="",
        )
        known = resolution[name] if isinstance(resolution, Mapping) else resolution
        moves = worst(normwise(m, t) for m in moved) if moved else np.inf
        lost = max(moves, worst(normwise(m, t) for m in lossy)) if lossy else np.inf
        limits = (K_textbook, moves, lost, unit_roundoff, known, tolerance)
        verdict, reason = _verdict(row, *limits)
        if verdict == "fail":
            reason = _reason(row, g, unit_roundoff)
        rows.append(row._replace(verdict=verdict, reason=reason))
    finest = worst(resolution.values()) if isinstance(resolution, Mapping) else resolution
    return Report(tuple(rows), unit_roundoff, finest, tolerance)


def _arrays(value: Any) -> dict[str, Any]:
    """The leaves by name, as NumPy arrays."""
    return {name: as_numpy(a) for name, a in tree.leaves(value)}


def _expect_alike(got: dict[str, Any], truth: dict[str, Any]) -> None:
    if list(got) != list(truth):
        found, names = (", ".join(k or "a single one" for k in value) or "none" for value in (got, truth))
        raise ValueError(f"the arrays to be compared are {found}; expected {names}")
    for k, a in got.items():
        if a.shape != truth[k].shape:
            raise ValueError(f"{k or 'the array to be compared'} has shape {a.shape}; expected {truth[k].shape}")


def _verdict(
    row: Row,
    K_textbook: float,
    noise: float,
    lost: float,
    unit_roundoff: float,
    resolution: float,
    tolerance: float | None,
) -> tuple[str, str]:
    half = np.sqrt(unit_roundoff)  # of the digits
    near = not row.normwise > BOUND * max(noise, 64 * unit_roundoff)  # S may grow beyond all bounds over many steps
    if row.nonfinite:
        return "fail", ""
    if tolerance is not None:
        if row.normwise <= tolerance >= resolution:
            return "pass", "within-tolerance"
    elif row.K <= BOUND and near:
        return "pass", "rounding"
    elif K_textbook <= BOUND and not row.normwise > BOUND * max(lost, 64 * unit_roundoff):
        return "cannot tell" if row.normwise > half else "pass", "cancellation"
    elif row.allowed >= row.K and near:
        return ("cannot tell", "noise-limited") if noise > half else ("pass", "forward-error")
    return ("cannot tell", "below-resolution") if row.normwise <= resolution else ("fail", "")


def _reason(row: Row, got: Any, unit_roundoff: float) -> str:
    if row.nonfinite:
        return "not-finite"
    if row.zeros and not np.any(got):
        return "all-zero"
    single = unit_roundoff < 2.0**-24 and row.normwise > 2.0**-31 and row.K * unit_roundoff <= BOUND * 2.0**-24
    return "single-precision" if single else "different"


def _roundings(gap: Any, size: Any, paths: Any, unit_roundoff: float) -> Any:
    """K of every component; without paths, relative to the largest of the array. NaN counts as infinitely far."""
    paths = np.max(size, initial=0.0) if paths is None else paths
    with np.errstate(divide="ignore", invalid="ignore"):
        roundings = np.where(gap == 0, 0 * paths, gap / (unit_roundoff * paths))
    return np.where(np.isnan(roundings), np.inf, roundings)


def _gap(got: Any, truth: Any) -> Any:
    return np.abs(_difference(got, truth).astype(np.float64))


def _largest(values: Any) -> float:
    return worst([np.max(values, initial=0.0)])


def _difference(got: Any, truth: Any) -> Any:
    return got.astype(truth.dtype) - truth


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns: text to the left, the other columns to the right."""
    widths = _widths(header, rows)
    rule = "| " + " | ".join("-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)) + " |"
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in [header, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]])


def columns(header: list[str], rows: list[list[str]]) -> str:
    """The same for a terminal."""
    widths = _widths(header, rows)
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in [header, *rows])


def _widths(header: list[str], rows: list[list[str]]) -> list[int]:
    return [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]


def _padded(row: list[str], widths: list[int]) -> list[str]:
    return [cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))]
