"""What a character model is and how it is trained: settings by name, presets, and the task that they describe."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy_lstm as nl
from numpy_lstm import train
from numpy_lstm.command import natural, positive, within

HELD_OUT = 0.1  # the end of the text
CELLS = {page.name: page for page in nl.PAGES if page.reads == ("x",)}
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
OPTIMISERS = {"adam": train.adam, "adamw": train.adamw, "sgd": lambda: train.sgd(momentum=0.9)}


class Option(NamedTuple):
    """A setting that a saved model keeps: its default, how it is read (or a choice of), and what it is."""

    default: Any
    read: Any
    says: str


SETTINGS = {
    "cell": Option("LSTM", tuple(CELLS), "the recurrent cell"),
    "layers": Option(1, within(1, 64), "recurrent layers"),
    "hidden": Option(128, within(1, 8192), "units of each"),
    "embedding": Option(64, within(1, 8192), "numbers for each symbol"),
    "tied": Option(False, bool, "the readout's matrix is the embedding's"),
    "dropout": Option(0.0, float, "probability with which what a layer reads is dropped"),
    "engine": Option("fast", ("fast", "explicit", "checkpointed"), "how the cells are computed; all give one result"),
    "batch": Option(50, positive, "rows read side by side"),
    "steps": Option(50, positive, "characters of each row between two updates"),
    "dtype": Option("float32", ("float32", "float64"), "of all numbers"),
    "optimiser": Option("adam", tuple(OPTIMISERS), "sgd has momentum 0.9"),
    "rate": Option(1e-2, float, "learning rate"),
    "schedule": Option("constant", ("constant", "cosine", "plateau"), "plateau halves after 3 looks without gain"),
    "warmup": Option(1, positive, "updates over which the rate rises"),
    "clip": Option(1.0, float, "largest norm of the gradient of the mean loss"),
    "parts": Option(1, positive, "parts in which the rows are computed, to save memory"),
    "every": Option(100, positive, "updates between two looks at the held-out text"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those of a preset stand unless others are given."""
    parser.add_argument("--text", metavar="FILE", help="a UTF-8 text; default: the topics that ship with Python's help")
    parser.add_argument("--preset", choices=list(PRESETS), default="quick", help="default: quick, under two minutes")
    for name, one in SETTINGS.items():
        how: dict[str, Any] = {"action": "store_true", "default": None} if one.read is bool else {"type": one.read}
        if isinstance(one.read, tuple):
            how = {"choices": one.read}
        parser.add_argument(f"--{name}", help=f"{one.says}; default: {one.default}", **how)
    parser.add_argument("--updates", type=positive, help="default: 1000; of the larger presets 4000 and 8000")
    parser.add_argument("--patience", type=positive, help="stop after so many looks without gain")
    parser.add_argument(
        "--file", type=Path, help="the model, .npz or .safetensors, its record beside it; default: DIR/charlm.npz"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the saved model")
    parser.add_argument("--sample", metavar="N", type=natural, help="train nothing: N characters of the saved model")
    parser.add_argument("--prompt", help="what the samples go on from; default: the start of a line")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the samples; default: 0.8")


def chosen(options: argparse.Namespace, corpus: Any) -> dict[str, Any]:
    """Every setting by name, as given, else of the preset, else the default; and what identifies the text."""
    preset = PRESETS[options.preset]
    given = {name: getattr(options, name) for name in SETTINGS}
    found = {k: preset.get(k, SETTINGS[k].default) if v is None else v for k, v in given.items()}
    return found | {"seed": options.seed, "text": corpus.sha256, "symbols": corpus.symbols}


def model(settings: dict[str, Any]) -> train.Model:
    """The model that these settings describe."""
    sizes = {k: settings[k] for k in ("layers", "hidden", "embedding", "tied", "dropout", "engine")}
    return train.language_model(len(settings["symbols"]), CELLS[settings["cell"]], **sizes)


def saved_model(path: Path) -> tuple[train.Model, str]:
    """The model saved there, without its parameters, and its symbols. Raises TrainingError."""
    found = train.read(path).settings
    if missing := [name for name in (*SETTINGS, "symbols") if name not in found]:
        raise train.TrainingError(f"{path} was not saved by charlm: it has no setting {missing[0]}")
    return model(found), found["symbols"]


def task(settings: dict[str, Any], options: argparse.Namespace, fit: Any, held: Any) -> train.Task:
    """What is to be done with these codes to train on, and those held out."""
    s, made = settings, model(settings)
    updates = options.updates or PRESETS[options.preset]["updates"]
    schedule = train.cosine(s["rate"], updates) if s["schedule"] == "cosine" else train.constant(s["rate"])
    return train.Task(
        made,
        train.Streams(fit, s["batch"], s["steps"]),
        OPTIMISERS[s["optimiser"]](),
        train.warmup(s["warmup"], schedule) if s["warmup"] > 1 else schedule,
        updates,
        clip=s["clip"],
        parts=s["parts"],
        every=s["every"],
        held_out=train.held_out_loss(made, held, s["batch"], s["steps"]),
        plateau=train.Plateau() if s["schedule"] == "plateau" else None,
        patience=options.patience,
        settings=settings,
    )
