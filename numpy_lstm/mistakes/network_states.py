"""Another network, in both passes alike: first and last states that are taken or handed out otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import tree
from .edits import fields, renamed, starting
from .network_cells import other
from .result_places import equal_states
from .wiring import both, deep
from .workbench import Edits, Workbench, throughout


def permuted(order: list[int]) -> Any:
    """A function that puts a list into this order."""
    return lambda states: [states[k] for k in order]


def directions(bench: Workbench) -> list[int]:
    """The places with both directions exchanged."""
    return [k ^ 1 for k in range(len(bench.places))]


def _of_first_layer(bench: Workbench, _: str) -> Edits:
    """Every layer starts from the state of the first one."""
    ways, count = bench.case.network.ways, len(bench.places)

    def back(states: list[Any]) -> list[Any]:
        total = [tree.map(lambda *a: sum(a), *states[k::ways]) for k in range(ways)]
        return [total[k] if k < ways else tree.scale(0.0, states[k]) for k in range(count)]

    return starting(permuted([k % ways for k in range(count)]), back)(bench)


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
    return Edits(
        answer=renamed({f"{place}{j}_n": f"{place}{k}_n" for place in bench.places for j, k in ("hc", "ch")}),
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


def _late(bench: Workbench, _: str) -> Edits:
    """output_t is h_{t-1}, from h_0 on."""

    def answer(out: dict[str, Any]) -> dict[str, Any]:
        y = np.concatenate([bench.call.first.h[None], out["output"][:-1]])
        return out | {"output": y, "d_h_0": out["d_h_0"] + bench.call.dhs[0]}

    return Edits(
        answer=answer,
        cotangents=lambda call: call._replace(dhs=np.concatenate([call.dhs[1:], 0 * call.dhs[:1]])),
    )


def _gives(bench: Workbench, field: str) -> Edits:
    """Another field of the step is the output."""

    def edit(cell: Any) -> Any:
        rest = [k for k in cell.gives if k != field]
        return replace(cell, gives=(field, *rest))

    return throughout(Edits(cell=edit))


def _states(bench: Workbench) -> list[str]:
    return [*bench.states, *(["all"] if len(bench.states) > 1 else [])]


def _zero_start(bench: Workbench, k: str) -> Edits:
    names = bench.states if k == "all" else [k]
    zero = fields(**dict.fromkeys(names, 0.0))
    return starting(lambda states: [zero(s) for s in states])(bench)


def zoned(bench: Workbench) -> bool:
    """Whether the network has zoneout."""
    return bench.case.network.zoneout


# fmt: off
STATES = [
    other("initial-states-exchanged", "h_0 is taken for c_0 and c_0 for h_0", equal_states,
          starting(lambda states: [fields(h="c", c="h")(s) for s in states])),
    other("initial-state-ignored", "the sequence starts from zero, though a first state is given",
          _states, _zero_start),
    other("last-states-exchanged", "h_n is handed out as c_n and c_n as h_n", equal_states, _exchanged_last),
    other("cell-handed-out", "the output is c_t, not h_t", lambda b: equal_states(b) and b.plain and not zoned(b),
          lambda b, _: _gives(b, "c")),
    other("output-one-step-late", "output t is h_{t-1}, from h_0 on",
          lambda b: b.plain and b.call.lengths is None and b.whole.gives[0] == "h" in b.states, _late),
    other("state-of-another-layer", "every layer starts from the first state of the lowest one",
          lambda b: deep(b) and bool(b.states), _of_first_layer),
    other("state-of-another-direction", "each direction starts from the other's first state",
          both, lambda b, _: starting(permuted(directions(b)))(b)),
    other("last-states-of-directions-exchanged", "the last states of both directions stand in each other's place",
          both,
          lambda b, _: _last_states(b, permuted(directions(b)), permuted(directions(b)))),
    other("last-states-of-layers-reversed", "the last states stand from the top layer to the lowest one",
          deep,
          lambda b, _: _last_states(b, lambda a: a[::-1], lambda a: a[::-1])),
    other("last-states-reshaped", "(layers, B, H) of last states read as (B, layers, H): a reshape, not a transpose",
          lambda b: len(b.places) > 1 and bool(b.states), lambda b, _: _last_states(b, _reshaped, _unreshaped)),
    other("last-states-in-sorted-order", "rows sorted by their lengths: last states are not put back into order",
          lambda b: b.ragged and bool(b.states), _states_in_sorted_order),
    other("first-states-of-sorted-rows", "rows sorted by their lengths: first states stay where they were",
          lambda b: b.ragged and bool(b.states), _first_of_sorted_rows),
]
# fmt: on
