"""Mistakes after a right backward pass: a factor, a bias counted otherwise, clipping, rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..cases.names import is_gradient
from .blocks import parameters, second_biases
from .edits import fields, on_params, results
from .mistake import Mistake
from .workbench import Change, Edits, Workbench


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
    """One array of the gradients that a caller gets is changed; the variant is its name."""

    def where(bench: Workbench) -> list[str]:
        return [k for k in _gradients(bench) if "cotangents." not in k and keep(bench.right[k])]

    return Mistake(name, says, where, lambda b, k: results(lambda _: [k], change)(b))


def _on(kinds: tuple[str, ...], change: Change) -> Callable[..., Edits]:
    """The gradients of these kinds of parameters changed."""
    return on_params(lambda dp: fields(**{k: change for k in dp._fields if k[0] in kinds})(dp))


def _biased(bench: Workbench) -> bool:
    return any(k == "b" or k.startswith("b_") for k in bench.cell.Params._fields)


def _own(bench: Workbench) -> list[str]:
    """The gates of which each has a bias."""
    return bench.gates if bench.weighs(*(f"b_{k}" for k in bench.gates)) else []


def other_gates(bench: Workbench) -> list[str]:
    """Any gate, and another one: ``if``, ``fi`` and so on."""
    return [j + k for j in bench.gates for k in bench.gates if j != k]


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
            other_gates,
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
