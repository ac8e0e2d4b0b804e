"""Bounded memory: a run that keeps a state now and then, and computes the steps between again on the way back.

    run = checkpointed.forward(cell, params, xs, first, segments=30)
    back = checkpointed.backward(cell, params, run, dhs=dhs)

The signatures are those of ``numpy_lstm.forward`` and ``backward``, and so are the results, bit for bit: a segment
begins where the engine begins a block of steps, so the same products are formed and the same sums are added in the same
order. It keeps one state for each of S segments and, on the way back, every value of one segment: S states and T/S
steps of values. The price is one more forward pass. sqrt(T) segments, the default, make S and T/S about equal.
"""

import itertools
import math
from types import ModuleType
from typing import Any, NamedTuple

from . import arrays, binding, fast, scan, steps, tree
from .scan import Backward, Forward
from .shapes import apart

__all__ = ["Checkpoints", "backward", "forward"]


class Checkpoints(NamedTuple):
    """The ``values`` of a checkpointed run: ``xs``, the ``bounds`` of the segments, the state before each
    (``firsts``), and the name of the engine. All are copies.
    """

    xs: Any
    bounds: tuple[int, ...]
    firsts: tuple[Any, ...]
    engine: str


def forward(
    cell: Any,
    params: Any,
    xs: Any,
    first: Any = None,
    lengths: Any = None,
    segments: int | None = None,
    engine: str = "explicit",
) -> Forward:
    """See ``numpy_lstm.forward``: the same shapes and errors. ``values`` is a ``Checkpoints``, not a Trace.

    Parameters
    ----------
    segments : how many states to keep, 1 or more; about sqrt(T) if absent. A segment is a whole number of blocks, so
        there are never more segments than blocks
    engine : ``"explicit"`` or ``"fast"``

    Raises ValueError for an unknown engine and segments < 1.
    """
    module = _engine(engine)
    sizes, first = binding.bind_inputs(cell, params, xs, first, lengths)
    (alive, resets), T = steps.bind(lengths, sizes), sizes["T"]
    xs, first = tree.map(arrays.copy, (xs, first))
    if resets is not None:
        engine, module = "explicit", scan
    bounds = _bounds(T, module.grain(cell, sizes.like, sizes["B"], sizes["H"] if cell.carries else 0), segments)
    hs, firsts, state = sizes.zeros(cell.Outputs, "T")[0], [], first
    for start, stop in itertools.pairwise(bounds):
        firsts.append(state)
        span = module.span_forward(
            cell, params, _cut(xs, start, stop), state, _cut(alive, start, stop), *_again(resets, start, stop, first)
        )
        hs[start:stop, ...], state = span[:2]
    return Forward(hs, state, Checkpoints(xs, bounds, tuple(firsts), engine), alive, resets)


def backward(
    cell: Any, params: Any, run: Forward, dhs: Any = None, dcs: Any = None, dlast: Any = None, *, dstates: Any = None
) -> Backward:
    """See ``numpy_lstm.backward``: the same shapes and errors. ``cotangents`` is None.

    Raises TypeError for a run that ``checkpointed.forward`` did not make.
    """
    scan.expect_run(run, "numpy_lstm.checkpointed")
    xs, bounds, firsts, name = run.values
    engine = _engine(name)
    sizes, _ = binding.bind_inputs(cell, params, xs, None)
    given = binding.bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)
    dstate, sums = tree.add(sizes.zeros(cell.State), tree.plain(dlast)), None
    dxs = tree.map(lambda a: None if arrays.is_integral(a) else arrays.zeros(a.shape, a), xs)
    dxs, held = apart(dxs)
    dagain = sizes.zeros(cell.State)
    for start, stop, first in reversed(list(zip(bounds[:-1], bounds[1:], firsts, strict=True))):
        alive = _cut(run.alive, start, stop)
        again = _again(run.resets, start, stop, firsts[0])
        _, _, values = engine.span_forward(cell, params, _cut(xs, start, stop), first, alive, *again)
        part, dstate, sums, ds = engine.span_backward(
            cell, params, values, alive, _cut(given, start, stop), dstate, sums, *again[:1], shares=held
        )
        dagain = scan.restarted(cell, again[0], ds, dagain) if again else dagain
        part, held = apart(part)
        for (_, whole), (_, piece) in zip(tree.leaves(dxs), tree.leaves(part), strict=True):
            whole[start:stop, ...] = piece
        del values  # before the tape of the next segment is made
    dxs = dxs._replace(**held) if held else dxs
    dfirst = dstate if run.resets is None else tree.add(dstate, dagain)
    return Backward(dxs, dfirst, engine.total(cell, params, sums), None)


def _engine(name: str) -> ModuleType:
    engines = {"explicit": scan, "fast": fast}
    if name not in engines:
        raise ValueError(f"engine is {name!r}; expected 'explicit' or 'fast'")
    return engines[name]


def _bounds(T: int, grain: int, segments: int | None) -> tuple[int, ...]:
    """Where segments begin and end: multiples of ``grain``, as even as that allows."""
    if segments is not None and (not isinstance(segments, int) or isinstance(segments, bool) or segments < 1):
        raise ValueError(f"segments is {segments!r}; expected an integer of at least 1")
    blocks = -(-T // grain)
    wanted = min(blocks, segments if segments is not None else math.isqrt(max(T - 1, 0)) + 1)
    cuts = [k * blocks // wanted * grain for k in range(wanted)] if wanted else []
    return (*cuts, T)


def _again(resets: Any, start: int, stop: int, first: Any) -> tuple[Any, ...]:
    """What ``scan.span_forward`` takes beside ``alive`` where Steps were given."""
    return () if resets is None else (resets.cut(start, stop), first)


def _cut(value: Any, start: int, stop: int) -> Any:
    value, held = apart(value)
    part = tree.map(lambda a: a[start:stop, ...], value)
    return part._replace(**held) if held else part
