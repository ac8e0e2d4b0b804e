"""Zoneout (Krueger et al. 2016): Z1 forward, Z1' back, once for each carried field k. Derivation: zoneout.md.

    k = keep_k k_prev + (1 - keep_k) k_new        keep_k: 1 keeps the old state, 0 takes the new one

The masks are read like x: given, drawn, or replaced by their probability (the expectation, at test time). h_new reads
the cell before zoneout, o tanh(c_new), as in the paper; some code reads c. Where all of a row is kept, what is not
finite in x is not read: no NaN comes of it.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..ops import unread
from ..shapes import axes, declared, record
from .page import Page, before, take


class Functions(NamedTuple):
    """The cell whose state is kept now and then."""

    cell: Page


@cache
def outer(trace: Any, carries: tuple[str, ...]) -> Any:
    """The Trace of the cell with k renamed to k_new, the masks, and k itself."""
    letters = declared(trace)
    state = {k: letters[f"{k}_prev"] for k in carries}
    renamed = {f"{k}_new" if k in carries else k: a for k, a in letters.items()}
    return record("Trace", renamed | {f"keep_{k}": a for k, a in state.items()} | state)


def within(cell: Page, v: Any) -> Any:
    """The Trace of the cell itself, whose k is k_new here; values or cotangents."""
    return take(cell.Trace, v, **{k: getattr(v, f"{k}_new") for k in cell.carries})


def values(F: Functions, p: Any, x: Any, prev: Any) -> Any:
    """One step of the cell; then each carried field is new, old, or between. x holds x and the masks, keep_k like k."""
    masks = [getattr(x, f"keep_{k}") for k in F.cell.carries]
    read = tree.map(lambda a: unread(a, masks), F.cell.input(x))
    v = F.cell.values(F.cell.functions, p, read, prev)
    more: dict[str, Any] = {}
    for k in F.cell.carries:
        keep, old, new = getattr(x, f"keep_{k}"), getattr(prev, k), getattr(v, k)
        now = keep * old + (1 - keep) * new  # (Z1)
        more |= {f"keep_{k}": keep, f"{k}_new": new, k: now}
    return take(outer(F.cell.Trace, F.cell.carries), v, **more)


def adjoint(F: Functions, p: Any, v: Any, d: Any) -> Any:
    """Each cotangent of the state is split by its mask; the new state's share goes through the cell's own adjoint."""
    new: dict[str, Any] = {}
    old: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for k in F.cell.carries:
        dk, keep = getattr(d, k), getattr(v, f"keep_{k}")
        new[k], old[k] = dk * (1 - keep), dk * keep  # (Z1')
        dkeep = dk * (getattr(v, f"{k}_prev") - getattr(v, f"{k}_new"))  # (Z1')
        more |= {k: dk, f"keep_{k}": dkeep}
    back = F.cell.adjoint(F.cell.functions, p, within(F.cell, v), take(F.cell.Trace, None, **new))
    handed = before(F.cell, back)
    for k in F.cell.carries:
        more |= {f"{k}_new": getattr(back, k), f"{k}_prev": getattr(handed, k) + old[k]}  # (Z1')
    return take(type(v), back, **more)


def gradients(F: Functions, p: Any, v: Any, d: Any) -> Any:
    """The parameter gradients of the cell; zoneout has no parameters."""
    return F.cell.gradients(F.cell.functions, p, within(F.cell, v), within(F.cell, d))


def zoneout(cell: Page) -> Page:
    """``cell`` with zoneout of every field that it carries, by Z1. It reads keep_h, ... too, see ``zoneout_input``.

    Raises ValueError for a cell that reads such masks already.
    """
    masks = tuple(f"keep_{k}" for k in cell.carries)
    if set(masks) & set(cell.reads):
        raise ValueError(f"{cell.name} already has masks")
    return Page(
        "zoneout({cell})",
        cell.Params,
        outer(cell.Trace, cell.carries),
        Functions(cell),
        values,
        adjoint,
        gradients,
        (*cell.reads, *masks),
        cell.carries,
        cell.gives,
        cell.R,
    )


def zoneout_input(cell: Page, xs: Any, H: int, rng: np.random.Generator | None = None, **probability: float) -> Any:
    """The Input of ``zoneout(cell)`` for xs (T,B,D): ``zoneout_input(cell, xs, 7, rng, h=0.05, c=0.5)``.

    With ``rng`` masks of zeros and ones are drawn; without it each mask is its probability, the expectation. A field
    without probability is never kept. Raises ValueError for a probability outside [0, 1] or a field not in the state.
    """
    fields = axes(cell.State)
    if unknown := probability.keys() - fields.keys():
        raise ValueError(f"{cell.name} has no {', '.join(sorted(unknown))} in its state, only {', '.join(fields)}")
    if wrong := {k: p for k, p in probability.items() if not 0 <= p <= 1}:
        raise ValueError(f"the probabilities {wrong} are not between 0 and 1")
    sizes = cell.sizes(H, B=xs.shape[1])

    def mask(letters: str, p: float) -> Any:
        shape = (xs.shape[0], *(sizes[k] for k in letters))
        return (np.full(shape, p) if rng is None else rng.random(shape) < p).astype(xs.dtype)

    masks = {f"keep_{k}": mask(letters, probability.get(k, 0.0)) for k, letters in fields.items()}
    return zoneout(cell).Input(x=xs, **masks)
