"""What is wrong with a run: symptoms by name, from its history and what else was measured, with cause and remedy.

The thresholds are for a loss in nats that is a mean over tokens, as ``Batch.weights`` make it, and for histories that
begin where training began. For a sum over T steps divide losses and norms by T first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import flow
from . import diagnosis
from .errors import TrainingError
from .loop import History

LEAST = 20  # updates; of fewer no course is judged
FLAT, FIRST = 0.02, 0.05  # less than these shares are learned of the loss in the first twentieth, and in one update
DIVERGED = 1.1  # times the first loss, at the end
ROUGH = 0.05  # from update to update the loss moves by more than this share of what has been learned...
LOUD = 0.1  # ... and of itself; batches of 100 tokens and more do not by chance
STILL = 0.01  # less than this share of the loss is gained from the third quarter to the last
OVERFITTED = 0.05  # nats above the lowest held-out loss, three looks or more after it, while the training loss falls
CLIPPED = 0.95  # share of updates in the second half
GROWTH, BYTES = 0.1, 2**23  # of memory from the first quarter of the looks to the last: share, and bytes
DEAD = 1e-3  # the mean of a gate through which nothing passes
PINNED = 0.98  # share of values above 0.9 or below 0.1, in every gate of a layer

# For each symptom its cause and its remedy.
KNOWN = {
    "divergence": (
        "the rate is too large, the gradient explodes, or the data hold NaN",
        "lower the rate, clip the norm, warm up; look at the first array that is not finite",
    ),
    "flat": (
        "the rate is too small, or no gradient reaches the parameters: targets that the inputs do not tell, gates "
        "that are pinned, weights of zero",
        "raise the rate tenfold; overfit one batch first; look at the gates",
    ),
    "oscillation": ("the rate is too large for the curvature", "lower the rate, let it decay, or take more rows"),
    "plateau": (
        "what would be gained needs memory over more steps than the gradient, or the window, reaches",
        "open the forget gate (bias 1, chrono), lengthen the window, use a gated cell; wait, or try another seed",
    ),
    "vanishing": (
        "each step back multiplies the gradient by less than 1",
        "open the forget gate (bias 1, chrono), orthogonal recurrent weights, a gated cell",
    ),
    "exploding": (
        "each step back multiplies the gradient by more than 1",
        "clip the norm, scale the recurrent weights down, lower the rate",
    ),
    "overfitting": (
        "the model learns the text by heart",
        "stop at the best held-out loss (patience), dropout, weight decay, a smaller model, more text",
    ),
    "clipped": (
        "the threshold is below the usual norm: it sets the size of every step, and the rate does not",
        "raise the threshold to several times the median norm, and set the rate again",
    ),
    "memory": (
        "what each update made is kept: runs, graphs or states in a list, a history that is never cut",
        "keep numbers (float(loss)), not records; hand on run.last alone",
    ),
    "dead gates": (
        "gates stand at 0 or 1, where their derivative is nearly 0: biases or weights are too large",
        "smaller first weights and biases, a lower rate, layer normalisation",
    ),
}


class Symptom(NamedTuple):
    """Its ``name`` (of KNOWN), what was ``seen``, in numbers, the usual ``cause``, and the ``remedy``."""

    name: str
    seen: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.seen}. Cause: {self.cause}. Remedy: {self.remedy}."


def symptoms(
    history: History,
    *,
    floor: float | None = None,
    gates: Mapping[str, flow.Table] | None = None,
    reach: flow.Diagnosis | None = None,
    memory: Sequence[float] | None = None,
    error: Exception | None = None,
) -> tuple[Symptom, ...]:
    """The symptoms of a run, the gravest first; none if it is healthy.

    Parameters
    ----------
    history : one number for each update (``progress.history``, or ``History(**record["curves"])``)
    floor : the loss, in nats, of the best guess that a plateau is to be told from: without memory, or by counting.
        Without it no plateau is named: a run that stands still may be done.
    gates : those of a Report, by layer
    reach : ``flow.diagnose`` of a pass; that the gradient vanishes is named where the loss stands still too
    memory : bytes in use at each look, ``tracemalloc.get_traced_memory()[0]`` say
    error : what ended the run, a Diverged say

    Raises TrainingError for what is no History, or curves that are not of one length.
    """
    if not isinstance(history, History):
        raise TrainingError(f"history is a {type(history).__name__}; expected a History, such as progress.history")
    curves = History(*(np.asarray(a, np.float64) for a in history))
    for name, curve in curves._asdict().items():
        if curve.shape != (expected := (curves.loss.size,)):
            raise TrainingError(f"history.{name} has shape {curve.shape}; expected {expected}, one number an update")
    seen = {"divergence": _divergence(curves, error)}
    if not seen["divergence"] and len(curves.loss) >= LEAST:
        seen |= _of_the_course(curves, floor)
    stuck = seen.get("flat") or seen.get("plateau")
    if len(norms := curves.norm[np.isfinite(curves.norm)]):
        kind, _, norm = diagnosis.of_norms(norms, curves.loss).partition(": ")
        seen |= {kind: norm.partition(";")[0]} if kind else {}
    if reach is not None and reach.verdict == "vanishes" and stuck:
        seen["vanishing"] = (
            f"the loss stands still, and dL/d{reach.signal} has a half-life of {reach.half_life:.1f} steps: "
            f"{reach.end:.1e} of it reaches the first"
        )
    seen |= {"dead gates": _dead(gates or {}), "memory": _memory(np.asarray([] if memory is None else memory))}
    return tuple(Symptom(name, seen[name], *KNOWN[name]) for name in KNOWN if seen.get(name))


def _divergence(curves: History, error: Exception | None) -> str:
    loss = curves.loss
    if error is not None:
        return str(error)
    for name, curve in (("loss", loss), ("norm", curves.norm)):
        if not np.all(np.isfinite(curve)):
            return f"the {name} is not finite from update {int(np.argmin(np.isfinite(curve))) + 1} on"
    return ""


def _of_the_course(curves: History, floor: float | None) -> dict[str, str]:
    """Symptoms of a course that stayed finite."""
    loss, found = curves.loss, {}
    start, end, half = _early(loss), _late(loss), loss[len(loss) // 2 :]
    learned, rough = start - end, float(np.mean(np.abs(np.diff(half))))
    if end > DIVERGED * start:
        found["divergence"] = f"the loss went from {start:.3f} to {end:.3f}"
    if rough > max(ROUGH * (loss[0] - end), LOUD * end):
        found["oscillation"] = f"the loss, {end:.3f} at the end, moves by {rough:.3f} from update to update"
    if not found and learned < FLAT * start and loss[0] - end < FIRST * loss[0]:
        found["flat"] = f"of a loss of {start:.3f} nats, {learned:.3f} has been learned in {len(loss)} updates"
    if not found and floor is not None and end > (1 - FLAT) * floor:
        gained = float(np.median(half[: len(half) // 2])) - end
        if gained < STILL * end:
            found["plateau"] = f"the loss stands at {end:.3f} nats; {floor:.3f} needs no memory"
    looks = np.flatnonzero(np.isfinite(curves.held_out))
    held, best = curves.held_out[looks], int(np.argmin(curves.held_out[looks])) if len(looks) else 0
    if len(looks) > best + 3 and min(held[-1], np.median(held[best + 1 :])) > held[best] + OVERFITTED:
        before, after = np.split(loss, [looks[best] + 1])
        if np.median(after) < np.median(before[-LEAST:]):
            found["overfitting"] = (
                f"held out {held[-1]:.3f} nats, after {held[best]:.3f} at update {looks[best] + 1}, while the training "
                f"loss fell to {end:.3f}"
            )
    share = float(np.mean(curves.clipped[len(loss) // 2 :] > 0))
    if share >= CLIPPED:
        found["clipped"] = f"{share:.0%} of the updates were clipped; the median norm was {np.median(curves.norm):.3g}"
    return found


def _early(loss: Any) -> float:
    """The median of the first twentieth."""
    return float(np.median(loss[: max(1, len(loss) // 20)]))


def _late(loss: Any) -> float:
    """The median of the last quarter."""
    return float(np.median(loss[-max(1, len(loss) // 4) :]))


def _dead(gates: Mapping[str, flow.Table]) -> str:
    for layer, table in gates.items():
        shut = [f"{k} is {mean:.1e}" for k, mean in zip(table.index, table["mean"], strict=True) if mean < DEAD]
        if shut:
            return f"the mean of gate {shut[0]} in layer {layer}"
        if np.all((pinned := table["open"] + table["shut"]) > PINNED):
            return f"of every gate in layer {layer}, {np.min(pinned):.0%} of the values are above 0.9 or below 0.1"
    return ""


def _memory(looks: Any) -> str:
    if len(looks) < 4:
        return ""
    quarter = len(looks) // 4
    start, end = float(np.median(looks[:quarter])), float(np.median(looks[-quarter:]))
    rising = np.mean(np.diff(looks) > 0)
    if end - start > max(GROWTH * start, BYTES) and rising > 0.5:
        return f"{(end - start) / 2**20:.0f} MiB more after {len(looks)} looks, {start / 2**20:.0f} at first"
    return ""
