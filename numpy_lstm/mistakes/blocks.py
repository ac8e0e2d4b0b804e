"""Blocks of gates in the stored arrays: the order in which they stand, and the arrays with another order."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import layouts
from ..cases.case import RECORDS, dump, dump_gradients
from .workbench import Workbench


def parameters(b: Workbench) -> list[str]:
    """The names of all parameter gradients."""
    return [f"{place}d_{k}" for place in b.case.network.places() for k in b.case.names()]


def stored_order(b: Workbench) -> list[str]:
    """The gates in the order in which the layout stores their blocks; none for a cell with a single one."""
    names = b.case.names()
    arrays = {k: b.case.arrays[b.case.network.places()[0] + k] for k in names}
    order = {field[2:]: None for fields in _blocks(b, arrays).values() for field in fields if field.startswith("W_")}
    return list(order)


def reordered(
    b: Workbench, arrays: Mapping[str, Any], order: str, prefix: str = "", back: bool = False
) -> dict[str, Any]:
    """The stored arrays with their blocks in another ``order`` of gates; ``back`` undoes it.

    ``arrays`` may hold more; ``prefix`` stands between the place and the name of a parameter.
    """
    stand = dict(zip(stored_order(b), order, strict=True))
    moved = {k: np.array(a) for k, a in arrays.items()}
    for place in b.case.network.places():
        here = {k: moved[f"{place}{prefix}{k}"] for k in b.case.names()}
        kinds: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for fields in _blocks(b, here).values():
            for field, view in fields.items():
                kinds["b_" if field[0] == "b" else field[:-1]][field[-1]].append(view)
        for gates in kinds.values():
            if set(gates) != set(stand):
                continue  # peepholes, projection: not a block for each gate
            copies = {k: [view.copy() for view in views] for k, views in gates.items()}
            for k, j in stand.items():
                target, source = (j, k) if back else (k, j)
                for view, copy in zip(gates[target], copies[source], strict=False):
                    view[...] = copy
    return moved


def _blocks(b: Workbench, arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if b.case.layout == RECORDS:
        return {k: {k: a} for k, a in arrays.items()}
    return layouts.blocks(b.case.layout, arrays, b.whole)


def second_biases(b: Workbench) -> dict[str, dict[str, Any]]:
    """By place and name, 1 where the second of two biases that are added is stored, else 0."""
    found = {}
    for place, params in b.case.stored().items():
        ones = type(params)(*(np.ones_like(a) for a in params))
        values, gradients = dump(b.case.layout, ones, b.whole), dump_gradients(b.case.layout, ones, b.whole)
        found[place] = {k: gradients[k] - np.sign(values[k]) for k in gradients if not values[k].all()}
    return found
