"""A folder of answers to a set of cases: each judged, and one verdict, the worst."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..cases import files
from ..check.given import CaseError
from ..tables import columns, table
from .judgement import Judgement
from .judging import judge

SCHEMA = "numpy-lstm/judgements/1"
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class SetJudgement:
    """What came out, by the stem of the case's file; None where no answer was given. Prints one line a case."""

    judgements: dict[str, Judgement | None]

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict on each case: ``pass``, ``fail``, ``cannot tell`` or ``not given``."""
        return {stem: NOT_GIVEN if one is None else one.verdict for stem, one in self.judgements.items()}

    @property
    def verdict(self) -> str:
        """The worst: ``fail`` if any is wrong, else one that is no verdict, else ``pass``."""
        found = set(self.verdicts.values())
        return "fail" if "fail" in found else min(found - {"pass"}, default="pass")

    def __str__(self) -> str:
        return "\n".join([self._head(), "", columns(*self._cells())])

    def markdown(self) -> str:
        """The text of ``str``, with a Markdown table."""
        return "\n".join([self._head(), "", table(*self._cells())])

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with a versioned schema; each case as ``Judgement.to_dict``, or None."""
        cases = {stem: None if one is None else one.to_dict() for stem, one in self.judgements.items()}
        return {"schema": SCHEMA, "verdict": self.verdict, "verdicts": self.verdicts, "cases": cases}

    def _head(self) -> str:
        found = list(self.verdicts.values())
        counts = [f"{found.count(name)} {name}" for name in dict.fromkeys(["pass", "fail", *found]) if name in found]
        return f"{self.verdict.upper()}: {len(found)} cases, {', '.join(counts)}"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = []
        for stem, one in self.judgements.items():
            if one is None:
                rows.append([stem, NOT_GIVEN, "", "", ""])
                continue
            worst = [max(getattr(row, key) for row in one.report) for key in ("normwise", "K")]
            rows.append([stem, one.verdict, *(f"{value:.1e}" for value in worst), _why(one)])
        return ["case", "verdict", "normwise", "K", "first wrong, and likely mistake"], rows


def judge_set(
    cases: str | PathLike[str], answers: str | PathLike[str], seed: int = 0, *, partial: bool = False
) -> SetJudgement:
    """Judge every case of a folder by the answer of the same stem in another.

    ``cases`` is a folder that ``numpy-lstm vectors`` wrote, or any of case files (``.json``, ``.npz``,
    ``.safetensors``); a case without an answer is not given. With ``partial`` only what is given is judged. Raises
    CaseError, before anything is judged, for a folder without cases, for a file that cannot be read, and for an answer
    to none of the cases; and as ``judge`` does.
    """
    asked, given = _files(cases, "a folder of cases"), _files(answers, "a folder of answers")
    asked.pop("index", None)
    if not asked:
        raise CaseError(f"{cases}: no case in it; expected files {', '.join('.' + f for f in files.FORMATS)}")
    given.pop("index", None)
    if stray := [stem for stem in given if stem not in asked]:
        raise CaseError(f"{given[stray[0]]}: there is no such case; {cases} has {', '.join(asked)}")
    known = {stem: files.read_case(path) for stem, path in asked.items()}
    read = {stem: files.read_answer(path) for stem, path in given.items()}
    found: dict[str, Judgement | None] = {}
    for stem, case in known.items():
        if partial and stem not in read:
            continue
        try:
            found[stem] = judge(case, read[stem], seed, partial=partial) if stem in read else None
        except CaseError as error:
            raise CaseError(f"{given[stem]}: {error}") from None
    return SetJudgement(found)


def _files(folder: str | PathLike[str], what: str) -> dict[str, Path]:
    """The files of these formats by stem, in order of their names."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CaseError(f"{folder}: expected {what}, as the other is one")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix[1:] in files.FORMATS and not path.name.startswith("."):
            if path.stem in found:
                raise CaseError(f"{path}: {found[path.stem].name} has the same stem; expected one of them")
            found[path.stem] = path
    return found


def _why(one: Judgement) -> str:
    said = [str(node) for node in (one.value or one.cotangent,) if node]
    return "; ".join([*said, *(str(s).partition(":")[0] for s in one.suspects[:1])])
