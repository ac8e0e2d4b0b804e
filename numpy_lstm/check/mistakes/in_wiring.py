"""Mistakes of the wiring: directions and depth."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import scan, tree
from ...layers import Parallel, Reversed, Stack
from ...wiring import reverse
from ..network import Parts
from .workbench import Mistake, Workbench, once


def _backward_of(base: type, backward: Callable[..., Any]) -> type:
    """The combinator with another backward pass."""
    return type(base.__name__, (base,), {"backward": backward})


def _outputs_not_reversed(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
    back = self.layer.backward(params, run.parts, dhs, dlast=dlast)
    return back._replace(dxs=reverse(back.dxs, run.lengths))


def _inputs_not_reversed(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
    return self.layer.backward(params, run.parts, reverse(dhs, run.lengths), dlast=dlast)


def _last_at_wrong_end(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
    dhs = np.array(reverse(dhs, run.lengths))
    dhs[0] += dlast.h
    dcs = np.zeros_like(run.parts.values.c) if "c" in dlast._fields else None
    if dcs is not None:
        dcs[0] += dlast.c
    rest = dlast._replace(**{k: 0 * a for k, a in dlast._asdict().items() if k in "hc"})
    back = self.layer.backward(params, run.parts, dhs, dcs, rest)
    return back._replace(dxs=reverse(back.dxs, run.lengths))


def _first_dx_only(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
    start = run.parts[0].hs.shape[-1]
    first = self.layers[0].backward(params[0], run.parts[0], dhs[..., :start], dlast=dlast[0])
    return Parallel.backward(self, params, run, dhs, dcs, dlast)._replace(dxs=first.dxs)


def _halves_exchanged(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
    start = run.parts[0].hs.shape[-1]
    return Parallel.backward(self, params, run, np.concatenate([dhs[..., start:], dhs[..., :start]], -1), dcs, dlast)


def _one_gradient(self: Any, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
    back = Parallel.backward(self, params, run, dhs, dcs, dlast)
    return back._replace(dparams=(back.dparams[0], back.dparams[0]))


def _both(b: Workbench) -> bool:
    return b.case.network.direction == "bidirectional"


def _turned(b: Workbench) -> bool:
    return b.case.network.direction != "forward" and max(b.lengths, default=0) > 1


def _in_reversed(backward: Callable[..., Any]) -> Callable[[Workbench, str], dict[str, Any]]:
    return lambda b, _: b.wrong_backward(Parts(reversed=_backward_of(Reversed, backward)))


def _in_parallel(backward: Callable[..., Any]) -> Callable[[Workbench, str], dict[str, Any]]:
    return lambda b, _: b.wrong_backward(Parts(parallel=_backward_of(Parallel, backward)))


DIRECTIONS = [
    Mistake(
        "reversed-cotangents-not-reversed",
        "the output cotangents of the reversed direction are read in the order of the sequence",
        "derived; the forward pass of R-Net 13, nlc 8",
        lambda b: once(_turned(b)),
        _in_reversed(_outputs_not_reversed),
    ),
    Mistake(
        "reversed-dx-not-reversed",
        "dx of the reversed direction stands in the order in which it was read",
        "derived; the forward pass of R-Net 13, nlc 8",
        lambda b: once(_turned(b)),
        _in_reversed(_inputs_not_reversed),
    ),
    Mistake(
        "reversed-last-state-at-wrong-end",
        "the cotangent of the reversed direction's last state enters at the end of the sequence, where it starts",
        "derived",
        lambda b: once(_turned(b) and b.cell.equations != "full_gate_lstm"),
        _in_reversed(_last_at_wrong_end),
    ),
    Mistake(
        "second-direction-missing-in-dx",
        "dx is that of the forward direction alone",
        "mlpack 1740, PR 1742",
        lambda b: once(_both(b)),
        _in_parallel(_first_dx_only),
    ),
    Mistake(
        "output-halves-exchanged",
        "each direction gets the half of the output's cotangent that belongs to the other",
        "derived",
        lambda b: once(_both(b)),
        _in_parallel(_halves_exchanged),
    ),
    Mistake(
        "one-gradient-for-both-directions",
        "the reversed direction reports the parameter gradients of the forward one",
        "derived",
        lambda b: once(_both(b)),
        _in_parallel(_one_gradient),
    ),
]


def _unconnected(b: Workbench, _: str) -> dict[str, Any]:
    """Every layer but the top one gets no cotangent of its outputs."""

    class Apart(Stack):
        def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
            each = list(zip(self.layers, params, run.parts, dlast, strict=True))
            backs = [layer.backward(p, r, 0 * r.hs, dlast=d) for layer, p, r, d in each[:-1]]
            layer, p, r, d = each[-1]
            backs.append(layer.backward(p, r, dhs, dlast=d))
            fields = ("dfirst", "dparams", "cotangents")
            return scan.Backward(backs[0].dxs, *(tuple(getattr(k, f) for k in backs) for f in fields))

    return b.case.answer(b.run, b.backward(Apart(b.layer.layers), b.run))


def _lower_last_lost(b: Workbench, _: str) -> dict[str, Any]:
    lower = tuple(tree.map(lambda a: 0 * a, d) for d in b.call.dlast[:-1])
    return b.wrong_backward(dlast=(*lower, b.call.dlast[-1]))


DEPTH = [
    Mistake(
        "layers-not-connected",
        "dx of the upper layer is not handed down as the output cotangent of the lower one",
        "derived; lost dy as in apache/mxnet 17898",
        lambda b: once(b.case.network.layers > 1),
        _unconnected,
    ),
    Mistake(
        "lower-last-state-cotangent-lost",
        "the cotangents of h_n and c_n reach the top layer only",
        "derived",
        lambda b: once(b.case.network.layers > 1),
        _lower_last_lost,
    ),
]


MISTAKES = [*DIRECTIONS, *DEPTH]
