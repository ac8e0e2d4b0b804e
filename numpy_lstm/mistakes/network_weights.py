"""Another network: weights and states that are read otherwise, in both passes."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from .blocks import parameters, reordered, second_biases, stored_order
from .network_pages import other
from .results_places import exchanged
from .workbench import Workbench, when


def _read_in_order(bench: Workbench, order: str) -> dict[str, Any]:
    answer = bench.case._replace(
        arrays=bench.case.arrays | _only(bench, reordered(bench, bench.case.arrays, order))
    ).run()
    return answer | reordered(bench, {k: answer[k] for k in parameters(bench)}, order, prefix="d_", back=True)


def _only(bench: Workbench, arrays: dict[str, Any]) -> dict[str, Any]:
    return {
        k: arrays[k] for k in (f"{place}{name}" for place in bench.case.network.places() for name in bench.case.names())
    }


def _params(bench: Workbench, change: Callable[[Any], Any]) -> dict[str, Any]:
    nest, unnest = bench.case.network.nest, bench.case.network.unnest
    return bench.wrong_throughout(params=nest([change(p) for p in unnest(bench.call.params)]))


def _without_second_bias(bench: Workbench, _: str) -> dict[str, Any]:
    first = {(place, k): 1 - a for place, arrays in second_biases(bench).items() for k, a in arrays.items()}
    arrays = {f"{place}{k}": bench.case.arrays[f"{place}{k}"] * a for (place, k), a in first.items()}
    answer = bench.case._replace(arrays=bench.case.arrays | arrays).run()
    return answer | {f"{place}d_{k}": answer[f"{place}d_{k}"] * a for (place, k), a in first.items()}


def _second_bias(bench: Workbench) -> bool:
    places = second_biases(bench).items()
    return any(np.any(bench.case.arrays[f"{place}{k}"] * a) for place, arrays in places for k, a in arrays.items())


def _states_exchanged(bench: Workbench, _: str) -> dict[str, Any]:
    nest, unnest = bench.case.network.nest, bench.case.network.unnest
    first = nest([s._replace(h=s.c, c=s.h) for s in unnest(bench.call.first)])
    return exchanged(bench, bench.wrong_throughout(first=first))


WEIGHTS = [
    other(
        "gate-order-of-weights",
        "the stored weights are read in another order of gates; named by the order in which they should have stood",
        "coremltools PR 93; tensorflow 29308; keras 3088; magenta PR 1015",
        lambda bench: ["".join(p) for p in permutations(stored_order(bench)) if list(p) != stored_order(bench)],
        _read_in_order,
    ),
    other(
        "forget-bias-added-twice",
        "a forget bias of 1 is added while running, though the stored bias has it already",
        "~pytorch 20102; ~jcjohnson/torch-rnn 63; ~karpathy/char-rnn 60; ~jax PR 21749",
        lambda bench: when("b_f" in bench.cell.Params._fields),
        lambda bench, _: _params(bench, lambda p: p._replace(b_f=p.b_f + 1)),
    ),
    other(
        "second-bias-ignored",
        "of two biases that are added only the first is read",
        "derived; two biases as in onnx 1127, pytorch 750",
        lambda bench: when(_second_bias(bench)),
        _without_second_bias,
    ),
    other(
        "initial-states-exchanged",
        "h_0 is taken for c_0 and c_0 for h_0",
        "common",
        lambda bench: when("c" in bench.states and bench.sizes["R"] == bench.sizes["H"]),
        _states_exchanged,
    ),
]
