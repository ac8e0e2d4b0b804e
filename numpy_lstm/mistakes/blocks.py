"""Blocks of gates in the stored arrays: the order in which they stand, and the arrays with another order."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import layouts
from ..cases.inputs import RECORDS, dump, dump_gradients
from .workbench import Workbench


def parameters(bench: Workbench) -> list[str]:
    """The names of all parameter gradients."""
    return [f"{place}d_{k}" for place in bench.places for k in bench.case.names()]


def stored_order(bench: Workbench) -> list[str]:
    """The gates in the order in which the layout stores their blocks; none for a cell with a single one."""
    order = {field[2:]: None for fields in _stored(bench).values() for field in fields if field.startswith("W_")}
    return list(order) if all(len(k) == 1 for k in order) else []


def blocks_of(bench: Workbench) -> dict[str, list[str]]:
    """By name of a stored array the gates whose blocks stand in it, where there are several."""
    found = {k: list(dict.fromkeys(field[-1] for field in held)) for k, held in _stored(bench).items()}
    return {k: gates for k, gates in found.items() if len(gates) > 1 and set(gates) <= set(bench.gates)}


def reordered(
    bench: Workbench, arrays: Mapping[str, Any], order: str, prefix: str = "", back: bool = False, only: str = ""
) -> dict[str, Any]:
    """The stored arrays, or ``only`` one, with their blocks in another ``order`` of gates; ``back`` undoes it.

    ``arrays`` may hold more; ``prefix`` stands between the place and the name of a parameter.
    """
    stand = dict(zip(blocks_of(bench)[only] if only else stored_order(bench), order, strict=True))
    names = {f"{place}{prefix}{k}" for place in bench.places for k in bench.case.names()}
    moved = {k: np.array(a) if k in names else a for k, a in arrays.items()}
    for place in bench.places:
        here = {k: moved[f"{place}{prefix}{k}"] for k in bench.case.names()}
        kinds: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for name, fields in _blocks(bench, here).items():
            for field, view in fields.items() if only in ("", name) else ():
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


def _stored(bench: Workbench) -> dict[str, dict[str, Any]]:
    """The blocks of the parameters of the first place."""
    return _blocks(bench, {k: bench.case.arrays[bench.places[0] + k] for k in bench.case.names()})


def _blocks(bench: Workbench, arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if bench.case.layout == RECORDS:
        return {k: {k: a} for k, a in arrays.items()}
    return layouts.blocks(bench.case.layout, arrays, bench.whole)


def second_biases(bench: Workbench) -> dict[str, dict[str, Any]]:
    """By place and name, 1 where the second of two biases that are added is stored, else 0."""
    found = {}
    for place, params in bench.case.stored().items():
        ones = type(params)(*(np.ones_like(a) for a in params))
        values, gradients = (
            dump(bench.case.layout, ones, bench.whole),
            dump_gradients(bench.case.layout, ones, bench.whole),
        )
        found[place] = {k: gradients[k] - np.sign(values[k]) for k in gradients if not values[k].all()}
    return found
