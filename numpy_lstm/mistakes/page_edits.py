"""Pages with something wrong in their backward pass: the page's own functions, fed what they should not be fed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..activations import Activation
from ..pages.page import Page, before
from .workbench import Mistake, Workbench, when

Change = Callable[[Any], Any]
PageEdit = Callable[[Page], Page]


def with_values(change: Change) -> PageEdit:
    """The adjoint sees other values of the step."""
    return lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F, p, change(v), d))


def with_params(change: Change) -> PageEdit:
    """The adjoint sees other parameters."""
    return lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F, change(p), v, d))


def with_arriving(change: Callable[[Any, Any], Any]) -> PageEdit:
    """The adjoint is given ``change(v, d)`` in place of the cotangents ``d`` that arrive."""
    return lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F, p, v, change(v, d)))


def with_leaving(change: Callable[[Any, Any, Any], Any]) -> PageEdit:
    """The adjoint hands ``change(v, d, state)`` to the step before in place of ``state``."""

    def edit(cell: Page) -> Page:
        def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
            back = cell.adjoint(F, p, v, d)
            return back._replace(**{f"{k}_prev": a for k, a in change(v, d, before(cell, back))._asdict().items()})

        return replace(cell, adjoint=adjoint)

    return edit


def with_derivative(wrong: Callable[[Activation], Callable[[Any], Any]], *names: str) -> PageEdit:
    """The adjoint takes ``wrong(activation)`` for the derivative of these activations."""

    def edit(cell: Page) -> Page:
        functions = {k: replace(f, d=wrong(f)) for k, f in cell.functions._asdict().items() if k in names}
        return with_functions(**functions)(cell)

    return edit


def with_functions(**functions: Any) -> PageEdit:
    """The adjoint has other functions."""
    return lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F._replace(**functions), p, v, d))


def with_contracted(change: Change) -> PageEdit:
    """The parameter gradients are contracted from other values of the steps."""
    return lambda cell: replace(cell, gradients=lambda F, p, v, d: cell.gradients(F, p, change(v), d))


def with_gradients(change: Callable[[Any, Any, Any], Any]) -> PageEdit:
    """The parameter gradients are ``change(v, d, gradients)``."""
    return lambda cell: replace(cell, gradients=lambda F, p, v, d: change(v, d, cell.gradients(F, p, v, d)))


Where = Callable[[Workbench], bool]


def on_page(
    name: str, says: str, source: str, where: Where, edit: PageEdit, at: tuple[str, int] | None = None
) -> Mistake:
    """A mistake without parameter: the backward pass goes through an edited page where ``where`` holds."""
    return Mistake(name, says, source, lambda bench: when(where(bench)), lambda bench, _: bench.wrong_page(edit), at)


def per_gate(
    name: str,
    says: str,
    source: str,
    where: Callable[[Workbench], list[str]],
    edit: Callable[[str], PageEdit],
    at: tuple[str, int] | None = None,
) -> Mistake:
    """A mistake that can be made at one gate or another."""
    return Mistake(name, says, source, where, lambda bench, k: bench.wrong_page(edit(k)), at)


def has_cell(bench: Workbench) -> bool:
    """Whether the state has a cell c."""
    return bench.printed and "c" in bench.states


def plain_cell(bench: Workbench) -> bool:
    """Whether the cell leaves through y = tanh(c)."""
    return has_cell(bench) and "z" not in bench.fields and bench.has("y") and bool(bench.function("y"))


def apart(bench: Workbench) -> bool:
    """Whether the input gate is a gate of its own."""
    return has_cell(bench) and bench.has("a_i", "i", "g")
