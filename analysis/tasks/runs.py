"""One network on one task: trained until it is solved or the updates are done, and looked at on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numpy_lstm import pages, train, tree
from numpy_lstm.layers import EachStep, Recurrent
from numpy_lstm.wiring import Run

from .. import networks
from .problems import Adding, Problem, of

NETWORKS = {
    "RNN": "RNN:orthogonal",
    "LSTM, b_f=0": "LSTM:orthogonal:0",
    "LSTM, b_f=1": "LSTM:orthogonal:1",
    "LSTM, chrono": "LSTM:orthogonal:chrono",
    "GRU": "GRU:orthogonal",
}
LOOK = 200  # sequences that no update reads: of a look, and five times as many of the last one
FRESH = 2**32  # no update has this number
TRACED, SHOWN = 64, 4  # sequences of which sums are traced to their inputs; of those drawn


@dataclass(frozen=True)
class Last:
    """A layer of which the last step alone is given, so that a readout answers once for each row."""

    layer: Any

    def init(self, *arguments: Any) -> Any:
        """That of the layer."""
        return self.layer.init(*arguments)

    def width(self, H: int) -> int:
        """That of the layer."""
        return int(self.layer.width(H))

    def forward(self, *arguments: Any) -> Run:
        """``hs`` is (1,B,N)."""
        run = self.layer.forward(*arguments)
        return Run(run.hs[-1:], run.last, run)

    def backward(self, params: Any, run: Run, dhs: Any, *more: Any) -> Any:
        """``dhs`` is (1,B,N)."""
        every = np.zeros_like(run.parts.hs)
        every[-1:] = dhs
        return self.layer.backward(params, run.parts, every, *more)


def network(problem: Problem, name: str, seed: int) -> tuple[train.Model, Any]:
    """The model of that name, on the fast path, and its parameters in float32, drawn from ``seed``."""
    s = networks.setting(NETWORKS[name])
    cell: Any = Recurrent(s.page, "fast")
    cell = cell if problem.name == "copy" else Last(cell)
    sizes = (problem.hidden, problem.outputs)
    model = train.Model((cell, EachStep(pages.Linear)), sizes, problem.inputs, problem.loss)
    rng = np.random.default_rng(seed)
    params = networks.params(s, problem.inputs, problem.hidden, problem.memory, rng, dtype="f4")
    return model, (params, pages.Linear.init(problem.hidden, problem.outputs, rng, np.float32))


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """What a point (``task``, ``delay``, ``symbols``, ``network``, ``updates``, ``every``, ``rate``, ``seed``) is.

    ``looks`` (update, loss, share right), ``updates`` done, ``solved`` or not, ``loss`` and ``right`` on five times as
    many other sequences; for adding, ``uses`` before and after.
    """
    problem, seed = of(point), point["seed"]
    model, params = network(problem, point["network"], seed)
    adam, rate = train.adam(), train.constant(point["rate"])
    task = train.Task(model, problem, adam, rate, point["updates"], clip=1.0, every=point["updates"])
    rng = np.random.default_rng([seed, FRESH])
    held = problem.drawn(rng, LOOK)
    now = train.begin(task, seed, np.float32, params)
    looks, solved = [[0, *_look(problem, model, params, held)]], False
    for now, _ in train.train(task, now):  # noqa: B020  it goes on from there
        if now.step % point["every"] == 0 or now.step == task.updates:
            looks.append([now.step, *_look(problem, model, now.params, held)])
            if solved := problem.solved(*looks[-1][1:]):
                break
    ends = np.mean([_look(problem, model, now.params, problem.drawn(rng, LOOK)) for _ in range(5)], axis=0)
    found = {"looks": looks, "updates": now.step, "solved": solved, "loss": float(ends[0]), "right": float(ends[1])}
    if isinstance(problem, Adding):
        traced = problem.drawn(rng, TRACED)
        found["uses"] = {when: uses(model, p, traced) for when, p in (("before", params), ("after", now.params))}
    return found


def _look(problem: Problem, model: train.Model, params: Any, batch: train.Batch) -> tuple[float, float]:
    run = model.forward(params, batch)
    return float(np.mean(run.losses, dtype=np.float64)), problem.right(run.run.hs, batch)


def uses(model: train.Model, params: Any, batch: train.Batch) -> dict[str, Any]:
    """What the sum that a network answers is made of: its derivative by each number read, 1 where marked, 0 elsewhere.

    Mean and standard deviation where ``marked`` and ``elsewhere``; ``shown``, for some sequences mark and derivative at
    each step; ``lags``, the norm of the derivative by the cell (h of an RNN or GRU), relative to the last step.
    """
    model, params = model.having("explicit"), tree.map(np.float64, params)
    run = model.forward(params, batch._replace(xs=np.float64(batch.xs), targets=np.float64(batch.targets)))
    back = run.stack.backward(params, run.run, np.ones_like(run.run.hs))
    slopes, marks = back.dxs[..., 0], batch.xs[..., 1] == 1
    carried = back.cotangents[0]
    norms = np.linalg.norm(carried.c if hasattr(carried, "c") else carried.h, axis=-1)[::-1]
    shown = [[(int(m), float(s)) for m, s in zip(marks[:, b], slopes[:, b], strict=True)] for b in range(SHOWN)]
    return {
        "marked": [float(np.mean(slopes[marks])), float(np.std(slopes[marks]))],
        "elsewhere": [float(np.mean(slopes[~marks])), float(np.std(slopes[~marks]))],
        "shown": shown,
        "lags": np.median(norms / norms[0], axis=1).tolist(),
    }
