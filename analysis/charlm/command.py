"""Train a character model, beside n-grams; save it, go on with it, sample from it, and record what it did."""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import files, train

from .. import progress, text
from . import ngrams, settings
from .settings import arguments as arguments

MODEL, RECORD = "charlm.npz", "charlm.json"
PASSAGE = 80  # characters of the held-out text over which gates are shown


def run(out: Path, options: argparse.Namespace) -> list[str]:
    """Train, and write model and record to ``out``; or sample. Nothing can fail, so the list is empty."""
    path = options.file or out / MODEL
    if options.sample is not None:
        model, symbols = settings.saved_model(path)
        _print_sample(model, train.load_best(path, model), symbols, options, options.sample)
        return []
    corpus, written = text.load(options.text), path.with_suffix(".json")
    print(f"{corpus}\n", flush=True)
    own = settings.chosen(options, corpus)
    fit, held = train.split(corpus.codes, settings.HELD_OUT, own["batch"], own["steps"])
    task = settings.task(own, options, fit, held)
    train.sweep(path)
    files.sweep(written)
    now = train.begin(task, options.seed, own["dtype"])
    _sample(task.model, now.params, corpus.symbols, options, 0)
    looks: list[dict[str, Any]] = []
    if options.resume:
        now = train.load(path, task, now)
        looks = [k for k in train.record.read(written)["looks"] if k["update"] <= now.step]
    record = _header(own, corpus, len(held), now.threads, ngrams.losses(fit, held, len(corpus.symbols)))
    for name, loss in record["baselines"].items():
        print(f"{name:8} held-out {_in_words(loss)}")
    start = time.perf_counter()
    for now, report in _told(task, now):  # noqa: B020  it goes on from there
        if report.held_out is not None:
            sample = "".join(_sample(task.model, now.params, corpus.symbols, options, 200))
            looks.append({"update": now.step, "sample": sample, "gates": _numbers(report.gates)})
            spent = time.perf_counter() - start
            train.record.write(written, record | _so_far(task.model, now, looks, held, corpus, spent))
            train.save(path, task, now)  # last: a record that is ahead of it is cut when the run goes on
    print(f"\nbest     held-out {_in_words(now.best.loss)}, after update {now.best.step} ({corpus})\n")
    _print_sample(task.model, now.best.params, corpus.symbols, options, 400)
    return []


def _told(task: train.Task, start: train.Progress) -> Iterator[tuple[train.Progress, train.Report]]:
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


def _header(
    own: dict[str, Any], corpus: Any, held_out: int, threads: int, baselines: dict[str, float]
) -> dict[str, Any]:
    """What a record says before the first update."""
    read = {"name": corpus.name, "sha256": corpus.sha256, "characters": len(corpus.codes), "symbols": corpus.symbols}
    versions = {"numpy": np.__version__, "numpy_lstm": nl.__version__}
    return {
        "settings": own,
        "text": read | {"held_out": held_out},
        "baselines": baselines,
        "environment": versions | {"threads": threads},
    }


def _so_far(
    model: train.Model, now: train.Progress, looks: list[dict[str, Any]], held: Any, corpus: Any, seconds: float
) -> dict[str, Any]:
    """What a record says of the updates done."""
    passage = held[: PASSAGE + 1]
    value, units, values = train.gate_map(model, now.best.params, passage)
    said = "".join(corpus.symbols[k] for k in passage[:-1])
    return {
        "curves": {name: a.tolist() for name, a in now.history._asdict().items()},
        "looks": looks,
        "gate_map": {"value": value, "text": said, "units": units, "values": values.astype(float).tolist()},
        "best": {"held_out": now.best.loss, "update": now.best.step},
        "seconds": seconds,
    }


def _sample(model: train.Model, params: Any, symbols: str, options: argparse.Namespace, length: int) -> Iterator[str]:
    """So many characters after the prompt; what is wrong with the options is told at once."""
    prompt = "\n" if "\n" in symbols else symbols[0]
    prompt = prompt if options.prompt is None else options.prompt
    drawn = train.sample(
        model, params, symbols, prompt, length, np.random.default_rng(options.seed), options.temperature
    )
    return itertools.chain(prompt, _as_far(drawn))


def _as_far(drawn: Iterator[str]) -> Iterator[str]:
    """The sample of a model that has diverged ends with the reason."""
    try:
        yield from drawn
    except train.TrainingError as error:
        yield f" ({error})"


def _print_sample(model: train.Model, params: Any, symbols: str, options: argparse.Namespace, length: int) -> None:
    for character in _sample(model, params, symbols, options, length):
        print(character, end="", flush=True)
    print("\n")


def _numbers(tables: Any) -> dict[str, Any]:
    """By layer, gate and statistic."""
    return {
        layer: {
            gate: {name: float(column[k]) for name, column in table.columns.items()}
            for k, gate in enumerate(table.index)
        }
        for layer, table in tables.items()
    }


def _in_words(loss: float) -> str:
    """``1.367 nats, 1.972 bits, perplexity 3.92``."""
    return f"{loss:.3f} nats, {loss / math.log(2):.3f} bits, perplexity {train.perplexity(loss):.2f}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
