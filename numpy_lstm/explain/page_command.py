"""The command ``page``."""

import argparse
from pathlib import Path

from ..cases import CaseError, files
from ..command import RIGHT
from .commands import CELL, Command
from .load import page as cell_of
from .page import page


def write_page(options: argparse.Namespace) -> int:
    """Write the page of all cells, or of a case."""
    if options.case is not None and options.cell is not None:
        raise CaseError("--cell and --case are given; a case says its cell")
    what = files.read_case(options.case) if options.case else cell_of(options.cell) if options.cell else None
    print(page(what, options.record, options.seed).write(options.out))
    return RIGHT


def add(command: Command) -> None:
    """Put it among the commands of ``numpy-lstm``."""
    one = command("page", write_page, "Write a page, one HTML file, with every number of a cell, forward and backward.")
    one.add_argument("out", metavar="OUT.html", type=Path, help="the file to write")
    one.add_argument("--cell", metavar="CELL", help=f"opened first: {CELL}; default: LSTM, among all others")
    one.add_argument("--case", metavar="FILE", type=Path, help="show a case: .json, .npz or .safetensors")
    one.add_argument("--record", metavar="RUN.json", type=Path, help="show a training run too, from its record")
