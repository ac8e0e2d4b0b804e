"""The judge: somebody's answer to a case, compared, located, and held against the catalogue of mistakes."""

import difflib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from os import PathLike
from typing import Any

import numpy as np

from .. import layouts
from ..arrays import type_name
from . import files, truth
from .case import Case, is_gradient
from .given import NO_GRADIENT
from .locate import Node, first_cotangent, first_value
from .network import CaseError, Parts
from .paths import lossy
from .report import VERDICTS, Report, Row, compare
from .suspects import Lineup, Suspect, blocks, patterns

SCHEMA = "numpy-lstm/judgement/1"
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}
NOISE_RUNS = 3


@dataclass(frozen=True)
class Judgement:
    """What came out; prints as text for a terminal.

    ``report`` has a row for each array of the answer and for each gate's block of it, ``own`` the same for our float64
    (or float32) run; ``value`` and ``cotangent`` are where the answer first goes wrong, forward and backward;
    ``absent`` are the outputs and gradients that the answer left out; ``partial``: that is as it should be.
    """

    case: Case
    dtype: str
    report: Report
    own: Report
    value: Node | None
    cotangent: Node | None
    suspects: list[Suspect]
    patterns: dict[str, list[str]]
    absent: list[str]
    partial: bool
    notes: list[str]

    @property
    def verdict(self) -> str:
        """``pass``, ``fail`` or ``cannot tell``.

        Nothing passes where our own run does not, nor where an output or gradient was left out that was asked for.
        """
        worst = max((self.report.verdict, self.own.verdict), key=VERDICTS.index)
        doubtful = worst != "pass" or bool(self.reason)
        return "cannot tell" if self.report.verdict == "pass" and doubtful else self.report.verdict

    @property
    def reason(self) -> str:
        """``not given`` where that alone, or beside others, keeps the answer from passing; else nothing."""
        return "not given" if self.absent and not self.partial and self.report.verdict != "fail" else ""

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", str(self._shown()), *self._tail()])

    def markdown(self) -> str:
        """The same with a Markdown table."""
        return "\n".join([*self._head(), "", self._shown().markdown(), "", *self._tail()])

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with a versioned schema."""
        nodes = {"value": self.value, "cotangent": self.cotangent}
        return {
            "schema": SCHEMA,
            "case": self.case.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "dtype": self.dtype,
            "first_wrong": {k: None if node is None else node.to_dict() for k, node in nodes.items()},
            "suspects": [s._asdict() for s in self.suspects],
            "patterns": self.patterns,
            "absent": self.absent,
            "partial": self.partial,
            "notes": self.notes,
            "report": self.report.to_dict(),
            "own": self.own.to_dict(),
            "environment": {"python": platform.python_version(), "numpy": np.__version__},
        }

    def _shown(self) -> Report:
        """Whole arrays, and blocks where one of them does not pass as its array does."""
        rows = {row.name: row for row in self.report}
        keep = [r for r in self.report if "[" not in r.name or rows[r.name.partition("[")[0]].verdict == "fail"]
        return Report(tuple(keep), self.report.unit_roundoff)

    def _head(self) -> list[str]:
        case = self.case
        said = [f"{k} {v}" for k, v in case.network._asdict().items() if v]
        said += [f"layout {case.layout}", *(f"{k}={n}" for k, n in case.sizes.items()), self.dtype]
        reason = f" ({self.reason})" if self.reason else ""
        return [f"{self.verdict.upper()}{reason}: {case.name} ({', '.join(said)})"]

    def _tail(self) -> list[str]:
        lines = [""]
        if self.value:
            lines.append(f"first wrong forward value: {self.value}")
        if self.cotangent:
            lines.append(f"first wrong in backward order: {self.cotangent}")
        lines += [f"likely mistake: {s}" for s in self.suspects]
        if not self.suspects and any(row.verdict == "fail" and not row.nonfinite for row in self.report):
            lines.append("no single mistake of the catalogue gives these numbers")
        lines += [f"{name} is {', and '.join(found)}" for name, found in self.patterns.items()]
        lines += self.notes
        if self.absent:
            hint = " (to judge a part alone, say --partial or partial=True)" if self.reason else ""
            lines.append(f"not given, so not judged: {', '.join(self.absent)}{hint}")
        return lines if lines[1:] else []


def judge(case: Case | str | PathLike[str], answer: Any, seed: int = 0, *, partial: bool = False) -> Judgement:
    """Judge an answer: arrays by the names that ``Case`` has for results, or a file of them.

    All outputs and gradients are asked for; where one is missing, the verdict is ``cannot tell`` unless another is
    wrong. ``partial`` says that only what is given is to be judged. Values and cotangents of single steps may always
    be left out. Numbers that are not finite are wrong.
    Answers in float32, or to a case that asks for float32, are judged by the roundoff of float32, all others by that
    of float64. ``seed`` draws the roundings of the inputs that show how far rounding alone moves the truth.
    Raises CaseError for files that cannot be read, unknown names and wrong shapes.
    """
    return Judge(case, seed, partial)(answer)


class Judge:
    """A judge who has looked at a case and may be asked about many answers: ``Judge(case)(answer)``."""

    def __init__(self, case: Case | str | PathLike[str], seed: int = 0, partial: bool = False) -> None:
        if not isinstance(case, Case | str | PathLike):
            raise CaseError(f"case is a {type_name(case)}; expected a Case, or the file of one")
        case = case if isinstance(case, Case) else files.read_case(case)
        self.case = case if case.expected else truth.fill(case)
        self.seed, self.partial = seed, partial

    @cached_property
    def _paths(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.case.absolute_paths(), self.case.textbook_paths()

    @cached_property
    def _blocks(self) -> dict[str, dict[str, Any]]:
        return blocks(self.case)

    @cached_property
    def _lineup(self) -> Lineup:
        return Lineup(self.case)

    @cache  # noqa: B019 -- one entry for each precision; it goes with the judge
    def _runs(self, dtype: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
        """Our own run in this precision, and with inputs rounded differently, ours and that of a textbook code."""
        kind, rng = np.dtype(dtype).type, np.random.default_rng(self.seed)
        noise, textbook = (
            [self.case.run(lambda a: _moved(a, kind, rng), parts) for _ in range(NOISE_RUNS)]
            for parts in (Parts(), Parts(cell=lossy))
        )
        return self.case.run(lambda a: a.astype(kind)), noise, textbook

    def __call__(self, answer: Any) -> Judgement:
        """See ``judge``."""
        with np.errstate(all="ignore"):  # what overflows is told by the report
            return self._judge(answer)

    def _judge(self, answer: Any) -> Judgement:
        known = {k: a.shape for k, a in (self.case.run() | self.case.expected).items()}
        got, dtype = _checked(self.case, answer, known)
        if not got.keys() <= self.case.expected.keys():  # a file may leave out what happens at single steps
            self.case = self.case._replace(expected=truth.fill(self.case).expected | self.case.expected)
        case = self.case
        mine, noise, textbook = self._runs(dtype)
        parts = {k: v for k, v in self._blocks.items() if k in got and len(v) > 1}

        def rows(arrays: Mapping[str, Any]) -> dict[str, Any]:
            """The arrays of the answer, each followed by its blocks."""
            found = {}
            for k in got:
                found[k] = np.asarray(arrays[k], np.float64)
                found |= {f"{k}[{field}]": found[k].flat[index] for field, index in parts.get(k, {}).items()}
            return found

        exact = rows(case.expected)
        paths, wide = (rows({k: _scale(k, s, case.expected[k]) for k in got}) for s in self._paths)
        moved, lost = ([rows(run) for run in runs] for runs in (noise, textbook))
        report, own = (
            compare(rows(a), exact, paths, UNIT_ROUNDOFF[dtype], textbook_paths=wide, noise=moved, textbook=lost)
            for a in (got, mine)
        )
        wrong = {row.name for row in report if row.verdict == "fail" and row.name in got}
        broken = {row.name for row in report if row.nonfinite}
        failing = [k for k in got if k in wrong - broken]
        single = {row.reason for row in report if row.verdict == "fail"} == {"single-precision"}
        return Judgement(
            case=case,
            dtype=dtype,
            report=report,
            own=own,
            value=first_value(case, got, exact, wide, report),
            cotangent=first_cotangent(case, got, exact, wide, report),
            suspects=self._lineup.suspects({k: a for k, a in got.items() if k not in broken}, single)
            if failing
            else [],
            patterns={k: looks for k in failing if (looks := patterns(case, k, got[k], self._blocks.get(k, {})))},
            absent=[k for k in known if k not in got and "values." not in k and "cotangents." not in k],
            partial=self.partial,
            notes=_notes(case.name, report, own, single),
        )


def _checked(case: Case, answer: Any, known: dict[str, tuple[int, ...]]) -> tuple[dict[str, Any], str]:
    """The arrays of the answer as float64, and the precision by which they are judged; ``known``: names and shapes."""
    if isinstance(answer, str | PathLike):
        answer = files.read_answer(answer)
    if not isinstance(answer, Mapping | files.Answer):
        raise CaseError(f"the answer is a {type_name(answer)}; expected arrays by name, or a file of them")
    arrays, dtype = answer if isinstance(answer, files.Answer) else (dict(answer), None)
    if not arrays:
        raise CaseError(f"the answer has no arrays; expected {', '.join(n for n in known if '.' not in n)}")
    found, single = {}, []
    for k, given in arrays.items():
        if k not in known:
            near = difflib.get_close_matches(str(k), known, 1) or difflib.get_close_matches(f"d_{k}", known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it expects {', '.join(n for n in known if '.' not in n)}"
            raise CaseError(f"{k} is not expected by case {case.name}; {hint}")
        if given is None:
            raise CaseError(f"{k} is None; {NO_GRADIENT}")
        try:
            a = layouts.as_numpy(given)
        except ValueError:  # NumPy's text speaks of sequences and inhomogeneous parts
            raise CaseError(f"{k} is no array: its rows have different lengths") from None
        if a.dtype.kind not in "fiu" or a.dtype.itemsize > 8:
            raise CaseError(f"{k} has dtype {a.dtype}; expected float64 or float32")
        if a.shape != known[k]:
            hint = " (the same axes in another order?)" if sorted(a.shape) == sorted(known[k]) else ""
            raise CaseError(f"{k} has shape {a.shape}; expected {known[k]}{hint}")
        found[k] = a.astype(np.float64)
        single.append(a.dtype.itemsize <= 4 and a.dtype.kind == "f")
    judged = dtype or ("float32" if all(single) else "float64")
    return found, "float32" if "float32" in (judged, case.dtype) else "float64"


def _moved(a: Any, kind: Any, rng: np.random.Generator) -> Any:
    """``a`` with every number rounded another way: by one unit roundoff up or down."""
    sign = rng.choice([-1.0, 1.0], a.shape)
    return (a.astype(kind) * (1 + sign * np.finfo(kind).eps).astype(kind)).astype(kind)


def _scale(name: str, paths: Mapping[str, Any], exact: Any) -> Any:
    """S of a gradient, component by component; of values and cotangents of single steps, the largest of the row.

    These are hardly sums: componentwise they would show the rounding of what was computed before them.
    """
    if is_gradient(name) and "cotangents." not in name:
        return paths[name]
    sizes = paths[name] if is_gradient(name) else np.abs(exact)
    return np.broadcast_to(np.max(sizes, axis=-1, keepdims=True), exact.shape)


def _notes(case: str, report: Report, own: Report, single: bool) -> list[str]:
    """Which side is wrong and by how much where digits are lost, and where rounding the inputs is what counts."""
    notes = []
    mine: dict[str, Row] = {row.name: row for row in own}
    whole = [row for row in report if "[" not in row.name]
    notes += [
        f"{row.name} has {row.nonfinite} numbers that are not finite, of {np.prod(row.shape, dtype=int)}: "
        "all inputs and all true results are finite."
        for row in whole
        if row.nonfinite
    ]
    for row in whole:
        if row.reason == "cancellation":
            seen = "is right by formula but loses" if row.verdict == "pass" else "cannot be told from right: it loses"
            notes.append(
                f"{row.name} {seen} digits: at [{','.join(map(str, row.worst))}] it is {row.relative:.1e} off, "
                f"K = {row.K:.2g} roundings, where numpy-lstm has K = {mine[row.name].K:.2g}. "
                "1 - s and 1 - t^2 cancel in saturated gates; take derivatives from the pre-activation."
            )
    dominated = [row.name for row in whole if row.reason in ("forward-error", "noise-limited")]
    if dominated:
        notes.append(
            f"forward errors dominate in {', '.join(dominated)}: rounding the inputs alone moves the true result by up "
            f"to K = {max(row.allowed for row in whole) / 16:.2g}; the comparison is with the high-precision run."
        )
    if single:
        notes.append('if float32 is what the code promises, give float32 arrays, or "dtype": "float32" in the answer.')
    if any(row.verdict == "fail" for row in own):
        notes.append(f"our own run does not give the expected results of {case}: damaged, or out of range?")
    return notes
