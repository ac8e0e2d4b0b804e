"""The command ``page``."""

import argparse
from pathlib import Path

from ..command import RIGHT
from .commands import CELL, Command, chosen
from .examples import EXAMPLES
from .load import page as cell_of
from .page import page


def write_page(options: argparse.Namespace) -> int:
    """Write the page of all cells, or of a case or an example."""
    of_case = options.case is not None or options.example is not None
    what = chosen(options)[0] if of_case else cell_of(options.cell) if options.cell else None
    print(page(what, options.record, options.seed).write(options.out))
    return RIGHT


def add(command: Command) -> None:
    """Put it among the commands of ``numpy-lstm``."""
    one = command("page", write_page, "Write a page, one HTML file, with every number of a cell, forward and backward.")
    one.add_argument("out", metavar="OUT.html", type=Path, help="the file to write")
    one.add_argument("--cell", metavar="CELL", help=f"opened first: {CELL}; default: LSTM, among all others")
    one.add_argument("--example", choices=list(EXAMPLES), help="show round numbers, one cell alone, as in trace")
    one.add_argument("--case", metavar="FILE", type=Path, help="show a case: .json, .npz or .safetensors")
    one.add_argument("--record", metavar="RUN.json", type=Path, help="show a training run too, from its record")
