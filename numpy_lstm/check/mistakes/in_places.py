"""Results in each other's place: gates in another order, matrices transposed or cut elsewhere, states exchanged."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from ..network import Parts
from .blocks import parameters, reordered, stored_order
from .workbench import Mistake, Workbench, changed, once


def _squares(b: Workbench, kind: str) -> list[str]:
    """The fields of this kind that can be transposed unnoticed."""
    return [
        k
        for k, a in next(iter(b.case.stored().values()))._asdict().items()
        if k.split("_")[0] == kind and a.ndim == 2 and a.shape[0] == a.shape[1] > 1
    ]


def _transposed(b: Workbench, kind: str) -> dict[str, Any]:
    def change(dp: Any) -> Any:
        arrays = {k: getattr(dp, k) for k in _squares(b, kind)}
        return dp._replace(**{k: a.T for k, a in arrays.items() if a.shape[0] == a.shape[1]})

    return b.wrong_gradients(change)


def _pairs(dp: Any) -> list[tuple[str, str]]:
    return [(k, "U" + k[1:]) for k in dp._fields if k == "W" or k.startswith("W_")]


def _cut_at_inputs(joined: Any, D: int) -> tuple[Any, Any]:
    """[h, x] cut as if it were [x, h]: what is then called x, and h."""
    return joined[..., :D], joined[..., D:]


def _weights_cut(b: Workbench, _: str) -> dict[str, Any]:
    def change(dp: Any) -> Any:
        wrong = {}
        for W, U in _pairs(dp):
            joined = np.concatenate([getattr(dp, U), getattr(dp, W)], axis=1)
            wrong[W], wrong[U] = _cut_at_inputs(joined, getattr(dp, W).shape[1])
        return dp._replace(**wrong)

    return b.wrong_gradients(change)


def _state_cut(b: Workbench, _: str) -> dict[str, Any]:
    def edit(cell: Any) -> Any:
        def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
            d = cell.adjoint(F, p, v, d)
            x, h = _cut_at_inputs(np.concatenate([d.h_prev, d.x], axis=1), d.x.shape[1])
            return d._replace(x=x, h_prev=h)

        return replace(cell, adjoint=adjoint)

    return b.wrong_backward(Parts(cell=edit))


def exchanged(b: Workbench, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the gradients of h_0 and c_0 under each other's name."""
    pairs = [(f"{place}d_h_0", f"{place}d_c_0") for place in b.case.network.places()]
    return answer | {x: answer[y] for h, c in pairs for x, y in ((h, c), (c, h))}


def _initial(b: Workbench, field: str) -> list[str]:
    return [f"{place}d_{field}_0" for place in b.case.network.places()]


MISTAKES = [
    Mistake(
        "gate-order-of-gradient",
        "the gradient's blocks stand in another order of gates than the weights'; named by the order they stand in",
        "coremltools PR 93; tensorflow 29308; keras 3088; magenta PR 1015",
        lambda b: ["".join(p) for p in permutations(stored_order(b)) if list(p) != stored_order(b)],
        lambda b, order: b.right | reordered(b, {k: b.right[k] for k in parameters(b)}, order, prefix="d_"),
    ),
    Mistake(
        "square-gradient-transposed",
        "the gradients of square matrices are transposed",
        "common",
        lambda b: [k for k in ("W", "U", "M") if _squares(b, k)],
        _transposed,
    ),
    Mistake(
        "concatenated-state-cut-wrong",
        "the cotangent of [h, x] cut as that of [x, h]: parts of dx and dh in each other's place",
        "deeplearning.ai threads on its equations 19 and 21",
        lambda b: once(b.is_page and b.cell.equations not in ("gru", "gru_reset_before")),
        _state_cut,
        ("h", 1),
    ),
    Mistake(
        "concatenated-weights-cut-wrong",
        "the gradient of [U, W] cut as that of [W, U]",
        "derived from deeplearning.ai threads on its equations 19 and 21",
        lambda b: once(b.is_page),
        _weights_cut,
    ),
    Mistake(
        "initial-state-gradient-zero",
        "the gradient of h_0 or c_0 is not returned",
        "TMVA returns neither; flashrnn masks them out of its tests",
        lambda b: list(b.states),
        lambda b, k: changed(b, _initial(b, k), lambda a: 0 * a),
    ),
    Mistake(
        "initial-state-gradients-exchanged",
        "the gradients of h_0 and c_0 in each other's place",
        "derived",
        lambda b: once("c" in b.states and b.sizes["R"] == b.sizes["H"]),
        lambda b, _: exchanged(b, b.right),
    ),
    Mistake(
        "input-gradient-zero",
        "dx is not returned",
        "torch-rnn PR 36",
        lambda b: [""],
        lambda b, _: changed(b, ["d_x"], lambda a: 0 * a),
    ),
]
