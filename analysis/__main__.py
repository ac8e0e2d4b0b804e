"""The command line of the studies: ``python -m analysis``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from . import (
    accuracy,
    benchmark,
    case_studies,
    coverage,
    gpu,
    gradient_flow,
    kill_matrix,
    memory,
    routes,
    text,
    verification,
)
from .flow import command as flow
from .sweep import SweepError


class Study(NamedTuple):
    """What the command line can run: ``run(options, corpus)`` tells whether all passed.

    ``window`` is the longest stretch of text it reads (0: it gets none), ``in_all`` whether the main job runs it,
    ``arguments`` adds options of its own to a parser.
    """

    run: Callable[[argparse.Namespace, Any], bool]
    window: int = 0
    in_all: bool = False
    arguments: Callable[[argparse.ArgumentParser], None] | None = None


STUDIES = {
    "verify": Study(lambda o, corpus: verification.run(corpus, o.out, o.seed), 1 + routes.SIZES["T"], True),
    "coverage": Study(lambda o, corpus: coverage.run(o.out, o.seed), in_all=True),
    "flow": Study(flow.study, 1 + gradient_flow.SIZES["T"], True, flow.arguments),
    "kill_matrix": Study(lambda o, corpus: kill_matrix.run(o.out, o.seed)),
    "case_studies": Study(lambda o, corpus: case_studies.run(o.out, o.seed)),
    "accuracy": Study(lambda o, corpus: accuracy.run(o.out, o.seed)),
    "benchmark": Study(lambda o, corpus: benchmark.run(o.out, o), arguments=benchmark.arguments),
    "memory": Study(lambda o, corpus: memory.run(o.out)),
    "gpu": Study(lambda o, corpus: gpu.run(o.out, o.seed)),
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; exits with 2 on bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="A next-symbol loss through an RNN and LSTMs on real text: verify every gradient by every route, "
        "check every cell, wiring and layout, and draw how far back gradients flow. kill_matrix: which way of "
        "checking a gradient catches which known mistake; case_studies: wrong gradients in shipping software (more "
        "options: python -m analysis.case_studies); accuracy, benchmark, memory and gpu: the fast path measured. "
        "Exit status: 0 all passed, 1 a route failed, 2 bad input.",
    )
    parser.add_argument("study", nargs="?", choices=["all", *STUDIES], default="all", help="default: all")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of a flow study: all, {', '.join(flow.NAMES)}")
    parser.add_argument("--text", metavar="FILE", help="a UTF-8 text; default: the topics that ship with Python's help")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out"), help="where to write; default: out")
    parser.add_argument("--seed", type=_natural, default=0, help="seed of all random numbers; default: 0")
    parser.add_argument(
        "--seeds", type=_positive, default=20, help="networks per curve in the flow studies; default: 20"
    )
    for study in STUDIES.values():
        if study.arguments is not None:
            study.arguments(parser)
    given = parser.parse_args(argv)
    if given.names and given.study != "flow":
        parser.error(f"unrecognized arguments: {' '.join(given.names)} (only flow has studies by name)")
    return given


def main(argv: list[str] | None = None) -> int:
    """Run the studies asked for."""
    options = arguments(argv)
    chosen = [s for name, s in STUDIES.items() if options.study == name or (options.study == "all" and s.in_all)]
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        corpus = None
        if window := max(study.window for study in chosen):
            corpus = text.load(options.text)
            text.require(corpus, window)
            print(f"{corpus}\n")
        passed = [study.run(options, corpus) for study in chosen]
    except (text.InputError, SweepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written to {options.out}")
    return 0 if all(passed) else 1


def _natural(value: str) -> int:
    number = int(value)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
