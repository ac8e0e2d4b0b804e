"""Results in each other's place: gates in another order, matrices transposed or cut elsewhere, states exchanged."""

from itertools import permutations
from typing import Any

import numpy as np

from .blocks import parameters, reordered, stored_order
from .workbench import Mistake, Workbench, changed, when


def _squares(bench: Workbench, kind: str) -> list[str]:
    """The fields of this kind that can be transposed unnoticed."""
    return [
        k
        for k, a in next(iter(bench.case.stored().values()))._asdict().items()
        if k.split("_")[0] == kind and a.ndim == 2 and a.shape[0] == a.shape[1] > 1
    ]


def _transposed(bench: Workbench, kind: str) -> dict[str, Any]:
    def change(dp: Any) -> Any:
        arrays = {k: getattr(dp, k) for k in _squares(bench, kind)}
        return dp._replace(**{k: a.T for k, a in arrays.items() if a.shape[0] == a.shape[1]})

    return bench.wrong_gradients(change)


def _pairs(dp: Any) -> list[tuple[str, str]]:
    return [(k, U) for k in dp._fields if k[0] == "W" and (U := "U" + k[1:]) in dp._fields]


def cut_at_inputs(joined: Any, D: int) -> tuple[Any, Any]:
    """[h, x] cut as if it were [x, h]: what is then called x, and h."""
    return joined[..., :D], joined[..., D:]


def _weights_cut(bench: Workbench, _: str) -> dict[str, Any]:
    def change(dp: Any) -> Any:
        wrong = {}
        for W, U in _pairs(dp):
            joined = np.concatenate([getattr(dp, U), getattr(dp, W)], axis=1)
            wrong[W], wrong[U] = cut_at_inputs(joined, getattr(dp, W).shape[1])
        return dp._replace(**wrong)

    return bench.wrong_gradients(change)


def exchanged(bench: Workbench, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the gradients of h_0 and c_0 under each other's name."""
    pairs = [(f"{place}d_h_0", f"{place}d_c_0") for place in bench.case.network.places()]
    return answer | {x: answer[y] for h, c in pairs for x, y in ((h, c), (c, h))}


def _initial(bench: Workbench, field: str) -> list[str]:
    return [f"{place}d_{field}_0" for place in bench.case.network.places()]


ORDERS = [
    Mistake(
        "gate-order-of-gradient",
        "the gradient's blocks stand in another order of gates than the weights'; named by the order they stand in",
        "coremltools PR 93; tensorflow 29308; keras 3088; magenta PR 1015",
        lambda bench: ["".join(p) for p in permutations(stored_order(bench)) if list(p) != stored_order(bench)],
        lambda bench, order: (
            bench.right | reordered(bench, {k: bench.right[k] for k in parameters(bench)}, order, prefix="d_")
        ),
    ),
    Mistake(
        "square-gradient-transposed",
        "the gradients of square matrices are transposed",
        "common",
        lambda bench: [k for k in ("W", "U", "M") if _squares(bench, k)],
        _transposed,
    ),
]

PLACES = [
    Mistake(
        "concatenated-weights-cut-wrong",
        "the gradient of [U, W] cut as that of [W, U]",
        "derived from deeplearning.ai threads on its equations 19 and 21",
        lambda bench: when(bench.printed and bool(_pairs(bench.cell.Params))),
        _weights_cut,
    ),
    Mistake(
        "initial-state-gradient-zero",
        "the gradient of h_0 or c_0 is not returned",
        "TMVA returns neither; flashrnn masks them out of its tests",
        lambda bench: list(bench.states),
        lambda bench, k: changed(bench, _initial(bench, k), lambda a: 0 * a),
    ),
    Mistake(
        "initial-state-gradients-exchanged",
        "the gradients of h_0 and c_0 in each other's place",
        "derived",
        lambda bench: when("c" in bench.states and bench.sizes["R"] == bench.sizes["H"]),
        lambda bench, _: exchanged(bench, bench.right),
    ),
    Mistake(
        "input-gradient-zero",
        "dx is not returned",
        "torch-rnn PR 36",
        lambda bench: [""],
        lambda bench, _: changed(bench, ["d_x"], lambda a: 0 * a),
    ),
]


def plus_weights(bench: Workbench, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the weights added to their gradients."""
    names = [(place, k) for place in bench.case.network.places() for k in bench.case.names()]
    return answer | {f"{place}d_{k}": answer[f"{place}d_{k}"] + bench.case.arrays[place + k] for place, k in names}


ADDED = [
    Mistake(
        "gradient-added-to-weights",
        "the gradient's sums start from the weights, not from zero",
        "~thinc backprop_lstm",
        lambda bench: [""],
        lambda bench, _: plus_weights(bench, bench.right),
    ),
]
