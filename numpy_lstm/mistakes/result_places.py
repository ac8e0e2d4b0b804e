"""Mistakes after a right backward pass: a gradient under another's name, in another order, or not returned."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from .blocks import blocks_of, reordered, stored_order
from .edits import fields, on_params, renamed, results
from .mistake import Mistake
from .workbench import Edits, Workbench


def _squares(bench: Workbench, kind: str) -> list[str]:
    """The fields of this kind that can be transposed unnoticed."""
    stored = next(iter(bench.case.stored().values()))._asdict()
    return [k for k, a in stored.items() if k.split("_")[0] == kind and a.ndim == 2 and a.shape[0] == a.shape[1]]


def _transposed(bench: Workbench, kind: str) -> Edits:
    def change(a: Any) -> Any:
        return a.T if a.shape[0] == a.shape[1] else a

    return on_params(fields(**dict.fromkeys(_squares(bench, kind), change)))(bench)


def matrices(record: Any) -> list[tuple[str, str]]:
    """The names of the input and the recurrent weights of each gate."""
    return [(k, U) for k in record._fields if k[0] == "W" and (U := "U" + k[1:]) in record._fields]


def interchangeable(bench: Workbench) -> bool:
    """Whether input and recurrent weights can stand in each other's place."""
    return (
        bench.sizes["D"] == bench.sizes["R"] == bench.sizes["H"] and bench.plain and bool(matrices(bench.cell.Params))
    )


def swapped(bench: Workbench) -> dict[str, str]:
    """Input and recurrent weights by each other's name."""
    return {j: k for W, U in matrices(bench.cell.Params) for j, k in ((W, U), (U, W))}


def _weights_cut(dp: Any) -> Any:
    wrong = {}
    for W, U in matrices(dp):
        joined, D = np.concatenate([getattr(dp, U), getattr(dp, W)], axis=1), getattr(dp, W).shape[1]
        wrong[W], wrong[U] = joined[..., :D], joined[..., D:]
    return dp._replace(**wrong)


def _states_exchanged(bench: Workbench, _: str) -> Edits:
    """The gradients of h_0 and c_0 under each other's name."""
    names = {f"{place}d_{j}_0": f"{place}d_{k}_0" for place in bench.places for j, k in ("hc", "ch")}
    return Edits(answer=renamed(names))


def _initial(field: str) -> Callable[[Workbench], list[str]]:
    return lambda bench: [f"{place}d_{field}_0" for place in bench.places]


def equal_states(bench: Workbench) -> bool:
    """Whether h and c can stand in each other's place."""
    return "c" in bench.states and bench.sizes["R"] == bench.sizes["H"]


def orders(bench: Workbench) -> list[str]:
    """All orders of gates but the right one."""
    right = stored_order(bench)
    return ["".join(p) for p in permutations(right) if list(p) != right]


def orders_of_one(bench: Workbench) -> list[str]:
    """``"P:ifo"``: each array with blocks of gates, and two of them exchanged, or any order of peepholes."""
    found = []
    for name, gates in blocks_of(bench).items():
        every = ["".join(p) for p in permutations(gates) if list(p) != gates]
        moved = {order: sum(a != b for a, b in zip(order, gates, strict=True)) for order in every}
        found += [f"{name}:{order}" for order in every if len(gates) == 3 or moved[order] == 2]
    return found


# fmt: off
PLACES = [
    Mistake("gate-order-of-gradient",
            "the gradient's blocks stand in another order of gates than the weights'; named by the order they stand in",
            orders, lambda b, order: Edits(answer=lambda out: reordered(b, out, order, "d_"))),
    Mistake("gate-order-of-one-gradient", "the blocks of one array's gradient stand in another order of gates",
            orders_of_one, lambda b, k: Edits(
                answer=lambda out: reordered(b, out, k.partition(":")[2], "d_", only=k.partition(":")[0]))),
    Mistake("square-gradient-transposed", "the gradients of square matrices are transposed",
            lambda b: [k for k in ("W", "U", "M") if _squares(b, k)], _transposed),
    Mistake("concatenated-weights-cut-wrong", "the gradient of [U, W] cut as that of [W, U]",
            lambda b: b.printed and bool(matrices(b.cell.Params)), on_params(_weights_cut)),
    Mistake("weight-gradients-exchanged", "the gradients of input and recurrent weights in each other's place",
            interchangeable,
            lambda b, _: on_params(fields(**swapped(b)))(b)),
    Mistake("initial-state-gradient-zero", "the gradient of h_0 or c_0 is not returned",
            lambda b: b.states, lambda b, k: results(_initial(k), lambda a: 0 * a)(b)),
    Mistake("initial-state-gradients-exchanged", "the gradients of h_0 and c_0 in each other's place", equal_states,
            _states_exchanged),
    Mistake("initial-state-gradient-summed-over-batch", "every row is given the sum over the batch of d_h_0 or d_c_0",
            lambda b: b.states, lambda b, k: results(_initial(k), lambda a: 0 * a + a.sum(axis=0))(b)),
    Mistake("input-gradient-zero", "dx is not returned", lambda b: True, results(lambda b: ["d_x"], lambda a: 0 * a)),
]
# fmt: on
