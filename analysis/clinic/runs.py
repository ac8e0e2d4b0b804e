"""Small runs that really show each symptom, and healthy ones."""

import math
import tracemalloc
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import flow, train

from ..runs import of_the_last_loss

WORDS = ["the cat ", "sat on ", "a mat\n", "and, "]
CELLS = (nl.LSTM, nl.GRU, nl.RNN)
UPDATES, FEW, DELAY = 120, 60, 60


class Ran(NamedTuple):
    """A run: its history, and what else ``train.symptoms`` takes."""

    history: train.History
    more: dict[str, Any]

    @property
    def symptoms(self) -> tuple[train.Symptom, ...]:
        """What is wrong with it."""
        return train.symptoms(self.history, **self.more)


def text(seed: int, words: int = 400) -> tuple[Any, str]:
    """Codes and symbols of a text of a few words in any order."""
    said = "".join(np.random.default_rng(seed).choice(WORDS, words))
    symbols = "".join(sorted(set(said)))
    return train.encode(said, symbols), symbols


def job(seed: int = 0, cell: nl.Page = nl.LSTM, rate: float = 1e-2, **options: Any) -> train.Task:
    """A healthy task: the next character, 8 rows of 12 steps."""
    codes, symbols = text(seed)
    fit, held = train.split(codes, 0.1, 8, 12)
    model = train.language_model(len(symbols), cell, hidden=16, embedding=8)
    task = train.Task(model, train.Streams(fit, 8, 12), train.adam(), train.constant(rate), UPDATES, 1.0, every=20)
    return replace(task, held_out=train.held_out_loss(model, held, 8, 12), **options)


def run(task: train.Task, seed: int, params: Any = None, **more: Any) -> Ran:
    """The task done, with the gates at its end; a run that diverges ends there."""
    now, gates = train.begin(task, seed, params=params), {}
    try:
        for now, report in train.train(task, now):  # noqa: B007, B020  it goes on from there
            gates = report.gates or gates
    except train.Diverged as error:
        more["error"] = error
    return Ran(now.history, {"gates": gates} | more)


def healthy(seed: int) -> Ran:
    """Another cell for each seed, and everything measured that a diagnosis could ask for."""
    task = job(seed, CELLS[seed % 3])
    found = run(task, seed)
    counted = np.bincount(task.batches.codes) / len(task.batches.codes)
    floor = -float(np.sum(counted * np.log(counted)))  # of a guess by how frequent each character is
    told = reach(task.model, task.model.init(np.random.default_rng(seed)), task.batches(seed, 0))
    return Ran(found.history, found.more | {"floor": floor, "reach": told})


def flat(seed: int) -> Ran:
    """A rate of a ten-thousandth of what it should be."""
    return run(job(seed, nl.RNN, rate=1e-6, updates=FEW), seed)


def oscillation(seed: int) -> Ran:
    """A rate a hundred times too large."""
    return run(job(seed, nl.RNN, rate=1.0, updates=FEW), seed)


def divergence(seed: int) -> Ran:
    """Units without a bound, a large rate, no clipping: the loss is not finite after a few updates."""
    return run(job(seed, nl.ReLURNN, clip=None, optimiser=train.sgd(), schedule=train.constant(30.0)), seed)


def exploding(seed: int) -> Ran:
    """Recurrent weights six times too large, in a net that is not clipped."""
    task = job(seed, nl.RNN, clip=None, rate=1e-3, updates=FEW)
    params = task.model.init(np.random.default_rng(seed))
    return run(task, seed, (params[0], params[1]._replace(U=6 * params[1].U), params[2]))


def copy(steps: int, seed: int, step: int) -> train.Batch:
    """The first of eight symbols, then blanks: at the last step the symbol is asked for, and nothing before."""
    codes = np.zeros((steps, 64), int)
    codes[0] = np.random.default_rng([seed, step]).integers(1, 9, 64)
    weights = np.zeros(codes.shape)
    weights[-1] = 1
    return train.Batch(codes, np.broadcast_to(codes[:1], codes.shape), weights)


def plateau(seed: int) -> Ran:
    """What an RNN is asked for came DELAY steps before: it learns that there are eight symbols, and no more."""
    model = train.language_model(9, nl.RNN, hidden=16, embedding=8)
    task = train.Task(model, lambda *at: copy(DELAY + 1, *at), train.adam(), train.constant(1e-2), UPDATES, 1.0)
    params = model.init(rng := np.random.default_rng(seed))
    params = (params[0], nl.init.uniform(nl.RNN.Params, nl.RNN.sizes(16, D=8), rng), params[2])  # as PyTorch's
    return run(task, seed, params, floor=math.log(8), reach=reach(model, params, copy(DELAY + 1, seed, 0)))


def reach(model: train.Model, params: Any, batch: train.Batch) -> flow.Diagnosis:
    """How far the gradient of the loss at the last step reaches back in the lowest cell."""
    return flow.diagnose(of_the_last_loss(model, params, batch)[0])


def overfitting(seed: int) -> Ran:
    """Random symbols can be learned by heart; of others nothing is learned by that."""
    codes = np.random.default_rng(seed).integers(0, 6, 400)
    fit, held = train.split(codes, 0.3, 8, 12)
    model = train.language_model(6, hidden=32, embedding=8)
    task = train.Task(model, train.Streams(fit, 8, 12), train.adam(), train.constant(1e-2), UPDATES, 1.0, every=20)
    return run(replace(task, held_out=train.held_out_loss(model, held, 8, 12)), seed)


def clipped(seed: int) -> Ran:
    """A threshold a hundred times below the usual norm."""
    return run(job(seed, nl.RNN, clip=1e-3, updates=FEW), seed)


def dead_gates(seed: int) -> Ran:
    """The output gate begins shut, by its bias: nothing leaves the cell, and no gradient opens it."""
    task = job(seed, updates=FEW)
    params = task.model.init(np.random.default_rng(seed))
    return run(task, seed, (params[0], params[1]._replace(b_o=params[1].b_o - 40), params[2]))


def memory(seed: int) -> Ran:
    """Every run of the explicit path is kept, which is what a list of losses does that still hold their graphs."""
    task, kept, looks = job(seed, updates=20, every=20), [], []
    explicit, batch = task.model.having("explicit"), train.Streams(text(seed)[0], 24, 16)(seed, 0)
    now = train.begin(task, seed)
    tracemalloc.start()
    for now, _report in train.train(task, now):  # noqa: B020
        kept.append(explicit.forward(now.params, batch))
        looks.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return Ran(now.history, {"memory": looks})


SICK = {
    "divergence": divergence,
    "flat": flat,
    "oscillation": oscillation,
    "plateau": plateau,
    "vanishing": plateau,
    "exploding": exploding,
    "overfitting": overfitting,
    "clipped": clipped,
    "memory": memory,
    "dead gates": dead_gates,
}
