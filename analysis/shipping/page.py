"""The page of results of the case studies."""

import datetime
import platform

import numpy as np

from numpy_lstm.cases.names import is_gradient
from numpy_lstm.mistakes import CATALOGUE

from .. import output
from .judging import SIZES, Finding, gradients
from .studies import CASE_STUDIES, PAST_TANH

HEADER = ["case study", "trial", "version", "date", "wrong, normwise", "first wrong", "the judge said first"]
COMMAND = "python -m analysis case_studies all --install --environments DIR --out analysis"


def _versions(f: Finding) -> str:
    return ", ".join(f"{k} {v}" for k, v in f.versions.items())


def _wrong(f: Finding) -> str:
    """How many arrays are wrong, and by how much."""
    wrong, total = gradients(f)
    values = [(size, verdict) for k, (size, verdict) in f.rows.items() if not is_gradient(k)]
    off = [size for size, verdict in values if verdict == "fail"]
    parts = []
    if total:
        parts.append(f"{len(wrong)} of {total} gradients" + _range(list(wrong.values())))
    if values:
        parts.append(f"{len(off)} of {len(values)} values" + _range(off))
    return "; ".join(parts)


def _range(sizes: list[float]) -> str:
    return f", {min(sizes):.2g} to {max(sizes):.2g}" if sizes else ""


def _said(f: Finding) -> str:
    return f.said if f.left is None else f"{f.said} (leaves {f.left:.0e})"


def line(f: Finding) -> str:
    """One trial, for the terminal."""
    where = f"; first {f.first}" if f.first else ""
    return f"{f.study.name}, {f.trial.what} [{_versions(f)}]: {_said(f)}. Wrong: {_wrong(f)}{where}"


def markdown(findings: list[Finding], not_run: dict[str, str], seed: int) -> str:
    """The text of CASE_STUDIES.md."""
    today = datetime.date.today().isoformat()
    rows = [[f.study.name, f.trial.what, _versions(f), today, _wrong(f), f.first or "-", _said(f)] for f in findings]
    unexpected = [
        f"- {f.study.name}, {f.trial.what}: expected {f.trial.expected}" for f in findings if not f.as_expected
    ]
    parts = [
        "# Case studies: wrong gradients in shipping software",
        f"Written by `{COMMAND}`, seed {seed}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{platform.system()} {platform.machine()}.",
        f"Every case study but the course has a random case, {', '.join(f'{k}={n}' for k, n in SIZES.items())}, with "
        "unequal non-zero states and cotangents at every output and at the last state, held against 50-digit truth; "
        "float32 answers are judged as float32. thinc takes one state for all rows; thinc and TMVA take no cotangent "
        "of the last cell: their cases have none. Errors are normwise, |got - truth| / |truth|, array by array; "
        "steps count from 0. *right*: every array passed. *no single mistake*: nothing in the catalogue gives these "
        "numbers.",
        output.table(HEADER, rows),
        *(["Not as expected:\n\n" + "\n".join(unexpected)] if unexpected else []),
        "## What was run, and what avoids it",
        "\n".join(_about(study.name, findings, not_run) for study in CASE_STUDIES),
        "hipsternet carries tanh(c), another recurrence than the LSTM's. Its values are judged against the LSTM, which "
        "names that; then its gradient against its own recurrence with the right gradient, where the catalogue "
        "is joined by `carry-past-tanh-derivative`, a mistake that can be made in that recurrence only. "
        "The equations of hipsternet and TMVA were typed again from their source: nothing of the projects was run. "
        "Of the course only printed numbers are judged, single entries, to 1e-6 of each array.",
        "## The mistakes",
        "\n".join(_mistakes(findings)),
        "## Array by array",
        "What is wrong, by how much, in the first trial of a case study that is given a name; a dash where the array "
        "is right or not given.",
        _errors(findings),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(name: str, findings: list[Finding], not_run: dict[str, str]) -> str:
    study = next(s for s in CASE_STUDIES if s.name == name)
    ran = any(f.study.name == name for f in findings)
    state = f"avoided by: {study.avoids}" if ran else not_run.get(name, "not asked for")
    return f"- **{name}**: {study.about}; {state}"


def _mistakes(findings: list[Finding]) -> list[str]:
    """What each mistake is, and its source."""
    known = {**CATALOGUE, PAST_TANH.name: PAST_TANH}
    said = dict.fromkeys(f.said.partition("[")[0] for f in findings if f.left is not None)
    return [f"- `{name}`: {known[name].says}. Source: {known[name].source}" for name in said]


def _errors(findings: list[Finding]) -> str:
    named = [f for f in findings if f.left is not None and any(map(is_gradient, f.rows))]
    shown = [f for k, f in enumerate(named) if (f.study, f.said) not in [(g.study, g.said) for g in named[:k]]]
    names = list(dict.fromkeys(k for f in shown for k in f.rows))
    header = ["array", *(f"{f.study.name}: {f.trial.what}" for f in shown)]
    rows = []
    for k in names:
        entries = [f.rows.get(k, (0.0, "")) for f in shown]
        rows.append([k, *(f"{size:.2g}" if verdict == "fail" else "-" for size, verdict in entries)])
    return output.table(header, rows) if shown else ""
