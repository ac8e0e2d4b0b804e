"""One forward and backward pass of each cell in a layer: what the instruments read."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from .. import arrays, layers, tree, wiring
from ..pages.page import Page
from ..scan import Backward, Forward
from ..shapes import apart


class Pass(NamedTuple):
    """A cell's own run and cotangents, in the order in which the cell reads.

    ``run`` is its Forward, ``cotangents`` its Trace with a time axis in front, and ``given`` a State with a time axis:
    what reaches h_t and c_t from outside the cell, from the loss or the layer above. ``name`` says which cell of a
    composed layer it is: ``1.0`` is direction 0 of layer 1.
    """

    name: str
    cell: Page
    params: Any
    run: Forward
    cotangents: Any
    given: Any


def passes(layer: Any, *arguments: Any, **options: Any) -> tuple[Pass, ...]:
    """Run a cell, a layer or a twin forward and back: one Pass for each cell in it, from the bottom up.

    A page that carries nothing, a readout say, has none.

    ``passes(layer, params, xs, first=None, lengths=None, dhs=None, dcs=None, dlast=None)``
        for a Page, or any layer, with the arguments of ``numpy_lstm.forward`` and ``backward``.
    ``passes(twin, x, hx=None, lengths=None, d_output=None, d_h_n=None, d_c_n=None, d_c=None)``
        for ``nn.LSTM``, ``GRU`` or ``RNN``, with those of the twin's ``forward`` and of its run's ``backward``. Dropout
        as in ``forward``: drawn unless the twin is in ``eval()``.

    NumPy or CuPy arrays; absent cotangents are zero. A single cell gives a tuple of one: ``(p,) = passes(...)``.
    Whatever the engine, the explicit path is taken: the fast one keeps no cotangents. Raises as the calls named do.

    >>> import numpy as np, numpy_lstm as nl
    >>> rng = np.random.default_rng(0)
    >>> twin, x = nl.nn.GRU(3, 4, num_layers=2, bidirectional=True, rng=rng), rng.standard_normal((6, 2, 3))
    >>> [p.name for p in passes(twin, x, d_output=rng.standard_normal((6, 2, 8)))]
    ['0.0', '0.1', '1.0', '1.1']
    """
    return (_of_twin if hasattr(layer, "network") else _of_layer)(layer, *arguments, **options)


def _of_twin(
    twin: Any, x: Any, hx: Any = None, lengths: Any = None, *given: Any, **cotangents: Any
) -> tuple[Pass, ...]:
    run = twin.explicit().forward(x, hx, lengths)
    stack, params, run, *sent = run.records(*given, **cotangents)
    return passes_of(stack, params, run, stack.backward(params, run, *sent), *sent)


def _of_layer(
    layer: Any,
    params: Any,
    xs: Any,
    first: Any = None,
    lengths: Any = None,
    dhs: Any = None,
    dcs: Any = None,
    dlast: Any = None,
) -> tuple[Pass, ...]:
    layer = _layer(layer)
    run = layer.forward(params, xs, first, lengths)
    back = layer.backward(params, run, dhs, dcs, dlast)
    return passes_of(layer, params, run, back, dhs, dcs, dlast)


def passes_of(
    layer: Any, params: Any, run: Any, back: Backward, dhs: Any = None, dcs: Any = None, dlast: Any = None
) -> tuple[Pass, ...]:
    """``passes`` of a run that was made already: from it, its backward pass, and the cotangents handed to that.

    Raises TypeError for a run or a backward pass of another path, or of another layer.

    >>> import numpy as np, numpy_lstm as nl
    >>> rng = np.random.default_rng(0)
    >>> params, dhs = nl.LSTM.init(3, 4, rng), rng.standard_normal((6, 2, 4))
    >>> run = nl.forward(nl.LSTM, params, rng.standard_normal((6, 2, 3)))
    >>> back = nl.backward(nl.LSTM, params, run, dhs=dhs)
    >>> (p,) = passes_of(nl.LSTM, params, run, back, dhs=dhs)
    >>> bool(np.all(p.given.h == dhs))
    True
    """
    layer = _layer(layer)
    if not isinstance(back, Backward):
        raise TypeError(f"back is a {arrays.type_name(back)}; expected the Backward that backward() returned")
    if not isinstance(run, Forward | wiring.Run):
        raise TypeError(f"run is a {arrays.type_name(run)}; expected the run that back went through")
    return tuple(_cells(layer, params, run, back.cotangents, dhs, dcs, dlast, ""))


def _layer(layer: Any) -> Any:
    """The explicit layer that it stands for."""
    if not isinstance(layer, Page) and not hasattr(layer, "backward"):
        raise TypeError(f"layer is a {arrays.type_name(layer)}; expected a Page, a layer, or a twin of nn")
    return layers.Recurrent(layer) if isinstance(layer, Page) else wiring.rebuilt(layer, _explicit)


def _explicit(leaf: Any) -> Any:
    """The leaf by the explicit engine."""
    return layers.Recurrent(leaf.cell) if isinstance(leaf, layers.Recurrent) else leaf


def _cells(
    layer: Any, params: Any, run: Any, cotangents: Any, dhs: Any, dcs: Any, dlast: Any, name: str
) -> Iterator[Pass]:
    if isinstance(layer, layers.Masked):
        yield from _cells(layer.layer, params, run, cotangents, dhs, dcs, dlast, name)
        return
    if isinstance(layer, layers.Recurrent):
        if not layer.cell.carries:
            return
        if cotangents is None or not isinstance(run.values, layer.cell.Trace):
            raise TypeError(
                f"back keeps no cotangents of {layer.cell.name}; expected those of numpy_lstm.backward, which the fast "
                "and the checkpointed path do not keep (see flow.passes)"
            )
        given = _given(layer.cell, run, dhs, dcs, dlast)
        yield Pass(name or layer.cell.name, layer.cell, params, run, cotangents, given)
        return
    if isinstance(layer, layers.Reversed):
        dhs, dcs = (None if d is None else wiring.reverse(d, run.lengths) for d in (dhs, dcs))
        yield from _cells(layer.layer, params, run.parts, cotangents, dhs, dcs, dlast, name)
        return
    if isinstance(layer, layers.Parallel):
        ends = np.cumsum([part.hs.shape[-1] for part in run.parts])[:-1].tolist()
        arriving = [None] * len(run.parts) if dhs is None else np.split(dhs, ends, axis=-1)
    elif isinstance(layer, layers.Stack):
        above = zip(layer.layers[1:], run.parts[1:], cotangents[1:], strict=True)
        arriving = [*(_dxs(*each) for each in above), dhs]
    else:
        raise TypeError(f"layer is a {arrays.type_name(layer)}; expected a Page or a layer of numpy_lstm.layers")
    params, dcs, dlast = wiring.trees(layer, params=params, dcs=dcs, dlast=dlast)
    each = zip(layer.layers, params, run.parts, cotangents, arriving, dcs, dlast, strict=True)
    for k, (child, p, part, d, dh, dc, last) in enumerate(each):
        yield from _cells(child, p, part, d, dh, dc, last, f"{name}.{k}" if name else str(k))


def _dxs(layer: Any, run: Any, cotangents: Any) -> Any:
    """The cotangent of a layer's input, from those of its cells."""
    if isinstance(layer, layers.Masked):
        dxs = _dxs(layer.layer, run, cotangents)
        return dxs if (mask := layer.factor(dxs)) is None else dxs * mask
    if isinstance(layer, layers.Reversed):
        return wiring.reverse(_dxs(layer.layer, run.parts, cotangents), run.lengths)
    if isinstance(layer, layers.Parallel):
        return sum(_dxs(*each) for each in zip(layer.layers, run.parts, cotangents, strict=True))
    if isinstance(layer, layers.Stack):
        return _dxs(layer.layers[0], run.parts[0], cotangents[0])
    return getattr(cotangents, layer.cell.reads[0])


def _given(cell: Page, run: Forward, dhs: Any, dcs: Any, dlast: Any) -> Any:
    """All that comes from outside, the last state's share at each row's last step."""
    T, alive = run.hs.shape[0], cast(Any, run.alive)
    zeros = tree.map(lambda a: arrays.zeros((T, *a.shape), a), run.last)
    given = tree.add(zeros, cell.partial_state(dhs, dcs))
    if alive is not None:
        given = tree.map(lambda a: np.where(alive, a, 0), given)
    ends = last_steps(run)
    return given if dlast is None else tree.map(lambda a, d: a if d is None else a + ends * d, given, dlast)


def on_host(p: Pass) -> Pass:
    """The Pass with NumPy arrays: those of CuPy are fetched."""
    fields = ("params", "run", "cotangents", "given")
    return p._replace(**{k: tree.map(arrays.on_host, getattr(p, k)) for k in fields})


def every_step(run: Forward) -> Any:
    """The values of a run, those that all steps share given at each of them."""
    T, shared = run.hs.shape[0], apart(run.values)[1]
    return run.values._replace(**{k: np.broadcast_to(a, (T, *a.shape)) for k, a in shared.items()})


def last_steps(run: Forward) -> Any:
    """Whether step t is the last of row b: (T,B,1), or (T,1,1) for all rows."""
    T, alive = run.hs.shape[0], cast(Any, run.alive)
    if alive is None:
        return arrays.namespace(run.hs).arange(T)[:, None, None] == T - 1
    return alive & (np.cumsum(alive[::-1], axis=0)[::-1] == 1)
