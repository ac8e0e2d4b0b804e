"""A case on which mistakes are made: what is right, computed once, and the same passes with something wrong in them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .. import scan, steps, tree
from ..cases.case import Call, Case
from ..cases.network import Parts
from ..layers import Parallel, Recurrent, Reversed
from ..pages import PAGES
from ..pages.page import Page

Change = Callable[[Any], Any]


def same(a: Any) -> Any:
    """The argument, unchanged."""
    return a


class Edits(NamedTuple):
    """What somebody does otherwise, at each place of the two passes; ``same`` where that is right.

    ``call`` changes the arguments of both passes, ``cotangents`` those of the backward pass alone, ``page`` the page,
    ``cell`` the page with projection and zoneout around it, ``ahead`` and ``back`` the time loops, ``reversed`` and
    ``parallel`` these layers, ``layer`` the network; ``gradients`` what the backward pass returns, ``answer`` all
    arrays in the end. ``forward``: the forward pass, too, goes through what was changed.
    """

    call: Change = same
    cotangents: Change = same
    page: Change = same
    cell: Change = same
    ahead: Change = same
    back: Change = same
    reversed: Change = same
    parallel: Change = same
    layer: Change = same
    gradients: Change = same
    answer: Change = same
    forward: bool = False

    @property
    def passes(self) -> bool:
        """Whether a pass has to be run again, or only what it gave is changed."""
        return self.forward or any(edit is not same for edit in self[:-3])

    def and_then(self, other: "Edits") -> "Edits":
        """Both at once; at the same place first these, then the ``other``."""
        there = other._asdict()
        both: dict[str, Any] = {k: _after(a, there[k]) for k, a in self._asdict().items() if k != "forward"}
        return Edits(**both, forward=self.forward or other.forward)


def _after(first: Change, then: Change) -> Change:
    return then if first is same else first if then is same else lambda a: then(first(a))


def unlike(a: Any, b: Any) -> bool:
    """Whether ``a`` is not, to rounding, the array ``b``."""
    if a is b:
        return False
    size = np.abs(b)
    largest = np.max(size, initial=0)
    if not largest < np.inf:
        return not np.allclose(a, b, rtol=1e-9, atol=1e-9 * largest)
    return not np.all(np.abs(a - b) <= 1e-9 * largest + 1e-9 * size)  # the same, in a fifth of the time


def throughout(edits: Edits) -> Edits:
    """The edits, made in both passes."""
    return edits._replace(forward=True)


@dataclass(frozen=True)
class Looped(Recurrent):
    """A cell over time, with time loops of somebody else."""

    ahead: Any = scan.forward
    back: Any = scan.backward

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Any:
        """See ``Recurrent``; by the time loop ``ahead``."""
        return self.ahead(self.cell, params, xs, first, lengths)

    def backward(
        self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None, *, dstates: Any = None
    ) -> Any:
        """See ``Recurrent``; by the loop ``back``. Cotangents of every cell go through the right loop, if it ran."""
        found = self.back(self.cell, params, run, dhs, dlast=dlast)
        if dcs is None or self.ahead is not scan.forward:
            return found
        return tree.add(found, scan.backward(self.cell, params, run, dcs=dcs))


class Workbench:
    """A ``case`` with its ``call``, ``layer``, right forward ``run``, right pass ``back``, and the ``right`` answer.

    Nothing here is ever written to: a mistake gives an answer of its own.
    """

    def __init__(self, case: Case) -> None:
        self.case = case = case.filled()
        self.call: Call = case.call()
        self.layer: Any = case.network.layer(self.call.masks)
        self.run: Any = self.forward(self.layer, self.call)
        self.back: Any = self.backward(self.layer, self.run, self.call)
        answered = case.answer(self.run, self.back)
        self.right: dict[str, Any] = {k: np.ascontiguousarray(a) for k, a in answered.items()}
        self.cell: Page = case.network.page
        self.whole: Page = case.network.of_cell()
        self.kept: dict[Any, Any] = {}

    @staticmethod
    def forward(layer: Any, call: Call) -> Any:
        """The forward run of ``layer``."""
        return layer.forward(call.params, call.xs, call.first, call.lengths)

    @staticmethod
    def backward(layer: Any, run: Any, call: Call) -> Any:
        """The backward pass of ``layer``."""
        return layer.backward(call.params, run, call.dhs, call.dcs, call.dlast)

    def answer(self, edits: Edits) -> dict[str, Any]:
        """What somebody answers who does everything right but for these edits."""
        run, back = self.run, self.back
        if edits.passes:
            call = edits.call(self.call)
            parts = Parts(
                edits.page,
                lambda cell: Looped(edits.cell(cell), "explicit", edits.ahead(scan.forward), edits.back(scan.backward)),
                edits.reversed(Reversed),
                edits.parallel(Parallel),
            )
            layer = edits.layer(self.case.network.layer(call.masks, parts))
            other = edits.forward or edits.call is not same or edits.ahead is not same
            run = self.forward(layer, call) if other else run
            back = self.backward(layer, run, edits.cotangents(call))
        given = edits.gradients(back)
        as_is = run is self.run and given is self.back
        answered = edits.answer(dict(self.right) if as_is else self.case.answer(run, given))
        return {k: np.ascontiguousarray(a) for k, a in answered.items()}

    def each(self, nested: Any, change: Change) -> Any:
        """A tree in the shape of the network with ``change`` applied to the record of each place."""
        network = self.case.network
        return network.nest([change(record) for record in network.unnest(nested)])

    def differs(self, answer: dict[str, Any]) -> bool:
        """Whether any array of the answer is not, to rounding, the right one."""
        return any(unlike(answer[k], a) for k, a in self.right.items())

    @cached_property
    def sizes(self) -> dict[str, int]:
        """T, B, D, H, and R, the recurrent width."""
        sizes = self.case.sizes
        return sizes | {"R": self.whole.R or sizes["H"]}

    @property
    def printed(self) -> bool:
        """Whether the cell is a page as printed, or somebody's own; not a published one with other functions."""
        return self.cell in PAGES or all(self.cell.values != page.values for page in PAGES)

    @cached_property
    def gates(self) -> list[str]:
        """The letters of the gates, the candidate among them, but for one that is always open; none for the RNN.

        A gate k is one with weights W_k and U_k of its own.
        """
        named = [k[2:] for k in self.cell.Params._fields if k.startswith("W_")]
        return [k for k in named if f"U_{k}" in self.cell.Params._fields and self.function(k) != "one"]

    @property
    def pairs(self) -> list[str]:
        """Any two gates: ``if``, ``ig`` and so on."""
        return [j + k for n, j in enumerate(self.gates) for k in self.gates[n + 1 :]]

    def function(self, field: str) -> str:
        """The name of the activation that the page has for this field; nothing if it has none."""
        return getattr(getattr(self.cell.functions, field, None), "name", "")

    def acting(self, name: str) -> list[str]:
        """The fields of which the activation has this name."""
        return [k for k in self.cell.functions._fields if self.function(k) == name]

    def has(self, *fields: str) -> bool:
        """Whether the cell is a page as printed, or somebody's own, and a step has all these fields."""
        return self.printed and set(fields) <= set(self.fields)

    def weighs(self, *fields: str) -> bool:
        """Whether the cell has all these parameters."""
        return set(fields) <= set(self.cell.Params._fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a step of the page."""
        return tuple(self.cell.Trace._fields)

    @property
    def states(self) -> tuple[str, ...]:
        """The fields of the state: h, perhaps c and more."""
        return tuple(self.cell.State._fields)

    @property
    def places(self) -> list[str]:
        """The prefixes of the names of each layer and direction."""
        return self.case.network.places()

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of steps of each row: where it is last read."""
        T, B = self.sizes["T"], self.sizes["B"]
        if (read := steps.masks(self.call.lengths, T, B).read) is None:
            return (T,) * B
        return tuple(int(n) for n in np.max(np.where(read, np.arange(1, T + 1)[:, None], 0), axis=0, initial=0))

    @property
    def ragged(self) -> bool:
        """Whether a row, not an empty one, ends before the last step."""
        return any(0 < n < self.sizes["T"] for n in self.lengths)

    @property
    def plain(self) -> bool:
        """Whether a single layer reads forward."""
        return self.case.network.direction == "forward" and self.case.network.layers == 1
