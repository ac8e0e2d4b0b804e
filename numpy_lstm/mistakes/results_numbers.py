"""Mistakes after a right backward pass: a factor, a bias counted otherwise, clipping and rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..cases.names import is_gradient
from .blocks import parameters, second_biases
from .workbench import Mistake, Workbench, changed, when

Change = Callable[[Any], Any]


def _gradients(bench: Workbench) -> list[str]:
    return [k for k in bench.right if is_gradient(k)]


NAMES: dict[str, Callable[[Workbench], list[str]]] = {"parameters": parameters, "all": _gradients}


def _factor(
    name: str, says: str, source: str, by: Callable[[Workbench], float], where: tuple[str, ...] = ("parameters", "all")
) -> Mistake:
    return Mistake(
        name,
        says,
        source,
        lambda bench: list(where) if by(bench) != 1 else [],
        lambda bench, k: changed(bench, NAMES[k](bench), lambda a: by(bench) * a),
    )


def _product(bench: Workbench, letters: str) -> float:
    return float(np.prod([bench.sizes[k] for k in letters]))


FACTORS = [
    _factor("sign-flipped", "gradients with the opposite sign: an ascent", "common", lambda bench: -1.0),
    _factor(
        "zero-gradient",
        "parameter gradients computed and never stored: all zero",
        "derived; checkers accept it at loss scale 1e-6",
        lambda bench: 0.0,
        ("parameters",),
    ),
    _factor(
        "doubled", "every gradient twice as large: the loss has no factor 1/2", "common", lambda bench: 2.0, ("all",)
    ),
    _factor("halved", "gradients half as large", "~nicodjimenez 33", lambda bench: 0.5),
    _factor(
        "gradients-not-reset",
        "parameter gradients added to those of an earlier call with the same data",
        "OpenNMT 891 (the opposite)",
        lambda bench: 2.0,
        ("parameters",),
    ),
    _factor(
        "batch-mean",
        "gradients divided by B, where the loss is a sum over the batch",
        "pytorch 635",
        lambda bench: 1 / _product(bench, "B"),
    ),
    _factor(
        "time-mean",
        "gradients divided by T, where the loss is a sum over time",
        "pytorch 635",
        lambda bench: 1 / _product(bench, "T"),
    ),
    _factor(
        "batch-and-time-mean",
        "gradients divided by B T, where the loss is a sum over both",
        "pytorch 635",
        lambda bench: 1 / _product(bench, "BT") if min(bench.sizes[k] for k in "BT") > 1 else 1.0,
    ),
    _factor(
        "token-mean",
        "gradients divided by the number of steps that are not padding",
        "common",
        lambda bench: 1 / max(1, sum(bench.lengths)) if bench.ragged else 1.0,
    ),
    _factor(
        "output-mean",
        "gradients divided by B T H, where the loss is a sum over all outputs",
        "common",
        lambda bench: 1 / _product(bench, "BTH") if bench.sizes["H"] > 1 and _product(bench, "BT") > 1 else 1.0,
    ),
    _factor("times-batch", "gradients B times too large", "common", lambda bench: _product(bench, "B")),
    _factor(
        "times-time",
        "gradients T times too large",
        "a data-science question about an LSTM in C++",
        lambda bench: _product(bench, "T"),
    ),
]


def _biases(dp: Any) -> list[str]:
    return [k for k in dp._fields if k == "b" or k.startswith("b_")]


def _on_biases(change: Change) -> Callable[[Workbench, str], dict[str, Any]]:
    return lambda bench, _: bench.wrong_gradients(
        lambda dp: dp._replace(**{k: change(getattr(dp, k)) for k in _biases(dp)})
    )


def _second_bias_zero(bench: Workbench, _: str) -> dict[str, Any]:
    changed = {
        f"{place}d_{k}": (1 - second) * bench.right[f"{place}d_{k}"]
        for place, arrays in second_biases(bench).items()
        for k, second in arrays.items()
    }
    return bench.right | changed


BIASES = [
    Mistake(
        "bias-gradient-doubled",
        "db counted twice, as for two biases merged into one",
        "apache/mxnet 7486, 15745; pytorch 750",
        lambda bench: when(bool(_biases(bench.cell.Params))),
        _on_biases(lambda a: 2 * a),
    ),
    Mistake(
        "bias-gradient-halved",
        "db shared out between two biases that are added: each has the whole of it",
        "derived; two biases as in onnx 1127, pytorch 750",
        lambda bench: when(bool(_biases(bench.cell.Params))),
        _on_biases(lambda a: 0.5 * a),
    ),
    Mistake(
        "second-bias-gradient-zero",
        "the second of two biases that are added gets no gradient",
        "derived; two biases as in onnx 1127, pytorch 750",
        lambda bench: when(any(second_biases(bench).values())),
        _second_bias_zero,
    ),
    Mistake(
        "bias-gradient-batch-mean",
        "db averaged over the batch, dW summed",
        "derived",
        lambda bench: when(bench.sizes["B"] > 1 and bool(_biases(bench.cell.Params))),
        lambda bench, _: _on_biases(lambda a: a / bench.sizes["B"])(bench, ""),
    ),
    Mistake(
        "bias-gradient-of-one-gate",
        "db of one gate handed out as that of every gate (L1'-L4')",
        "hanbt/learn_dl 53; numpy-ml 42",
        lambda bench: bench.gates if _own(bench) <= set(bench.cell.Params._fields) else [],
        lambda bench, k: bench.wrong_gradients(
            lambda dp: dp._replace(**{name: getattr(dp, f"b_{k}") for name in _biases(dp) if name in _own(bench)})
        ),
    ),
]


def _own(bench: Workbench) -> set[str]:
    return {f"b_{k}" for k in bench.gates}


def _largest(bench: Workbench) -> float:
    return max(float(np.abs(bench.right[k]).max(initial=0)) for k in parameters(bench))


def _norm(bench: Workbench) -> float:
    return float(np.sqrt(sum(float(np.sum(bench.right[k] ** 2)) for k in parameters(bench))))


def _rounded(dtype: Any) -> Callable[[Workbench, str], dict[str, Any]]:
    def answer(bench: Workbench, _: str) -> dict[str, Any]:
        with np.errstate(over="ignore", under="ignore"):
            return {k: a.astype(dtype).astype(a.dtype) for k, a in bench.right.items()}

    return answer


def _computed_in_float32(bench: Workbench, _: str) -> dict[str, Any]:
    with np.errstate(over="ignore", under="ignore"):
        answer = bench.case.run(lambda a: a.astype(np.float32))
    return {k: a.astype(bench.right[k].dtype) for k, a in answer.items()}


def _double(bench: Workbench) -> list[str]:
    return when(bench.case.dtype == "float64")


NUMBERS = [
    Mistake(
        "clipped-at-the-end",
        "parameter gradients clipped to [-limit, limit] before they are compared",
        "min-char-rnn",
        lambda bench: [k for k in ("1", "5") if _largest(bench) > 1.01 * float(k)],
        lambda bench, k: changed(bench, parameters(bench), lambda a: a.clip(-float(k), float(k))),
    ),
    Mistake(
        "norm-clipped",
        "parameter gradients scaled down to a norm before they are compared",
        "common",
        lambda bench: [k for k in ("1", "5") if _norm(bench) > 1.01 * float(k)],
        lambda bench, k: changed(bench, parameters(bench), lambda a: a * (float(k) / _norm(bench))),
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
        "rounded-to-float16",
        "results rounded to float16 on their way",
        "common",
        lambda bench: [""],
        _rounded(np.float16),
    ),
]
