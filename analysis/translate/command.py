"""Train an encoder and a decoder with attention on pairs; measure it on those held out; draw what it attends to."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm import progress, train

from .. import runs
from . import alignment, data, measures, settings
from .settings import arguments as arguments

SHOWN = 8  # translations that are printed
ROWS = 250  # searched for at once


class Translator(NamedTuple):
    """A model, its parameters, the settings that say which symbols it has, and how it searches."""

    model: train.EncoderDecoder
    params: Any
    settings: dict[str, Any]
    beam: int
    power: float

    def __call__(self, sources: Sequence[Sequence[str]]) -> list[train.Found]:
        """What is found for each source; it is cut off at more than twice its length."""
        codes, found = settings.coded(sources, self.settings["sources"]), []
        for k in progress.bar(range(0, len(codes), ROWS), desc="searching"):
            some = codes[k : k + ROWS]
            limit = 2 * max(map(len, some)) + 20
            found += train.search(self.model, self.params, some, self.beam, limit, self.power)
        return found

    def symbols(self, found: train.Found) -> list[str]:
        """The symbols of a translation."""
        return [self.settings["targets"][code] for code in found.codes]

    def lines(self, held: data.Data, found: Sequence[train.Found]) -> list[str]:
        """Source, translation, and the target where it is another."""
        (before, after), lines = held.joint, []
        for source, target, one in zip(held.sources, held.targets, found, strict=False):
            said = after.join(self.symbols(one))
            right = "" if said == after.join(target) else f"   (right: {after.join(target)})"
            lines.append(f"{before.join(source)} -> {said}{right}")
        return lines


def run(out: Path, options: argparse.Namespace) -> list[str]:
    """Train, and write model, record and figure to ``out``; or translate. Nothing can fail, so the list is empty."""
    path = options.file or out / f"{options.task}.npz"
    if options.translate is not None:
        _translate(path, options)
        return []
    whole = settings.load(options)
    own = settings.chosen(options, whole)
    fit, held = data.split(whole, options.seed)
    print(f"{whole.name}: {len(fit.sources)} pairs, and {len(held.sources)} held out\n", flush=True)
    task = settings.task(own, options, *(settings.both(own, part) for part in (fit, held)))
    translate = Translator(task.model, None, own, options.beam, options.power)
    now, looks = runs.started(
        task, path, options.resume, lambda now: translate._replace(params=now.params)(held.sources[:1])
    )
    read = {"name": whole.name, "sha256": whole.sha256, "symbols": "".join(own["sources"])}
    read |= {"characters": sum(map(len, fit.sources)), "held_out": sum(map(len, held.sources))}

    def shown(now: train.Progress) -> tuple[str, dict[str, Any]]:
        found = translate._replace(params=now.params)(held.sources[:SHOWN])
        return "\n".join(translate.lines(held, found)), alignment.heat_map(held.sources[0], found[0])

    now = runs.recorded(task, now, path, runs.header(own, read, now.threads, {}), looks, shown)
    print(f"\nbest     held-out {now.best.loss:.4f} nats per symbol, after update {now.best.step}\n")
    _measure(translate._replace(params=now.best.params), held, options, path)
    return []


def _measure(translate: Translator, held: data.Data, options: argparse.Namespace, path: Path) -> None:
    """Print measures and examples; draw the alignment of a few."""
    found = translate(held.sources)
    print(*translate.lines(held, found[:SHOWN]), sep="\n")
    symbols = [translate.symbols(one) for one in found]
    print(f"\n{len(found)} held out, beam {options.beam}: {measures.measured(symbols, held.targets)}")
    if options.task == "pairs":
        print(measures.bleu([held.joint[1].join(row) for row in symbols], held.written(1), options.words))
    if translate.model.attention is not None:
        order = np.argsort([len(row) for row in held.sources], kind="stable")
        shown = [order[len(order) * n // 8 - 1] for n in alignment.EIGHTHS]
        written = [[*symbols[k], *[alignment.END] * found[k].ended] for k in shown]
        examples = [(held.sources[k], row, found[k].alignment) for k, row in zip(shown, written, strict=True)]
        alignment.draw(examples, path.with_name(f"{path.stem}-alignment"), options.task)


def _translate(path: Path, options: argparse.Namespace) -> None:
    own = settings.saved(path)
    model = settings.model(own)
    translate = Translator(model, train.load_best(path, model), own, options.beam, options.power)
    before, after = own["joint"]
    (found,) = translate([options.translate.split() if before else options.translate])
    print(after.join(translate.symbols(found)))
