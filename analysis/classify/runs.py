"""One run: a point of settings, plain values as JSON has them, in; what the trained model knew of the test, out."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import train, tree
from numpy_lstm.progress import bar

from ..text import InputError
from . import bayes, data

LOOKS = 20  # at the rows to choose by, in a run


def trained(point: dict[str, Any]) -> dict[str, Any]:
    """Train and judge, quietly: see ``run``."""
    return run(point)


def run(
    point: dict[str, Any], file: Path | None = None, resume: bool = False, tell: Callable[[str], object] | None = None
) -> dict[str, Any]:
    """The model of the update with the fewest errors among the rows to choose by, judged on those of the test.

    ``file`` is where it is saved at each look, and read again to ``resume``; ``tell`` gets a line at each.
    """
    found = prepared(point)
    task, start = _task(point, found), time.process_time()
    if file:
        train.sweep(file)
    now = train.begin(task, point["seed"], np.float32)
    if file and resume:
        now = train.load(file, task, now)
    with bar(desc="training", total=task.updates - now.step) as shown:
        for now, report in train.train(task, now):  # noqa: B020  it goes on from there
            shown.update()
            if report.held_out is None:
                continue
            if file:
                train.save(file, task, now)
            if tell:
                shown.clear()
                tell(
                    f"{now.step:6d}  loss {report.loss:.3f}  accuracy {1 - report.held_out:.3f}  norm {report.norm:.3g}"
                )
    predicted = train.predict(task.model, now.best.params, found.test)
    table = train.confusion(found.test.targets, predicted, len(found.classes))
    looks = np.flatnonzero(np.isfinite(now.history.held_out))
    losses = [float(np.mean(part)) for part in np.split(now.history.loss, looks + 1)[: len(looks)]]
    right = (1 - now.history.held_out[looks]).tolist()
    return {
        "seed": point["seed"],
        "right": int(np.trace(table)),
        "rows": len(predicted),
        "update": now.best.step,
        "parameters": sum(a.size for _, a in tree.leaves(now.params)),
        "confusion": table.tolist(),
        "classes": found.classes,
        "curve": [list(look) for look in zip((looks + 1).tolist(), losses, right, strict=True)],
        "baselines": bayes.baselines(found, point["symbols"]),
        "processor_seconds": time.process_time() - start,
    }


def prepared(point: dict[str, Any]) -> data.Parts:
    """The rows of a point. Raises InputError if they are not those that it was made for."""
    texts = data.load(*(point[k] for k in ("csv", "text", "label")))
    if texts.sha256 != point["sha256"]:
        raise InputError(f"{texts.name} has changed since the comparison began")
    return data.parts(texts, *(point[k] for k in ("symbols", "steps", "seed")))


def _task(point: dict[str, Any], found: data.Parts) -> train.Task:
    sizes = {k: point[k] for k in ("layers", "hidden", "embedding", "pooling", "dropout")}
    model = train.sequence_classifier(len(found.symbols), len(found.classes), **sizes)
    return train.Task(
        model,
        train.Buckets(found.fit, point["batch"]),
        train.adam(),
        train.cosine(point["rate"], point["updates"]),
        point["updates"],
        clip=1.0,
        every=max(1, point["updates"] // LOOKS),
        held_out=train.held_out_error(model, found.validation),
        settings=point,
    )
