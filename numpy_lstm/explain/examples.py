"""Small cases with round numbers, to be followed by hand: ``pen``, ``course`` and ``gomez``."""

from typing import Any, NamedTuple

import numpy as np

from ..cases.case import Case
from ..cases.inputs import RECORDS
from ..cases.network import Network
from ..check.given import CaseError
from ..pages import LSTM
from ..pages.page import Page
from ..scan import forward
from ..shapes import axes

GOMEZ = {  # Aidan Gomez, "Backpropogating an LSTM: A Numerical Example", 2016
    **{"W_g": [[0.45, 0.25]], "W_i": [[0.95, 0.8]], "W_f": [[0.7, 0.45]], "W_o": [[0.6, 0.4]]},
    **{"U_g": [[0.15]], "U_i": [[0.8]], "U_f": [[0.1]], "U_o": [[0.25]]},
    **{"b_g": [0.2], "b_i": [0.65], "b_f": [0.15], "b_o": [0.1]},
}


class Example(NamedTuple):
    """Inputs (T,D), first states and labels (T,H); the loss is half the squared distance of each h_t from its label."""

    says: str
    x: list[list[float]]
    first: dict[str, list[float]]
    labels: list[list[float]]
    params: dict[str, Any]


_TWO = ([[1.0, 2.0], [0.5, 3.0]], [[0.5], [1.25]])
EXAMPLES = {
    "pen": Example(
        "Gomez's numbers from a first state that is not zero", _TWO[0], {"h": [0.3], "c": [-0.4]}, _TWO[1], GOMEZ
    ),
    "course": Example(
        "one step of a course, weights of one decimal",
        [[0.5, -0.2, 0.8]],
        {"h": [0.1, 0.3, -0.1, 0.2], "c": [1.0, -0.5, 0.3, 0.7]},
        [[0.5, 0.0, -0.5, 1.0]],
        {},
    ),
    "gomez": Example("Gomez's two steps, from zero", _TWO[0], {"h": [0.0], "c": [0.0]}, _TWO[1], GOMEZ),
}


def example(name: str, cell: Page = LSTM) -> tuple[Case, Any]:
    """The case of that name for this cell, and its labels (T,1,H). Weights that it does not give have one decimal.

    Raises CaseError for an unknown name, and where the cell does not fit.
    """
    if name not in EXAMPLES:
        raise CaseError(f"example is {name!r}; expected one of {', '.join(EXAMPLES)}")
    given, network = EXAMPLES[name], Network(cell).check()
    if name == "gomez" and cell != LSTM:
        raise CaseError(f"gomez is an example of the LSTM; expected pen or course for {cell.name}")
    H = len(given.labels[0])
    size = cell.sizes(H, D=len(given.x[0]), B=1)
    params, count = dict[str, Any](), dict[str, int]()
    for k, letters in axes(cell.Params).items():
        count[letters] = n = count.get(letters, -1) + 1
        drawn = _round([size[a] for a in letters], letters, n) if k[:1] != "b" else np.full(H, float(k == "b_f"))
        params[k] = np.array(given.params[k]) if k in given.params else drawn
    first = {k: np.array([given.first.get(k, [0.5] * H)]) for k in cell.carries}
    xs, labels = np.array(given.x)[:, None], np.array(given.labels)[:, None]
    run = forward(cell, cell.Params(**params), xs, cell.State(**first))
    zeros = {f"d_{k}_n": np.zeros_like(a) for k, a in first.items()}
    arrays = {"x": xs} | {f"{k}_0": a for k, a in first.items()} | params | {"d_output": run.hs - labels} | zeros
    case = Case(name, network, RECORDS, "float64", arrays, {}, {"says": given.says})
    return case.filled(), labels


def _round(shape: list[int], letters: str, n: int) -> Any:
    """Numbers of one decimal, from -0.5 to 0.5; a gain or a peephole from 0.5 to 1.5."""
    r, c = np.indices((shape[0], shape[-1] if len(shape) > 1 else 1))
    a, b, k = (5, 3, 2) if letters in ("HR", "HH") else (3, 5, 7)
    found = ((a * r + b * c + k * n) % 11 - 5) / 10
    return found if len(shape) > 1 else found[:, 0] + 1
