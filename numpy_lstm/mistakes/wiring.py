"""Mistakes of the wiring, in the backward pass alone: directions, depth, and the lengths of rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import scan, tree
from ..layers import Stack
from ..wiring import reverse
from .edits import fields, results
from .mistake import Mistake
from .workbench import Edits, Workbench


def _class(backward: Callable[..., Any]) -> Callable[[type], type]:
    """The combinator with another backward pass: ``backward(base, self, params, run, dhs, dlast)``."""

    def edit(base: type) -> type:
        def other(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
            return backward(base, self, params, run, dhs, dlast)

        return type(base.__name__, (base,), {"backward": other})

    return edit


def in_reversed(backward: Callable[..., Any]) -> Edits:
    """Another backward pass of the reversed direction."""
    return Edits(reversed=_class(backward))


def in_parallel(backward: Callable[..., Any]) -> Edits:
    """Another backward pass of both directions side by side."""
    return Edits(parallel=_class(backward))


def _last_at_wrong_end(base: Any, self: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
    dhs = np.array(reverse(dhs, run.lengths))
    dhs[0] += dlast.h
    dcs = np.zeros_like(run.parts.values.c) if "c" in dlast._fields else None
    if dcs is not None:
        dcs[0] += dlast.c
    back = self.layer.backward(params, run.parts, dhs, dcs, fields(h=0.0, c=0.0)(dlast))
    return back._replace(dxs=reverse(back.dxs, run.lengths))


def _dx_of(k: int) -> Callable[..., Any]:
    """dx of one of two directions alone."""

    def backward(base: Any, self: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        start = run.parts[0].hs.shape[-1]
        part = dhs[..., :start] if k == 0 else dhs[..., start:]
        alone = self.layers[k].backward(params[k], run.parts[k], part, dlast=dlast[k])
        return base.backward(self, params, run, dhs, dlast=dlast)._replace(dxs=alone.dxs)

    return backward


def _halves_exchanged(base: Any, self: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
    start = run.parts[0].hs.shape[-1]
    return base.backward(self, params, run, np.concatenate([dhs[..., start:], dhs[..., :start]], -1), dlast=dlast)


def _same_half(base: Any, self: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
    start = run.parts[0].hs.shape[-1]
    return base.backward(self, params, run, np.concatenate([dhs[..., :start]] * 2, -1), dlast=dlast)


def _one_gradient(base: Any, self: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
    back = base.backward(self, params, run, dhs, dlast=dlast)
    return back._replace(dparams=(back.dparams[0], back.dparams[0]))


class Apart(Stack):
    """Every layer but the top one gets no cotangent of its outputs."""

    def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
        """See ``Stack``; each lower layer gets its last cotangents alone."""
        each = list(zip(self.layers, params, run.parts, dlast, strict=True))
        backs = [layer.backward(p, r, dhs if r is run.parts[-1] else 0 * r.hs, dlast=d) for layer, p, r, d in each]
        named = ("dfirst", "dparams", "cotangents")
        return scan.Backward(backs[0].dxs, *(tuple(getattr(k, f) for k in backs) for f in named))


def both(bench: Workbench) -> bool:
    """Whether the network reads in both directions."""
    return bench.case.network.ways == 2


def turned(bench: Workbench) -> bool:
    """Whether one direction, or the only one, is reversed."""
    return bench.case.network.direction != "forward"


def deep(bench: Workbench) -> bool:
    """Whether there are several layers."""
    return bench.case.network.layers > 1


def _lower(bench: Workbench) -> list[str]:
    """The first-state gradients of all layers but the top one."""
    return [f"{place}d_{k}_0" for place in bench.places[: -bench.case.network.ways] for k in bench.states]


def _of_top(bench: Workbench, _: str) -> Edits:
    """The parameter gradients of the top layer, in place of those of the same shape of every layer."""

    def gradients(back: Any) -> Any:
        *lower, top = back.dparams
        taken = [tree.map(lambda a, b: b if b.shape == a.shape else a, d, top) for d in lower]
        return back._replace(dparams=(*taken, top))

    return Edits(gradients=gradients)


# fmt: off
DIRECTIONS = [
    Mistake("reversed-cotangents-not-reversed",
            "the output cotangents of the reversed direction are read in the order of the sequence", turned,
            in_reversed(lambda base, self, p, run, dhs, dlast: base.backward(
                self, p, run, reverse(dhs, run.lengths), dlast=dlast))),
    Mistake("reversed-dx-not-reversed", "dx of the reversed direction stands in the order in which it was read",
            turned,
            in_reversed(lambda base, self, p, run, dhs, dlast: (back := base.backward(self, p, run, dhs, dlast=dlast))
                        ._replace(dxs=reverse(back.dxs, run.lengths)))),
    Mistake("reversed-last-state-at-wrong-end",
            "the cotangent of the reversed direction's last state enters at the end of the sequence, where it starts",
            lambda b: turned(b) and b.states in (("h",), ("h", "c")), in_reversed(_last_at_wrong_end)),
    Mistake("second-direction-missing-in-dx", "dx is that of the forward direction alone",
            both, in_parallel(_dx_of(0))),
    Mistake("first-direction-missing-in-dx", "dx assigned, not added: that of the reversed direction alone", both,
            in_parallel(_dx_of(1))),
    Mistake("output-halves-exchanged",
            "each direction gets the half of the output's cotangent that belongs to the other",
            both, in_parallel(_halves_exchanged)),
    Mistake("output-half-for-both", "both directions get the forward half of the output's cotangent", both,
            in_parallel(_same_half)),
    Mistake("one-gradient-for-both-directions",
            "the reversed direction reports the parameter gradients of the forward one",
            both, in_parallel(_one_gradient)),
]

DEPTH = [
    Mistake("layers-not-connected", "dx of the upper layer is not handed down as the output cotangent of the lower one",
            deep, Edits(layer=lambda layer: Apart(layer.layers))),
    Mistake("lower-last-state-cotangent-lost", "the cotangents of h_n and c_n reach the top layer only",
            lambda b: deep(b) and bool(b.states), Edits(cotangents=lambda call: call._replace(
                dlast=(*(tree.scale(0.0, d) for d in call.dlast[:-1]), call.dlast[-1])))),
    Mistake("lower-first-state-gradient-zero", "the gradients of h_0 and c_0 of the lower layers are not returned",
            lambda b: deep(b) and bool(b.states), results(_lower, lambda a: 0 * a)),
    Mistake("one-gradient-for-all-layers", "lower layers report the parameter gradients of the top one",
            deep, _of_top),
]


def padding_counted(bench: Workbench, call: Any) -> Any:
    """The cotangents of outputs beyond the end of a row are added to that of its last state."""
    beyond = np.where(beyond_end(bench), call.dhs, 0.0).sum(axis=0)
    return call._replace(dlast=call.dlast._replace(h=call.dlast.h + beyond))


def beyond_end(bench: Workbench) -> Any:
    """Whether step t is beyond the end of row b, (T,B,1)."""
    return np.arange(bench.sizes["T"])[:, None, None] >= np.array(bench.lengths)[None, :, None]


def full_rows(bench: Workbench) -> Any:
    """1 for each row that has all T steps, else 0, (B,1)."""
    return np.array([[float(n == bench.sizes["T"])] for n in bench.lengths])


def _short_lost(bench: Workbench, call: Any) -> Any:
    return call._replace(dlast=tree.scale(full_rows(bench), call.dlast))


def one_forward(bench: Workbench) -> bool:
    """Whether a single layer reads rows of several lengths forward."""
    return bench.ragged and bench.plain


def _padding_walked(bench: Workbench, _: str) -> Edits:
    """The backward pass walks through the padding, whose values the forward pass had stored."""
    full = bench.layer.forward(bench.call.params, bench.call.xs, bench.call.first)
    return Edits(back=lambda loop: lambda cell, p, run, dhs, dlast: loop(cell, p, full, dhs, dlast=dlast))


LENGTHS = [
    Mistake("padding-in-the-backward-pass",
            "lengths hold in the forward pass only: cotangents start at the last step, on the padding",
            one_forward, _padding_walked),
    Mistake("last-state-cotangent-of-short-rows-lost",
            "dL/dh_n, dL/dc_n enter at the last step, or are zeroed on padding: rows that ended before lose them",
            lambda b: b.ragged and bool(b.states),
            lambda b, _: Edits(cotangents=lambda call: _short_lost(b, call))),
    Mistake("cotangents-on-padding-counted",
            "output cotangents beyond the end of a row flow into its last state, though the output there is zero",
            lambda b: one_forward(b) and "h" in b.states,
            lambda b, _: Edits(cotangents=lambda call: padding_counted(b, call))),
]
# fmt: on
