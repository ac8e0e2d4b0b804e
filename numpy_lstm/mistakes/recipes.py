"""The recipes of a set of cases: what each gives up of the usual, or has beside it."""

from typing import Any, NamedTuple

import numpy as np

from ..steps import Steps


class Recipe(NamedTuple):
    """One case of a set. ``drawn``: options of ``Case.random``; of ``sizes``, "B" and "1" say what a letter equals.

    ``steps``: the values and cotangents of single steps are among the expected results.
    """

    name: str
    says: str
    network: dict[str, Any] = {}  # noqa: RUF012
    sizes: dict[str, str | int] = {}  # noqa: RUF012
    drawn: dict[str, Any] = {}  # noqa: RUF012
    steps: bool = False
    corner: bool = False


SIZES = {"T": 6, "B": 3, "D": 4, "H": 5}
# The candidate of the GRU is n, and its update gate z keeps the old state, as f does.
SATURATED = {"b_f": 8.0, "b_g": 4.0, "b_z": 8.0, "b_n": 4.0, "b": 3.0}
SMALL = {"T": 4, "B": 2, "D": 2, "H": 3}  # what corners begin with
RECIPES = (
    Recipe("plain", "one layer read forward", steps=True),
    Recipe("lengths", "a short row, a full one and one of length 1", drawn={"lengths": "ragged"}, steps=True),
    Recipe("saturated", "gates and candidate near their limits", drawn={"shift": SATURATED}),
    Recipe("large", "cotangents twenty times as large, so that clipping shows", drawn={"cotangents": 20.0}),
    Recipe("square", "D = H, so that exchanged or transposed arrays fit", sizes={"D": "H"}),
    Recipe(
        *("bidirectional", "both directions, rows of three lengths", {"direction": "bidirectional"}),
        drawn={"lengths": "ragged"},
    ),
    Recipe("layers", "two layers", {"layers": 2}),
    Recipe("projected", "outputs projected to 2 numbers", {"projection": 2}),
    Recipe("zoneout", "zoneout with given masks", {"zoneout": True}),
    Recipe("zero-state", "a first state of zeros", drawn={"first": "zero"}, corner=True),
    Recipe("no-state", "no first state is given: it is zero", drawn={"first": "absent"}, corner=True),
    Recipe("no-bias", "no biases", drawn={"bias": False}, corner=True),
    Recipe("unit", "one input, one unit", sizes={"D": 1, "H": 1}, corner=True),
    Recipe("row", "one row", sizes={"B": 1}, corner=True),
    Recipe("step", "one step", sizes={"T": 1}, corner=True),
    Recipe("batch", "B = T, so that time and batch may be exchanged", sizes={"B": "T"}, corner=True),
    Recipe("cells", "gradient into every c, not the last alone", drawn={"cells": True}, corner=True),
    Recipe(
        *("dropped", "two layers, and a dropout mask between them", {"layers": 2}), drawn={"drop": 0.4}, corner=True
    ),
    Recipe("masked", "padding on the left, and holes", drawn={"lengths": "masked"}, corner=True),
    Recipe("reset", "rows that start anew", drawn={"lengths": "reset"}, corner=True),
)


def steps_of(which: str | None, T: int, B: int) -> Any:
    """The lengths or Steps of this kind."""
    t, b = np.indices((T, B))
    if which == "ragged":
        return ([max(1, T // 2), T, 1] * B)[:B]
    if which == "masked":  # row 0 begins with padding, row 1 has a hole, and so on
        return Steps(read=np.where(b % 2 == 0, t >= T // 2, t != T // 2))
    return Steps(reset=(t + b) % T == T // 2) if which == "reset" else None
