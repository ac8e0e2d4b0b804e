"""Zoneout (Krueger et al. 2016): at random, a unit keeps its old state for a step.

    h_new, c_new = the cell               keep_h, keep_c: 1 keeps the old state, 0 takes the new one
    h = keep_h h_prev + (1 - keep_h) h_new
    c = keep_c c_prev + (1 - keep_c) c_new

The masks are inputs, like x: given, drawn, or replaced by their probability (the expectation, at test time), and the
step stays a pure function. h_new reads the cell before zoneout, o tanh(c_new), as in the paper; some code reads c.
Each line is linear in the state, so its adjoint splits the cotangent by the same masks.
"""

from functools import cache
from typing import Any

import numpy as np

from ..shapes import axes, record
from .cell import Cell


def zoneout(cell: Cell) -> Cell:
    """``cell`` with zoneout of every field of its state; its Input is (x, keep_h, ...), see ``zoneout_input``."""
    if cell.Input is not None:
        raise ValueError(f"{cell.name} already has masks")
    return _zoneout(cell)


@cache
def _records(state: type, trace: type) -> tuple[Any, Any]:
    """Input and Trace, the same for all cells of one page, edited ones too."""
    fields = axes(state)
    masks = {f"keep_{k}": letters for k, letters in fields.items()}
    kept = {f"{k}_new" if k in fields else k: letters for k, letters in axes(trace).items()}
    return record("Input", {"x": "BD"} | masks), record("Trace", kept | masks | fields)


@cache
def _zoneout(cell: Cell) -> Cell:
    fields = axes(cell.State)
    renamed = {k: f"{k}_new" for k in fields}
    Input, Trace = _records(cell.State, cell.Trace)

    def inner(trace: Any) -> Any:
        return cell.Trace(*(getattr(trace, renamed.get(k, k)) for k in cell.Trace._fields))

    def outer(trace: Any, **more: Any) -> Any:
        return Trace(**{renamed.get(k, k): v for k, v in trace._asdict().items()}, **more)

    def step(p: Any, x: Any, s: Any) -> tuple[Any, Any]:
        """One step of the cell; then each unit keeps its old state by its mask: keep h_prev + (1 - keep) h_new."""
        new, v = cell.step(p, x.x, s)
        keep = {k: getattr(x, f"keep_{k}") for k in fields}
        state = cell.State(**{k: keep[k] * getattr(s, k) + (1 - keep[k]) * getattr(new, k) for k in fields})
        return state, outer(v, **{f"keep_{k}": keep[k] for k in fields}, **state._asdict())

    def step_adjoint(p: Any, v: Any, ds: Any) -> tuple[Any, Any]:
        keep = {k: getattr(v, f"keep_{k}") for k in fields}
        dnew = cell.State(**{k: getattr(ds, k) * (1 - keep[k]) for k in fields})
        before, d = cell.step_adjoint(p, inner(v), dnew)
        before = cell.State(**{k: getattr(before, k) + getattr(ds, k) * keep[k] for k in fields})
        dkeep = {f"keep_{k}": getattr(ds, k) * (getattr(v, f"{k}_prev") - getattr(v, f"{k}_new")) for k in fields}
        d = d._replace(**{f"{k}_prev": getattr(before, k) for k in fields})
        return before, outer(d, **dkeep, **ds._asdict())

    def step_gradients(v: Any, d: Any) -> Any:
        return cell.step_gradients(inner(v), inner(d))

    return Cell(
        name=f"zoneout({cell.name})",
        Params=cell.Params,
        State=cell.State,
        Trace=Trace,
        step=step,
        step_adjoint=step_adjoint,
        step_gradients=step_gradients,
        page=cell.page,
        functions=cell.functions,
        R=cell.R,
        Input=Input,
    )


def zoneout_input(cell: Cell, xs: Any, H: int, rng: np.random.Generator | None = None, **probability: float) -> Any:
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
