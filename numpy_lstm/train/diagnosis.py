"""What a norm means, what the gates do, and which array was the first that is not finite."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import flow, tree
from .protocols import Rows, Trainable

# Of the norm of the gradient of a loss that is a mean over tokens, in nats, by which it is about 0.2 (between 0.05 and
# 1) while a character model learns. Of a sum over a sequence of T steps it is T times that, and these would not hold.
VANISHED, EXPLODED = 1e-4, 10.0
SOLVED = 0.01  # nats per token: where so little is left to learn, a small gradient is no symptom
ROWS = 8  # as many tell what gates do


def of_norms(norms: Any, losses: Any = math.inf) -> str:
    """A sentence if the median of these norms has vanished (but for losses near 0), or one exploded; else nothing."""
    largest, median = float(np.max(norms)), float(np.median(norms))
    if not math.isfinite(largest):
        return "NaN: the gradient is not finite"
    if largest > EXPLODED:
        return f"exploding: a norm of {largest:.3g} is above {EXPLODED:g} nats per token; clip it, or lower the rate"
    if median < VANISHED and np.median(losses) > SOLVED:
        return f"vanishing: a norm of {median:.3g} is below {VANISHED:g} nats per token"
    return ""


def gates(model: Trainable, params: Any, batch: Rows, carry: Any) -> Mapping[str, Any]:
    """``flow.saturation`` of every cell that has gates, by the explicit path over the first rows, without dropout."""
    which = slice(0, ROWS)
    run = model.having("explicit").forward(params, batch.rows(which), tree.map(lambda a: a[which], carry))
    found = {}
    for name, leaf, p, r in model.walk(model.full(params), run.run):
        if leaf.cell.carries and flow.gates(leaf.cell, p, r):
            found[name] = flow.saturation(flow.Pass(f"layer {name}", leaf.cell, p, r, None, None))
    return found


def first_wrong(model: Trainable, params: Any, batch: Rows, carry: Any = None, masks: Any = None) -> str:
    """The first array that is not finite, in the order in which one update computes them, on the explicit path.

    Parameters, first states, then the values of each layer from the bottom up and step by step, the losses, and back:
    the cotangents of each layer from the top down, from the last step, and its parameters' gradient.
    """
    model = model.having("explicit")
    for name, record in (("params", params), ("carry", carry)):
        for path, a in tree.leaves(tree.on_host(record), name):
            if _bad(a):
                return f"{path}{list(map(int, np.argwhere(~np.isfinite(a))[0]))} before the update"
    with np.errstate(all="ignore"):
        run = model.forward(params, batch, carry, masks)
        cells = [*model.walk(run.run), ("loss", model.loss, run.loss)]
        for name, leaf, r in cells:
            for where in _places(r.values, 1):
                return where.format(_owner(name, leaf))
        loss, back = model.backward_all(params, run, np.full_like(run.losses, 1 / run.losses.size))
        ds = [*model.walk(back.cotangents), ("loss", model.loss, loss.cotangents)]
        for name, leaf, d in reversed(ds):
            for where in _places(d, -1):
                return "the cotangent of " + where.format(_owner(name, leaf))
        for path, a in tree.leaves(tree.on_host(back.dparams), "dparams"):
            if _bad(a):
                return f"{path}{list(map(int, np.argwhere(~np.isfinite(a))[0]))}"
    return "nothing, on the explicit path: all of it stays finite there"


def _places(record: Any, order: int) -> Iterator[str]:
    """The first field that is not finite, and where: forward in time (1), fields downward; or both reversed (-1)."""
    found = []
    for k, (field, a) in enumerate(tree.on_host(record)._asdict().items()):
        if a is not None and _bad(a):
            where = np.argwhere(~np.isfinite(a))
            first = where[np.argmin(order * where[:, 0])]
            found.append((order * int(first[0]), order * k, field, first))
    for _, _, field, (t, b, *unit) in sorted(found)[:1]:
        yield f"{field} of {{}}, step {t}, row {b}" + "".join(f", unit {n}" for n in unit)


def _owner(name: str, leaf: Any) -> str:
    return f"the loss page {leaf.name}" if name == "loss" else f"layer {name} ({leaf.cell.name})"


def _bad(a: Any) -> bool:
    return not np.all(np.isfinite(a))
