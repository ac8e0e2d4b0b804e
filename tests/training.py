"""A training run that has all there is to one, and is small; without torch, so that it is quickly imported."""

from dataclasses import replace
from typing import Any

import numpy as np

from numpy_lstm import train, tree

CODES = np.random.default_rng(1).integers(0, 6, 700)


def model(**options: Any) -> train.Model:
    """Two layers, three dropout masks."""
    return train.language_model(6, **{"layers": 2, "hidden": 7, "embedding": 5, "dropout": 0.3} | options)


def task(optimiser: train.Optimiser | None = None, **options: Any) -> train.Task:
    """Carried state; of 200 updates, some are clipped."""
    options = {"clip": 0.14, "every": 1000} | options
    streams = train.Streams(CODES, 4, 9)
    return train.Task(model(), streams, optimiser or train.adam(), train.constant(1e-3), 10**6, **options)


def whole(**options: Any) -> train.Task:
    """With a held-out loss every second update, and a plateau."""
    job = task(every=2, plateau=train.Plateau(0.5, 0), **options)
    return replace(job, held_out=train.held_out_loss(job.model, CODES[-80:], 2, 9))


def run(job: train.Task, updates: int, seed: int = 0) -> train.Progress:
    """The progress after so many updates."""
    progress = train.begin(job, seed)
    for _ in range(updates):
        progress, _report = train.advance(job, progress)
    return progress


def same(one: Any, two: Any) -> bool:
    """To the bit."""
    pairs = zip(tree.leaves(one), tree.leaves(two), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for (_, a), (_, b) in pairs)
