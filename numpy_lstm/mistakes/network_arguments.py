"""Another network, in both passes alike: inputs, outputs, directions, lengths, masks that are taken otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import tree
from ..layers import Reversed
from ..pages.page import take
from ..pages.zoneout import within
from ..wiring import Run, reverse
from .edits import shifted
from .network_cells import other
from .network_states import directions, permuted, zoned
from .result_places import equal_states
from .wiring import beyond_end, both, full_rows, one_forward, padding_counted, turned
from .workbench import Edits, Workbench, throughout


class WholeReversed(Reversed):
    """Reverses the padded batch as a whole, so that short rows begin with their padding."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """See ``Reversed``; the lengths do not count."""
        run = self.layer.forward(params, reverse(xs), first, lengths)
        return Run(reverse(run.hs), run.last, run, None)


class FeaturesReversed(Reversed):
    """Reads forward, each input from its last feature to its first."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """See ``Reversed``; features are reversed, not steps."""
        run = self.layer.forward(params, xs[..., ::-1], first, lengths)
        return Run(run.hs, run.last, run, lengths)

    def backward(self, params: Any, run: Run, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
        """See ``Reversed``; features are reversed, not steps."""
        back = self.layer.backward(params, run.parts, dhs, dcs, dlast)
        return back._replace(dxs=back.dxs[..., ::-1])


class InReadingOrder(Reversed):
    """Hands out its outputs in the order in which it reads."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """See ``Reversed``; ``hs`` and ``dhs`` stand in the order in which it reads."""
        run = super().forward(params, xs, first, lengths)
        return run._replace(hs=run.parts.hs)

    def backward(self, params: Any, run: Run, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
        """See ``Reversed``; ``hs`` and ``dhs`` stand in the order in which it reads."""
        return super().backward(params, run, reverse(dhs, run.lengths), dcs, dlast)


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


def _last_output(bench: Workbench, _: str) -> Edits:
    """h_n is output[T-1], which is zero for a row that ended before; its cotangent is lost with it."""
    full = full_rows(bench)
    return Edits(
        cotangents=lambda call: call._replace(dlast=call.dlast._replace(h=call.dlast.h * full)),
        answer=lambda out: out | {"h_n": out["h_n"] * full},
    )


def _held(bench: Workbench, _: str) -> Edits:
    return Edits(
        cotangents=lambda call: padding_counted(bench, call),
        answer=lambda out: out | {"output": np.where(beyond_end(bench), out["h_n"], out["output"])},
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
    move = permuted(directions(bench))
    return Edits(
        call=lambda call: call._replace(params=nest(move(unnest(call.params)))),
        gradients=lambda back: back._replace(dparams=nest(move(unnest(back.dparams)))),
    )


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


def _masks(change: Any) -> Any:
    """Other masks in both passes."""
    return lambda bench, _="": Edits(call=lambda call: call._replace(masks=change(call.masks)))


# fmt: off
ARGUMENTS = [
    other("input-of-batch-first", "memory of (B,T,.) read or written as (T,B,.): a reshape where a transpose was due",
          lambda b: ["input", "output", "both"] if b.call.lengths is None and len(b.whole.reads) == 1 else [],
          _read_as_time_first),
    other("reverse-not-reversed", "the reversed direction reads forward", turned,
          throughout(Edits(reversed=lambda base: lambda layer: layer))),
    other("features-reversed", "the reversed direction reads forward, each input from its last feature to its first",
          turned,
          throughout(Edits(reversed=lambda base: FeaturesReversed))),
    other("output-in-reading-order", "outputs of the reversed direction stand in the order in which it reads", turned,
          throughout(Edits(reversed=lambda base: InReadingOrder))),
    other("batch-reversed-with-its-padding", "the reversed direction reads short rows from their padding on",
          lambda b: turned(b) and b.ragged, throughout(Edits(reversed=lambda base: WholeReversed))),
    other("directions-exchanged", "each direction has the other's weights", both, _of_other_direction),
    other("one-direction-for-both", "the reversed direction has the weights of the forward one", both, _shared),
    other("lengths-ignored", "padding is read like any other step",
          lambda b: b.ragged, Edits(call=lambda call: call._replace(lengths=None))),
    other("last-output-as-last-state", "h_n is the output of the last step, which is zero for rows that ended before",
          lambda b: one_forward(b) and b.whole.gives[0] == "h" in b.states, _last_output),
    other("last-output-held-on-padding", "beyond the end of a row the output repeats its last state, not zeros",
          lambda b: one_forward(b) and b.whole.gives[0] == "h" in b.states, _held),
]

ZONEOUTS = [
    other("output-not-zoned-out", "the output is the new h, not the h that is kept or new and carried",
          lambda b: zoned(b) and "h" in b.states and b.cell.gives[0] == "h", throughout(Edits(cell=_new_given))),
    other("one-mask-for-both-states", "the mask of h is that of c, too", lambda b: zoned(b) and equal_states(b),
          _masks(lambda m: m | {"keep_c": m["keep_h"]})),
    other("zoneout-ignored", "every state is new, as without zoneout", zoned,
          _masks(lambda m: {k: 0 * a for k, a in m.items()})),
    other("masks-inverted", "kept where it is to be new, new where it is to be kept", zoned,
          _masks(lambda m: {k: 1 - a for k, a in m.items()})),
    other("one-mask-for-all-steps", "the mask of the first step is used at each step", zoned,
          _masks(lambda m: {k: np.broadcast_to(a[:1], a.shape) for k, a in m.items()})),
    other("masks-one-step-late", "the mask of the step before is used at each step", zoned,
          _masks(lambda m: {k: shifted(a, "previous") for k, a in m.items()})),
]
# fmt: on
