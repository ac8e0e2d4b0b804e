"""Learning rates: a schedule is a function of the update, counted from 0; and rules that watch the held-out loss."""

import math
from collections.abc import Callable
from typing import NamedTuple

from .errors import expect_count, expect_within


class Schedule(NamedTuple):
    """The learning rate of each update; ``name`` says which rule, and with what numbers."""

    name: str
    rate: Callable[[int], float]

    def __call__(self, step: int) -> float:
        """The rate of this update."""
        return self.rate(step)


def constant(rate: float) -> Schedule:
    """The same at every update."""
    rate = expect_within("rate", rate, 0, open_low=True)
    return Schedule(f"constant({rate:g})", lambda step: rate)


def cosine(rate: float, updates: int, floor: float = 0.0) -> Schedule:
    """From ``rate`` down to ``floor`` along half a cosine (Loshchilov & Hutter 2017), and there it stays."""
    rate = expect_within("rate", rate, 0, open_low=True)
    floor, updates = expect_within("floor", floor, 0, rate), expect_count("updates", updates)

    def at(step: int) -> float:
        return floor + (rate - floor) * (1 + math.cos(math.pi * min(step / updates, 1.0))) / 2

    return Schedule(f"cosine({rate:g}, updates={updates}, floor={floor:g})", at)


def warmup(updates: int, then: Schedule) -> Schedule:
    """(step+1)/updates of what ``then`` says, over the first ``updates``."""
    updates = expect_count("warmup", updates)
    return Schedule(f"warmup({updates}, {then.name})", lambda step: then(step) * min((step + 1) / updates, 1.0))


class Plateau(NamedTuple):
    """Reduce the rate to ``factor`` of it where more than ``patience`` looks in a row are no better.

    A held-out loss is better if it is below (1 - 1e-4) times the lowest; as torch's ReduceLROnPlateau.
    """

    factor: float = 0.5
    patience: int = 2


class Watch(NamedTuple):
    """What a Plateau remembers: the lowest held-out loss, the looks since that were no better, the factor so far."""

    lowest: float = math.inf
    waited: int = 0
    factor: float = 1.0


def checked(rule: Plateau) -> Plateau:
    """The rule in plain numbers. Raises TrainingError unless 0 < factor <= 1 and patience >= 0."""
    factor = expect_within("factor", rule.factor, 0, 1, open_low=True)
    return Plateau(factor, expect_count("patience", rule.patience, 0))


def watch(rule: Plateau, seen: Watch, loss: float) -> Watch:
    """After another look at the held-out loss. NaN is never better."""
    factor, patience = checked(rule)
    if loss < seen.lowest * (1 - 1e-4):
        return Watch(loss, 0, seen.factor)
    if seen.waited < patience:
        return seen._replace(waited=seen.waited + 1)
    return Watch(seen.lowest, 0, seen.factor * factor)
