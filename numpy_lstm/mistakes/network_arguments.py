"""Another network: lengths, direction and last states that are read otherwise, in both passes."""

from typing import Any

import numpy as np

from ..cases.network import Parts
from ..layers import Reversed
from ..wiring import Run, reverse
from .network_pages import other
from .workbench import Workbench, one_forward, when


class WholeReversed(Reversed):
    """Reverses the padded batch as a whole, so that short rows begin with their padding."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """As of the base, but for the padding."""
        run = self.layer.forward(params, reverse(xs), first, lengths)
        return Run(reverse(run.hs), run.last, run, None)


def _last_output(bench: Workbench, _: str) -> dict[str, Any]:
    """h_n is output[T-1], which is zero for a row that ended before; its cotangent is lost with it."""
    full = np.array([[float(n == bench.sizes["T"])] for n in bench.lengths])
    answer = bench.wrong_backward(dlast=bench.call.dlast._replace(h=bench.call.dlast.h * full))
    return answer | {"h_n": bench.right["h_n"] * full}


def _held(bench: Workbench, _: str) -> dict[str, Any]:
    beyond = np.arange(bench.sizes["T"])[:, None, None] >= np.array(bench.lengths)[None, :, None]
    more = np.where(beyond, bench.call.dhs, 0.0).sum(axis=0)
    answer = bench.wrong_backward(dlast=bench.call.dlast._replace(h=bench.call.dlast.h + more))
    return answer | {"output": np.where(beyond, bench.right["h_n"], bench.right["output"])}


ARGUMENTS = [
    other(
        "reverse-not-reversed",
        "the reversed direction reads forward",
        "HKUST-KnowComp/R-Net 13; stanfordmlgroup/nlc 8",
        lambda bench: when(bench.case.network.direction != "forward" and max(bench.lengths, default=0) > 1),
        lambda bench, _: bench.wrong_throughout(Parts(reversed=lambda layer: layer)),
    ),
    other(
        "batch-reversed-with-its-padding",
        "the reversed direction reads short rows from their padding on",
        "derived",
        lambda bench: when(bench.case.network.direction != "forward" and bench.ragged),
        lambda bench, _: bench.wrong_throughout(Parts(reversed=WholeReversed)),
    ),
    other(
        "lengths-ignored",
        "padding is read like any other step",
        "~jax 15183",
        lambda bench: when(bench.ragged),
        lambda bench, _: bench.wrong_throughout(lengths=None),
    ),
    other(
        "last-output-as-last-state",
        "h_n is the output of the last step, which is zero for rows that ended before",
        "common",
        lambda bench: when(one_forward(bench) and bench.whole.gives[0] == "h" in bench.states),
        _last_output,
    ),
    other(
        "last-output-held-on-padding",
        "beyond the end of a row the output repeats its last state, where zeros are expected",
        "~JonathanRaiman/theano_lstm 22",
        lambda bench: when(one_forward(bench) and bench.whole.gives[0] == "h" in bench.states),
        _held,
    ),
]
