"""Another network, in both passes alike: weights that are read otherwise."""

from typing import Any

import numpy as np

from .. import tree
from .blocks import parameters, reordered, second_biases
from .edits import fields, reading
from .network_cells import ignoring, other
from .result_places import interchangeable, orders, orders_of_one, swapped
from .results import other_gates
from .workbench import Edits, Workbench


def _storing(bench: Workbench, arrays: dict[str, Any]) -> Any:
    """The call with the parameters that these stored arrays hold; where others were changed already, with both."""
    params = bench.case._replace(arrays=arrays).call().params

    def changed(a: Any, right: Any, other: Any) -> Any:
        return other if a is right else a + (other - right).astype(a.dtype)

    return lambda call: call._replace(params=tree.map(changed, call.params, bench.call.params, params))


def _read_in_order(bench: Workbench, order: str) -> Edits:
    only, _, order = order.rpartition(":")
    arrays = bench.case.arrays | reordered(bench, bench.case.arrays, order, only=only)
    return Edits(
        call=_storing(bench, arrays),
        answer=lambda out: out | reordered(bench, {k: out[k] for k in parameters(bench)}, order, "d_", True, only),
    )


def _without_second(bench: Workbench, _: str) -> Edits:
    first = {(place, k): 1 - a for place, arrays in second_biases(bench).items() for k, a in arrays.items()}
    arrays = {place + k: bench.case.arrays[place + k] * a for (place, k), a in first.items()}
    return Edits(
        call=_storing(bench, bench.case.arrays | arrays),
        answer=lambda out: out | {f"{place}d_{k}": out[f"{place}d_{k}"] * a for (place, k), a in first.items()},
    )


def _copied(bench: Workbench, k: str, *kinds: str) -> Edits:
    """A parameter of the gate k[0] is read from that of k[1]."""
    names = {kind + k[0]: kind + k[1] for kind in kinds}

    def back(dp: Any) -> Any:
        total = {j: getattr(dp, j) + getattr(dp, i) for i, j in names.items()}
        return dp._replace(**total, **{i: 0 * getattr(dp, i) for i in names})

    return reading(fields(**names), back)(bench)


def _flat(bench: Workbench, kind: str) -> Edits:
    """Stored matrices read in the other memory order: reshaped where they are to be transposed."""
    names = _kinds(bench, kind)
    there = fields(**{k: lambda a: np.ascontiguousarray(a.T).reshape(a.shape) for k in names})
    back = fields(**{k: lambda a: np.ascontiguousarray(a).reshape(a.shape[::-1]).T for k in names})
    return reading(there, back)(bench)


def _kinds(bench: Workbench, kind: str) -> list[str]:
    return [k for k in bench.cell.Params._fields if k.split("_")[0] == kind]


def _squares(bench: Workbench) -> list[str]:
    alike = bench.sizes["R"] == bench.sizes["H"]
    return [
        k for k, same in (("U", alike), ("W", alike and bench.sizes["D"] == bench.sizes["H"] and bench.plain)) if same
    ]


def _for_one_another(bench: Workbench, _: str) -> Edits:
    """Input and recurrent weights in each other's place."""
    return reading(fields(**swapped(bench)))(bench)


# fmt: off
WEIGHTS = [
    other("gate-order-of-weights",
          "the stored weights are read in another order of gates; named by the order in which they should have stood",
          orders, _read_in_order),
    other("gate-order-of-one-array", "one stored array alone is read in another order of gates", orders_of_one,
          _read_in_order),
    other("weights-in-memory-order",
          "stored matrices are reshaped where they are to be transposed, or the other way round",
          lambda b: [k for k in "WU" if _kinds(b, k)], _flat),
    other("weights-transposed", "square matrices are read transposed (L1-L4)", _squares,
          lambda b, kind: reading(fields(**{k: lambda a: a.T for k in _kinds(b, kind)}))(b)),
    other("weights-for-one-another", "input and recurrent weights are taken for one another (L1-L4)",
          interchangeable,
          _for_one_another),
    other("weights-of-another-gate", "one gate is computed with W and U of another, the second named (L1-L4)",
          other_gates,
          lambda b, k: _copied(b, k, "W_", "U_")),
    other("bias-of-another-gate", "one gate is computed with the bias of another, the second named (L1-L4)",
          lambda b: [k for k in other_gates(b) if b.weighs(f"b_{k[0]}", f"b_{k[1]}")],
          lambda b, k: _copied(b, k, "b_")),
    other("bias-ignored", "biases are read and not used (L1-L4)",
          lambda b: ["all", *_kinds(b, "b")] if _kinds(b, "b") else [],
          lambda b, k: ignoring(*(_kinds(b, "b") if k == "all" else [k]))),
    other("input-weights-ignored", "one gate does not see the input (L1-L4)", lambda b: b.gates,
          lambda b, k: ignoring(f"W_{k}")),
    other("recurrent-weights-ignored", "one gate does not see the state (L1-L4)", lambda b: b.gates,
          lambda b, k: ignoring(f"U_{k}")),
    other("bias-added-twice", "every bias is added twice, with the input and again in the step (L1-L4)",
          lambda b: bool(_kinds(b, "b")),
          lambda b, _: reading(fields(**{k: lambda a: 2 * a for k in _kinds(b, "b")}))(b)),
    other("forget-bias-added-twice", "a forget bias of 1 is added while running, though the stored bias has it already",
          lambda b: b.weighs("b_f"), reading(fields(b_f=lambda a: a + 1), lambda dp: dp)),
    other("forget-bias-missing", "a forget bias of 1 that the stored bias is to be read with is left out",
          lambda b: b.weighs("b_f"), reading(fields(b_f=lambda a: a - 1), lambda dp: dp)),
    other("second-bias-ignored", "of two biases that are added only the first is read",
          lambda b: any(np.any(s) for arrays in second_biases(b).values() for s in arrays.values()), _without_second),
]
# fmt: on
