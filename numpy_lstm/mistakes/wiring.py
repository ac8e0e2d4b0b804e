"""Mistakes of the wiring, in the backward pass alone: directions, depth, and the lengths of rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import scan, tree
from ..cases.network import Parts
from ..layers import Parallel, Reversed, Stack
from ..wiring import reverse
from .workbench import Mistake, Workbench, one_forward, when


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


def _both(bench: Workbench) -> bool:
    return bench.case.network.direction == "bidirectional"


def _turned(bench: Workbench) -> bool:
    return bench.case.network.direction != "forward" and max(bench.lengths, default=0) > 1


def _in_reversed(backward: Callable[..., Any]) -> Callable[[Workbench, str], dict[str, Any]]:
    return lambda bench, _: bench.wrong_backward(Parts(reversed=_backward_of(Reversed, backward)))


def _in_parallel(backward: Callable[..., Any]) -> Callable[[Workbench, str], dict[str, Any]]:
    return lambda bench, _: bench.wrong_backward(Parts(parallel=_backward_of(Parallel, backward)))


DIRECTIONS = [
    Mistake(
        "reversed-cotangents-not-reversed",
        "the output cotangents of the reversed direction are read in the order of the sequence",
        "derived; the forward pass of R-Net 13, nlc 8",
        lambda bench: when(_turned(bench)),
        _in_reversed(_outputs_not_reversed),
    ),
    Mistake(
        "reversed-dx-not-reversed",
        "dx of the reversed direction stands in the order in which it was read",
        "derived; the forward pass of R-Net 13, nlc 8",
        lambda bench: when(_turned(bench)),
        _in_reversed(_inputs_not_reversed),
    ),
    Mistake(
        "reversed-last-state-at-wrong-end",
        "the cotangent of the reversed direction's last state enters at the end of the sequence, where it starts",
        "derived",
        lambda bench: when(_turned(bench) and bench.states in (("h",), ("h", "c"))),
        _in_reversed(_last_at_wrong_end),
    ),
    Mistake(
        "second-direction-missing-in-dx",
        "dx is that of the forward direction alone",
        "mlpack 1740, PR 1742",
        lambda bench: when(_both(bench)),
        _in_parallel(_first_dx_only),
    ),
    Mistake(
        "output-halves-exchanged",
        "each direction gets the half of the output's cotangent that belongs to the other",
        "derived",
        lambda bench: when(_both(bench)),
        _in_parallel(_halves_exchanged),
    ),
    Mistake(
        "one-gradient-for-both-directions",
        "the reversed direction reports the parameter gradients of the forward one",
        "derived",
        lambda bench: when(_both(bench)),
        _in_parallel(_one_gradient),
    ),
]


def _unconnected(bench: Workbench, _: str) -> dict[str, Any]:
    """Every layer but the top one gets no cotangent of its outputs."""

    class Apart(Stack):
        def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
            each = list(zip(self.layers, params, run.parts, dlast, strict=True))
            backs = [layer.backward(p, r, 0 * r.hs, dlast=d) for layer, p, r, d in each[:-1]]
            layer, p, r, d = each[-1]
            backs.append(layer.backward(p, r, dhs, dlast=d))
            fields = ("dfirst", "dparams", "cotangents")
            return scan.Backward(backs[0].dxs, *(tuple(getattr(k, f) for k in backs) for f in fields))

    return bench.case.answer(bench.run, bench.backward(Apart(bench.layer.layers), bench.run))


def _lower_last_lost(bench: Workbench, _: str) -> dict[str, Any]:
    lower = tuple(tree.map(lambda a: 0 * a, d) for d in bench.call.dlast[:-1])
    return bench.wrong_backward(dlast=(*lower, bench.call.dlast[-1]))


DEPTH = [
    Mistake(
        "layers-not-connected",
        "dx of the upper layer is not handed down as the output cotangent of the lower one",
        "derived; lost dy as in apache/mxnet 17898",
        lambda bench: when(bench.case.network.layers > 1),
        _unconnected,
    ),
    Mistake(
        "lower-last-state-cotangent-lost",
        "the cotangents of h_n and c_n reach the top layer only",
        "derived",
        lambda bench: when(bench.case.network.layers > 1 and bool(bench.states)),
        _lower_last_lost,
    ),
]


def _padding_processed(bench: Workbench, _: str) -> dict[str, Any]:
    """The backward pass walks through the padding, whose values the forward pass had stored."""
    full = bench.layer.forward(bench.call.params, bench.call.xs, bench.call.first)
    return bench.case.answer(bench.run, bench.backward(bench.layer, full))


def _short_rows_lost(bench: Workbench, _: str) -> dict[str, Any]:
    alive = np.array([[float(n == bench.sizes["T"])] for n in bench.lengths])
    return bench.wrong_backward(dlast=tree.map(lambda a: a * alive, bench.call.dlast))


def _padding_counted(bench: Workbench, _: str) -> dict[str, Any]:
    """Output cotangents beyond the end of a row are added to that of its last state."""
    steps = np.arange(bench.sizes["T"])[:, None, None]
    beyond = np.where(steps >= np.array(bench.lengths)[None, :, None], bench.call.dhs, 0.0).sum(axis=0)
    return bench.wrong_backward(dlast=bench.call.dlast._replace(h=bench.call.dlast.h + beyond))


LENGTHS = [
    Mistake(
        "padding-in-the-backward-pass",
        "lengths hold in the forward pass only: cotangents start at the last step, on the padding",
        "~jax 15183; ~Element-Research/rnn 123",
        lambda bench: when(one_forward(bench)),
        _padding_processed,
    ),
    Mistake(
        "last-state-cotangent-of-short-rows-lost",
        "dL/dh_n, dL/dc_n enter at the last step, or are zeroed on padding: rows that ended before lose them",
        "~Neuron PR 181",
        lambda bench: when(bench.ragged and bool(bench.states)),
        _short_rows_lost,
    ),
    Mistake(
        "cotangents-on-padding-counted",
        "output cotangents beyond the end of a row flow into its last state, though the output there is zero",
        "~JonathanRaiman/theano_lstm 22",
        lambda bench: when(one_forward(bench) and "h" in bench.states),
        _padding_counted,
    ),
]
