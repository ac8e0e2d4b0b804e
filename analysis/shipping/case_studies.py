"""Wrong gradients in shipping software, run in its own environment and named by the judge.

``python -m analysis case_studies [NAME...]``. Software that is not installed is named in one line, and nothing is
claimed about it. A case study fails if the judge's first word is not the one expected. This folder has the scripts,
the equations typed again, and the requirements of every environment.
"""

import argparse
from pathlib import Path
from typing import Any

from numpy_lstm.command import NoVerdict

from .. import output
from . import judging, page, recordings
from .judging import Broken, Finding, NotRun
from .studies import CASE_STUDIES, CaseStudy, Trial

NAMES = [study.name for study in CASE_STUDIES]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Names and options of this command."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", type=_known, help=f"{', '.join(NAMES)} or all; default: all"
    )
    parser.add_argument("--environments", metavar="DIR", type=Path, help="one per study; default: OUT/environments")
    parser.add_argument("--install", action="store_true", help="make the environments and install what they need")
    parser.add_argument("--record", metavar="FILE", type=Path, help="write answers to a small case there, for tests")


def _known(name: str) -> str:
    if name not in (*NAMES, "all"):
        raise argparse.ArgumentTypeError(f"no case study is called {name!r}; known are {', '.join(NAMES)}, all")
    return name


def run(
    out: Path,
    seed: int,
    names: list[str] | None = None,
    environments: Path | None = None,
    install: bool = False,
    record: Path | None = None,
) -> list[str]:
    """Trial the studies of these names and write CASE_STUDIES.md; returns which did not give the name expected.

    Raises NoVerdict if none ran.
    """
    wanted = [s for s in CASE_STUDIES if not names or "all" in names or s.name in names]
    folder = environments or out / "environments"
    findings: list[Finding] = []
    not_run: dict[str, str] = {}
    recorded: list[dict[str, Any]] = []
    failed: list[str] = []
    for study in wanted:
        try:
            python = judging.environment(study, folder, install)
            for trial in study.trials:
                findings.append(_finding(study, trial, seed, python))
                print(page.line(findings[-1]), flush=True)
                if record and study.script:
                    recorded.append(recordings.record(study, trial, seed, python))
        except NotRun as error:
            not_run[study.name] = f"not run: needs {study.requirements.name} ({error})"
            print(f"{study.name}: {not_run[study.name]}")
        except Broken as error:
            failed.append(f"{study.name}: {error}")
            not_run[study.name] = f"not run: its script failed ({error})"
            print(f"{study.name}: {not_run[study.name]}")
    ran = [f for f in findings if f.study.name not in not_run]
    print(f"written to {output.write_text(out / 'CASE_STUDIES.md', page.markdown(ran, not_run, seed))}")
    if record:
        print(f"written to {recordings.write(record, recorded, seed)}")
    if not ran and not failed:
        raise NoVerdict("no case study ran")
    return failed + [
        f"{f.study.name}, {f.trial.what}: expected {f.trial.expected}, heard {f.said}" for f in ran if not f.as_expected
    ]


def _finding(study: CaseStudy, trial: Trial, seed: int, python: Path | None) -> Finding:
    of = judging.case(study, trial, seed)
    return judging.judged(study, trial, of, *judging.answer(study, trial, of, python))
