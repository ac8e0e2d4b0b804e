"""The judge: somebody's answer to a case, compared, located, and held against the catalogue of mistakes."""

from collections.abc import Mapping
from functools import cache, cached_property
from os import PathLike
from typing import Any

import numpy as np

from ..arrays import type_name
from ..cases import files, truth
from ..cases.case import Case
from ..cases.names import GRADIENT, parse
from ..cases.network import Parts
from ..check.given import CaseError
from ..check.metrics import UNIT_ROUNDOFF
from ..check.paths import lossy
from ..check.report import compare
from .answers import checked
from .judgement import Judgement
from .locate import first_cotangent, first_value
from .notes import notes
from .rows import wrong_rows
from .suspects import Lineup, blocks, patterns

NOISE_RUNS = 3


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
    def _with_steps(self) -> Case:
        """The case with what happens at single steps, which a file may leave out."""
        return self.case._replace(expected=truth.fill(self.case).expected | self.case.expected)

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
        got, dtype = checked(self.case, answer, known)
        case = self.case if got.keys() <= self.case.expected.keys() else self._with_steps
        mine, noise, textbook = self._runs(dtype)
        parts = {k: self._blocks[k] if len(self._blocks.get(k, {})) > 1 else {} for k in got}
        labels = {k: {field: f"{k}[{field}]" for field in fields} for k, fields in parts.items()}

        def rows(arrays: Mapping[str, Any]) -> dict[str, Any]:
            """The arrays of the answer, each followed by its blocks."""
            found = {}
            for k in got:
                found[k] = np.asarray(arrays[k], np.float64)
                found |= {labels[k][field]: found[k].flat[index] for field, index in parts[k].items()}
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
        suspected = {k: a for k, a in got.items() if k not in broken}
        single = {row.reason for row in report if row.verdict == "fail"} == {"single-precision"}
        return Judgement(
            case=case,
            dtype=dtype,
            report=report,
            own=own,
            block_of={label: k for k, fields in labels.items() for label in fields.values()},
            value=first_value(case, got, exact, wide, report),
            cotangent=first_cotangent(case, got, exact, wide, report),
            suspects=self._lineup.suspects(suspected, single) if failing else [],
            patterns={k: looks for k in failing if (looks := patterns(case, k, got[k], self._blocks.get(k, {})))},
            absent=[k for k in known if k not in got and not parse(k).of_steps],
            partial=self.partial,
            notes=notes(case.name, [row for row in report if row.name in got], own, single)
            + (wrong_rows(case, suspected, self._lineup.bench.right) if failing and not single else []),
        )


def _moved(a: Any, kind: Any, rng: np.random.Generator) -> Any:
    """``a`` with every number rounded another way: by one unit roundoff up or down."""
    sign = rng.choice([-1.0, 1.0], a.shape)
    return (a.astype(kind) * (1 + sign * np.finfo(kind).eps).astype(kind)).astype(kind)


def _scale(name: str, paths: Mapping[str, Any], exact: Any) -> Any:
    """S of a gradient, component by component; of values and cotangents of single steps, the largest of the row.

    These are hardly sums: componentwise they would show the rounding of what was computed before them.
    """
    if parse(name).role == GRADIENT:
        return paths[name]
    sizes = paths[name] if parse(name).is_gradient else np.abs(exact)
    return np.broadcast_to(np.max(sizes, axis=-1, keepdims=True), exact.shape)
