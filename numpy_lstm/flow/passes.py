"""One forward and backward pass of each cell in a layer: what the instruments read."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, compose, tree
from ..cells.cell import Cell
from ..scan import Backward, Forward


class Pass(NamedTuple):
    """A cell's own run and cotangents, in the order in which the cell reads.

    ``run`` is its Forward, ``cotangents`` its Trace with a time axis in front, and ``given`` a State with a time axis:
    what reaches h_t and c_t from outside the cell, from the loss or the layer above. ``name`` says which cell of a
    composed layer it is: ``1.0`` is direction 0 of layer 1.
    """

    name: str
    cell: Cell
    params: Any
    run: Forward
    cotangents: Any
    given: Any


def passes(
    layer: Any,
    params: Any,
    xs: Any,
    first: Any = None,
    lengths: Any = None,
    dhs: Any = None,
    dcs: Any = None,
    dlast: Any = None,
) -> tuple[Pass, ...]:
    """Run ``layer``, a Cell or any layer of ``compose``, forward and back.

    The arguments are those of ``numpy_lstm.forward`` and ``backward``; arrays of NumPy or CuPy. Gives one Pass for each
    cell, from the bottom up, a single one for a cell. Raises as they do, and TypeError for ``dcs`` with a composed
    layer.
    """
    layer = compose.Recurrent(layer) if isinstance(layer, Cell) else layer
    run = layer.forward(params, xs, first, lengths)
    if isinstance(layer, compose.Recurrent):
        back = layer.backward(params, run, dhs, dcs, dlast)
    elif dcs is not None:
        raise TypeError("dcs was given; expected None: only a single cell takes cotangents of every c_t")
    else:
        back = layer.backward(params, run, dhs, dlast=dlast)
    return passes_of(layer, params, run, back, dhs, dcs, dlast)


def passes_of(
    layer: Any, params: Any, run: Any, back: Backward, dhs: Any = None, dcs: Any = None, dlast: Any = None
) -> tuple[Pass, ...]:
    """The same from a run and its backward pass, and the cotangents that were handed to it."""
    layer = compose.Recurrent(layer) if isinstance(layer, Cell) else layer
    if not isinstance(back, Backward):
        raise TypeError(f"back is a {arrays.type_name(back)}; expected the Backward that backward() returned")
    return tuple(_cells(layer, params, run, back.cotangents, dhs, dcs, dlast, ""))


def _cells(
    layer: Any, params: Any, run: Any, cotangents: Any, dhs: Any, dcs: Any, dlast: Any, name: str
) -> Iterator[Pass]:
    if isinstance(layer, compose.Given):
        layer = layer.layer
    if isinstance(layer, compose.Recurrent):
        given = _given(layer.cell, run, dhs, dcs, dlast)
        yield Pass(name or layer.cell.name, layer.cell, params, run, cotangents, given)
        return
    if isinstance(layer, compose.Reversed):
        dhs = None if dhs is None else compose.reverse(dhs, run.lengths)
        yield from _cells(layer.layer, params, run.parts, cotangents, dhs, None, dlast, name)
        return
    if isinstance(layer, compose.Parallel):
        ends = np.cumsum([part.hs.shape[-1] for part in run.parts])[:-1].tolist()
        arriving = [None] * len(run.parts) if dhs is None else np.split(dhs, ends, axis=-1)
    elif isinstance(layer, compose.Stack):
        above = zip(layer.layers[1:], run.parts[1:], cotangents[1:], run.masks, strict=True)
        arriving = [_dxs(*each) if mask is None else _dxs(*each) * mask for *each, mask in above] + [dhs]
    else:
        raise TypeError(f"layer is a {arrays.type_name(layer)}; expected a Cell or a layer of numpy_lstm.compose")
    dlast = (None,) * len(layer.layers) if dlast is None else dlast
    each = zip(layer.layers, params, run.parts, cotangents, arriving, dlast, strict=True)
    for k, (child, p, part, d, dh, last) in enumerate(each):
        yield from _cells(child, p, part, d, dh, None, last, f"{name}.{k}" if name else str(k))


def _dxs(layer: Any, run: Any, cotangents: Any) -> Any:
    """The cotangent of a layer's input, from those of its cells."""
    if isinstance(layer, compose.Reversed):
        return compose.reverse(_dxs(layer.layer, run.parts, cotangents), run.lengths)
    if isinstance(layer, compose.Parallel):
        return sum(_dxs(*each) for each in zip(layer.layers, run.parts, cotangents, strict=True))
    if isinstance(layer, compose.Stack):
        return _dxs(layer.layers[0], run.parts[0], cotangents[0])
    return cotangents.x


def _given(cell: Cell, run: Forward, dhs: Any, dcs: Any, dlast: Any) -> Any:
    """All that comes from outside, the last state's share at each row's last step."""
    T, xp = run.hs.shape[0], arrays.namespace(run.hs)
    zeros = tree.map(lambda a: arrays.zeros((T, *a.shape), a), run.last)
    given = tree.add(zeros, cell.partial_state(dhs, dcs))
    alive: Any = run.alive
    if alive is None:
        ends = xp.arange(T)[:, None, None] == T - 1
    else:
        given = tree.map(lambda a: np.where(alive, a, 0), given)
        ends = alive & ~np.concatenate([alive[1:], np.zeros_like(alive[:1])])
    return given if dlast is None else tree.map(lambda a, d: a if d is None else a + ends * d, given, dlast)
