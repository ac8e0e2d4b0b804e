"""Layers: wirings of cells over time, direction and depth.

A layer has ``init(D, H, rng)``, ``width(H)`` (of its outputs), ``forward(params, xs, first, lengths)`` giving hs, the
last state and what its backward pass needs, and ``backward(params, run, dhs, dlast)`` giving a ``Backward``. It owns
nothing. Parameters, states and cotangents of several layers are tuples, in the order of the layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import arrays, fast, scan, tree
from .arrays import Array
from .cells.cell import Cell
from .scan import Backward, Forward
from .shapes import ShapeError


class Run(NamedTuple):
    """A run of composed layers: ``hs`` (T,B,N), ``last`` state(s), and the ``parts`` it is made of."""

    hs: Array
    last: Any
    parts: Any
    lengths: Any = None
    masks: Any = None


@dataclass(frozen=True)
class Recurrent:
    """One cell scanned over time."""

    cell: Cell

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise TypeError(f"cell is a {arrays.type_name(self.cell)}; expected a Cell such as numpy_lstm.LSTM")

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters: see ``Cell.init``."""
        return self.cell.init(D, H, rng, dtype)

    def width(self, H: int) -> int:
        """The number of outputs: R if the cell is projected, else H."""
        return self.cell.R or H

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Forward:
        """See ``numpy_lstm.forward``."""
        return scan.forward(self.cell, params, xs, first, lengths)

    def backward(
        self, params: Any, run: Forward, dhs: Array | None = None, dcs: Array | None = None, dlast: Any = None
    ) -> Backward:
        """See ``numpy_lstm.backward``."""
        return scan.backward(self.cell, params, run, dhs, dcs, dlast)


@dataclass(frozen=True)
class Fast(Recurrent):
    """``Recurrent`` by way of ``numpy_lstm.fast``: the same results, for speed."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Forward:
        """See ``numpy_lstm.fast.forward``."""
        return fast.forward(self.cell, params, xs, first, lengths)

    def backward(
        self, params: Any, run: Forward, dhs: Array | None = None, dcs: Array | None = None, dlast: Any = None
    ) -> Backward:
        """See ``numpy_lstm.fast.backward``."""
        return fast.backward(self.cell, params, run, dhs, dcs, dlast)


@dataclass(frozen=True)
class Given:
    """A layer whose cell reads masks beside x (``zoneout``), with the masks given here, so that it can be wired.

    ``masks`` maps the other fields of the cell's Input to arrays (T,B,H), in the order in which the layer reads; they
    are converted to the dtype of x, and moved to its device.
    """

    layer: Recurrent
    masks: dict[str, Any]

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters of the layer."""
        return self.layer.init(D, H, rng, dtype)

    def width(self, H: int) -> int:
        """That of the layer."""
        return self.layer.width(H)

    def forward(self, params: Any, xs: Array, first: Any = None, lengths: Any = None) -> Forward:
        """xs is the plain array x."""
        masks = {k: arrays.astype(arrays.like(mask, xs), xs) for k, mask in self.masks.items()}
        return self.layer.forward(params, self.layer.cell.Input(x=xs, **masks), first, lengths)

    def backward(self, params: Any, run: Forward, dhs: Array | None = None, dlast: Any = None) -> Backward:
        """``dxs`` is the gradient of x alone."""
        back = self.layer.backward(params, run, dhs, dlast=dlast)
        return back._replace(dxs=back.dxs.x)


@dataclass(frozen=True)
class Reversed:
    """A layer that reads each row from its own end; outputs stand at the step they belong to."""

    layer: Any

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters of the layer."""
        return self.layer.init(D, H, rng, dtype)

    def width(self, H: int) -> int:
        """That of the layer."""
        return int(self.layer.width(H))

    def forward(self, params: Any, xs: Array, first: Any = None, lengths: Any = None) -> Run:
        """``last`` is the state after the first step of each row, the last one read."""
        lengths = _own(lengths, xs)
        run = self.layer.forward(params, reverse(xs, lengths), first, lengths)
        return Run(reverse(run.hs, lengths), run.last, run, lengths)

    def backward(self, params: Any, run: Run, dhs: Array | None = None, dlast: Any = None) -> Backward:
        """Cotangents and gradients stand at the step they belong to."""
        _expect_shape("dhs", dhs, run.hs)
        dhs = None if dhs is None else reverse(dhs, run.lengths)
        back: Backward = self.layer.backward(params, run.parts, dhs, dlast=dlast)
        return back._replace(dxs=reverse(back.dxs, run.lengths))


@dataclass(frozen=True)
class Parallel:
    """Layers side by side on the same input; their outputs are concatenated."""

    layers: Sequence[Any]

    def __post_init__(self) -> None:
        _check_layers(self.layers)

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """A tuple of parameters, H units each."""
        return tuple(layer.init(D, H, rng, dtype) for layer in self.layers)

    def width(self, H: int) -> int:
        """The sum of the widths."""
        return sum(layer.width(H) for layer in self.layers)

    def forward(self, params: Any, xs: Array, first: Any = None, lengths: Any = None) -> Run:
        """``first`` is a tuple of states, any of them None, or None for all zero."""
        lengths = _own(lengths, xs)
        runs = tuple(
            layer.forward(p, xs, s, lengths)
            for layer, p, s in zip(self.layers, params, _each(first, self.layers, "first"), strict=True)
        )
        return Run(arrays.concat([run.hs for run in runs], axis=-1), tuple(run.last for run in runs), runs)

    def backward(self, params: Any, run: Run, dhs: Array | None = None, dlast: Any = None) -> Backward:
        """``dlast`` is a tuple of states, any of them None, or None."""
        _expect_shape("dhs", dhs, run.hs)
        backs, start = [], 0
        for layer, p, part, d in zip(self.layers, params, run.parts, _each(dlast, self.layers, "dlast"), strict=True):
            stop = start + part.hs.shape[-1]
            backs.append(layer.backward(p, part, None if dhs is None else dhs[..., start:stop], dlast=d))
            start = stop
        dxs = backs[0].dxs
        for back in backs[1:]:
            dxs = tree.add(dxs, back.dxs)
        return _gathered(dxs, backs)


@dataclass(frozen=True)
class Stack:
    """Layers one above the other, each reading the outputs of the one below, with dropout masks between them."""

    layers: Sequence[Any]

    def __post_init__(self) -> None:
        _check_layers(self.layers)

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """A tuple of parameters, from the bottom up, H units each."""
        params = []
        for layer in self.layers:
            params.append(layer.init(D, H, rng, dtype))
            D = layer.width(H)
        return tuple(params)

    def width(self, H: int) -> int:
        """That of the top layer."""
        return int(self.layers[-1].width(H))

    def forward(self, params: Any, xs: Array, first: Any = None, lengths: Any = None, masks: Any = None) -> Run:
        """``masks`` are factors for the outputs of every layer but the top one (see ``dropout_mask``), or None."""
        lengths = _own(lengths, xs)
        masks = _each(masks, self.layers[1:], "masks")
        runs: list[Any] = []
        for layer, p, s, mask in zip(
            self.layers, params, _each(first, self.layers, "first"), (*masks, None), strict=True
        ):
            runs.append(layer.forward(p, xs, s, lengths))
            xs = runs[-1].hs if mask is None else runs[-1].hs * _mask(mask, runs[-1].hs)
        return Run(runs[-1].hs, tuple(run.last for run in runs), tuple(runs), lengths, masks)

    def backward(self, params: Any, run: Run, dhs: Array | None = None, dlast: Any = None) -> Backward:
        """``dhs`` is the cotangent of the top layer's outputs, ``dlast`` a tuple of states or None."""
        backs: list[Any] = []
        each = zip(self.layers, params, run.parts, _each(dlast, self.layers, "dlast"), (*run.masks, None), strict=True)
        for layer, p, part, d, mask in reversed(list(each)):
            arriving = dhs if mask is None or dhs is None else dhs * mask
            backs.append(layer.backward(p, part, arriving, dlast=d))
            dhs = backs[-1].dxs
        return _gathered(dhs, backs[::-1])


def bidirectional(cell: Cell, layer: type[Recurrent] = Recurrent) -> Parallel:
    """The cell read forward, and beside it the cell read backward with parameters of its own."""
    return Parallel((layer(cell), Reversed(layer(cell))))


def dropout_mask(
    rng: np.random.Generator, shape: tuple[int, ...], p: float, dtype: Any = np.float64, variational: bool = False
) -> Any:
    """Factors 0 with probability p, else 1/(1-p), in ``shape`` (T,B,N).

    ``variational`` (Gal & Ghahramani 2016) draws one mask for all steps. Raises ValueError unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; expected a probability between 0 and 1")
    drawn = rng.random((1, *shape[1:]) if variational else shape) >= p
    return np.broadcast_to(drawn / (1 - p) if p < 1 else 0.0 * drawn, shape).astype(dtype)


def reverse(xs: Any, lengths: Any = None) -> Any:
    """xs (T,B,N), or a record of such, with time reversed: each row within its length, its padding left in place."""
    if lengths is None:
        return tree.map(arrays.flip, xs)
    lengths = _own(lengths, xs)

    def one(a: Array) -> Array:
        rows = [arrays.concat([arrays.flip(a[:n, b, ...]), a[n:, b, ...]], axis=0) for b, n in enumerate(lengths)]
        return arrays.stack(rows, axis=1)

    return tree.map(one, xs)


def _own(lengths: Any, xs: Any) -> tuple[int, ...] | None:
    """``lengths`` held against xs and copied, so that the run does not change when the caller's array does."""
    if lengths is None:
        return None
    T, B = next(a.shape for _, a in tree.leaves(xs))[:2]
    return scan.as_lengths(lengths, T, B)


def _each(given: Any, layers: Sequence[Any], name: str) -> tuple[Any, ...]:
    """One entry for each layer; None stands for none at all."""
    if given is None:
        return (None,) * len(layers)
    plain = isinstance(given, tuple | list) and not hasattr(given, "_fields")  # a State is not a tuple of states
    if not plain or len(given) != len(layers):
        came = f"a tuple of {len(given)}" if plain else f"a {arrays.type_name(given)}"
        raise TypeError(f"{name} is {came}; expected a tuple of {len(layers)}, one for each layer")
    return tuple(given)


def _check_layers(layers: Sequence[Any]) -> None:
    if not layers:
        raise ValueError("expected at least one layer")
    for layer in layers:
        if not hasattr(layer, "backward"):
            raise TypeError(f"a layer is a {arrays.type_name(layer)}; expected one such as Recurrent(cell)")


def _expect_shape(name: str, array: Any, like: Array) -> None:
    if array is not None and tuple(array.shape) != tuple(like.shape):
        raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected {tuple(like.shape)}, the shape of hs")


def _mask(mask: Any, hs: Array) -> Any:
    """The mask, if it has the shape of hs, or a single step that serves all."""
    if tuple(mask.shape) not in {tuple(hs.shape), (1, *hs.shape[1:])}:
        raise ShapeError(f"a mask has shape {tuple(mask.shape)}; expected {tuple(hs.shape)} or (1, *{hs.shape[1:]})")
    return mask


def _gathered(dxs: Any, backs: list[Any]) -> Backward:
    return Backward(
        dxs,
        tuple(back.dfirst for back in backs),
        tuple(back.dparams for back in backs),
        tuple(back.cotangents for back in backs),
    )
