"""The command line: ``numpy-lstm``."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from . import __version__, check, doctor, flow, layouts, mistakes, onnx, tree
from . import judge as judging
from .cases import RECORDS, Case, files, models
from .cases.network import CELLS, DIRECTIONS, Network
from .cases.precision import ROUNDOFF
from .check import CaseError
from .command import NO_VERDICT, RIGHT, STATUSES, WRONG, Parser, natural, run, within
from .explain import commands as explaining
from .explain import page_command
from .layouts.table import TABLE
from .mistakes import vectors

STATUS = {"pass": RIGHT, "fail": WRONG}  # all other verdicts: none
SIZE, STEPS = 20, 10_000  # the largest networks and runs that are drawn here
Options = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run(_main, argv, (CaseError, layouts.LayoutError, onnx.OnnxError))


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


def look_into(options: Options) -> int:
    """Say how far back gradients reach in the recurrent layers of a model file."""
    found = models.read(options.model)
    rng, report = np.random.default_rng(options.seed), []
    for model in found.values() if options.node is None else [models.choose(found, options.node)]:
        layer, params = model.layer()
        if bad := [k for k, a in tree.leaves(params) if not np.all(np.isfinite(a))]:
            raise CaseError(f"{options.model}: {model.name} has numbers that are not finite, in {len(bad)} arrays")
        drawn = None if options.x else rng.standard_normal((options.steps, options.rows, model.sizes[0]))
        x = model.fitting(_input(options) if drawn is None else drawn)
        if len(x) < 3:
            raise CaseError(f"x has {len(x)} steps; expected at least 3")
        passes = flow.passes(layer, params, x, dlast=model.ends(rng, x.shape[1]))
        said = [(flow.diagnose(p), flow.saturation(p) if flow.gates(p.cell, p.params, p.run) else None) for p in passes]
        entries = [d.to_dict() | {"gates": None if table is None else table.to_dict()} for d, table in said]
        report.append({"name": model.name, "about": str(model), "cells": entries})
        print("\n".join([str(model), *(str(part) for pair in said for part in pair if part is not None), ""]))
    if options.json is not None:
        files.write_text(options.json, json.dumps({"schema": "numpy-lstm/flow/1", "models": report}, indent=1) + "\n")
    return RIGHT


def write_case(options: Options) -> int:
    """Write a case with the weights of a recurrent layer of a model file."""
    model = models.choose(models.read(options.model), options.node)
    x = _input(options) if options.x else None
    case = model.case(options.steps, options.rows, np.random.default_rng(options.seed), x, options.dtype)
    print(f"{files.write_case(options.case, case)}\n{model}")
    return RIGHT


def _input(options: Options) -> np.ndarray:
    arrays = files.read_answer(options.x).arrays
    if "x" not in arrays:
        raise CaseError(f"{options.x} has no array x; expected x of shape (T, B, D)")
    return np.asarray(arrays["x"], np.float64)


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

    for name, act, text, steps, rows in (
        ("flow", look_into, "Say how far back gradients reach in the recurrent layers of a model file.", 100, 4),
        ("case", write_case, "Write a case with the weights of a recurrent layer of a model file, to judge by.", 20, 2),
    ):
        one = command(name, act, text)
        one.add_argument("model", metavar="MODEL", type=Path, help=".onnx, .safetensors, .npz or Keras' .weights.h5")
        if name == "case":
            one.add_argument("case", metavar="CASE", type=Path, help="the file to write: .json, .npz or .safetensors")
            one.add_argument(
                "--dtype", choices=list(ROUNDOFF), default="float64", help="the precision that is asked for"
            )
        else:
            one.add_argument("--json", metavar="FILE", type=Path, help="write the numbers there too")
        one.add_argument("--node", metavar="NAME", help="the name of one layer, or a part of it")
        one.add_argument("--x", metavar="FILE", type=Path, help="inputs x (T,B,D), in a file; default: normal numbers")
        one.add_argument(
            "--steps", type=within(1, STEPS), default=steps, help=f"T where x is not given; default: {steps}"
        )
        one.add_argument("--rows", type=within(1, STEPS), default=rows, help=f"B without x; default: {rows}")

    explaining.add(command)
    page_command.add(command)

    one = command("doctor", examine, "Say which BLAS, kernels and threads are in use, and what would be faster.")
    one.add_argument("--json", action="store_true", help="print the measurements as JSON")

    one = command("mistakes", list_mistakes, "List the known mistakes; with --cell, those that this network can have.")
    one.add_argument("--cell", choices=list(CELLS), metavar="CELL", help=f"one of {', '.join(CELLS)}")
    one.add_argument("--layout", default=RECORDS, help=f"default: {RECORDS}")
    one.add_argument("--direction", choices=DIRECTIONS, default="forward")
    one.add_argument("--layers", type=within(0, SIZE), default=1, help=f"at most {SIZE}; default: 1")
    one.add_argument(
        "--projection", type=within(0, SIZE), default=0, metavar="R", help=f"at most {SIZE}; default: none"
    )
    one.add_argument("--zoneout", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
