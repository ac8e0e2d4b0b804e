"""Running a case study in its own environment, and judging what it answers."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import check
from numpy_lstm.cases.case import RECORDS, Case
from numpy_lstm.cases.names import is_gradient
from numpy_lstm.check.report import Report
from numpy_lstm.judge.suspects import Lineup, Suspect

from . import course_table
from .studies import HERE, PAST_TANH, PEEPHOLES, RIGHT, UNNAMED, Arrays, Carried, CaseStudy, Trial

SIZES = {"T": 5, "B": 3, "D": 4, "H": 6}
LIMIT = 600  # seconds for a script
PRINTED = 1e-6  # normwise; the course prints eight decimals


class NotRun(Exception):
    """The software is not installed: says what is needed."""


class Broken(Exception):
    """The software is installed and its script ended without an answer."""


class Finding(NamedTuple):
    """What the judge found: its first word, ``left`` of the error by it, normwise errors, and where it first shows."""

    study: CaseStudy
    trial: Trial
    versions: dict[str, str]
    said: str
    left: float | None
    rows: dict[str, tuple[float, str]]
    first: str

    @property
    def as_expected(self) -> bool:
        """Whether the judge said what it should."""
        return self.said == self.trial.expected


def case(study: CaseStudy, trial: Trial, seed: int, sizes: dict[str, int] = SIZES, given: Arrays | None = None) -> Case:
    """The case of a trial; ``given`` inputs in place of random ones. That of the course is its own."""
    if study.name == "course":
        arrays = course_table.inputs(trial.options[0].partition("_")[0])
    else:
        arrays = dict(given or Case.random(PEEPHOLES, RECORDS, sizes, np.random.default_rng(seed)).arrays)
        arrays = {k: a for k, a in arrays.items() if trial.network is PEEPHOLES or not k.startswith("p_")}
        arrays = trial.change(study.fit(arrays))
    return Case(f"{study.name}, {trial.what}", trial.network, RECORDS, "float64", arrays, {}, {})


def answer(study: CaseStudy, trial: Trial, of: Case, python: Path | None) -> tuple[Arrays, dict[str, str]]:
    """The arrays that the software gives, and the versions of what ran; ``python`` is that of its environment."""
    if study.answer is not None:
        return study.answer(of.arrays, *trial.options), {"numpy": np.__version__}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(source, **of.arrays)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [str(python), str(HERE / study.script), str(source), str(target), *trial.options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Broken(f"no answer within {LIMIT} s") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            missing = last.startswith(("ModuleNotFoundError", "ImportError"))
            raise (NotRun if missing else Broken)(last)
        with np.load(target) as file:
            return dict(file), json.loads(done.stdout.strip().splitlines()[-1])


def environment(study: CaseStudy, folder: Path, install: bool) -> Path | None:
    """The Python of the case study's own environment, made and filled if asked for; None where no package is needed."""
    if not study.script:
        return None
    python = folder.absolute() / study.name / "bin" / "python"
    if install:
        steps = [] if python.exists() else [[sys.executable, "-m", "venv", str(python.parents[1])]]
        steps += [[str(python), "-m", "pip", "install", "--quiet", "--requirement", str(study.requirements)]]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True)
            if done.returncode:
                raise NotRun((done.stderr.strip().splitlines() or ["no message"])[-1])
    if not python.exists():
        raise NotRun(f"no environment {python.parents[1]}")
    return python


def judged(study: CaseStudy, trial: Trial, of: Case, arrays: Arrays, versions: dict[str, str]) -> Finding:
    """Compare the answer with the truth, and name the mistake in the catalogue that explains it."""
    arrays = {k: a for k, a in arrays.items() if not trial.only or k in trial.only}
    if study.name == "course":
        report, suspects, first = _entries(of, arrays)
    else:
        judgement = nl.judge.Judge(of)(arrays)
        report, suspects = judgement.report, judgement.suspects
        first = str(judgement.value or judgement.cotangent or "")
        if isinstance(of.network, Carried) and judgement.verdict == "fail":
            suspects = sorted([*suspects, *_own(judgement.case, arrays)], key=lambda s: s.left)
    said = suspects[0].label if suspects else RIGHT if report.verdict == "pass" else UNNAMED
    rows = {row.name: (row.normwise, row.verdict) for row in report}
    return Finding(study, trial, versions, said, suspects[0].left if suspects else None, rows, first)


def _own(of: Case, arrays: Arrays) -> list[Suspect]:
    """The mistake that can be made only where tanh(c) is carried."""
    return Lineup(of, [PAST_TANH]).suspects(arrays)


def _entries(of: Case, printed: Arrays) -> tuple[Report, list[Suspect], str]:
    """Report, suspects and first error where single entries were printed: NaN stands for the others."""

    def entries(other: Arrays) -> Arrays:
        return {k: other[k][~np.isnan(a)] for k, a in printed.items()}

    lineup = Lineup(nl.cases.truth.fill(of), seen=entries)
    truth, got = lineup.truth, entries(printed)
    report = check.compare(got, truth, tolerance=PRINTED)
    wrong = np.flatnonzero(np.abs(got["d_x"] - truth["d_x"]) > 1e-7) if "d_x" in got else np.array([], int)
    first = f"d_x at step {wrong[-1]}" if wrong.size else ""
    return report, lineup.suspects(printed) if report.verdict == "fail" else [], first


def gradients(finding: Finding) -> tuple[dict[str, float], int]:
    """The gradients that are wrong, and how many gradients there are."""
    rows = {k: row for k, row in finding.rows.items() if is_gradient(k)}
    return {k: size for k, (size, verdict) in rows.items() if verdict == "fail"}, len(rows)
