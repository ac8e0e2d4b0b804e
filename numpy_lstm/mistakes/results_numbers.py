"""Mistakes after a right backward pass: a factor, a bias counted otherwise, clipping and rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..cases.names import is_gradient
from .blocks import parameters, second_biases
from .workbench import Mistake, Workbench, changed, once

Change = Callable[[Any], Any]


def _gradients(b: Workbench) -> list[str]:
    return [k for k in b.right if is_gradient(k)]


NAMES: dict[str, Callable[[Workbench], list[str]]] = {"parameters": parameters, "all": _gradients}


def _factor(
    name: str, says: str, source: str, by: Callable[[Workbench], float], where: tuple[str, ...] = ("parameters", "all")
) -> Mistake:
    return Mistake(
        name,
        says,
        source,
        lambda b: list(where) if by(b) != 1 else [],
        lambda b, k: changed(b, NAMES[k](b), lambda a: by(b) * a),
    )


def _product(b: Workbench, letters: str) -> float:
    return float(np.prod([b.sizes[k] for k in letters]))


FACTORS = [
    _factor("sign-flipped", "gradients with the opposite sign: an ascent", "common", lambda b: -1.0),
    _factor(
        "zero-gradient",
        "parameter gradients computed and never stored: all zero",
        "derived; checkers accept it at loss scale 1e-6",
        lambda b: 0.0,
        ("parameters",),
    ),
    _factor("doubled", "every gradient twice as large: the loss has no factor 1/2", "common", lambda b: 2.0, ("all",)),
    _factor("halved", "gradients half as large", "~nicodjimenez 33", lambda b: 0.5),
    _factor(
        "gradients-not-reset",
        "parameter gradients added to those of an earlier call with the same data",
        "OpenNMT 891 (the opposite)",
        lambda b: 2.0,
        ("parameters",),
    ),
    _factor(
        "batch-mean",
        "gradients divided by B, where the loss is a sum over the batch",
        "pytorch 635",
        lambda b: 1 / _product(b, "B"),
    ),
    _factor(
        "time-mean",
        "gradients divided by T, where the loss is a sum over time",
        "pytorch 635",
        lambda b: 1 / _product(b, "T"),
    ),
    _factor(
        "batch-and-time-mean",
        "gradients divided by B T, where the loss is a sum over both",
        "pytorch 635",
        lambda b: 1 / _product(b, "BT") if min(b.sizes[k] for k in "BT") > 1 else 1.0,
    ),
    _factor(
        "token-mean",
        "gradients divided by the number of steps that are not padding",
        "common",
        lambda b: 1 / max(1, sum(b.lengths)) if b.ragged else 1.0,
    ),
    _factor(
        "output-mean",
        "gradients divided by B T H, where the loss is a sum over all outputs",
        "common",
        lambda b: 1 / _product(b, "BTH") if b.sizes["H"] > 1 and _product(b, "BT") > 1 else 1.0,
    ),
    _factor("times-batch", "gradients B times too large", "common", lambda b: _product(b, "B")),
    _factor(
        "times-time",
        "gradients T times too large",
        "a data-science question about an LSTM in C++",
        lambda b: _product(b, "T"),
    ),
]


def _biases(dp: Any) -> list[str]:
    return [k for k in dp._fields if k == "b" or k.startswith("b_")]


def _on_biases(change: Change) -> Callable[[Workbench, str], dict[str, Any]]:
    return lambda b, _: b.wrong_gradients(lambda dp: dp._replace(**{k: change(getattr(dp, k)) for k in _biases(dp)}))


def _second_bias_zero(b: Workbench, _: str) -> dict[str, Any]:
    changed = {
        f"{place}d_{k}": (1 - second) * b.right[f"{place}d_{k}"]
        for place, arrays in second_biases(b).items()
        for k, second in arrays.items()
    }
    return b.right | changed


BIASES = [
    Mistake(
        "bias-gradient-doubled",
        "db counted twice, as for two biases merged into one",
        "apache/mxnet 7486, 15745; pytorch 750",
        lambda b: [""],
        _on_biases(lambda a: 2 * a),
    ),
    Mistake(
        "bias-gradient-halved",
        "db shared out between two biases that are added: each has the whole of it",
        "derived; two biases as in onnx 1127, pytorch 750",
        lambda b: [""],
        _on_biases(lambda a: 0.5 * a),
    ),
    Mistake(
        "second-bias-gradient-zero",
        "the second of two biases that are added gets no gradient",
        "derived; two biases as in onnx 1127, pytorch 750",
        lambda b: once(any(second_biases(b).values())),
        _second_bias_zero,
    ),
    Mistake(
        "bias-gradient-batch-mean",
        "db averaged over the batch, dW summed",
        "derived",
        lambda b: once(b.sizes["B"] > 1),
        lambda b, _: _on_biases(lambda a: a / b.sizes["B"])(b, ""),
    ),
    Mistake(
        "bias-gradient-of-one-gate",
        "db of one gate handed out as that of every gate (L1'-L4')",
        "hanbt/learn_dl 53; numpy-ml 42",
        lambda b: b.gates,
        lambda b, k: b.wrong_gradients(
            lambda dp: dp._replace(**{name: getattr(dp, f"b_{k}") for name in _biases(dp) if name in _own(b)})
        ),
    ),
]


def _own(b: Workbench) -> set[str]:
    return {f"b_{k}" for k in b.gates}


def _largest(b: Workbench) -> float:
    return max(float(np.abs(b.right[k]).max(initial=0)) for k in parameters(b))


def _norm(b: Workbench) -> float:
    return float(np.sqrt(sum(float(np.sum(b.right[k] ** 2)) for k in parameters(b))))


def _rounded(dtype: Any) -> Callable[[Workbench, str], dict[str, Any]]:
    def answer(b: Workbench, _: str) -> dict[str, Any]:
        with np.errstate(over="ignore", under="ignore"):
            return {k: a.astype(dtype).astype(a.dtype) for k, a in b.right.items()}

    return answer


def _computed_in_float32(b: Workbench, _: str) -> dict[str, Any]:
    with np.errstate(over="ignore", under="ignore"):
        answer = b.case.run(lambda a: a.astype(np.float32))
    return {k: a.astype(b.right[k].dtype) for k, a in answer.items()}


def _double(b: Workbench) -> list[str]:
    return once(b.case.dtype == "float64")


NUMBERS = [
    Mistake(
        "clipped-at-the-end",
        "parameter gradients clipped to [-limit, limit] before they are compared",
        "min-char-rnn",
        lambda b: [k for k in ("1", "5") if _largest(b) > 1.01 * float(k)],
        lambda b, k: changed(b, parameters(b), lambda a: a.clip(-float(k), float(k))),
    ),
    Mistake(
        "norm-clipped",
        "parameter gradients scaled down to a norm before they are compared",
        "common",
        lambda b: [k for k in ("1", "5") if _norm(b) > 1.01 * float(k)],
        lambda b, k: changed(b, parameters(b), lambda a: a * (float(k) / _norm(b))),
    ),
    Mistake(
        "computed-in-float32",
        "everything computed in float32 and given out as float64",
        "deep-learning-from-scratch-2",
        _double,
        _computed_in_float32,
    ),
    Mistake("rounded-to-float32", "results rounded to float32 on their way", "common", _double, _rounded(np.float32)),
    Mistake(
        "rounded-to-float16", "results rounded to float16 on their way", "common", lambda b: [""], _rounded(np.float16)
    ),
]

MISTAKES = [*FACTORS, *BIASES, *NUMBERS]
