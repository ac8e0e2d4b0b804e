"""Every array that goes into a case: its name, its shape, what it is, and whether it may be left out."""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import layouts
from ..pages.page import Page
from ..shapes import Sizes, axes
from .network import Network

RECORDS = "records"  # the layout of a cell's own Params, one array for each field
STEPS = ("read", "reset", "restart")  # the masks of ``numpy_lstm.Steps``, as 0 and 1
INTEGERS = ("lengths", *STEPS)

# What an array is. All of FIRST may be left out, and all of BIAS: they are zero then, and no gradient is asked for.
X, MASK, FIRST, PARAMETER, BIAS, COTANGENT = "x", "mask", "first state", "parameter", "bias", "cotangent"
REQUIRED = (X, MASK, FIRST, PARAMETER, BIAS, COTANGENT)
WHICH, DROPOUT, CELLS = "steps", "factor", "cotangent of every c"  # each of these may be left out


class Input(NamedTuple):
    """The shape of an array, and which of the above it is."""

    shape: tuple[int, ...]
    kind: str


def inputs(network: Network, layout: str, T: int, B: int, D: int, H: int) -> dict[str, Input]:
    """All that a case of this network may have, by name, in the order in which it is drawn and listed."""
    cell, places = network.of_cell(), network.places()
    size = cell.sizes(H, T=T, B=B, D=D)
    states = {k: tuple(size[n] for n in letters) for k, letters in axes(cell.State).items()}
    found = {"x": Input((T, B, D), X), "lengths": Input((B,), WHICH)} | dict.fromkeys(STEPS, Input((T, B), WHICH))
    for k, letters in axes(cell.Input).items():
        if k != "x":
            found[k] = Input((T, *(size[n] for n in letters)), MASK)
    for place, width in zip(places, network.widths(D, H), strict=True):
        found |= {f"{place}{k}_0": Input(shape, FIRST) for k, shape in states.items()}
        found |= {place + k: of for k, of in _stored(layout, cell, width, H).items()}
    found["d_output"] = Input((T, B, network.layer().width(H)), COTANGENT)
    for place in places:
        found |= {f"{place}d_{k}_n": Input(shape, COTANGENT) for k, shape in states.items()}
    for n in range(1, network.layers):  # the lowest layer reads x itself
        found[f"l{n}.dropout"] = Input((T, B, network.widths(D, H)[-1]), DROPOUT)
    if "c" in states:
        found |= {f"{place}d_c": Input((T, *states["c"]), CELLS) for place in places}
    return found


@lru_cache(256)  # the catalogue asks for the same few hundreds of times
def _stored(layout: str, cell: Page, D: int, H: int) -> dict[str, Input]:
    biases, stored = names(layout, cell), dump(layout, filled(cell, D, H), cell)
    return {k: Input(a.shape, BIAS if biases[k] else PARAMETER) for k, a in stored.items()}


@lru_cache(256)
def units(layout: str, cell: Page, shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> int:
    """H, where the stored parameters have these shapes by name. Raises LayoutError where they do not fit."""
    sizes = Sizes(cell.name, cell.R)
    sizes.bind_record("params", load(layout, {k: np.zeros(shape) for k, shape in shapes}, cell), cell.Params)
    return sizes["H"]


def filled(cell: Page, D: int, H: int, **values: float) -> Any:
    """A Params in which all of a field is the same number, zero unless it is named."""
    size = cell.sizes(H, D=D)
    shapes = {k: [size[n] for n in letters] for k, letters in axes(cell.Params).items()}
    return cell.Params(**{k: np.full(shape, values.get(k, 0.0)) for k, shape in shapes.items()})


@cache
def names(layout: str, cell: Page) -> dict[str, bool]:
    """The names of the arrays that hold the parameters, and whether one holds nothing but biases."""
    like = dump(layout, filled(cell, 2, 3), cell)
    fields = {k: [k] for k in like} if layout == RECORDS else layouts.blocks(layout, like, cell)
    return {k: all(field.startswith("b") for field in fields[k]) and bool(fields[k]) for k in like}


def dump(layout: str, params: Any, cell: Page) -> dict[str, Any]:
    """Parameters by name."""
    return dict(params._asdict()) if layout == RECORDS else layouts.dump(layout, params, cell)


def dump_gradients(layout: str, dparams: Any, cell: Page) -> dict[str, Any]:
    """Parameter gradients by name."""
    return dict(dparams._asdict()) if layout == RECORDS else layouts.dump_gradients(layout, dparams, cell)


def load(layout: str, stored: dict[str, Any], cell: Page) -> Any:
    """The inverse of ``dump``."""
    return cell.Params(**stored) if layout == RECORDS else layouts.load(layout, stored, cell)
