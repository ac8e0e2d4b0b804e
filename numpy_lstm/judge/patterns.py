"""What a single wrong array looks like: a factor, a transpose, exchanged gates, another array under its name."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import layouts
from ..cases.case import RECORDS, Case


def patterns(case: Case, name: str, got: Any, where: Mapping[str, Any]) -> list[str]:
    """Sentences about the array ``got`` of this name; ``where`` is the entry of ``blocks`` for it."""
    truth = case.expected
    right, found = truth[name], []
    norm = float(np.vdot(right, right))
    if norm > 0:
        factor = float(np.vdot(right, got)) / norm
        if factor != 0 and abs(factor - 1) > 1e-6 and _same(got, factor * right):
            found.append(f"{factor:.6g} times the truth{_named(factor, case.sizes)}")
    if right.ndim == 2 and right.shape[0] == right.shape[1] and _same(got, right.T):
        found.append("the truth transposed")
    if order := _exchanged(where, got, right):
        found.append(order)
    others = [(k, a) for k, a in truth.items() if a.shape == got.shape and not np.array_equal(a, right)]
    found += [f"the truth of {k}" for k, a in others if _same(got, a)]
    if case.sizes["T"] == case.sizes["B"] and name in ("output", "d_x") and _same(got, right.swapaxes(0, 1)):
        found.append("the truth with time and batch exchanged: expected (T, B, ...)")
    return found


def _same(a: Any, b: Any) -> bool:
    return bool(np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b))


def _named(factor: float, sizes: Mapping[str, int]) -> str:
    """`` = 1/B`` and the like."""
    letters = "TBDH"
    products = {
        "".join(k): int(np.prod([sizes[n] for n in k])) for r in (1, 2, 3) for k in itertools.combinations(letters, r)
    }
    for text, value in products.items():
        for sign in (1, -1):
            if np.isclose(factor, sign * value, rtol=1e-6):
                return f" = {'-' * (sign < 0)}{text}"
            if np.isclose(factor, sign / value, rtol=1e-6):
                return f" = {'-' * (sign < 0)}1/{text if len(text) == 1 else f'({text})'}"
    return ""


def _exchanged(where: Mapping[str, Any], got: Any, right: Any) -> str:
    """Which gate's gradient stands in which gate's place, if every block of the array is some block of the truth."""
    if len(where) < 2:
        return ""
    given, true = ({k: a.flat[index] for k, index in where.items()} for a in (got, right))
    stands = {}
    for k, block in given.items():
        matches = [j for j, other in true.items() if other.shape == block.shape and _same(block, other)]
        if not matches:
            return ""
        stands[k] = k if k in matches else matches[0]
    return ", ".join(f"{k} holds the gradient of {j}" for k, j in stands.items() if j != k)


def blocks(case: Case) -> dict[str, dict[str, Any]]:
    """For every parameter gradient: field of the cell's Params -> the flat indices of its block."""
    if case.layout == RECORDS:
        return {}
    cell, case, found = case.network.of_cell(), case.filled(), {}
    for place in case.network.places():
        index = {k: np.arange(case.arrays[place + k].size).reshape(case.arrays[place + k].shape) for k in case.names()}
        for stored, fields in layouts.blocks(case.layout, index, cell).items():
            found[f"{place}d_{stored}"] = dict(fields)
    return found
