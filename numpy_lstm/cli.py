"""The command line: ``numpy-lstm``."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from . import __version__, check, doctor, layouts, mistakes
from . import judge as judging
from .cases import RECORDS, Case, files
from .cases.network import CELLS, DIRECTIONS, Network
from .cases.precision import ROUNDOFF
from .check import CaseError
from .command import NO_VERDICT, RIGHT, STATUSES, WRONG, Parser, natural, run
from .layouts.table import TABLE
from .mistakes import vectors

STATUS = {"pass": RIGHT, "fail": WRONG}  # all other verdicts: none
Options = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run(_main, argv, (CaseError, layouts.LayoutError))


def _main(argv: Sequence[str] | None) -> int:
    options = _parser().parse_args(argv)
    return int(options.command(options))


def judge(options: Options) -> int:
    """Judge an answer, or a folder of answers to a set of cases."""
    judged: judging.Judgement | judging.SetJudgement
    if options.case.is_dir() or options.answer.is_dir():
        judged = judging.judge_set(options.case, options.answer, options.seed, partial=options.partial)
    else:
        case = files.read_case(options.case, options.large)
        judged = judging.judge(case, options.answer, options.seed, partial=options.partial)
    if options.json is not None:
        files.write_text(options.json, json.dumps(judged.to_dict(), indent=1) + "\n")
    print(judged.markdown() if options.markdown else judged)
    return STATUS.get(judged.verdict, NO_VERDICT)


def write_vectors(options: Options) -> int:
    """Write a set of cases."""
    if str(options.directory) == ".":
        raise CaseError("the directory is this one; expected a name for the set")
    more = {"sizes": options.sizes, "state": options.state, "bias": options.bias, "corners": options.corners}
    written = vectors.write_set(
        options.directory, options.cell, options.layout, options.dtype, options.seed, options.format, **more
    )
    print("\n".join(map(str, written)))
    return RIGHT


def list_mistakes(options: Options) -> int:
    """List the catalogue, or how far each mistake is from the truth in a random case."""
    if options.cell is None:
        if (options.direction, options.layers, options.projection, options.zoneout) != ("forward", 1, 0, False):
            raise CaseError("a network needs --cell")
        for mistake in mistakes.CATALOGUE.values():
            print(f"{mistake.name}\n    {mistake.says} [{mistake.source}]")
        print(f"\n{len(mistakes.CATALOGUE)} mistakes")
        return RIGHT
    network = Network(options.cell, options.projection, options.zoneout, options.direction, options.layers)
    rng = np.random.default_rng(options.seed)
    bench = mistakes.Workbench(
        Case.random(network, options.layout, {"T": 6, "B": 3, "D": 4, "H": 5}, rng, lengths=[3, 6, 1])
    )
    for mistake, variant in mistakes.possible(bench):
        answer = mistake.answer(bench, variant)
        gap = check.worst(check.normwise(answer[k], a) for k, a in bench.right.items())
        print(f"{gap:8.1e}  {mistakes.label(mistake, variant)}: {mistake.says}")
    return RIGHT


def examine(options: Options) -> int:
    """Say which BLAS, kernels and threads are in use, and what would be faster."""
    found = doctor.diagnose()
    print(json.dumps(doctor.plain(found), indent=1) if options.json else doctor.report(found))
    return RIGHT


def _sizes(text: str) -> dict[str, int]:
    sizes = dict(zip("TBDH", map(natural, text.split(",")), strict=False))
    if text.count(",") != 3 or 0 in sizes.values():
        raise argparse.ArgumentTypeError(f"{text!r} is not T,B,D,H: four numbers of at least 1")
    return sizes


def _parser() -> Parser:
    parser = Parser(prog="numpy-lstm", description=f"The reference for LSTM gradients. {STATUSES}")
    parser.add_argument("--version", action="version", version=f"numpy-lstm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Options], int], text: str) -> Parser:
        made: Parser = commands.add_parser(name, help=text, description=text)
        made.add_argument("--seed", type=natural, default=0, help="seed of all random numbers; default: 0")
        made.set_defaults(command=run)
        return made

    one = command("judge", judge, "Compare an answer with a case, say where it first goes wrong, and name the mistake.")
    one.add_argument("case", metavar="CASE", type=Path, help="a case: .json, .npz or .safetensors; or a folder of them")
    one.add_argument(
        "answer",
        metavar="ANSWER",
        type=Path,
        help="outputs and gradients by name: .json, .npz, .safetensors; for a folder of cases, a folder of such files, "
        "of the same stems",
    )
    one.add_argument(
        "--partial", action="store_true", help="judge what is given, though outputs or gradients are missing"
    )
    one.add_argument("--large", action="store_true", help="take a case that says it holds a very long run")
    one.add_argument("--json", metavar="FILE", type=Path, help="write the judgement there too")
    one.add_argument("--markdown", action="store_true", help="print a Markdown table")

    one = command("vectors", write_vectors, "Write a set of cases that fail for every known mistake.")
    one.add_argument("directory", metavar="DIR", type=Path)
    one.add_argument("--cell", choices=list(CELLS), default="LSTM", metavar="CELL", help=f"one of {', '.join(CELLS)}")
    one.add_argument("--layout", default="torch", help=f"{', '.join(TABLE)} or {RECORDS}; default: torch")
    one.add_argument("--dtype", choices=list(ROUNDOFF), default="float64", help="the precision that is asked for")
    one.add_argument("--format", choices=vectors.FORMATS, default="json", help="default: json")
    one.add_argument("--sizes", metavar="T,B,D,H", type=_sizes, help="in place of those of each case")
    one.add_argument("--no-state", dest="state", action="store_false", help="no case gives a first state: it is zero")
    one.add_argument("--no-bias", dest="bias", action="store_false", help="no case has biases")
    one.add_argument("--no-corners", dest="corners", action="store_false", help="only cases in which all is random")

    one = command("doctor", examine, "Say which BLAS, kernels and threads are in use, and what would be faster.")
    one.add_argument("--json", action="store_true", help="print the measurements as JSON")

    one = command("mistakes", list_mistakes, "List the known mistakes; with --cell, those that this network can have.")
    one.add_argument("--cell", choices=list(CELLS), metavar="CELL", help=f"one of {', '.join(CELLS)}")
    one.add_argument("--layout", default=RECORDS, help=f"default: {RECORDS}")
    one.add_argument("--direction", choices=DIRECTIONS, default="forward")
    one.add_argument("--layers", type=int, default=1)
    one.add_argument("--projection", type=int, default=0, metavar="R")
    one.add_argument("--zoneout", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
