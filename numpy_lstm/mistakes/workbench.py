"""A case on which mistakes are made: what is right, computed when, and the same pass with something wrong in it."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .. import scan, steps, tree
from ..cases.case import Call, Case
from ..cases.network import Parts
from ..layers import Recurrent
from ..pages import PAGES
from ..pages.page import Page

Edit = Callable[[Any], Any]


class Workbench:
    """A ``case`` with its ``call``, ``layer``, right forward ``run``, right pass ``back``, and the ``right`` answer.

    Nothing here is ever written to: a mistake gives an answer of its own.
    """

    def __init__(self, case: Case) -> None:
        self.case = case = case.filled()
        self.call: Call = case.call()
        self.layer: Any = case.network.layer(self.call.masks)
        self.run: Any = self.forward(self.layer)
        self.back: Any = self.backward(self.layer, self.run)
        self.right: dict[str, Any] = case.answer(self.run, self.back)
        self.cell: Page = case.network.page
        self.whole: Page = case.network.of_cell()

    @cached_property
    def sizes(self) -> dict[str, int]:
        """T, B, D, H, and R, the recurrent width."""
        sizes = self.case.sizes
        return sizes | {"R": self.whole.R or sizes["H"]}

    @property
    def published(self) -> bool:
        """Whether the equations of the cell are those of a page in ``PAGES``, perhaps with other functions."""
        return any(self.cell.values == page.values for page in PAGES)

    @property
    def printed(self) -> bool:
        """Whether the cell is a page as printed, or somebody's own; not a published one with other functions."""
        return self.cell in PAGES or not self.published

    def differs(self, answer: dict[str, Any]) -> bool:
        """Whether any array of the answer is not, to rounding, the right one."""
        pairs = ((answer[k], a) for k, a in self.right.items())
        return any(not np.allclose(a, b, rtol=1e-9, atol=1e-9 * np.max(np.abs(b), initial=0)) for a, b in pairs)

    @cached_property
    def gates(self) -> list[str]:
        """The letters of the gates, the candidate among them, but for one that is always open; none for the RNN.

        A gate k is one with weights W_k and U_k of its own.
        """
        named = [k[2:] for k in self.cell.Params._fields if k.startswith("W_")]
        return [k for k in named if f"U_{k}" in self.cell.Params._fields and self.function(k) != "one"]

    def function(self, field: str) -> str:
        """The name of the activation that the page has for this field; nothing if it has none."""
        return getattr(getattr(self.cell.functions, field, None), "name", "")

    def has(self, *fields: str) -> bool:
        """Whether the cell is a page as printed, or somebody's own, and a step has all these fields."""
        return self.printed and set(fields) <= set(self.fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a step of the page."""
        return tuple(self.cell.Trace._fields)

    @property
    def states(self) -> tuple[str, ...]:
        """The fields of the state: h, perhaps c and more."""
        return tuple(self.cell.State._fields)

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

    def forward(self, layer: Any, **changed: Any) -> Any:
        """The forward run of ``layer``, with some arguments of the call replaced."""
        call = self.call._replace(**changed)
        return layer.forward(call.params, call.xs, call.first, call.lengths)

    def backward(self, layer: Any, run: Any, **changed: Any) -> Any:
        """The backward pass of ``layer``, with some arguments of the call replaced."""
        call = self.call._replace(**changed)
        return layer.backward(call.params, run, call.dhs, call.dcs, call.dlast)

    def wrong_backward(self, parts: Parts = Parts(), **changed: Any) -> dict[str, Any]:  # noqa: B008
        """The answer if only the backward pass is made of these parts, or is called with other arguments."""
        layer = self.case.network.layer(self.call.masks, parts)
        return self.case.answer(self.run, self.backward(layer, self.run, **changed))

    def wrong_throughout(self, parts: Parts = Parts(), **changed: Any) -> dict[str, Any]:  # noqa: B008
        """The answer if both passes are made of these parts, or are called with other arguments."""
        layer = self.case.network.layer(self.call.masks, parts)
        run = self.forward(layer, **changed)
        return self.case.answer(run, self.backward(layer, run, **changed))

    def wrong_page(self, edit: Callable[[Page], Page]) -> dict[str, Any]:
        """The answer if the backward pass goes through an edited page."""
        return self.wrong_backward(Parts(cell=edit))

    def wrong_scan(self, backward: Callable[..., Any]) -> dict[str, Any]:
        """The answer if ``backward(cell, params, run, dhs, dlast)`` stands in place of ``numpy_lstm.backward``."""
        return self.wrong_backward(Parts(recurrent=lambda cell: Scanned(cell, backward)))

    def wrong_gradients(self, change: Callable[[Any], Any]) -> dict[str, Any]:
        """The answer if the parameter gradients of each place pass through ``change``."""
        unnest, nest = self.case.network.unnest, self.case.network.nest
        return self.case.answer(
            self.run, self.back._replace(dparams=nest([change(d) for d in unnest(self.back.dparams)]))
        )


class Scanned(Recurrent):
    """A cell over time, with a backward pass of somebody else."""

    def __init__(self, cell: Page, other: Callable[..., scan.Backward]) -> None:
        super().__init__(cell)
        object.__setattr__(self, "other", other)

    def backward(
        self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None, **_: Any
    ) -> scan.Backward:
        """The other backward pass; what cotangents of every cell add, the right one adds."""
        other: Callable[..., scan.Backward] = self.other  # type: ignore[attr-defined]
        found = other(self.cell, params, run, dhs, dlast)
        return found if dcs is None else tree.add(found, scan.backward(self.cell, params, run, dcs=dcs))


class Mistake(NamedTuple):
    """Something that people do wrong.

    ``says`` tells what was done, with the tag of the equation on the page of the LSTM where there is one; ``source``
    who did it: the project and issue or pull request, "~" in front where only the place in the algebra is the same;
    "common" and "derived" where no thread is known.

    ``variants`` are the parameters with which it can be made in a case (``"f"``, ``"ifog"``, ``"7"``): ``[""]`` for a
    mistake without parameter, ``[]`` where it cannot be made or could not be seen. ``answer`` gives every result by
    name, as ``Case.answer`` names them, that somebody with this mistake would give.

    ``at`` is the field of Trace whose cotangent is the first wrong one in backward order and how many steps before
    the last it stands, for a single layer read forward without wrapping or lengths; ``{}`` stands for the variant.
    None where that differs between cells, or no cotangent of a step is wrong. ``consistent``: forward and backward
    pass agree with each other, so that only somebody else's numbers show the mistake.
    """

    name: str
    says: str
    source: str
    variants: Callable[[Workbench], list[str]]
    answer: Callable[[Workbench, str], dict[str, Any]]
    at: tuple[str, int] | None = None
    consistent: bool = False


def when(condition: bool) -> list[str]:
    """The variants of a mistake without parameter."""
    return [""] if condition else []


def changed(bench: Workbench, names: Iterable[str], change: Edit) -> dict[str, Any]:
    """The right answer with some of its arrays changed."""
    return bench.right | {k: change(bench.right[k]) for k in names}


def one_forward(bench: Workbench) -> bool:
    """Whether a single layer reads rows of several lengths forward."""
    return bench.ragged and bench.case.network.direction == "forward" and bench.case.network.layers == 1
