"""Masks and cotangents that one of the two passes does not have: zoneout, dropout, cuts, every c, clips."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..layers import Masked
from ..scan import Backward
from ..steps import Steps
from .edits import saved, shifted, with_derivative
from .mistake import Mistake
from .workbench import Edits, Workbench, throughout


class OneWay(Masked):
    """Multiplies what the layer reads, and not what comes back."""

    def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Backward:
        """The backward pass of the layer; what comes back is not masked."""
        back: Backward = self.layer.backward(params, run, dhs, dcs, dlast)
        return back


def _one_way(network: Any) -> Any:
    layers = [OneWay(one.layer, one.masks) if isinstance(one, Masked) else one for one in network.layers]
    return replace(network, layers=layers)


def _cut(bench: Workbench) -> bool:
    given = bench.call.lengths
    return isinstance(given, Steps) and bool(np.any([a for a in (given.reset, given.restart) if a is not None]))


def _holes(bench: Workbench) -> bool:
    given = bench.call.lengths
    return isinstance(given, Steps) and given.read is not None and not bool(np.all(given.read))


def _reset_where_not_read(call: Any) -> Any:
    read, reset, restart = call.lengths
    return call._replace(lengths=Steps(read, ~read if reset is None else ~read | reset, restart))


def _other_masks(change: Any) -> Edits:
    """The backward pass reads other masks."""
    return saved(lambda v: v._replace(**{k: change(a) for k, a in v._asdict().items() if k.startswith("keep_")}))


MASKS = [
    Mistake(
        "dropout-mask-missing-in-backward",
        "what goes down from a layer does not pass the dropout mask that was on its input (D1')",
        lambda bench: any(k.endswith(".dropout") for k in bench.call.masks),
        Edits(layer=_one_way),
    ),
    Mistake(
        "cell-cotangents-ignored",
        "cotangents of c_t before the last step are taken for zero (L10')",
        lambda bench: bench.call.dcs is not None,
        Edits(cotangents=lambda call: call._replace(dcs=None)),
    ),
    Mistake(
        "reset-ignored",
        "the state runs on where a row starts anew (S1)",
        _cut,
        throughout(Edits(call=lambda call: call._replace(lengths=Steps(call.lengths.read)))),
        consistent=True,
    ),
    Mistake(
        "reset-ignored-in-backward",
        "gradient leaks from one sequence into the one before it in the same row (S1')",
        _cut,
        Edits(
            back=lambda backward: (
                lambda cell, params, run, dhs=None, dlast=None: backward(
                    cell, params, run._replace(resets=None), dhs, dlast=dlast
                )
            )
        ),
    ),
    Mistake(
        "masked-steps-reset",
        "a step that is not read sets the state to zero, where it should hold it (S2)",
        _holes,
        throughout(Edits(call=_reset_where_not_read)),
        consistent=True,
    ),
    Mistake(
        "clip-taken-for-identity",
        "the gradient passes a cell that was clipped, as if it had not been (K10')",
        lambda bench: [k for k in bench.cell.functions._fields if bench.function(k).startswith("clip_")],
        lambda _, k: with_derivative(lambda f, a: 1 + 0 * a, k),
    ),
]

# fmt: off
ZONEOUTS = [
    Mistake("first-mask-at-every-step", "the backward pass uses the zoneout mask of the first step for all steps",
            lambda b: b.case.network.zoneout, _other_masks(lambda a: np.broadcast_to(a[:1], a.shape))),
    Mistake("mask-inverted", "the backward pass keeps where the forward pass renews",
            lambda b: b.case.network.zoneout, _other_masks(lambda a: 1 - a)),
    Mistake("mask-of-another-step", "the backward pass uses the mask of the next or the previous step",
            lambda b: ["next", "previous"] if b.case.network.zoneout else [],
            lambda b, k: _other_masks(lambda a: shifted(a, k))),
    Mistake("mask-missing-in-backward", "the backward pass knows no zoneout: every state is new",
            lambda b: b.case.network.zoneout, _other_masks(lambda a: 0 * a)),
]
# fmt: on
