"""What the commands that train share: settings as options, the task that they describe, its progress and its record."""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import files, flow, progress, train
from numpy_lstm.command import positive, within

CELLS = {page.name: page for page in nl.PAGES if page.reads == ("x",)}
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
    "dropout": Option(0.0, float, "probability with which what a layer reads is dropped"),
    "engine": Option("fast", ("fast", "explicit", "checkpointed"), "how the cells are computed; all give one result"),
    "batch": Option(50, positive, "rows read side by side"),
    "dtype": Option("float32", ("float32", "float64"), "of all numbers"),
    "optimiser": Option("adam", tuple(OPTIMISERS), "sgd has momentum 0.9"),
    "rate": Option(1e-2, float, "learning rate"),
    "schedule": Option("constant", ("constant", "cosine", "plateau"), "plateau halves after 3 looks without gain"),
    "warmup": Option(1, positive, "updates over which the rate rises"),
    "clip": Option(1.0, float, "largest norm of the gradient of the mean loss"),
    "parts": Option(1, positive, "parts in which the rows are computed, to save memory"),
    "every": Option(100, positive, "updates between two looks at what is held out"),
}


def add(parser: argparse.ArgumentParser, settings: dict[str, Option], updates: str, file: str) -> None:
    """The settings as options, and what every training run is asked for; the last two are defaults, in words."""
    for name, one in settings.items():
        how: dict[str, Any] = {"action": "store_true", "default": None} if one.read is bool else {"type": one.read}
        if isinstance(one.read, tuple):
            how = {"choices": one.read}
        parser.add_argument(f"--{name}", help=f"{one.says}; default: {one.default}", **how)
    parser.add_argument("--updates", type=positive, help=f"default: {updates}")
    parser.add_argument("--patience", type=positive, help="stop after so many looks without gain")
    said = f"the model, .npz or .safetensors, its record beside it; default: {file}"
    parser.add_argument("--file", type=Path, help=said)
    parser.add_argument("--resume", action="store_true", help="continue the saved run")


def chosen(options: argparse.Namespace, settings: dict[str, Option], preset: dict[str, Any]) -> dict[str, Any]:
    """Every setting by name, as given, else of the preset, else the default; and the seed."""
    given = {name: getattr(options, name) for name in settings}
    found = {k: preset.get(k, settings[k].default) if v is None else v for k, v in given.items()}
    return found | {"seed": options.seed}


def saved(path: Path, names: Any, by: str) -> dict[str, Any]:
    """The settings of the model saved there. Raises TrainingError if one of these names is not among them."""
    found = train.read(path).settings
    if missing := [name for name in names if name not in found]:
        raise train.TrainingError(f"{path} was not saved by {by}: it has no setting {missing[0]}")
    return found


def task(
    s: dict[str, Any], model: train.Trainable, batches: Any, held_out: Any, updates: int, patience: int | None
) -> train.Task:
    """What is to be done, by these settings."""
    schedule = train.cosine(s["rate"], updates) if s["schedule"] == "cosine" else train.constant(s["rate"])
    return train.Task(
        model,
        batches,
        OPTIMISERS[s["optimiser"]](),
        train.warmup(s["warmup"], schedule) if s["warmup"] > 1 else schedule,
        updates,
        clip=s["clip"],
        parts=s["parts"],
        every=s["every"],
        held_out=held_out,
        plateau=train.Plateau() if s["schedule"] == "plateau" else None,
        patience=patience,
        settings=s,
    )


def started(
    task: train.Task, path: Path, resume: bool, check: Callable[[train.Progress], object]
) -> tuple[train.Progress, list[dict[str, Any]]]:
    """A run before its first update; to ``resume``, the one saved at ``path``, and the looks of its record.

    ``check`` gets it before anything is read, and raises for what is wrong with the options.
    """
    written = path.with_suffix(".json")
    train.sweep(path)
    files.sweep(written)
    check(now := train.begin(task, task.settings["seed"], task.settings["dtype"]))
    if not resume:
        return now, []
    now = train.load(path, task, now)
    return now, [look for look in train.record.read(written)["looks"] if look["update"] <= now.step]


def told(task: train.Task, start: train.Progress) -> Iterator[tuple[train.Progress, train.Report]]:
    """``train.train``, with a bar on a terminal, and one line at each look."""
    left, begun = task.updates - start.step, time.perf_counter()
    with progress.bar(desc="training", total=left) as bar:
        for now, report in train.train(task, start):
            bar.update()
            said = [f"{left} updates, about {_duration((time.perf_counter() - begun) / 3 * left)}"]
            said = said * (now.step == start.step + 3) + [str(report)] * (report.held_out is not None)
            if said:
                bar.clear()
                print(*said, sep="\n", flush=True)
            yield now, report


def of_the_last_loss(model: train.Model, params: Any, batch: train.Batch) -> tuple[flow.Pass, ...]:
    """Forward and back by the explicit path, where the loss is that of the last step alone."""
    model = model.having("explicit")
    done = model.forward(params, batch)
    dlosses = np.zeros_like(done.losses)
    dlosses[-1] = 1
    loss, back = model.backward_all(params, done, dlosses)
    return flow.passes_of(done.stack, model.full(params), done.run, back, getattr(loss.dxs, model.loss.reads[0]))


def header(own: dict[str, Any], text: dict[str, Any], threads: int, baselines: dict[str, float]) -> dict[str, Any]:
    """What a record says before the first update; ``text`` is what was read, by the names of a record."""
    versions = {"numpy": np.__version__, "numpy_lstm": nl.__version__}
    return {
        "settings": own,
        "text": text,
        "baselines": baselines,
        "environment": versions | {"threads": threads},
    }


def recorded(
    task: train.Task,
    start: train.Progress,
    path: Path,
    record: dict[str, Any],
    looks: list[dict[str, Any]],
    shown: Callable[[train.Progress], tuple[str, dict[str, Any]]],
) -> train.Progress:
    """Train to the end; at each look write the record beside the model, and the model to ``path``.

    ``record`` is its ``header``, ``looks`` those of the run so far; ``shown`` gives a look's sample and the heat map.
    """
    begun = time.perf_counter() - (looks[-1]["seconds"] if looks else 0)
    now, tokens, spent = start, 0, 0.0
    for now, report in told(task, start):
        tokens, spent = tokens + report.tokens, spent + report.tokens / report.tokens_per_s
        if report.held_out is not None:
            sample, heat_map = shown(now)
            look = {"update": now.step, "sample": sample, "gates": _numbers(report.gates)}
            looks.append(look | {"seconds": time.perf_counter() - begun, "tokens_per_s": tokens / spent})
            found = {
                "curves": {name: a.tolist() for name, a in now.history._asdict().items()},
                "looks": looks,
                "gate_map": heat_map,
                "best": {"held_out": now.best.loss, "update": now.best.step},
            }
            train.record.write(path.with_suffix(".json"), record | found)
            train.save(path, task, now)  # last: a record that is ahead of it is cut when the run goes on
            tokens, spent = 0, 0.0
    return now


def _numbers(gates: Any) -> dict[str, Any]:
    """The gates of a report, as a record has them."""
    return {
        layer: {
            gate: {name: float(column[k]) for name, column in table.columns.items()}
            for k, gate in enumerate(table.index)
        }
        for layer, table in gates.items()
    }


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
