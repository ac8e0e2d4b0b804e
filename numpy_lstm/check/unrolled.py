"""The forward pass of a page, step by step and nothing else: what judges a backward pass shares nothing with it."""

from typing import Any

import numpy as np

from .. import arrays, steps, tree
from ..pages.page import Page, take
from ..shapes import apart, axes


def unrolled(cell: Page, params: Any, xs: Any, first: Any, lengths: Any) -> tuple[Any, Any]:
    """All that the page gives and carries, an Outputs with T in front, and the last state.

    The leaves of ``params``, ``xs`` and ``first`` may all carry the same leading axis, and then so do the results.
    """
    state, traces, letters, xs = first, list[Any](), axes(cell.Input), cell.as_input(xs)
    held = apart(xs)[1]
    ndim = {k: len(a) for k, a in letters.items() if k not in held}
    T, B = getattr(xs, cell.reads[0]).shape[-1 - ndim[cell.reads[0]] :][:2]
    read, reset, restart = steps.masks(lengths, T, B)
    zero = tree.map(np.zeros_like, state)
    for t in range(T):
        at = held | {k: getattr(xs, k)[(..., t, *[slice(None)] * n)] for k, n in ndim.items()}
        prev = _rows(reset, t, zero, state)
        prev = _rows(restart, t, first, prev)
        v = cell.values(cell.functions, params, cell.input(cell.Input(**at)), prev)
        state = _rows(read, t, take(cell.State, v), state) if read is not None else take(cell.State, v)
        traces.append(v if read is None else _rows(read, t, v))
    seen = {k: np.stack([getattr(v, k) for v in traces], axis=-1 - len(a)) for k, a in axes(cell.Outputs).items()}
    return cell.Outputs(**seen), state


def _rows(mask: Any, t: int, new: Any, old: Any = None) -> Any:
    """The record ``new`` on the rows of a mask (T,B) at step t, elsewhere ``old``: zeros, or all of it if no mask."""
    if mask is None:
        return old
    letters = axes(new.__class__)
    shape = {k: (-1, *[1] * (len(a) - 1 - a.index("B"))) for k, a in letters.items()}
    kept = {k: 0 if old is None else getattr(old, k) for k in letters}
    rows = {k: arrays.like(mask[t].reshape(shape[k]), getattr(new, k)) for k in letters}
    return new._replace(**{k: np.where(rows[k], getattr(new, k), kept[k]) for k in letters})
