"""Another network, in both passes alike: weights, states, inputs or outputs that are read or handed out otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import tree
from ..layers import Reversed
from ..pages.page import take
from ..pages.zoneout import within
from ..wiring import Run, reverse
from .blocks import parameters, reordered, second_biases
from .edits import fields, reading, shifted, starting
from .network_cells import ignoring, other
from .results import equal_states, matrices, orders, orders_of_one, swapped
from .wiring import one_forward
from .workbench import Edits, Workbench, throughout


class WholeReversed(Reversed):
    """Reverses the padded batch as a whole, so that short rows begin with their padding."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """As of the base, but for the padding."""
        run = self.layer.forward(params, reverse(xs), first, lengths)
        return Run(reverse(run.hs), run.last, run, None)


class FeaturesReversed(Reversed):
    """Reads forward, each input from its last feature to its first."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """As of the base, but for the axis."""
        run = self.layer.forward(params, xs[..., ::-1], first, lengths)
        return Run(run.hs, run.last, run, lengths)

    def backward(self, params: Any, run: Run, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
        """As of the base, but for the axis."""
        back = self.layer.backward(params, run.parts, dhs, dcs, dlast)
        return back._replace(dxs=back.dxs[..., ::-1])


class InReadingOrder(Reversed):
    """Hands out its outputs in the order in which it reads."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """As of the base, but for the order."""
        run = super().forward(params, xs, first, lengths)
        return run._replace(hs=run.parts.hs)

    def backward(self, params: Any, run: Run, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
        """As of the base, but for the order."""
        return super().backward(params, run, reverse(dhs, run.lengths), dcs, dlast)


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


def _both(bench: Workbench) -> bool:
    return bench.case.network.direction == "bidirectional"


def _turned(bench: Workbench) -> bool:
    return bench.case.network.direction != "forward"


def _permuted(order: list[int]) -> Any:
    return lambda states: [states[k] for k in order]


def _directions(bench: Workbench) -> list[int]:
    """The places with both directions exchanged."""
    return [k ^ 1 for k in range(len(bench.places))]


def _ways(bench: Workbench) -> int:
    return 2 if _both(bench) else 1


def _of_first_layer(bench: Workbench, _: str) -> Edits:
    """Every layer starts from the state of the first one."""
    ways, count = _ways(bench), len(bench.places)

    def back(states: list[Any]) -> list[Any]:
        total = [tree.map(lambda *a: sum(a), *states[k::ways]) for k in range(ways)]
        return [total[k] if k < ways else tree.scale(0.0, states[k]) for k in range(count)]

    return starting(_permuted([k % ways for k in range(count)]), back)(bench)


def _of_another_direction(bench: Workbench, _: str) -> Edits:
    return starting(_permuted(_directions(bench)))(bench)


def _last_states(bench: Workbench, there: Any, back: Any) -> Edits:
    """The last states of all places handed out otherwise; ``back``: the transpose, for their cotangents."""
    nest, unnest = bench.case.network.nest, bench.case.network.unnest

    def answer(out: dict[str, Any]) -> dict[str, Any]:
        moved = {k: there([out[f"{place}{k}_n"] for place in bench.places]) for k in bench.states}
        return out | {
            f"{place}{k}_n": a for k, found in moved.items() for place, a in zip(bench.places, found, strict=True)
        }

    def cotangents(call: Any) -> Any:
        each = unnest(call.dlast)
        moved = {k: back([getattr(d, k) for d in each]) for k in bench.states}
        return call._replace(dlast=nest([d._replace(**{k: moved[k][n] for k in moved}) for n, d in enumerate(each)]))

    return Edits(answer=answer, cotangents=cotangents)


def _reshaped(states: list[Any]) -> list[Any]:
    """(places, B, H) read as (B, places, H)."""
    a = np.stack(states)
    return list(a.reshape(a.shape[1], a.shape[0], -1).swapaxes(0, 1))


def _unreshaped(states: list[Any]) -> list[Any]:
    a = np.stack(states, axis=1)
    return list(a.reshape(a.shape[1], a.shape[0], -1))


def _exchanged_last(bench: Workbench, _: str) -> Edits:
    names = {f"{place}{j}_n": f"{place}{k}_n" for place in bench.places for j, k in (("h", "c"), ("c", "h"))}
    return Edits(
        answer=lambda out: out | {j: out[k] for j, k in names.items()},
        cotangents=lambda call: call._replace(dlast=bench.each(call.dlast, fields(h="c", c="h"))),
    )


def _sorted(bench: Workbench) -> Any:
    """The rows from the longest to the shortest."""
    return np.argsort(-np.array(bench.lengths), kind="stable")


def _states_in_sorted_order(bench: Workbench, _: str) -> Edits:
    order = _sorted(bench)
    return _last_states(bench, lambda a: [s[order] for s in a], lambda a: [s[np.argsort(order)] for s in a])


def _first_of_sorted_rows(bench: Workbench, _: str) -> Edits:
    order = _sorted(bench)
    back = np.argsort(order)
    return starting(
        lambda a: [tree.map(lambda s: s[back], r) for r in a], lambda a: [tree.map(lambda s: s[order], r) for r in a]
    )(bench)


def _memory(a: Any) -> Any:
    """The memory of (B,T,.) read as (T,B,.)."""
    return np.ascontiguousarray(a.swapaxes(0, 1)).reshape(a.shape)


def _unmemory(a: Any) -> Any:
    return np.ascontiguousarray(a).reshape(a.shape[1], a.shape[0], -1).swapaxes(0, 1)


def _read_as_time_first(bench: Workbench, k: str) -> Edits:
    read, written = k in ("input", "both"), k in ("output", "both")

    def answer(out: dict[str, Any]) -> dict[str, Any]:
        y = {"output": _unmemory(out["output"])} if written else {}
        return out | y | ({"d_x": _unmemory(out["d_x"])} if read else {})

    return throughout(
        Edits(
            call=lambda call: call._replace(xs=_memory(call.xs)) if read else call,
            cotangents=lambda call: call._replace(dhs=_memory(call.dhs)) if written else call,
            answer=answer,
        )
    )


def _late(bench: Workbench, _: str) -> Edits:
    """output_t is h_{t-1}, from h_0 on."""

    def answer(out: dict[str, Any]) -> dict[str, Any]:
        y = np.concatenate([bench.call.first.h[None], out["output"][:-1]])
        return out | {"output": y, "d_h_0": out["d_h_0"] + bench.call.dhs[0]}

    return Edits(
        answer=answer,
        cotangents=lambda call: call._replace(dhs=np.concatenate([call.dhs[1:], 0 * call.dhs[:1]])),
    )


def _last_output(bench: Workbench, _: str) -> Edits:
    """h_n is output[T-1], which is zero for a row that ended before; its cotangent is lost with it."""
    full = np.array([[float(n == bench.sizes["T"])] for n in bench.lengths])
    return Edits(
        cotangents=lambda call: call._replace(dlast=call.dlast._replace(h=call.dlast.h * full)),
        answer=lambda out: out | {"h_n": out["h_n"] * full},
    )


def _held(bench: Workbench, _: str) -> Edits:
    beyond = np.arange(bench.sizes["T"])[:, None, None] >= np.array(bench.lengths)[None, :, None]

    def cotangents(call: Any) -> Any:
        more = np.where(beyond, call.dhs, 0.0).sum(axis=0)
        return call._replace(dlast=call.dlast._replace(h=call.dlast.h + more))

    return Edits(
        cotangents=cotangents, answer=lambda out: out | {"output": np.where(beyond, out["h_n"], out["output"])}
    )


def _shared(bench: Workbench, _: str) -> Edits:
    """The reversed direction has the weights of the forward one."""

    def gradients(back: Any) -> Any:
        pairs = [(tree.add(one, two), tree.scale(0.0, two)) for one, two in _levels(bench, back.dparams)]
        return back._replace(dparams=bench.case.network.nest([d for pair in pairs for d in pair]))

    def call(call: Any) -> Any:
        pairs = [(one, one) for one, _ in _levels(bench, call.params)]
        return call._replace(params=bench.case.network.nest([p for pair in pairs for p in pair]))

    return Edits(call=call, gradients=gradients)


def _levels(bench: Workbench, nested: Any) -> list[Any]:
    each = bench.case.network.unnest(nested)
    return list(zip(each[::2], each[1::2], strict=True))


def _of_other_direction(bench: Workbench, _: str) -> Edits:
    nest, unnest = bench.case.network.nest, bench.case.network.unnest
    move = _permuted(_directions(bench))
    return Edits(
        call=lambda call: call._replace(params=nest(move(unnest(call.params)))),
        gradients=lambda back: back._replace(dparams=nest(move(unnest(back.dparams)))),
    )


def _gives(bench: Workbench, field: str) -> Edits:
    """Another field of the step is the output."""

    def edit(cell: Any) -> Any:
        rest = [k for k in cell.gives if k != field]
        return replace(cell, gives=(field, *rest))

    return throughout(Edits(cell=edit))


def _new_given(cell: Any) -> Any:
    """The output of a zoned-out cell is its new h, not the h that is carried."""
    inner = cell.functions.cell

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        back = cell.adjoint(F, p, v, d)
        arriving = {k: d.h_new if k == "h" else 0 * getattr(d, k) for k in inner.carries}
        more = inner.adjoint(inner.functions, p, within(inner, v), take(inner.Trace, None, **arriving))._asdict()
        named = {f"{k}_new" if k in inner.carries else k: a for k, a in more.items()}
        return back._replace(**{k: getattr(back, k) + a for k, a in named.items()})

    return replace(cell, gives=("h_new", *cell.gives[1:]), adjoint=adjoint)


def _copied(bench: Workbench, k: str, *kinds: str) -> Edits:
    """A parameter of the gate k[0] is read from that of k[1]."""
    names = {kind + k[0]: kind + k[1] for kind in kinds}

    def back(dp: Any) -> Any:
        total = {j: getattr(dp, j) + getattr(dp, i) for i, j in names.items()}
        return dp._replace(**total, **{i: 0 * getattr(dp, i) for i in names})

    return reading(fields(**names), back)(bench)


def _flat(bench: Workbench, kind: str) -> Edits:
    """Stored matrices read in the other memory order: reshaped where they are to be transposed."""
    names = [k for k in bench.cell.Params._fields if k.split("_")[0] == kind]
    there = fields(**{k: lambda a: np.ascontiguousarray(a.T).reshape(a.shape) for k in names})
    back = fields(**{k: lambda a: np.ascontiguousarray(a).reshape(a.shape[::-1]).T for k in names})
    return reading(there, back)(bench)


def _kinds(bench: Workbench, kind: str) -> list[str]:
    return [k for k in bench.cell.Params._fields if k.split("_")[0] == kind]


def _other_gate(bench: Workbench) -> list[str]:
    return [j + k for j in bench.gates for k in bench.gates if j != k]


def _squares(bench: Workbench) -> list[str]:
    alike = bench.sizes["R"] == bench.sizes["H"]
    return [
        k for k, same in (("U", alike), ("W", alike and bench.sizes["D"] == bench.sizes["H"] and bench.plain)) if same
    ]


def _turned_over(bench: Workbench, kind: str) -> Edits:
    return reading(fields(**{k: lambda a: a.T for k in _kinds(bench, kind)}))(bench)


def _for_one_another(bench: Workbench, _: str) -> Edits:
    """Input and recurrent weights in each other's place."""
    return reading(fields(**swapped(bench)))(bench)


def _states(bench: Workbench) -> list[str]:
    return [*bench.states, *(["all"] if len(bench.states) > 1 else [])]


def _zero_start(bench: Workbench, k: str) -> Edits:
    names = bench.states if k == "all" else [k]
    zero = fields(**dict.fromkeys(names, 0.0))
    return starting(lambda states: [zero(s) for s in states])(bench)


def _masks(change: Any) -> Any:
    """Other masks in both passes."""
    return lambda bench, _="": Edits(call=lambda call: call._replace(masks=change(call.masks)))


def _zoned(bench: Workbench) -> bool:
    return bench.case.network.zoneout


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
    other("weights-transposed", "square matrices are read transposed (L1-L4)", _squares, _turned_over),
    other("weights-for-one-another", "input and recurrent weights are taken for one another (L1-L4)",
          lambda b: b.sizes["D"] == b.sizes["R"] == b.sizes["H"] and b.plain and bool(matrices(b.cell.Params)),
          _for_one_another),
    other("weights-of-another-gate", "one gate is computed with W and U of another, the second named (L1-L4)",
          _other_gate,
          lambda b, k: _copied(b, k, "W_", "U_")),
    other("bias-of-another-gate", "one gate is computed with the bias of another, the second named (L1-L4)",
          lambda b: [k for k in _other_gate(b) if b.weighs(f"b_{k[0]}", f"b_{k[1]}")],
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

STATES = [
    other("initial-states-exchanged", "h_0 is taken for c_0 and c_0 for h_0", equal_states,
          starting(lambda states: [fields(h="c", c="h")(s) for s in states])),
    other("initial-state-ignored", "the sequence starts from zero, though a first state is given",
          _states, _zero_start),
    other("last-states-exchanged", "h_n is handed out as c_n and c_n as h_n", equal_states, _exchanged_last),
    other("cell-handed-out", "the output is c_t, not h_t", lambda b: equal_states(b) and b.plain and not _zoned(b),
          lambda b, _: _gives(b, "c")),
    other("output-one-step-late", "output t is h_{t-1}, from h_0 on",
          lambda b: b.plain and b.call.lengths is None and b.whole.gives[0] == "h" in b.states, _late),
    other("state-of-another-layer", "every layer starts from the first state of the lowest one",
          lambda b: b.case.network.layers > 1 and bool(b.states), _of_first_layer),
    other("state-of-another-direction", "each direction starts from the other's first state",
          _both, _of_another_direction),
    other("last-states-of-directions-exchanged", "the last states of both directions stand in each other's place",
          _both,
          lambda b, _: _last_states(b, _permuted(_directions(b)), _permuted(_directions(b)))),
    other("last-states-of-layers-reversed", "the last states stand from the top layer to the lowest one",
          lambda b: b.case.network.layers > 1,
          lambda b, _: _last_states(b, lambda a: a[::-1], lambda a: a[::-1])),
    other("last-states-reshaped", "(layers, B, H) of last states read as (B, layers, H): a reshape, not a transpose",
          lambda b: len(b.places) > 1 and bool(b.states), lambda b, _: _last_states(b, _reshaped, _unreshaped)),
    other("last-states-in-sorted-order", "rows sorted by their lengths: last states are not put back into order",
          lambda b: b.ragged and bool(b.states), _states_in_sorted_order),
    other("first-states-of-sorted-rows", "rows sorted by their lengths: first states stay where they were",
          lambda b: b.ragged and bool(b.states), _first_of_sorted_rows),
]

ARGUMENTS = [
    other("input-of-batch-first", "memory of (B,T,.) read or written as (T,B,.): a reshape where a transpose was due",
          lambda b: ["input", "output", "both"] if b.call.lengths is None and len(b.whole.reads) == 1 else [],
          _read_as_time_first),
    other("reverse-not-reversed", "the reversed direction reads forward", _turned,
          throughout(Edits(reversed=lambda base: lambda layer: layer))),
    other("features-reversed", "the reversed direction reads forward, each input from its last feature to its first",
          _turned,
          throughout(Edits(reversed=lambda base: FeaturesReversed))),
    other("output-in-reading-order", "outputs of the reversed direction stand in the order in which it reads", _turned,
          throughout(Edits(reversed=lambda base: InReadingOrder))),
    other("batch-reversed-with-its-padding", "the reversed direction reads short rows from their padding on",
          lambda b: _turned(b) and b.ragged, throughout(Edits(reversed=lambda base: WholeReversed))),
    other("directions-exchanged", "each direction has the other's weights", _both, _of_other_direction),
    other("one-direction-for-both", "the reversed direction has the weights of the forward one", _both, _shared),
    other("lengths-ignored", "padding is read like any other step",
          lambda b: b.ragged, Edits(call=lambda call: call._replace(lengths=None))),
    other("last-output-as-last-state", "h_n is the output of the last step, which is zero for rows that ended before",
          lambda b: one_forward(b) and b.whole.gives[0] == "h" in b.states, _last_output),
    other("last-output-held-on-padding", "beyond the end of a row the output repeats its last state, not zeros",
          lambda b: one_forward(b) and b.whole.gives[0] == "h" in b.states, _held),
]

ZONEOUTS = [
    other("output-not-zoned-out", "the output is the new h, not the h that is kept or new and carried",
          lambda b: _zoned(b) and "h" in b.states and b.cell.gives[0] == "h", throughout(Edits(cell=_new_given))),
    other("one-mask-for-both-states", "the mask of h is that of c, too", lambda b: _zoned(b) and equal_states(b),
          _masks(lambda m: m | {"keep_c": m["keep_h"]})),
    other("zoneout-ignored", "every state is new, as without zoneout", _zoned,
          _masks(lambda m: {k: 0 * a for k, a in m.items()})),
    other("masks-inverted", "kept where it is to be new, new where it is to be kept", _zoned,
          _masks(lambda m: {k: 1 - a for k, a in m.items()})),
    other("one-mask-for-all-steps", "the mask of the first step is used at each step", _zoned,
          _masks(lambda m: {k: np.broadcast_to(a[:1], a.shape) for k, a in m.items()})),
    other("masks-one-step-late", "the mask of the step before is used at each step", _zoned,
          _masks(lambda m: {k: shifted(a, "previous") for k, a in m.items()})),
]
# fmt: on
