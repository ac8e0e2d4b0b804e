"""The commands ``derive`` and ``trace``."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import progress
from ..cases import RECORDS, Case, files
from ..cases.encodings import Document, encode
from ..cases.network import Network
from ..check import CaseError, Problem, verify
from ..command import RIGHT, WRONG, Parser, within
from ..pages import LSTM
from ..pages.page import Page
from . import derive, lines
from .examples import EXAMPLES, example
from .held import first_difference, sizes
from .load import complete, page
from .rows import Equations, rows
from .skeleton import python
from .trace import Trace, mistaken

DERIVATIONS = {"markdown": (derive.markdown, ""), "latex": (derive.latex, "% "), "python": (python, "# ")}
TRACES = {"text": lines.text, "markdown": lines.markdown, "latex": lines.latex}
LARGEST = 1000  # steps and units that are drawn here
CELL = "the name of a cell, FILE.py with one page in it, or FILE.py::NAME"
Command = Callable[[str, Callable[[argparse.Namespace], int], str], Parser]


def derivation(options: argparse.Namespace) -> int:
    """Print the derivation of a page; of a file's page also how its own adjoint compares."""
    cell = page(options.page)
    equations = rows(cell)
    written, comment = DERIVATIONS[options.format]
    found = [written(equations)]
    status = RIGHT
    report: list[str] = []
    if ".py" in options.page and cell.adjoint is not None:
        status, report = _held(equations, np.random.default_rng(options.seed))
        found += [f"{comment}{line}".rstrip() for line in ["## Your adjoint", "", *report]]
    _put(options, "\n".join(found) + "\n")
    if options.out is not None:
        print(*report, sep="\n", end="\n" * bool(report))
    return status


def _held(equations: Equations, rng: np.random.Generator) -> tuple[int, list[str]]:
    """Whether the page's own adjoint is right, and what to say of it."""
    cell = equations.page
    difference = first_difference(equations, rng)
    problem = Problem.random(cell, T=3, rng=rng, **{k: n for k, n in sizes(cell).items() if k != "R"})
    checked = verify(problem.loss, problem.gradient(), problem.point)
    first = "Every row is the derived one." if difference is None else f"First difference: {difference}"
    said = [*first.splitlines(), "", f"Finite differences over 3 steps, from random states: {checked.verdict}."]
    return RIGHT if difference is None and checked.verdict == "pass" else WRONG, said


def trace(options: argparse.Namespace) -> int:
    """Print every number of a case, or of an example."""
    case, labels = chosen(options)
    if options.mistake or options.format == "json":
        complete(case.network.page)
    name, says, wrong = mistaken(case, options.mistake) if options.mistake else ("", "", None)
    if options.format == "json":
        if options.check or options.step is not None or (options.unit, options.digits) != (1, 6):
            raise CaseError("--format json holds every number in full; it takes no --unit, --step, --digits or --check")
        answer = case.run() if wrong is None else wrong
        document = Document({"schema": files.ANSWER, "dtype": "float64"}, {"arrays": answer})
        _put(options, encode(".json", document, finite=False).decode())
        return RIGHT
    found = Trace(case, options.row - 1, labels)
    if wrong is not None:
        name, says, wrong = mistaken(found.case, name)
    widths, step = [len(q.array) for q in found.cotangents(0)], None if options.step is None else options.step - 1
    if options.unit > max(widths):
        raise CaseError(f"there is no unit {options.unit}; the widest row of {found.cell.name} has {max(widths)} here")
    if step is not None and step >= found.T:
        raise CaseError(f"there is no step {options.step}; case {case.name} has {found.T} here")
    wanted = lines.Wanted(options.unit - 1, step, options.digits, options.check, wrong)
    shorter = ", or the last where a row is shorter" * (options.unit > min(widths))
    head = [f"{found.cell.name}, {case.name}; numbers put in for unit {options.unit}{shorter}"]
    head += [f"row {options.row} of {case.sizes['B']}: its gradients alone"] if case.sizes["B"] > 1 else []
    head += [f"mistake: {name}: {says}"] if wrong is not None else []
    comment = "% " if options.format == "latex" else ""
    every = lines.Writer(found, wanted, options.format == "latex").sections()
    sections = list(progress.bar(every, desc="trace", total=2 * found.T + 3) if options.check else every)
    _put(options, "\n".join([*(comment + line for line in head), "", TRACES[options.format](sections)]) + "\n")
    return RIGHT


def _put(options: argparse.Namespace, text: str) -> None:
    """Print it, or write it where it is asked for."""
    if options.out is None:
        print(text, end="")
    else:
        files.write_text(options.out, text)


def chosen(options: argparse.Namespace) -> tuple[Case, Any]:
    """The case that is asked for, and its labels, if it has any."""
    asked = [k for k in ("example", "case", "sizes") if getattr(options, k, None) is not None]
    if len(asked) > 1:
        raise CaseError(f"--{asked[0]} and --{asked[1]} are given; expected one of them")
    if options.case is not None:
        if options.cell is not None:
            raise CaseError("--cell and --case are given; a case says its cell")
        return files.read_case(options.case), None
    cell: Page = LSTM if options.cell is None else page(options.cell)
    if not cell.carries:
        raise CaseError(f"{cell.name} carries nothing; expected a cell")
    if "sizes" in asked:
        rng = np.random.default_rng(options.seed)
        return Case.random(Network(cell), RECORDS, options.sizes | {"B": 1}, rng), None
    return example(options.example or ("pen" if cell == LSTM else "course"), cell)


def _sizes(text: str) -> dict[str, int]:
    parts = [within(1, LARGEST)(part) for part in text.split(",")]
    if len(parts) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not T,D,H: three numbers of at least 1")
    return dict(zip("TDH", parts, strict=True))


def add(command: Command) -> None:
    """Put both among the commands of ``numpy-lstm``."""
    one = command("derive", derivation, "Derive the adjoint of a cell from its equations, and compare one's own.")
    one.add_argument("page", metavar="FILE|CELL", help=CELL)
    one.add_argument("--format", choices=list(DERIVATIONS), default="markdown", help="default: markdown")
    one.add_argument("--out", metavar="FILE", type=Path, help="write it there in place of printing it")

    one = command("trace", trace, "Print every number of a small run, forward and backward, each sum by its terms.")
    one.add_argument("--cell", metavar="CELL", help=f"{CELL}; default: LSTM")
    one.add_argument("--example", choices=list(EXAMPLES), help="round numbers; default: pen, of other cells course")
    one.add_argument("--case", metavar="FILE", type=Path, help="a case: .json, .npz or .safetensors")
    one.add_argument("--sizes", metavar="T,D,H", type=_sizes, help="random numbers of these sizes, drawn with --seed")
    one.add_argument("--row", type=within(1, 10**6), default=1, help="of a case with several; default: 1")
    one.add_argument("--unit", type=within(1, 10**6), default=1, help="whose numbers are put in; default: 1")
    one.add_argument("--step", type=within(1, 10**6), help="this step alone")
    one.add_argument("--digits", type=within(1, 16), default=6, help="decimals of computed numbers; default: 6")
    one.add_argument("--check", action="store_true", help="add dL by a complex step at each number")
    one.add_argument("--mistake", metavar="NAME", help="print what this known mistake gives beside what is right")
    one.add_argument("--format", choices=[*TRACES, "json"], default="text", help="default: text; json: for judge")
    one.add_argument("--out", metavar="FILE", type=Path, help="write it there in place of printing it")
