"""Wrong gradients in shipping software, run in its own environment and named by the judge.

    python -m analysis.case_studies [NAME...|all] [--environments DIR] [--install] [--out DIR] [--seed N]
                                    [--record FILE]

A study whose software is not installed prints one line and is not claimed. Exit status: 0 every study that ran gave
the name that was expected, first; 1 one did not; 3 bad input. analysis/shipping has the scripts, the equations typed
again, and the requirements of every environment.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

from . import output
from .shipping import judging, page, recordings
from .shipping.judging import Broken, Finding, NotRun
from .shipping.studies import STUDIES, Run, Study

BAD_INPUT = 3
NAMES = [study.name for study in STUDIES]


class InputError(ValueError):
    """Bad input: one line."""


class Parser(argparse.ArgumentParser):
    """One line and status 3 on bad usage."""

    def error(self, message: str) -> NoReturn:
        """Leave."""
        self.exit(BAD_INPUT, f"error: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run the studies asked for; returns the exit status."""
    parser = Parser(prog="python -m analysis.case_studies", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(NAMES)} or all; default: all")
    parser.add_argument("--environments", metavar="DIR", type=Path, help="one per study; default: OUT/environments")
    parser.add_argument("--install", action="store_true", help="make the environments and install what they need")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out"), help="where to write; default: out")
    parser.add_argument("--seed", type=int, default=0, help="of the cases; default: 0")
    parser.add_argument("--record", metavar="FILE", type=Path, help="write answers to a small case there, for tests")
    options = parser.parse_args(argv)
    try:
        if options.seed < 0:
            raise InputError(f"seed is {options.seed}; expected 0 or more")
        passed = run(options.out, options.seed, options.names, options.environments, options.install, options.record)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0 if passed else 1


def run(
    out: Path,
    seed: int,
    names: list[str] | None = None,
    environments: Path | None = None,
    install: bool = False,
    record: Path | None = None,
) -> bool:
    """Run the studies of these names and write CASE_STUDIES.md; True if each that ran gave the name expected.

    Raises InputError for a name that is none.
    """
    for name in names or []:
        if name not in [*NAMES, "all"]:
            raise InputError(f"no study is called {name!r}; known are {', '.join(NAMES)}, all")
    wanted = [s for s in STUDIES if not names or "all" in names or s.name in names]
    folder = environments or out / "environments"
    findings: list[Finding] = []
    not_run: dict[str, str] = {}
    recorded: list[dict[str, Any]] = []
    broken = False
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
            broken = True
            not_run[study.name] = f"not run: its script failed ({error})"
            print(f"FAILED: {study.name}: {error}")
    ran = [f for f in findings if f.study.name not in not_run]
    print(f"written to {output.write_text(out / 'CASE_STUDIES.md', page.markdown(ran, not_run, seed))}")
    if record:
        print(f"written to {recordings.write(record, recorded, seed)}")
    for f in ran:
        if not f.as_expected:
            print(f"FAILED: {f.study.name}, {f.run.what}: expected {f.run.expected}, heard {f.said}")
    return not broken and all(f.as_expected for f in ran)


def _finding(study: Study, one: Run, seed: int, python: Path | None) -> Finding:
    of = judging.case(study, one, seed)
    return judging.judged(study, one, of, *judging.answer(study, one, of, python))


if __name__ == "__main__":
    sys.exit(main())
