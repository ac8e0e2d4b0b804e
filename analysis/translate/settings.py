"""What is trained on pairs, and how: options, and the task that they describe."""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import train
from numpy_lstm.command import positive, within

from .. import runs
from ..runs import Option
from ..text import InputError
from . import data

PRESETS: dict[str, dict[str, Any]] = {
    "reversal": {"updates": 1400, "hidden": 64, "every": 200},
    "dates": {"updates": 700, "hidden": 64},
    "phonemes": {"updates": 5500, "every": 500},
    "pairs": {"updates": 2000},
}
ATTENTIONS = {"luong": nl.Attention, "bahdanau": nl.AdditiveAttentionLSTM, "none": None}
SETTINGS = runs.SETTINGS | {
    "hidden": Option(128, within(2, 8192), "units of the decoder, half of them each way of the encoder"),
    "embedding": Option(32, within(1, 8192), "numbers for each symbol"),
    "batch": Option(64, positive, "pairs in each update"),
    "rate": Option(5e-3, float, "learning rate"),
    "schedule": Option("cosine", *runs.SETTINGS["schedule"][1:]),
    "attention": Option("luong", tuple(ATTENTIONS), "what the decoder asks of the source at each step"),
}
ROWS = 250  # read at once of what is held out


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("task", choices=list(PRESETS), nargs="?", default="reversal", help="default: reversal")
    parser.add_argument("--pairs", metavar="FILE", help="UTF-8 lines, each a source, a tab and a target; for pairs")
    parser.add_argument("--words", action="store_true", help="symbols of pairs are words between spaces")
    updates = ", ".join(f"{preset['updates']} of {name}" for name, preset in PRESETS.items())
    runs.add(parser, SETTINGS, f"{updates}; reversal and dates have 64 units", "DIR/TASK.npz")
    parser.add_argument("--beam", type=within(1, 100), default=1, help="beginnings kept in the search; default: 1")
    parser.add_argument("--power", type=float, default=0.0, help="of the length that divides a score; default: 0")
    parser.add_argument("--translate", metavar="SOURCE", help="train nothing: what the saved model makes of this")


def load(options: argparse.Namespace) -> data.Data:
    """The pairs that are asked for. Raises InputError."""
    if (options.pairs is None) == (options.task == "pairs"):
        said = "pairs needs --pairs FILE" if options.task == "pairs" else f"--pairs is not for {options.task}"
        raise InputError(said)
    if options.task == "pairs":
        return data.pairs(options.pairs, options.words)
    return data.phonemes() if options.task == "phonemes" else getattr(data, options.task)(options.seed)


def chosen(options: argparse.Namespace, found: data.Data) -> dict[str, Any]:
    """Every setting by name; the symbols of both sides, the boundary first among those of the targets; the pairs."""
    sides = [sorted({symbol for row in side for symbol in row}) for side in (found.sources, found.targets)]
    own = {"text": found.sha256, "sources": sides[0], "targets": ["", *sides[1]], "joint": list(found.joint)}
    return runs.chosen(options, SETTINGS, PRESETS[options.task]) | own


def model(s: dict[str, Any]) -> train.EncoderDecoder:
    """The model that these settings describe."""
    sizes = {k: s[k] for k in ("layers", "hidden", "embedding", "dropout", "engine")}
    more = {"cell": runs.CELLS[s["cell"]], "attention": ATTENTIONS[s["attention"]]}
    return train.EncoderDecoder(len(s["sources"]), len(s["targets"]), **sizes, **more)


def saved(path: Path) -> dict[str, Any]:
    """The settings of a saved model. Raises TrainingError."""
    return runs.saved(path, (*SETTINGS, "sources", "targets", "joint"), "translate")


def coded(rows: Sequence[Sequence[str]], symbols: list[str]) -> list[Any]:
    """Each row as codes. Raises TrainingError for a symbol that the model does not know."""
    codes = train.encode(list(itertools.chain(*rows)), symbols)
    return np.split(codes, np.cumsum([len(row) for row in rows])[:-1])


def both(s: dict[str, Any], found: data.Data) -> tuple[list[Any], list[Any]]:
    """Sources and targets as codes."""
    return coded(found.sources, s["sources"]), coded(found.targets, s["targets"])


def task(s: dict[str, Any], options: argparse.Namespace, fit: Any, held: Any) -> train.Task:
    """What is to be done with these pairs of codes to train on, and those held out."""
    made, order = model(s), sorted(range(len(held[0])), key=lambda n: len(held[1][n]))
    near = [order[k : k + ROWS] for k in range(0, len(order), ROWS)]
    batches = [train.paired(*([side[n] for n in some] for side in held)) for some in near]
    held_out = train.mean_loss(made, batches)
    updates = options.updates or PRESETS[options.task]["updates"]
    return runs.task(s, made, train.Shuffled(*fit, s["batch"]), held_out, updates, options.patience)
