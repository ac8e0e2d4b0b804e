"""A page without memory over a sequence: time is folded into the batch, and the page is called once each way.

The results are those of ``numpy_lstm.forward`` and ``backward``, which call it once a step.
"""

from typing import Any

import numpy as np

from .. import arrays, binding, scan, sequences, steps, tree
from ..pages import CrossEntropy, Linear
from ..pages.page import Page, take
from ..scan import Backward, Forward
from ..shapes import apart, axes, shared
from . import cross_entropy, linear

__all__ = ["backward", "forward"]

_REGROUPED: dict[Page, Any] = {CrossEntropy: cross_entropy, Linear: linear}  # the same values in fewer passes


def forward(cell: Page, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Forward:
    """See ``numpy_lstm.forward``. Raises TypeError for a page that carries something from step to step."""
    _expect_memoryless(cell)
    sizes, first = binding.bind_inputs(cell, params, xs, first, lengths)
    (alive, _), T, B = steps.bind(lengths, sizes), sizes["T"], sizes["B"]
    fold = not shared(cell.Input)  # a page that shares a memory computes with the time axis in front of its own
    params, xs = tree.plain((params, xs))
    x = sequences.where_alive(alive, tree.map(arrays.copy, xs))
    v = _functions(cell, x).values(cell.functions, params, sequences.folded(x) if fold else x, first)
    values = sequences.where_alive(alive, _unfolded(v, T, B) if fold else v)
    return Forward(arrays.copy(getattr(values, cell.gives[0])), first, values, alive)


def backward(
    cell: Page, params: Any, run: Forward, dhs: Any = None, dcs: Any = None, dlast: Any = None, *, dstates: Any = None
) -> Backward:
    """See ``numpy_lstm.backward``. There is no state, so ``dlast`` has no fields."""
    _expect_memoryless(cell)
    sizes = binding.bind_params(cell, params)
    scan.expect_run(run, "numpy_lstm")
    sizes.bind_record("run.values", run.values, cell.Trace, lead="T")
    given = binding.bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)
    params, given = tree.plain((params, given))
    if any(d is None for d in given):
        given = tree.add(sizes.zeros(cell.Outputs, "T"), given)
    given = sequences.where_alive(run.alive, tree.map(arrays.copy, given))
    v = sequences.folded(apart(run.values)[0])
    if held := shared(cell.Input):
        ds = cell.adjoint(cell.functions, params, run.values, take(cell.Trace, given))
        d = sequences.folded(apart(ds)[0])
        ndim = {k: len(a) for k, a in axes(cell.Trace).items()}
        more = {k: getattr(ds, k) for k in held}  # summed by the page, or not yet
        ds = ds._replace(**{k: a if a.ndim == ndim[k] else arrays.sum_axis(a, axis=0) for k, a in more.items()})
    else:
        d = _functions(cell, v).adjoint(cell.functions, params, v, take(cell.Trace, sequences.folded(given)))
        ds = _unfolded(d, sizes["T"], sizes["B"])
    return Backward(tree.map(arrays.copy, cell.input(ds)), run.last, cell.gradients(cell.functions, params, v, d), ds)


def _functions(cell: Page, record: Any) -> Any:
    """Where ``values`` and ``adjoint`` of the page stand, for arrays such as those of ``record``."""
    like = next(a for _, a in tree.leaves(record))
    served = arrays.library(like) in {"numpy", "cupy"} and like.dtype in (np.float32, np.float64)
    return _REGROUPED.get(cell, cell) if served else cell


def _expect_memoryless(cell: Any) -> None:
    if isinstance(cell, Page) and cell.carries:
        raise TypeError(f"{cell.name} carries {', '.join(cell.carries)} from step to step; expected a page without")


def _unfolded(record: Any, T: int, B: int) -> Any:
    return tree.map(lambda a: arrays.reshape(a, (T, B, *a.shape[1:])), record)
