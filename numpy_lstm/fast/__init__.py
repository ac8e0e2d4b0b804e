"""The production path: ``forward`` and ``backward`` of numpy_lstm, the same results, regrouped for speed.

One matrix product per step, local factors for a block of steps at once, then the bare recursion, then one contraction
per block. Derivation and accuracy: fast.md beside this file. The explicit pages judge it.

The rule: the cells ``LSTM``, ``GRU`` and ``RNN`` in float32 or float64, NumPy or CuPy, take this path. Everything else
(other cells and activations, projections, longdouble, complex and object arrays, other libraries) is handed to the
explicit path, so that every call has a result. Wrong arguments raise what the explicit path raises.

On CuPy arrays the recurrence runs in CUDA kernels (cuda.md). Where they cannot be compiled a warning says why, once,
and CuPy arrays go the way of NumPy arrays.
"""

from typing import Any

import numpy as np

from .. import arrays, scan, tree
from ..arrays import Array
from ..pages import GRU, LSTM, RNN, Page
from ..scan import Backward, Forward
from . import cuda, gru, lstm, rnn
from .blocks import POOL, Layout, Tape, steps_in_block

__all__ = ["Tape", "backward", "forward", "serves"]

_KERNELS: dict[Page, Any] = {LSTM: lstm, GRU: gru, RNN: rnn}


def serves(cell: Any, like: Any) -> bool:
    """Whether this path serves the cell with arrays such as ``like``; otherwise the explicit path does."""
    return cell in _KERNELS and arrays.library(like) in {"numpy", "cupy"} and like.dtype in (np.float32, np.float64)


def forward(cell: Any, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Forward:
    """See ``numpy_lstm.forward``: the same shapes and errors. ``values`` is a ``Tape``, for ``backward`` here alone."""
    sizes, first = scan.bind_inputs(cell, params, xs, first, lengths)
    if not serves(cell, sizes.like):
        return scan.forward(cell, params, xs, first, lengths)
    alive = scan.as_alive(lengths, sizes)
    hs, last, tape = span_forward(cell, params, xs, first, alive)
    if isinstance(tape, cuda.Tape):
        tape.bound = params, sizes
    return Forward(hs, last, tape, alive)


def backward(
    cell: Any,
    params: Any,
    run: Forward,
    dhs: Array | None = None,
    dcs: Array | None = None,
    dlast: Any = None,
    *,
    dstates: Any = None,
) -> Backward:
    """See ``numpy_lstm.backward``: the same shapes and errors. ``cotangents`` is None: this path does not keep them.

    Raises TypeError for a run of another path or another cell.
    """
    on_gpu = isinstance(run, Forward) and isinstance(run.values, cuda.Tape)
    if on_gpu and run.values.cell is cell and run.values.bound[0] is params:
        sizes = run.values.bound[1]  # nothing else has come since they were held against one another
    else:
        sizes = scan.bind_params(cell, params)
        if isinstance(run, Forward) and isinstance(run.values, cell.Trace) and not serves(cell, run.hs):
            return scan.backward(cell, params, run, dhs, dcs, dlast, dstates=dstates)
        scan.expect_run(run, "numpy_lstm.fast")
        if run.values.cell != cell:
            raise TypeError(f"run was made with {run.values.cell.name}; expected {cell.name}")
        for name, letters, array in run.values.shapes():
            sizes.bind(f"run.values.{name}", array, letters)
    given = scan.bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)
    absent = cell.partial_state() if dlast is None else dlast  # the kernels count what is absent as zero
    dstate = absent if on_gpu else tree.add(sizes.zeros(cell.State), dlast)
    dxs, dfirst, sums, _ = span_backward(cell, params, run.values, run.alive, given, dstate, None)
    return Backward(dxs, dfirst, total(cell, params, sums), None)


def grain(cell: Any, like: Any, B: int, H: int) -> int:
    """Steps in a block. A part of a sequence that begins at a multiple of it has the same bits as in the whole."""
    if not serves(cell, like):
        return scan.grain(cell, like, B, H)
    return cuda.grain(B) if cuda.ready(cell, like) else steps_in_block(B, H, like.dtype.itemsize)


def span_forward(cell: Any, params: Any, xs: Any, first: Any, alive: Any) -> tuple[Array, Any, Any]:
    """``hs``, ``last`` and the tape, of arguments that fit one another. See ``scan.span_forward``."""
    if not serves(cell, getattr(first, "h", None)):
        return scan.span_forward(cell, params, xs, first, alive)
    if cuda.ready(cell, xs):
        return cuda.span_forward(cell, params, xs, first, alive)
    (T, B, D), H = xs.shape, first.h.shape[1]
    K = min(steps_in_block(B, H, xs.dtype.itemsize), max(T, 1))
    L = Layout(arrays.namespace(xs), xs.dtype, K, B, D, H)
    kernel, tape = _KERNELS[cell], Tape(cell, L, T)
    hs = L.xp.empty((T, B, H), L.dtype)
    weights, work = kernel.weights(params, L), POOL.take(kernel.Work, L)
    kernel.begin(L, work, first)
    h = first.h
    with np.errstate(over="ignore", under="ignore"):  # exp(-a) and cosh(a) may become inf: s and the factors are 0 then
        for t in range(0, T, K):
            n, block = min(K, T - t), POOL.take(kernel.Block, L)
            dead = _dead(alive, t, n)
            block.xs[:n] = xs[t : t + n]
            block.h[0][...] = h
            if dead is not None:
                L.xp.copyto(block.xs[:n], 0, where=dead)
            kernel.advance(L, weights, work, block, n, dead)
            kernel.keep(L, work, block, n, dead)
            kernel.turn(work, n)
            h = block.h[n]
            hs[t : t + n] = block.hs[1 : n + 1]
            if dead is not None:
                L.xp.copyto(hs[t : t + n], 0, where=dead)
            tape.blocks.append((t, n, block))
    last = kernel.end(cell, L, work, h)
    POOL.give(L, work)
    return hs, last, tape


def span_backward(
    cell: Any, params: Any, values: Any, alive: Any, given: Any, dstate: Any, sums: Any, shares: Any = None
) -> tuple[Any, Any, Any, Any]:
    """``dxs``, the cotangent of the first state, ``sums`` continued, and None. See ``scan.span_backward``."""
    if isinstance(values, cuda.Tape):
        return cuda.span_backward(cell, params, values, given, dstate, sums)
    if not isinstance(values, Tape):
        return scan.span_backward(cell, params, values, alive, given, dstate, sums, shares)
    L, T = values.layout, values.T
    kernel = _KERNELS[cell]
    (W, U), work = kernel.stack(params, L), POOL.take(kernel.Work, L)
    dxs = L.xp.empty((T, L.B, L.D), L.dtype)
    dhs, dcs = given.h, getattr(given, "c", None)
    if dhs is None:
        dhs = L.xp.broadcast_to(L.xp.zeros((), L.dtype), (T, L.B, L.H))
    work.rec[...] = dstate.h
    kernel.begin_back(L, work, dstate)
    for t, n, block in reversed(values.blocks):
        dead = _dead(alive, t, n)
        here = [None if d is None else d[t : t + n] for d in (dhs, dcs)]
        if dead is not None:  # what was given for padding is ignored, NaN included
            here = [None if d is None else L.xp.where(dead, L.xp.zeros((), L.dtype), d) for d in here]
        kernel.retreat(L, U, work, block, n, *here, dead)
        parts = kernel.contract(L, W, work, block, n, dxs[t : t + n].reshape(n * L.B, L.D))
        sums = parts if sums is None else tuple(L.xp.add(s, p, out=p) for s, p in zip(sums, parts, strict=True))
    dfirst = kernel.end_back(cell, work)
    POOL.give(L, work)
    return dxs, dfirst, sums, None


def total(cell: Any, params: Any, sums: Any) -> Any:
    """The gradient of the parameters, a Params, from ``sums``, in which blocks were added from last to first."""
    if sums is None or isinstance(sums, cell.Params):
        return scan.total(cell, params, sums)
    if isinstance(sums, cuda.Sums):
        return cuda.total(cell, sums)
    D, H = next(a.shape[1] for k, a in params._asdict().items() if k.startswith("W")), len(params[-1])
    like = next(a for _, a in tree.leaves(params))
    return _KERNELS[cell].gradients(cell, Layout(arrays.namespace(like), like.dtype, 1, 1, D, H), sums)


def _dead(alive: Any, t: int, n: int) -> Any:
    """(n,B,1): which rows are padding, or None if none is."""
    if alive is None or bool(alive[t : t + n].all()):
        return None
    return ~alive[t : t + n]
