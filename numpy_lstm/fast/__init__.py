"""The production path: ``forward`` and ``backward`` of numpy_lstm, the same results, regrouped for speed.

One matrix product per step, local factors for a block of steps at once, then the bare recursion, then one contraction
per block. Derivation and accuracy: fast.md beside this file. The explicit pages judge it.

The rule: the cells ``LSTM``, ``GRU`` and ``RNN`` in float32 or float64, NumPy or CuPy, take this path. Everything else
(other cells and activations, projections, Steps, longdouble, complex and object arrays, other libraries) is handed to
the explicit path, so that every call has a result. Wrong arguments raise what the explicit path raises.

On CuPy arrays the recurrence runs in CUDA kernels (cuda.md). Where they cannot be compiled a warning says why, once,
and CuPy arrays go the way of NumPy arrays.
"""

from typing import Any, NamedTuple

import numpy as np

from .. import arrays, binding, scan, steps, tree
from ..arrays import Array
from ..pages import GRU, LSTM, RNN, Page
from ..products import Right, unpacked
from ..scan import Backward, Forward
from . import cuda, gru, lstm, rnn
from .blocks import POOL, Padding, Tape
from .layout import Layout, steps_in_block

__all__ = ["Prepared", "Tape", "backward", "forward", "prepare", "serves"]

_KERNELS: dict[Page, Any] = {LSTM: lstm, GRU: gru, RNN: rnn}


def serves(cell: Any, like: Any) -> bool:
    """Whether this path serves the cell with arrays such as ``like``; otherwise the explicit path does."""
    return cell in _KERNELS and arrays.library(like) in {"numpy", "cupy"} and like.dtype in (np.float32, np.float64)


class Prepared(NamedTuple):
    """A copy of parameters, and the same as right-hand sides of products: see ``prepare``."""

    params: Any
    layout: Layout
    weights: Any


def prepare(cell: Any, params: Any, B: int = 1) -> Prepared:
    """What ``forward`` and ``backward`` here, and a ``Recurrent(cell, "fast")``, take in place of ``params``.

    Every call stacks the weights of the gates anew, which takes longer than a single step of one row: to sample step by
    step, prepare them once. A later change to ``params`` does not reach what was prepared. It is made for batches of
    ``B`` rows; others are served too, without gain. Raises as ``numpy_lstm.forward`` does.
    """
    sizes = binding.bind_params(cell, params)
    own, like = tree.map(arrays.copy, params), sizes.like
    layout = _layout(like, 1, B, sizes["D"], sizes["H"])
    numpy_like = serves(cell, like) and not cuda.ready(cell, like)
    return Prepared(own, layout, _KERNELS[cell].weights(own, layout) if numpy_like else None)


def _plain(params: Any) -> Any:
    return params.params if isinstance(params, Prepared) else params


def forward(cell: Any, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Forward:
    """See ``numpy_lstm.forward``: the same shapes and errors. ``values`` is a ``Tape``, for ``backward`` here alone.

    ``params`` may be what ``prepare`` made of them.
    """
    given, params = params, _plain(params)
    sizes, first = binding.bind_inputs(cell, params, xs, first, lengths)
    alive, resets = steps.bind(lengths, sizes)
    if resets is not None or not serves(cell, sizes.like):
        return scan.forward(cell, params, xs, first, lengths)
    hs, last, tape = span_forward(cell, given, xs, first, alive)
    if isinstance(tape, cuda.Tape):
        tape.bound = params, sizes
    return Forward(hs, last, tape, alive)


def backward(
    cell: Any, params: Any, run: Forward, dhs: Any = None, dcs: Any = None, dlast: Any = None, *, dstates: Any = None
) -> Backward:
    """See ``numpy_lstm.backward``: the same shapes and errors. ``cotangents`` is None: this path does not keep them.

    Raises TypeError for a run of another path or another cell.
    """
    params = _plain(params)
    on_gpu = isinstance(run, Forward) and isinstance(run.values, cuda.Tape)
    if on_gpu and run.values.cell is cell and run.values.bound[0] is params:
        sizes = run.values.bound[1]  # nothing else has come since they were held against one another
    else:
        sizes = binding.bind_params(cell, params)
        handed_over = isinstance(run, Forward) and isinstance(run.values, cell.Trace)
        if handed_over and (run.resets is not None or not serves(cell, run.hs)):
            return scan.backward(cell, params, run, dhs, dcs, dlast, dstates=dstates)
        scan.expect_run(run, "numpy_lstm.fast")
        if run.values.cell != cell:
            raise TypeError(f"run was made with {run.values.cell.name}; expected {cell.name}")
        for name, letters, array in run.values.shapes():
            sizes.bind(f"run.values.{name}", array, letters)
    given = binding.bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)
    absent = cell.partial_state() if dlast is None else dlast  # the kernels count what is absent as zero
    dstate = absent if on_gpu else tree.add(sizes.zeros(cell.State), tree.plain(dlast))
    dxs, dfirst, sums, _ = span_backward(cell, params, run.values, run.alive, given, dstate, None)
    return Backward(dxs, dfirst, total(cell, params, sums), None)


def _layout(like: Any, K: int, B: int, D: int, H: int) -> Layout:
    xp = arrays.namespace(like)
    return Layout(xp, like.dtype, K, B, D, H, xp is np and unpacked())


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
        return cuda.span_forward(cell, _plain(params), xs, first, alive)
    (T, B, D), H = xs.shape, first.h.shape[1]
    K = min(steps_in_block(B, H, xs.dtype.itemsize), max(T, 1))
    L = _layout(xs, K, B, D, H)
    kernel, tape, padding = _KERNELS[cell], Tape(cell, L, T), Padding.of(alive)
    hs, copyto = L.xp.empty((T, B, H), L.dtype), L.xp.copyto
    POOL.collect()
    alike = isinstance(params, Prepared) and params.weights is not None and L.multiplies_like(params.layout)
    weights = params.weights if alike else kernel.weights(_plain(params), L)
    work = POOL.take(kernel.Work, L)
    last = None if T and padding.dead is None else tree.map(arrays.copy, first)
    for name, rows in work.state.items():
        rows[0][...] = getattr(first, name)
    h = first.h
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # exp(-a) may become inf: see fast.md
        for t in range(0, T, K):
            n, block = min(K, T - t), POOL.take(kernel.Block, L)
            state = {"h": block.hs, **work.state}
            block.xs[:n] = xs[t : t + n]
            block.h[0][...] = h
            dead, ends = padding.within(t, n)
            if dead is not None:  # from zeros such a row runs on, and nobody hears of it
                block.xs[:n][dead] = 0
                for steps in state.values():
                    steps[0][dead[0]] = 0
            kernel.advance(L, weights, work, block, n)
            for k, rows in ends.items():
                for name, steps in state.items():
                    copyto(getattr(last, name), steps[k + 1], where=rows)
            kernel.keep(L, work, block, n)
            for k, rows in ends.items():  # not even infinity times nothing
                L.unfold(block.P[:, k + 1 : n])[:, :, rows[:, 0]] = 0
            for steps in work.state.values():
                steps[0][...] = steps[n]
            h = block.h[n]
            hs[t : t + n] = block.hs[1 : n + 1]
            if dead is not None:
                hs[t : t + n][dead] = 0
            tape.blocks.append((t, n, block))
    if last is None:
        last = cell.State(h=h.copy(), **{name: steps[0].copy() for name, steps in work.state.items()})
    POOL.give(L, work)
    POOL.lend(tape)
    return hs, last, tape


def span_backward(
    cell: Any, params: Any, values: Any, alive: Any, given: Any, dstate: Any, sums: Any, shares: Any = None
) -> tuple[Any, Any, Any, Any]:
    """``dxs``, the cotangent of the first state, ``sums`` continued, and None. See ``scan.span_backward``."""
    if isinstance(values, cuda.Tape):
        return cuda.span_backward(cell, params, values, given, dstate, sums)
    if not isinstance(values, Tape):
        return scan.span_backward(cell, params, values, alive, given, dstate, sums, shares=shares)
    L, T = values.layout, values.T
    kernel, padding, copyto = _KERNELS[cell], Padding.of(alive), L.xp.copyto
    (W, U), work = kernel.stack(params, L), POOL.take(kernel.Work, L)
    W, U = Right(W, L.grouped), L.back_right(U)
    dxs = L.xp.empty((T, L.B, L.D), L.dtype)
    dhs, dcs = given.h, getattr(given, "c", None)
    if dhs is None:
        dhs = L.xp.broadcast_to(L.xp.zeros((), L.dtype), (T, L.B, L.H))
    for name, d in work.arriving.items():  # it arrives after the last step of a row: here, unless there is padding
        d[...] = getattr(dstate, name) if padding.dead is None else 0
    for t, n, block in reversed(values.blocks):
        dead, ends = padding.within(t, n)
        here = [None if d is None else d[t : t + n] for d in (dhs, dcs)]
        if dead is not None:  # what was given for padding is ignored, NaN included
            here = [None if d is None else L.xp.where(dead[..., None], L.xp.zeros((), L.dtype), d) for d in here]
        stop = n
        for k in (*sorted(ends, reverse=True), -1):
            kernel.retreat(L, U, work, block, slice(k + 1, stop), *here)
            stop = k + 1
            for name, d in work.arriving.items() if k in ends else ():
                copyto(d, getattr(dstate, name), where=ends[k])
        sums = kernel.contract(L, W, work, block, n, dxs[t : t + n].reshape(n * L.B, L.D), sums or (None, None))
        if dead is not None:
            dxs[t : t + n][dead] = 0
    dfirst = cell.State(**{name: d.copy() for name, d in work.arriving.items()})
    if padding.dead is not None:
        for name, d in dfirst._asdict().items():
            copyto(d, getattr(dstate, name), where=padding.dead[0, :, None])
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
