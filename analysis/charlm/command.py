"""Train a character model, beside n-grams; save it, go on with it, sample from it."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import command, train
from numpy_lstm.command import natural, positive

from .. import output, progress
from . import ngrams

RECORD = "charlm.json"
WINDOW = 2  # the split says how much a setting needs
HELD_OUT = 0.1
CELLS = {page.name: page for page in nl.PAGES if page.reads == ("x",)}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
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
SCHEDULES = ("constant", "cosine", "plateau")


class Option(NamedTuple):
    """A setting that a saved model keeps: its default, how it is read, and what it is."""

    default: Any
    read: Any
    says: str


SETTINGS = {
    "cell": Option("LSTM", CELLS, "the recurrent cell"),
    "layers": Option(1, positive, "recurrent layers"),
    "hidden": Option(128, positive, "units of each"),
    "embedding": Option(64, positive, "numbers for each symbol"),
    "tied": Option(False, bool, "the readout's matrix is the embedding's"),
    "dropout": Option(0.0, float, "probability with which what a layer reads is dropped"),
    "engine": Option("fast", ("fast", "explicit", "checkpointed"), "how the cells are computed; all give one result"),
    "batch": Option(50, positive, "rows read side by side"),
    "steps": Option(50, positive, "characters of each row between two updates"),
    "dtype": Option("float32", ("float32", "float64"), "of all numbers"),
    "optimiser": Option("adam", OPTIMISERS, "sgd has momentum 0.9"),
    "rate": Option(1e-2, float, "learning rate"),
    "schedule": Option("constant", SCHEDULES, "of the rate; plateau halves it after 2 looks without gain"),
    "warmup": Option(1, positive, "updates over which the rate rises"),
    "clip": Option(1.0, float, "largest norm of the gradient of the mean loss"),
    "parts": Option(1, positive, "parts in which the rows are computed, to save memory"),
    "every": Option(100, positive, "updates between two looks at the held-out text"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command; those of a preset stand unless others are given."""
    parser.add_argument("--preset", choices=list(PRESETS), default="quick", help="default: quick, under two minutes")
    for name, one in SETTINGS.items():
        how: dict[str, Any] = {"action": "store_true", "default": None} if one.read is bool else {"type": one.read}
        if isinstance(one.read, dict | tuple):
            how = {"choices": list(one.read)}
        parser.add_argument(f"--{name}", help=f"{one.says}; default: {one.default}", **how)
    parser.add_argument("--updates", type=positive, help="default: 1000; of the presets 4000 and 8000")
    parser.add_argument("--patience", type=positive, help="stop after so many looks without gain")
    parser.add_argument("--file", type=Path, help="the saved model: .npz or .safetensors; default: OUT/charlm.npz")
    parser.add_argument("--resume", action="store_true", help="go on with the saved model")
    parser.add_argument("--sample", metavar="N", type=natural, help="train nothing: N characters of the saved model")
    parser.add_argument("--prompt", default="The ", help="what the samples go on from; default: 'The '")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the samples; default: 0.8")


def run(out: Path, options: argparse.Namespace, corpus: Any) -> list[str]:
    """Train and write model, record and figure to ``out``; or sample. Nothing can fail, so the list is empty."""
    path = options.file or out / "charlm.npz"
    if options.sample is not None:
        return _sample(path, options)
    settings = chosen(options) | {"seed": options.seed, "text": corpus.sha256, "symbols": corpus.symbols}
    updates = options.updates or PRESETS[options.preset].get("updates", 1000)
    fit, held = train.split(corpus.codes, HELD_OUT, settings["batch"], settings["steps"])
    task = _task(settings, fit, held, updates, options.patience)
    train.sweep(path)
    now = train.begin(task, options.seed, settings["dtype"])
    if options.resume:
        now = train.load(path, task, now)
    baselines = ngrams.losses(fit, held, len(corpus.symbols))
    for name, loss in baselines.items():
        print(f"{name:8} held-out {in_words(loss)}")
    clock, looks = time.perf_counter(), _looks(out / RECORD, now) if options.resume else []
    for now, report in _told(task, now):
        if report.held_out is not None:
            said = "".join(_some(task.model, now.params, corpus.symbols, options, 200))
            gates = {k: {g: _row(t, n) for n, g in enumerate(t.index)} for k, t in report.gates.items()}
            looks.append({"update": now.step, "sample": said, "gates": gates})
            train.save(path, task, now)
    print(f"\nbest     held-out {in_words(now.best.loss)}, after update {now.best.step} ({corpus})")
    print(f"\n{options.prompt}{''.join(_some(task.model, now.best.params, corpus.symbols, options, 400))}\n")
    passage = held[:81]
    value, units, values = train.gate_map(task.model, now.best.params, passage)
    text = {"name": corpus.name, "sha256": corpus.sha256, "characters": len(corpus.codes), "symbols": corpus.symbols}
    train.record.write(
        out / RECORD,
        {
            "settings": settings,
            "text": text | {"held_out": len(held)},
            "baselines": baselines,
            "curves": {name: a.tolist() for name, a in now.history._asdict().items()},
            "looks": looks,
            "gate_map": {
                "value": value,
                "text": "".join(corpus.symbols[k] for k in passage[:-1]),
                "units": units,
                "values": values.astype(float).tolist(),
            },
            "best": {"held_out": now.best.loss, "update": now.best.step},
            "seconds": time.perf_counter() - clock,
            "environment": {"numpy": np.__version__, "numpy_lstm": nl.__version__, "threads": now.threads},
        },
    )
    return []


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Every setting by name: as given, else of the preset, else the default."""
    preset = PRESETS[options.preset]
    given = {name: getattr(options, name) for name in SETTINGS}
    return {k: preset.get(k, SETTINGS[k].default) if v is None else v for k, v in given.items()}


def model_of(settings: dict[str, Any]) -> train.Model:
    """The model that these settings describe."""
    sizes = {k: settings[k] for k in ("layers", "hidden", "embedding", "tied", "dropout", "engine")}
    return train.language_model(len(settings["symbols"]), CELLS[settings["cell"]], **sizes)


def in_words(loss: float) -> str:
    """``1.367 nats, 1.972 bits, perplexity 3.92``."""
    return f"{loss:.3f} nats, {loss / np.log(2):.3f} bits, perplexity {np.exp(loss):.2f}"


def _task(settings: dict[str, Any], fit: Any, held: Any, updates: int, patience: int | None) -> train.Task:
    model, s = model_of(settings), settings
    cosine = s["schedule"] == "cosine"
    schedule = train.cosine(s["rate"], updates) if cosine else train.constant(s["rate"])
    return train.Task(
        model,
        train.Streams(fit, s["batch"], s["steps"]),
        OPTIMISERS[s["optimiser"]](),
        train.warmup(s["warmup"], schedule) if s["warmup"] > 1 else schedule,
        updates,
        clip=s["clip"],
        parts=s["parts"],
        every=s["every"],
        held_out=train.held_out_loss(model, held, s["batch"], s["steps"]),
        plateau=train.Plateau() if s["schedule"] == "plateau" else None,
        patience=patience,
        settings=settings,
    )


def _told(task: train.Task, start: train.Progress) -> Any:
    """``train.train``, with a bar on a terminal, and one line at each look."""
    begun, first = time.perf_counter(), start.step
    with progress.bar(desc="training", total=task.updates - first) as bar:
        for now, report in train.train(task, start):
            bar.update()
            if now.step == first + 3:
                hours = (time.perf_counter() - begun) / 3 * (task.updates - first) / 3600
                print(f"{task.updates - first} updates, about {_duration(hours)}", flush=True)
            if report.held_out is not None or report.diagnosis:
                print(report, flush=True)
            yield now, report


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _sample(path: Path, options: argparse.Namespace) -> list[str]:
    saved = train.read(path)
    model = model_of(saved.settings)
    params = train.load_best(path, model)
    sys.stdout.write(options.prompt)
    for character in _some(model, params, saved.settings["symbols"], options, options.sample):
        print(character, end="", flush=True)
    print()
    return []


def _some(model: train.Model, params: Any, symbols: str, options: argparse.Namespace, length: int) -> Any:
    rng = np.random.default_rng(options.seed)
    return train.sample(model, params, symbols, options.prompt, length, rng, options.temperature)


def _looks(path: Path, start: train.Progress) -> list[dict[str, Any]]:
    """Those of the run that is resumed."""
    if not path.exists():
        return []
    return [look for look in train.record.read(path)["looks"] if look["update"] <= start.step]


def _row(table: Any, n: int) -> dict[str, float]:
    return {name: float(column[n]) for name, column in table.columns.items()}
