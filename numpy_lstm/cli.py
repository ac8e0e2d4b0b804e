"""The command line: ``numpy-lstm``. Exit status: 0 pass, 1 fail, 2 cannot tell, 3 bad input."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from . import check, doctor, layouts
from .check import files, mistakes, vectors
from .check.case import RECORDS, Case
from .check.network import CELLS, DIRECTIONS, CaseError, Network
from .layouts.table import TABLE

STATUS = {"pass": 0, "fail": 1, "cannot tell": 2}
BAD_INPUT = 3
Options = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """One line and status 3 on bad usage."""

    def error(self, message: str) -> NoReturn:
        """Leave."""
        self.exit(BAD_INPUT, f"error: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except BrokenPipeError:  # the reader has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except (CaseError, layouts.LayoutError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def judge(options: Options) -> int:
    """Judge an answer."""
    judgement = check.judge(options.case, options.answer, options.seed, partial=options.partial)
    if options.json is not None:
        files.write_text(options.json, json.dumps(judgement.to_dict(), indent=1) + "\n")
    print(judgement.markdown() if options.markdown else judgement)
    return STATUS[judgement.verdict]


def write_vectors(options: Options) -> int:
    """Write a set of cases."""
    if str(options.directory) == ".":
        raise CaseError("the directory is this one; expected a name for the set")
    written = vectors.write_set(
        options.directory, options.cell, options.layout, options.dtype, options.seed, options.format
    )
    print("\n".join(map(str, written)))
    return 0


def list_mistakes(options: Options) -> int:
    """List the catalogue, or how far each mistake is from the truth in a random case."""
    if options.cell is None:
        if (options.direction, options.layers, options.projection, options.zoneout) != ("forward", 1, 0, False):
            raise CaseError("a network needs --cell")
        for mistake in mistakes.CATALOGUE.values():
            print(f"{mistake.name}\n    {mistake.says} [{mistake.source}]")
        print(f"\n{len(mistakes.CATALOGUE)} mistakes")
        return 0
    network = Network(options.cell, options.projection, options.zoneout, options.direction, options.layers)
    rng = np.random.default_rng(options.seed)
    bench = mistakes.Workbench(
        Case.random(network, options.layout, {"T": 6, "B": 3, "D": 4, "H": 5}, rng, lengths=[3, 6, 1])
    )
    for mistake, variant in mistakes.made(bench):
        answer = mistake.answer(bench, variant)
        gap = check.worst(check.normwise(answer[k], a) for k, a in bench.right.items())
        print(f"{gap:8.1e}  {mistakes.label(mistake, variant)}: {mistake.says}")
    return 0


def examine(_: Options) -> int:
    """Say which BLAS, kernels and threads are in use, and what would be faster."""
    print(doctor.report(doctor.diagnose()))
    return 0


def _parser() -> Parser:
    parser = Parser(prog="numpy-lstm", description=f"The reference for LSTM gradients. {__doc__.partition('. ')[2]}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Options], int], text: str) -> Parser:
        made: Parser = commands.add_parser(name, help=text, description=text)
        made.add_argument("--seed", type=_natural, default=0, help="seed of all random numbers; default: 0")
        made.set_defaults(command=run)
        return made

    one = command("judge", judge, "Compare an answer with a case, say where it first goes wrong, and name the mistake.")
    one.add_argument("case", metavar="CASE", type=Path, help="a case: .json, .npz or .safetensors")
    one.add_argument(
        "answer", metavar="ANSWER", type=Path, help="outputs and gradients by name: .json, .npz, .safetensors"
    )
    one.add_argument(
        "--partial", action="store_true", help="judge what is given, though outputs or gradients are missing"
    )
    one.add_argument("--json", metavar="FILE", type=Path, help="write the judgement there too")
    one.add_argument("--markdown", action="store_true", help="print a Markdown table")

    one = command("vectors", write_vectors, "Write a set of cases that fail for every known mistake.")
    one.add_argument("directory", metavar="DIR", type=Path)
    one.add_argument("--cell", choices=list(CELLS), default="LSTM", metavar="CELL", help=f"one of {', '.join(CELLS)}")
    one.add_argument("--layout", default="torch", help=f"{', '.join(TABLE)} or {RECORDS}; default: torch")
    one.add_argument(
        "--dtype", choices=["float64", "float32"], default="float64", help="the precision that is asked for"
    )
    one.add_argument("--format", choices=vectors.FORMATS, default="json", help="default: json")

    command("doctor", examine, "Say which BLAS, kernels and threads are in use, and what would be faster.")

    one = command("mistakes", list_mistakes, "List the known mistakes; with --cell, those that this network can have.")
    one.add_argument("--cell", choices=list(CELLS), metavar="CELL", help=f"one of {', '.join(CELLS)}")
    one.add_argument("--layout", default=RECORDS, help=f"default: {RECORDS}")
    one.add_argument("--direction", choices=DIRECTIONS, default="forward")
    one.add_argument("--layers", type=int, default=1)
    one.add_argument("--projection", type=int, default=0, metavar="R")
    one.add_argument("--zoneout", action="store_true")
    return parser


def _natural(value: str) -> int:
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{value!r} is not a natural number")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
