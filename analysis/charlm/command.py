"""Train a character model, beside n-grams; save it, continue the run, sample from it, and record what it did."""

import argparse
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import train

from .. import runs, text
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
    corpus = text.load(options.text)
    print(f"{corpus}\n", flush=True)
    own = settings.chosen(options, corpus)
    fit, held = train.split(corpus.codes, settings.HELD_OUT, own["batch"], own["steps"])
    task = settings.task(own, options, fit, held)
    now, looks = runs.started(
        task, path, options.resume, lambda now: _sample(task.model, now.params, corpus.symbols, options, 0)
    )
    read = {"name": corpus.name, "sha256": corpus.sha256, "characters": len(corpus.codes), "symbols": corpus.symbols}
    baselines = ngrams.losses(fit, held, len(corpus.symbols))
    record = runs.header(own, read | {"held_out": len(held)}, now.threads, baselines)
    for name, loss in record["baselines"].items():
        print(f"{name:8} held-out {_in_words(loss)}")

    def shown(now: train.Progress) -> tuple[str, dict[str, Any]]:
        sample = "".join(_sample(task.model, now.params, corpus.symbols, options, 200))
        return sample, _gate_map(task.model, now.best.params, held[: PASSAGE + 1], corpus.symbols)

    now = runs.recorded(task, now, path, record, looks, shown)
    print(f"\nbest     held-out {_in_words(now.best.loss)}, after update {now.best.step} ({corpus})\n")
    _print_sample(task.model, now.best.params, corpus.symbols, options, 400)
    return []


def _gate_map(model: train.Model, params: Any, passage: Any, symbols: str) -> dict[str, Any]:
    """What ten units do while they read a passage, as a record says it."""
    units, values = train.gate_map(model, params, passage)
    rounded = {k: np.round(a.astype(float), 4).tolist() for k, a in values.items()}
    return {"text": "".join(symbols[k] for k in passage[:-1]), "units": units, "values": rounded}


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


def _in_words(loss: float) -> str:
    """``1.367 nats, 1.972 bits, perplexity 3.92``."""
    return f"{loss:.3f} nats, {loss / math.log(2):.3f} bits, perplexity {train.perplexity(loss):.2f}"
