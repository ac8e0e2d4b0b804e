"""Wrong gradients in shipping software, run in its own environment and named by the judge.

    python -m analysis.case_studies [NAME...|all] [--environments DIR] [--install] [--out DIR] [--seed N]
                                    [--record FILE]

A study whose software is not installed prints one line and is not claimed. Exit status: 0 every study that ran gave
the name that was expected, first; 1 one did not; 2 none ran; 3 bad input. analysis/shipping has the
scripts, the equations typed again, and the requirements of every environment.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy_lstm import command
from numpy_lstm.command import RIGHT, WRONG, NoVerdict, Parser, natural

from . import output
from .shipping import judging, page, recordings
from .shipping.judging import Broken, Finding, NotRun
from .shipping.studies import STUDIES, Run, Study

NAMES = [study.name for study in STUDIES]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the studies asked for; returns the exit status."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="python -m analysis.case_studies", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out"), help="where to write; default: out")
    parser.add_argument("--seed", type=natural, default=0, help="of the cases; default: 0")
    arguments(parser)
    o = parser.parse_args(argv)
    command.need("mpmath")
    if failed := run(o.out, o.seed, o.names, o.environments, o.install, o.record):
        print(f"FAILED: {'; '.join(failed)}")
    return WRONG if failed else RIGHT


def arguments(parser: argparse.ArgumentParser) -> None:
    """Names and options of this study."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", type=_known, help=f"{', '.join(NAMES)} or all; default: all"
    )
    parser.add_argument("--environments", metavar="DIR", type=Path, help="one per study; default: OUT/environments")
    parser.add_argument("--install", action="store_true", help="make the environments and install what they need")
    parser.add_argument("--record", metavar="FILE", type=Path, help="write answers to a small case there, for tests")


def _known(name: str) -> str:
    if name not in (*NAMES, "all"):
        raise argparse.ArgumentTypeError(f"no study is called {name!r}; known are {', '.join(NAMES)}, all")
    return name


def run(
    out: Path,
    seed: int,
    names: list[str] | None = None,
    environments: Path | None = None,
    install: bool = False,
    record: Path | None = None,
) -> list[str]:
    """Run the studies of these names and write CASE_STUDIES.md; returns which did not give the name expected.

    Raises NoVerdict if none ran.
    """
    wanted = [s for s in STUDIES if not names or "all" in names or s.name in names]
    folder = environments or out / "environments"
    findings: list[Finding] = []
    not_run: dict[str, str] = {}
    recorded: list[dict[str, Any]] = []
    failed: list[str] = []
    for study in wanted:
        try:
            python = judging.environment(study, folder, install)
            for one in study.runs:
                findings.append(_finding(study, one, seed, python))
                print(page.line(findings[-1]), flush=True)
                if record and study.script:
                    recorded.append(recordings.record(study, one, seed, python))
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
        raise NoVerdict("no study ran")
    return failed + [
        f"{f.study.name}, {f.run.what}: expected {f.run.expected}, heard {f.said}" for f in ran if not f.as_expected
    ]


def _finding(study: Study, one: Run, seed: int, python: Path | None) -> Finding:
    of = judging.case(study, one, seed)
    return judging.judged(study, one, of, *judging.answer(study, one, of, python))


if __name__ == "__main__":
    sys.exit(main())
