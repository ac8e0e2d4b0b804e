"""What a character model is and how it is trained: settings by name, presets, and the task that they describe."""

import argparse
from pathlib import Path
from typing import Any

from numpy_lstm import train
from numpy_lstm.command import natural, positive

from .. import runs
from ..runs import Option

HELD_OUT = 0.1  # the end of the text
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"updates": 1000},
    "shakespeare": {"hidden": 256, "rate": 4e-3, "schedule": "cosine", "updates": 4000, "every": 250},
    "course": {
        "layers": 2,
        "hidden": 512,
        "embedding": 128,
        "dropout": 0.2,
        "steps": 100,
        "rate": 2e-3,
        "schedule": "cosine",
        "updates": 8000,
        "every": 250,
    },
}
SETTINGS = runs.SETTINGS | {
    "tied": Option(False, bool, "the readout's matrix is the embedding's"),
    "steps": Option(50, positive, "characters of each row between two updates"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those of a preset stand unless others are given."""
    parser.add_argument("--text", metavar="FILE", help="a UTF-8 text; default: the topics that ship with Python's help")
    parser.add_argument("--preset", choices=list(PRESETS), default="quick", help="default: quick, under two minutes")
    runs.add(parser, SETTINGS, "1000; of the larger presets 4000 and 8000", "DIR/charlm.npz")
    parser.add_argument("--sample", metavar="N", type=natural, help="train nothing: N characters of the saved model")
    parser.add_argument("--prompt", help="the beginning of each sample; default: the start of a line")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the samples; default: 0.8")


def chosen(options: argparse.Namespace, corpus: Any) -> dict[str, Any]:
    """Every setting by name, as given, else of the preset, else the default; and what identifies the text."""
    found = runs.chosen(options, SETTINGS, PRESETS[options.preset])
    return found | {"text": corpus.sha256, "symbols": corpus.symbols}


def model(settings: dict[str, Any]) -> train.Model:
    """The model that these settings describe."""
    sizes = {k: settings[k] for k in ("layers", "hidden", "embedding", "tied", "dropout", "engine")}
    return train.language_model(len(settings["symbols"]), runs.CELLS[settings["cell"]], **sizes)


def saved_model(path: Path) -> tuple[train.Model, str]:
    """The model saved there, without its parameters, and its symbols. Raises TrainingError."""
    found = runs.saved(path, (*SETTINGS, "symbols"), "charlm")
    return model(found), found["symbols"]


def task(settings: dict[str, Any], options: argparse.Namespace, fit: Any, held: Any) -> train.Task:
    """What is to be done with these codes to train on, and those held out."""
    s, made = settings, model(settings)
    updates = options.updates or PRESETS[options.preset]["updates"]
    streams = train.Streams(fit, s["batch"], s["steps"])
    held_out = train.held_out_loss(made, held, s["batch"], s["steps"])
    return runs.task(s, made, streams, held_out, updates, options.patience)
