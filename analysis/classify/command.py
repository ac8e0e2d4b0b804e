"""Train a classifier of texts, or compare depths and poolings, beside naive Bayes on the same rows."""

import argparse
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm.command import positive, within
from numpy_lstm.train.classifier import POOLINGS

from .. import figures, output, sweep
from . import data, figure, runs

FILE = "classify.npz"
DEFAULTS = {  # by what a row is made of: many rows of few symbols, or few rows of many
    "characters": {"hidden": 64, "embedding": 32, "dropout": 0.0, "rate": 1e-2, "updates": 2000},
    "words": {"hidden": 32, "embedding": 32, "dropout": 0.5, "rate": 4e-3, "updates": 600},
}
SIZES = {"hidden": within(1, 8192), "embedding": within(1, 8192), "dropout": float, "rate": float, "updates": positive}
SAYS = {
    "hidden": "units of each layer and direction",
    "embedding": "numbers for each symbol",
    "dropout": "probability with which what a layer reads is dropped",
    "rate": "learning rate at the first update; it falls to 0 as a cosine",
    "updates": "updates of each run",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--csv", metavar="FILE", help="rows to classify; default: names of characters, by category")
    parser.add_argument("--text", metavar="COLUMN", default="text", help="the column of FILE to read; default: text")
    parser.add_argument("--label", metavar="COLUMN", default="label", help="the column of classes; default: label")
    parser.add_argument("--symbols", choices=list(data.SYMBOLS), help="default: characters of names, words of FILE")
    parser.add_argument("--steps", type=positive, default=200, help="symbols of a row that are read; default: 200")
    parser.add_argument("--layers", type=within(1, 64), nargs="+", default=[1], help="recurrent layers; default: 1")
    said = "; ".join(f"{name}: {what}" for name, what in POOLINGS.items())
    parser.add_argument("--pooling", choices=list(POOLINGS), nargs="+", default=["last"], help=f"{said}; default: last")
    for name, read in SIZES.items():
        chars, words = (DEFAULTS[k][name] for k in ("characters", "words"))
        default = f"{chars:g}" if chars == words else f"{chars:g}, of words {words:g}"
        parser.add_argument(f"--{name}", type=read, help=f"{SAYS[name]}; default: {default}")
    parser.add_argument("--batch", type=positive, default=32, help="rows of an update; default: 32")
    parser.add_argument("--seeds", type=positive, default=1, help="runs, each on rows drawn anew; default: 1")
    sweep.arguments(parser)
    parser.add_argument(
        "--resume", action="store_true", help="continue the saved run; a comparison always continues by itself"
    )


def run(out: Path, options: argparse.Namespace) -> list[str]:
    """Train one model, or all that are to be compared; print and write tables and a figure. Nothing can fail."""
    texts = data.load(options.csv, options.text, options.label)
    points = asked(options, texts.sha256)
    print(f"{texts.name}, sha256 {texts.sha256[:12]}: {data.described(runs.prepared(points[0]))}\n", flush=True)
    if len(points) == 1:
        found = [runs.run(points[0], out / FILE, options.resume, lambda line: print(line, flush=True))]
    else:
        found = sweep.sweep(runs.trained, points, out / "sweep" / "classify", options.jobs, options.dask)
    n = options.seeds
    models = {_name(point): found[k : k + n] for k, point in enumerate(points) if k % n == 0}
    baselines = {name: [one["baselines"][name] for one in found[:n]] for name in found[0]["baselines"]}
    counts = np.sum([one["confusion"] for one in found[:n]], axis=0)
    confusion = [[name, *row] for name, row in zip(found[0]["classes"], counts.tolist(), strict=True)]
    header = ["true class", *found[0]["classes"]]
    print("".join(f"{name}: accuracy {_over(shares)}\n" for name, shares in baselines.items()))
    print(f"{output.table(HEADER, [[name, *_row(own)] for name, own in models.items()])}\n")
    print(f"Predicted classes across; {_name(points[0])}\n")
    print(output.table(header, [[str(v) for v in row] for row in confusion]))
    output.write_csv(out / "classify_confusion.csv", header, confusion)
    _write(out, models)
    tested, caption = {name: wilson(own) for name, own in models.items()}, Path(texts.name).name
    figures.drawn(lambda f: figure.draw(f, models, tested, baselines, counts, caption), (250, 85), out / "classify")
    return []


def _write(out: Path, models: dict[str, list[dict[str, Any]]]) -> None:
    """Every run, and its learning curve."""
    each = [(name, one) for name, own in models.items() for one in own]
    keys = ["seed", "right", "rows", "update", "parameters", "processor_seconds"]
    header = ["model", "accuracy", "low", "high", *keys, *each[0][1]["baselines"]]
    rows = [[name, *wilson([one]), *(one[k] for k in keys), *one["baselines"].values()] for name, one in each]
    output.write_csv(out / "classify.csv", header, rows)
    curves = [[name, one["seed"], *look] for name, one in each for look in one["curve"]]
    output.write_csv(out / "classify_curves.csv", ["model", "seed", "update", "training_loss", "accuracy"], curves)


HEADER = ["model", "parameters", "accuracy", "95 % of rows", "of seeds", "best update"]


def wilson(found: list[dict[str, Any]]) -> tuple[float, float, float]:
    """The share of all their rows that is right, and its 95 % interval if rows are independent (Wilson 1927)."""
    right, rows = (sum(one[k] for one in found) for k in ("right", "rows"))
    z, p = 1.959963984540054, right / rows
    middle, half = p + z * z / (2 * rows), z * math.sqrt(p * (1 - p) / rows + (z / (2 * rows)) ** 2)
    low, high = ((middle + side) / (1 + z * z / rows) for side in (-half, half))
    return p, min(low, p), max(high, p)  # they are p, but for rounding, where none or all are right


def asked(options: argparse.Namespace, sha256: str) -> list[dict[str, Any]]:
    """Each depth with the first pooling, each pooling with the first depth; the seeds of a model after one another."""
    symbols = options.symbols or ("words" if options.csv else "characters")
    same = {k: getattr(options, k) for k in ("csv", "text", "label", "steps", "batch")}
    same |= {"symbols": symbols, "sha256": sha256}
    for name, default in DEFAULTS[symbols].items():
        same[name] = default if (given := getattr(options, name)) is None else given
    models = [(n, options.pooling[0]) for n in options.layers] + [(options.layers[0], p) for p in options.pooling]
    every = product(dict.fromkeys(models), range(options.seeds))
    return [same | {"layers": n, "pooling": pooling, "seed": options.seed + k} for (n, pooling), k in every]


def _name(point: dict[str, Any]) -> str:
    return f"{point['layers']} layer{'s' * (point['layers'] > 1)}, {point['pooling']}"


def _over(shares: list[float]) -> str:
    """The mean, and from which to which, if there are several."""
    mean = f"{np.mean(shares):.3f}"
    return mean if len(shares) == 1 else f"{mean} ({min(shares):.3f} to {max(shares):.3f})"


def _row(found: list[dict[str, Any]]) -> list[str]:
    """What the runs of one model give together."""
    share, low, high = wilson(found)
    seeds = [one["right"] / one["rows"] for one in found]
    updates = ", ".join(str(one["update"]) for one in found)
    spread = f"{min(seeds):.3f} to {max(seeds):.3f}"
    return [str(found[0]["parameters"]), f"{share:.3f}", f"{low:.3f} to {high:.3f}", spread, updates]
