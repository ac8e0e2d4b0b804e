"""Mistakes with lengths and with the direction in which rows are read, in the backward pass alone or in both."""

from typing import Any

import numpy as np

from ... import tree
from ...layers import Reversed
from ...wiring import Run, reverse
from ..network import Parts
from .in_forward import other
from .workbench import Mistake, Workbench, once


def _one_forward(b: Workbench) -> bool:
    return b.ragged and b.case.network.direction == "forward" and b.case.network.layers == 1


def _padding_processed(b: Workbench, _: str) -> dict[str, Any]:
    """The backward pass walks through the padding, whose values the forward pass had stored."""
    full = b.layer.forward(b.call.params, b.call.xs, b.call.first)
    return b.case.answer(b.run, b.backward(b.layer, full))


def _short_rows_lost(b: Workbench, _: str) -> dict[str, Any]:
    alive = np.array([[float(n == b.sizes["T"])] for n in b.lengths])
    return b.wrong_backward(dlast=tree.map(lambda a: a * alive, b.call.dlast))


def _padding_counted(b: Workbench, _: str) -> dict[str, Any]:
    """Output cotangents beyond the end of a row are added to that of its last state."""
    steps = np.arange(b.sizes["T"])[:, None, None]
    beyond = np.where(steps >= np.array(b.lengths)[None, :, None], b.call.dhs, 0.0).sum(axis=0)
    return b.wrong_backward(dlast=b.call.dlast._replace(h=b.call.dlast.h + beyond))


BACKWARD = [
    Mistake(
        "padding-in-the-backward-pass",
        "lengths hold in the forward pass only: cotangents start at the last step, on the padding",
        "~jax 15183; ~Element-Research/rnn 123",
        lambda b: once(_one_forward(b)),
        _padding_processed,
    ),
    Mistake(
        "last-state-cotangent-of-short-rows-lost",
        "dL/dh_n, dL/dc_n enter at the last step, or are zeroed on padding: rows that ended before lose them",
        "~Neuron PR 181",
        lambda b: once(b.ragged),
        _short_rows_lost,
    ),
    Mistake(
        "cotangents-on-padding-counted",
        "output cotangents beyond the end of a row flow into its last state, though the output there is zero",
        "~JonathanRaiman/theano_lstm 22",
        lambda b: once(_one_forward(b)),
        _padding_counted,
    ),
]


class WholeReversed(Reversed):
    """Reverses the padded batch as a whole, so that short rows begin with their padding."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """As of the base, but for the padding."""
        run = self.layer.forward(params, reverse(xs), first, lengths)
        return Run(reverse(run.hs), run.last, run, None)


def _last_output(b: Workbench, _: str) -> dict[str, Any]:
    """h_n is output[T-1], which is zero for a row that ended before; its cotangent is lost with it."""
    full = np.array([[float(n == b.sizes["T"])] for n in b.lengths])
    answer = b.wrong_backward(dlast=b.call.dlast._replace(h=b.call.dlast.h * full))
    return answer | {"h_n": b.right["h_n"] * full}


def _held(b: Workbench, _: str) -> dict[str, Any]:
    beyond = np.arange(b.sizes["T"])[:, None, None] >= np.array(b.lengths)[None, :, None]
    more = np.where(beyond, b.call.dhs, 0.0).sum(axis=0)
    answer = b.wrong_backward(dlast=b.call.dlast._replace(h=b.call.dlast.h + more))
    return answer | {"output": np.where(beyond, b.right["h_n"], b.right["output"])}


THROUGHOUT = [
    other(
        "reverse-not-reversed",
        "the reversed direction reads forward",
        "HKUST-KnowComp/R-Net 13; stanfordmlgroup/nlc 8",
        lambda b: once(b.case.network.direction != "forward" and max(b.lengths, default=0) > 1),
        lambda b, _: b.wrong_throughout(Parts(reversed=lambda layer: layer)),
    ),
    other(
        "batch-reversed-with-its-padding",
        "the reversed direction reads short rows from their padding on",
        "derived",
        lambda b: once(b.case.network.direction != "forward" and b.ragged),
        lambda b, _: b.wrong_throughout(Parts(reversed=WholeReversed)),
    ),
    other(
        "lengths-ignored",
        "padding is read like any other step",
        "~jax 15183",
        lambda b: once(b.ragged),
        lambda b, _: b.wrong_throughout(lengths=None),
    ),
    other(
        "last-output-as-last-state",
        "h_n is the output of the last step, which is zero for rows that ended before",
        "common",
        lambda b: once(_one_forward(b)),
        _last_output,
    ),
    other(
        "last-output-held-on-padding",
        "beyond the end of a row the output repeats its last state, where zeros are expected",
        "~JonathanRaiman/theano_lstm 22",
        lambda b: once(_one_forward(b)),
        _held,
    ),
]

MISTAKES = [*BACKWARD, *THROUGHOUT]
