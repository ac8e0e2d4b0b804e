"""Mistakes after a right backward pass: a factor, a bias counted otherwise, clipping, rounding, another's place."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from .. import tree
from ..cases.names import is_gradient
from .blocks import blocks_of, parameters, reordered, second_biases, stored_order
from .edits import fields, on_params, renamed, results
from .workbench import Change, Edits, Mistake, Workbench


def _gradients(bench: Workbench) -> list[str]:
    return [k for k in bench.right if is_gradient(k)]


NAMES: dict[str, Callable[[Workbench], list[str]]] = {"parameters": parameters, "all": _gradients}


def _factor(name: str, says: str, by: Callable[[Workbench], float], where: tuple[str, ...] = tuple(NAMES)) -> Mistake:
    return Mistake(name, says, lambda b: where, lambda b, k: results(NAMES[k], lambda a: by(b) * a)(b))


def _product(bench: Workbench, letters: str) -> float:
    return float(np.prod([bench.sizes[k] for k in letters]))


def _by_array(
    name: str, says: str, change: Callable[[Any], Any], keep: Callable[[Any], bool] = lambda a: True
) -> Mistake:
    """One array of gradients is changed; the variant is its name."""

    def where(bench: Workbench) -> list[str]:
        return [k for k in _handed_out(bench) if keep(bench.right[k])]

    return Mistake(name, says, where, lambda b, k: results(lambda _: [k], change)(b))


def _handed_out(bench: Workbench) -> list[str]:
    """The gradients that a caller gets."""
    return [k for k in bench.right if is_gradient(k) and "cotangents." not in k]


def _biases(dp: Any) -> list[str]:
    return [k for k in dp._fields if k == "b" or k.startswith("b_")]


def _on(kinds: tuple[str, ...], change: Change) -> Callable[..., Edits]:
    """The gradients of these kinds of parameters changed."""
    return on_params(lambda dp: fields(**{k: change for k in dp._fields if k[0] in kinds})(dp))


def _biased(bench: Workbench) -> bool:
    return bool(_biases(bench.cell.Params))


def _own(bench: Workbench) -> list[str]:
    """The gates of which each has a bias."""
    return bench.gates if bench.weighs(*(f"b_{k}" for k in bench.gates)) else []


def _second(change: float) -> Callable[..., Edits]:
    """The gradients of the second of two biases times ``change``."""
    return lambda bench, _: Edits(
        answer=lambda out: (
            out
            | {
                f"{place}d_{k}": out[f"{place}d_{k}"] * (1 + (change - 1) * second)
                for place, arrays in second_biases(bench).items()
                for k, second in arrays.items()
            }
        )
    )


def norm(bench: Workbench, out: dict[str, Any]) -> float:
    """The norm of all parameter gradients together."""
    return float(np.sqrt(sum(float(np.sum(out[k] ** 2)) for k in parameters(bench))))


def _norm_clipped(bench: Workbench, k: str) -> Edits:
    def answer(out: dict[str, Any]) -> dict[str, Any]:
        factor = min(1.0, float(k) / max(norm(bench, out), 1e-300))
        return out | {name: out[name] * factor for name in parameters(bench)}

    return Edits(answer=answer)


def _each_clipped(bench: Workbench, k: str) -> Edits:
    def clip(a: Any) -> Any:
        return a * min(1.0, float(k) / max(float(np.linalg.norm(a)), 1e-300))

    return results(parameters, clip)(bench)


def _rounded(dtype: Any) -> Edits:
    return Edits(answer=lambda out: {k: a.astype(dtype).astype(a.dtype) for k, a in out.items()})


_IN_FLOAT32 = Edits(
    call=lambda call: call._replace(
        **{k: tree.map(lambda a: a.astype(np.float32), getattr(call, k)) for k in ("params", "xs", "first", "masks")}
    ),
    cotangents=lambda call: call._replace(
        **{k: tree.map(lambda a: a.astype(np.float32), getattr(call, k)) for k in ("dhs", "dlast", "dcs")}
    ),
    answer=lambda out: {k: a.astype(np.float64) for k, a in out.items()},
)


def _double(bench: Workbench) -> bool:
    return bench.case.dtype == "float64"


# fmt: off
FACTORS = [
    _factor("sign-flipped", "gradients with the opposite sign: an ascent", lambda b: -1.0),
    _factor("zero-gradient", "parameter gradients computed and never stored: all zero", lambda b: 0.0, ("parameters",)),
    _factor("doubled", "every gradient twice as large: the loss has no factor 1/2", lambda b: 2.0, ("all",)),
    _factor("halved", "gradients half as large", lambda b: 0.5),
    _factor("gradients-not-reset", "parameter gradients added to those of an earlier call with the same data",
            lambda b: 2.0, ("parameters",)),
    _factor("batch-mean", "gradients divided by B, where the loss is a sum over the batch",
            lambda b: 1 / _product(b, "B")),
    _factor("time-mean", "gradients divided by T, where the loss is a sum over time", lambda b: 1 / _product(b, "T")),
    _factor("batch-and-time-mean", "gradients divided by B T, where the loss is a sum over both",
            lambda b: 1 / _product(b, "BT")),
    _factor("token-mean", "gradients divided by the number of steps that are not padding",
            lambda b: 1 / max(1, sum(b.lengths)) if b.ragged else 1.0),
    _factor("output-mean", "gradients divided by B T H, where the loss is a sum over all outputs",
            lambda b: 1 / _product(b, "BTH")),
    _factor("times-batch", "gradients B times too large", lambda b: _product(b, "B")),
    _factor("times-time", "gradients T times too large", lambda b: _product(b, "T")),
    Mistake("scaled-by-learning-rate", "gradients times a learning rate: the step, not the gradient",
            lambda b: ["0.1", "0.01", "0.001"], lambda b, k: results(parameters, lambda a: float(k) * a)(b)),
    _by_array("one-gradient-zero", "one gradient is computed and never stored, or not returned", lambda a: 0 * a),
    _by_array("one-gradient-sign", "one gradient has the opposite sign", lambda a: -a),
    _by_array("one-gradient-doubled", "one gradient is added twice", lambda a: 2 * a),
    _by_array("one-gradient-in-memory-order", "a gradient computed transposed and reshaped, not transposed back",
              lambda a: np.reshape(np.ascontiguousarray(a.T), a.shape), lambda a: a.ndim == 2 and min(a.shape) > 1),
]

BIASES = [
    Mistake("bias-gradient-doubled", "db counted twice, as for two biases merged into one", _biased,
            _on(("b",), lambda a: 2 * a)),
    Mistake("bias-gradient-halved", "db shared out between two biases that are added: each has the whole of it",
            _biased,
            _on(("b",), lambda a: 0.5 * a)),
    Mistake("second-bias-gradient-zero", "the second of two biases that are added gets no gradient",
            lambda b: any(second_biases(b).values()), _second(0.0)),
    Mistake("second-bias-gradient-doubled", "the gradient of the second of two biases holds that of both",
            lambda b: any(second_biases(b).values()), _second(2.0)),
    Mistake("bias-gradient-batch-mean", "db averaged over the batch, dW summed", _biased,
            lambda b, _: _on(("b",), lambda a: a / b.sizes["B"])(b)),
    Mistake("bias-gradient-time-mean", "db averaged over time, dW summed", _biased,
            lambda b, _: _on(("b",), lambda a: a / b.sizes["T"])(b)),
    Mistake("weight-gradient-batch-mean", "dW and dU averaged over the batch, db summed", _biased,
            lambda b, _: _on(("W", "U"), lambda a: a / b.sizes["B"])(b)),
    Mistake("bias-gradient-of-one-gate", "db of one gate handed out as that of every gate (L1'-L4')", _own,
            lambda b, k: on_params(fields(**{f"b_{j}": f"b_{k}" for j in b.gates}))(b)),
    Mistake("bias-gradient-of-another-gate", "db of one gate handed out as that of another, the first named (L1'-L4')",
            lambda b: [j + k for j in _own(b) for k in b.gates if j != k],
            lambda b, k: on_params(fields(**{f"b_{k[0]}": f"b_{k[1]}"}))(b)),
    Mistake("weight-gradients-of-another-gate",
            "dW and dU of one gate handed out as those of another, the first named (L1'-L4')",
            lambda b: [j + k for j in b.gates for k in b.gates if j != k],
            lambda b, k: on_params(fields(**{f"{kind}_{k[0]}": f"{kind}_{k[1]}" for kind in "WU"}))(b)),
    Mistake("gradients-of-one-gate-zero", "dW, dU and db of one gate are never stored (L1'-L4')", lambda b: b.gates,
            lambda b, k: on_params(fields(**{f"{kind}_{k}": 0.0 for kind in "WUb"}))(b)),
]

NUMBERS = [
    Mistake("clipped-at-the-end", "parameter gradients clipped to [-limit, limit] before they are compared",
            lambda b: ["1", "5"], lambda b, k: results(parameters, lambda a: a.clip(-float(k), float(k)))(b)),
    Mistake("norm-clipped", "parameter gradients scaled down to a norm before they are compared",
            lambda b: ["1", "5"], _norm_clipped),
    Mistake("each-norm-clipped", "each parameter gradient by itself scaled down to a norm", lambda b: ["1", "5"],
            _each_clipped),
    Mistake("weight-decay-in-gradient", "a decay times the weights is added to their gradients",
            lambda b: ["0.1", "0.01", "0.001"], lambda b, k: plus_weights(b, float(k))),
    Mistake("gradient-added-to-weights", "the gradient's sums start from the weights, not from zero",
            lambda b: True, lambda b, _: plus_weights(b)),
    Mistake("computed-in-float32", "everything computed in float32 and given out as float64", _double, _IN_FLOAT32),
    Mistake("rounded-to-float32", "results rounded to float32 on their way", _double, _rounded(np.float32)),
    Mistake("rounded-to-float16", "results rounded to float16 on their way", lambda b: True, _rounded(np.float16)),
]


def plus_weights(bench: Workbench, decay: float = 1.0) -> Edits:
    """The weights added to their gradients."""
    names = [(place, k) for place in bench.places for k in bench.case.names()]
    return Edits(answer=lambda out: out | {
        f"{place}d_{k}": out[f"{place}d_{k}"] + decay * bench.case.arrays[place + k] for place, k in names})
# fmt: on


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


def swapped(bench: Workbench) -> dict[str, str]:
    """Input and recurrent weights by each other's name."""
    return {j: k for W, U in matrices(bench.cell.Params) for j, k in ((W, U), (U, W))}


def _weights_cut(dp: Any) -> Any:
    wrong = {}
    for W, U in matrices(dp):
        joined, D = np.concatenate([getattr(dp, U), getattr(dp, W)], axis=1), getattr(dp, W).shape[1]
        wrong[W], wrong[U] = joined[..., :D], joined[..., D:]
    return dp._replace(**wrong)


def states_exchanged(bench: Workbench) -> Edits:
    """The gradients of h_0 and c_0 under each other's name."""
    return Edits(
        answer=renamed(
            {f"{place}d_{j}_0": f"{place}d_{k}_0" for place in bench.places for j, k in (("h", "c"), ("c", "h"))}
        )
    )


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
            lambda b: b.sizes["D"] == b.sizes["R"] == b.sizes["H"] and b.plain and bool(matrices(b.cell.Params)),
            lambda b, _: on_params(fields(**swapped(b)))(b)),
    Mistake("initial-state-gradient-zero", "the gradient of h_0 or c_0 is not returned",
            lambda b: b.states, lambda b, k: results(_initial(k), lambda a: 0 * a)(b)),
    Mistake("initial-state-gradients-exchanged", "the gradients of h_0 and c_0 in each other's place", equal_states,
            lambda b, _: states_exchanged(b)),
    Mistake("initial-state-gradient-summed-over-batch", "every row is given the sum over the batch of d_h_0 or d_c_0",
            lambda b: b.states, lambda b, k: results(_initial(k), lambda a: 0 * a + a.sum(axis=0))(b)),
    Mistake("input-gradient-zero", "dx is not returned", lambda b: True, results(lambda b: ["d_x"], lambda a: 0 * a)),
]
# fmt: on
