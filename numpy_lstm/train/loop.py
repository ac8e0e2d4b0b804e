"""The loop: one record of all there is to a training run, and a pure function from one update to the next."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, doctor, tree
from . import clipping, diagnosis, schedules
from .errors import Diverged, TrainingError, expect_count, expect_within
from .model import expect_parts, gradient
from .optimisers import Optimiser
from .protocols import Rows, Trainable
from .schedules import Plateau, Schedule, Watch

# Bytes. glibc keeps freed memory for later, up to twice the largest block of at most this size that was freed so far;
# without one it hands most of it back to the system, and every update pays for new pages.
FREED = 2**25 - 2**16


@dataclass(frozen=True)
class Task:
    """What is to be done, the same at every update.

    ``batches(seed, step)`` gives each Batch. ``clip`` is the largest norm of the gradient, ``clip_value`` the largest
    component. ``parts``: the rows of a batch are taken in so many parts, and their gradients added. Every ``every``
    updates, and after the last, comes a look: ``held_out(params)``, if there is one, is the loss by which the best
    parameters are kept, ``plateau`` lowers the rate, and ``patience`` looks in a row without a better loss end the
    training. ``settings`` are whatever else a saved run must agree with to be resumed: names and plain values.
    """

    model: Trainable
    batches: Callable[[int, int], Rows]
    optimiser: Optimiser
    schedule: Schedule
    updates: int
    clip: float | None = None
    clip_value: float | None = None
    parts: int = 1
    every: int = 100
    held_out: Callable[[Any], float] | None = None
    plateau: Plateau | None = None
    patience: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("updates", "parts", "every", "patience", "clip", "clip_value"):
            if (value := getattr(self, name)) is None and name in ("patience", "clip", "clip_value"):
                continue
            number = expect_within(name, value, 0, open_low=True) if "clip" in name else expect_count(name, value)
            object.__setattr__(self, name, number)
        if self.plateau is not None:
            object.__setattr__(self, "plateau", schedules.checked(self.plateau))

    def described(self) -> dict[str, Any]:
        """All settings by name, as a saved run keeps them; more updates may follow, so their number is not among."""
        names = ("clip", "clip_value", "parts", "every", "patience")
        own = {"model": str(self.model), "optimiser": self.optimiser.name, "schedule": self.schedule.name}
        own |= {name: getattr(self, name) for name in names}
        return dict(self.settings) | own | {"plateau": None if self.plateau is None else list(self.plateau)}


class History(NamedTuple):
    """One number for each update: loss, norm before clipping, clipped share, rate; ``held_out`` NaN between looks."""

    loss: Any
    norm: Any
    clipped: Any
    rate: Any
    held_out: Any


class Best(NamedTuple):
    """The lowest held-out loss, after which update, with which parameters, and the looks since."""

    loss: float
    step: int
    waited: int
    params: Any


class Progress(NamedTuple):
    """All there is to a run between two updates: with it, and the task, the rest follows to the bit.

    ``threads`` of the BLAS, 0 on a device: another number of them sums in another order. ``params``, ``moments`` and
    ``carry`` are where the parameters were at the beginning, and so is what ``best`` holds.
    """

    params: Any
    moments: Any
    step: int
    carry: Any
    plateau: Watch
    best: Best
    seed: int
    history: History
    threads: int


class Report(NamedTuple):
    """What is to be said after an update; loss, clipped share and rate are means since the look before.

    ``tokens`` are those of this update, ``tokens_per_s`` its speed.
    ``loss`` in nats per token, ``perplexity`` its exponential, ``norm`` the median before clipping. ``held_out`` and
    ``gates`` (a Table by layer, see ``flow.saturation``) at looks only, ``diagnosis`` a sentence or nothing.
    """

    step: int
    loss: float
    perplexity: float
    norm: float
    clipped: float
    rate: float
    tokens: int
    tokens_per_s: float
    held_out: float | None
    gates: Mapping[str, Any]
    diagnosis: str

    def __str__(self) -> str:
        held = "" if self.held_out is None else f"  held-out {self.held_out:.3f}"
        return (
            f"{self.step:6d}  loss {self.loss:.3f}{held}  perplexity {self.perplexity:.2f}  norm {self.norm:.3g}  "
            f"clipped {self.clipped:.0%}  rate {self.rate:.2g}  {self.tokens_per_s:.0f} tokens/s"
            f"{'  ' * bool(self.diagnosis)}{self.diagnosis}"
        )


def begin(task: Task, seed: int = 0, dtype: Any = None, params: Any = None) -> Progress:
    """Before the first update: parameters drawn from ``seed``, or copies of those given, as the best so far.

    Where they are given in CuPy arrays, the training runs on their device.

    ``dtype`` is float64, or what the given ones have, unless it is named. Raises TrainingError for a seed that is not
    an integer from 0 to 2^63 - 1, or more parts than rows.
    """
    np.empty(FREED, np.uint8)
    seed = expect_count("seed", seed, 0)
    params = task.model.init(np.random.default_rng(seed), dtype or np.float64) if params is None else params
    params = tree.map(lambda a: (arrays.namespace(a) if arrays.is_cupy(a) else np).array(a, dtype), params)
    rows = task.batches(seed, 0).counts().shape[1]
    expect_parts(task.parts, rows)
    carry = task.model.zero_carry(params, rows)
    history = History(*(np.zeros(0) for _ in History._fields))
    best = Best(math.inf, 0, 0, params)
    threads = 0 if tree.on_device(params) else doctor.blas().threads or 0
    return Progress(params, task.optimiser.init(params), 0, carry, Watch(), best, seed, history, threads)


def advance(task: Task, progress: Progress) -> tuple[Progress, Report]:
    """One update: the progress after it, and its report. ``progress`` is not changed.

    Batch and dropout masks come from (seed, step). Raises Diverged if the loss or the norm of its gradient is not
    finite: the update is then run again on the explicit path, and the first array that went wrong is named.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told
        return _advance(task, progress)


def train(task: Task, progress: Progress) -> Iterator[tuple[Progress, Report]]:
    """``advance`` until the updates are done, or ``patience`` looks in a row brought nothing."""
    while progress.step < task.updates and (task.patience is None or progress.best.waited < task.patience):
        progress, report = advance(task, progress)
        yield progress, report


def perplexity(loss: float) -> float:
    """exp of a loss in nats; infinite where that overflows."""
    return math.inf if loss > 709 else math.exp(loss)


def _advance(task: Task, progress: Progress) -> tuple[Progress, Report]:
    model, step, start = task.model, progress.step, time.perf_counter()
    batch = task.batches(progress.seed, step)
    counted = batch.counts()
    fresh = np.broadcast_to(batch.fresh, counted.shape[1:])[:, None]
    carry = tree.map(lambda a: arrays.where(arrays.like(fresh, a), arrays.zeros(a.shape, a), a), progress.carry)
    dtype = next(a.dtype for _, a in tree.leaves(progress.params))
    masks = model.masks(np.random.default_rng([progress.seed, step]), batch, dtype)
    loss, grads, last = gradient(model, progress.params, batch, carry, masks, task.parts)
    norm = clipping.norm(grads)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        found = diagnosis.first_wrong(model, progress.params, batch, carry, masks)
        raise Diverged(f"update {step + 1}: loss {loss:g}, norm of its gradient {norm:g}; first wrong: {found}")
    clipped, rate = 0.0, float(task.schedule(step)) * progress.plateau.factor
    if task.clip is not None:
        grads, clipped = clipping.by_norm(grads, task.clip, norm)
    if task.clip_value is not None:
        grads, share = clipping.by_value(grads, task.clip_value)
        clipped = max(clipped, share)
    params, moments = task.optimiser.update(progress.params, grads, progress.moments, rate)
    _expect_dtypes(task, progress.params, params)
    tokens, seconds = int(np.count_nonzero(counted)), time.perf_counter() - start
    held, plateau, best = math.nan, progress.plateau, progress.best
    look = (step + 1) % task.every == 0 or step + 1 == task.updates
    if look and task.held_out is not None:
        held = float(task.held_out(params))
        plateau = plateau if task.plateau is None else schedules.watch(task.plateau, plateau, held)
        best = Best(held, step + 1, 0, params) if held < best.loss else best._replace(waited=best.waited + 1)
    history = tree.map(np.append, progress.history, History(loss, norm, clipped, rate, held))
    gates = diagnosis.gates(model, params, batch, carry) if look else {}
    after = progress._replace(
        params=params, moments=moments, step=step + 1, carry=last, plateau=plateau, best=best, history=history
    )
    return after, _report(task, after, tokens, seconds, gates, look)


def _expect_dtypes(task: Task, before: Any, after: Any) -> None:
    for (name, a), (_, b) in zip(tree.leaves(before), tree.leaves(after), strict=True):
        if a.dtype != b.dtype:
            raise TrainingError(f"{task.optimiser.name} makes {b.dtype} of params.{name}, which was {a.dtype}")


def _report(
    task: Task, progress: Progress, tokens: int, seconds: float, gates: Mapping[str, Any], look: bool
) -> Report:
    since = progress.step % task.every or task.every
    recent = tree.map(lambda a: a[-since:], progress.history)
    loss, clipped, rate = (float(np.mean(a)) for a in (recent.loss, recent.clipped, recent.rate))
    norm, held = float(np.median(recent.norm)), float(recent.held_out[-1])
    return Report(
        progress.step,
        loss,
        perplexity(loss),
        norm,
        clipped,
        rate,
        tokens,
        tokens / seconds,
        held if look and task.held_out is not None else None,
        gates,
        diagnosis.of_norms(recent.norm, recent.loss),
    )
