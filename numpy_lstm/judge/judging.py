"""The judge: somebody's answer to a case, compared, located, and held against the catalogue of mistakes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np

from ..arrays import type_name
from ..cases import files, precision
from ..cases.case import Case
from ..cases.names import GRADIENT, parse
from ..cases.network import Parts
from ..cases.truth import fill_soon
from ..check.given import CaseError
from ..check.paths import lossy
from ..check.report import Report, Row, yardsticks
from ..check.verdict import Yardstick
from .answers import checked
from .judgement import Judgement
from .locate import first_cotangent, first_value
from .notes import notes
from .patterns import blocks, patterns
from .rows import wrong_rows
from .suspects import Lineup

NOISE_RUNS = 3


def judge(case: Case | str | PathLike[str], answer: Any, seed: int = 0, *, partial: bool = False) -> Judgement:
    """Judge an answer: arrays by the names that ``Case`` has for results, or a file of them.

    All outputs and gradients are asked for; where one is missing, the verdict is ``cannot tell`` unless another is
    wrong. ``partial`` says that only what is given is to be judged. Values and cotangents of single steps may always
    be left out. Numbers that are not finite are wrong.
    Answers in float32, float16 or bfloat16, or to a case that asks for that, are judged by its roundoff, all others by
    that of float64. ``seed`` draws the roundings of the inputs that show how far rounding alone moves the truth.
    Raises CaseError for files that cannot be read, unknown names and wrong shapes.
    """
    return Judge(case, seed, partial)(answer)


class Judge:
    """A judge who has looked at a case and may be asked about many answers: ``Judge(case)(answer)``."""

    def __init__(self, case: Case | str | PathLike[str], seed: int = 0, partial: bool = False) -> None:
        if not isinstance(case, Case | str | PathLike):
            raise CaseError(f"case is a {type_name(case)}; expected a Case, or the file of one")
        case = case if isinstance(case, Case) else files.read_case(case)
        self.case = case if case.expected else fill_soon(case)
        self.seed, self.partial = seed, partial
        self._made: dict[tuple[str, int], tuple[dict[str, Yardstick], dict[str, Row]]] = {}

    @cached_property
    def _known(self) -> dict[str, tuple[int, ...]]:
        """The names and shapes of all that an answer may give."""
        return {k: a.shape for k, a in (self.case.run() | self.case.expected).items()}

    @cached_property
    def _whole(self) -> Case:
        """The case with what happens at single steps, which a file may leave out."""
        return self.case._replace(expected=fill_soon(self.case).expected | self.case.expected)

    @cached_property
    def _blocks(self) -> dict[str, dict[str, Any]]:
        return blocks(self.case)

    @cached_property
    def _lineup(self) -> Lineup:
        return Lineup(self.case)

    @cached_property
    def _paths(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.case.absolute_paths(), self.case.textbook_paths()

    def _measures(self, case: Case, dtype: str) -> tuple[dict[str, Yardstick], dict[str, Row]]:
        """What is known of each array and block in this precision, and the rows of our own run."""
        if (dtype, len(case.expected)) not in self._made:
            rng, truth = np.random.default_rng(self.seed), case.expected
            mine = case.run(lambda a: precision.rounded(a, dtype))
            noise, textbook = (
                [case.run(lambda a: precision.moved(a, dtype, rng), parts) for _ in range(NOISE_RUNS)]
                for parts in (Parts(), Parts(cell=lossy))
            )
            paths, wide = ({k: _scale(k, s, a) for k, a in truth.items()} for s in self._paths)
            named = [self._rows(a, truth) for a in (truth, paths, wide, mine, *noise, *textbook)]
            exact, paths, wide, mine, *runs = named
            moved = [mine, *runs[:NOISE_RUNS]]
            known = yardsticks(exact, paths, wide, precision.ROUNDOFF[dtype], moved, runs[NOISE_RUNS:])
            self._made[dtype, len(truth)] = known, {k: Row.of(k, a, known[k]) for k, a in mine.items()}
        return self._made[dtype, len(case.expected)]

    def _rows(self, arrays: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """The arrays of these names, each followed by its blocks, if there are several."""
        found = {}
        for k in names:
            found[k] = np.asarray(arrays[k], np.float64)
            parts = self._blocks.get(k, {})
            found |= {f"{k}[{j}]": found[k].flat[index] for j, index in parts.items() if len(parts) > 1}
        return found

    def __call__(self, answer: Any) -> Judgement:
        """See ``judge``."""
        with np.errstate(all="ignore"):  # what overflows is told by the report
            return self._judge(*checked(self.case, answer, self._known))

    def report(self, answer: Any) -> Report:
        """The rows of a Judgement alone: no place is looked for, and no mistake."""
        with np.errstate(all="ignore"):
            return self._compared(*checked(self.case, answer, self._known))

    def _case(self, got: Iterable[str]) -> Case:
        return self.case if set(got) <= self.case.expected.keys() else self._whole

    def _compared(self, got: dict[str, Any], dtype: str) -> Report:
        known, mine = self._measures(self._case(got), dtype)
        rows = tuple(_row(k, a, known[k], mine[k]) for k, a in self._rows(got, got).items())
        return Report(rows, precision.ROUNDOFF[dtype])

    def _judge(self, got: dict[str, Any], dtype: str) -> Judgement:
        case, report = self._case(got), self._compared(got, dtype)
        known, mine = self._measures(case, dtype)
        given = [row.name for row in report]
        own = replace(report, rows=tuple(mine[k] for k in given))
        exact, wide = ({k: getattr(known[k], field) for k in given} for field in ("truth", "wide"))
        whole = [row for row in report if row.name in got]
        broken = {row.name for row in whole if row.nonfinite}
        failing = [row.name for row in whole if row.verdict == "fail" and not row.nonfinite]
        single = {row.reason for row in report if row.verdict == "fail"} == {"single-precision"}
        usable = {k: a for k, a in got.items() if k not in broken}
        return Judgement(
            case=case,
            dtype=dtype,
            report=report,
            own=own,
            block_of={k: k.partition("[")[0] for k in given if k not in got},
            value=first_value(case, got, exact, wide, report),
            cotangent=first_cotangent(case, got, exact, wide, report),
            suspects=self._lineup.suspects(usable, single) if failing else [],
            patterns={k: looks for k in failing if (looks := patterns(case, k, got[k], self._blocks.get(k, {})))},
            absent=[k for k in self._known if k not in got and not parse(k).of_steps],
            partial=self.partial,
            notes=notes(case.name, whole, own, single)
            + (wrong_rows(case, usable, self._lineup.bench.right) if failing and not single else []),
        )


def _row(name: str, got: Any, known: Yardstick, mine: Row) -> Row:
    """No answer is wrong where our own run is: the case is damaged then, or beyond the range of the precision."""
    row = Row.of(name, got, known)
    unsure = row.verdict == mine.verdict == "fail" and bool(row.nonfinite) <= bool(mine.nonfinite)
    return row._replace(verdict="cannot tell", reason="damaged-case") if unsure else row


def _scale(name: str, paths: Mapping[str, Any], exact: Any) -> Any:
    """S of a gradient, component by component; of values and cotangents of single steps, the largest of the row.

    These are hardly sums: componentwise they would show the rounding of what was computed before them.
    """
    if parse(name).role == GRADIENT:
        return paths[name]
    return np.broadcast_to(np.max(paths.get(name, np.abs(exact)), axis=-1, keepdims=True), exact.shape)
