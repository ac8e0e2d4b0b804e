"""Pages with something wrong in their backward pass: the page's own functions, fed what they should not be fed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

from ...activations import Activation
from ...cells.cell import Cell

Change = Callable[[Any], Any]
PageEdit = Callable[[Cell], Cell]


def with_values(change: Change) -> PageEdit:
    """The adjoint sees other values of the step."""
    return lambda cell: replace(cell, step_adjoint=lambda p, v, ds: cell.step_adjoint(p, change(v), ds))


def with_params(change: Change) -> PageEdit:
    """The adjoint sees other parameters."""
    return lambda cell: replace(cell, step_adjoint=lambda p, v, ds: cell.step_adjoint(change(p), v, ds))


def with_arriving(change: Callable[[Any, Any], Any]) -> PageEdit:
    """The adjoint is given ``change(v, ds)`` in place of the cotangent of the new state."""
    return lambda cell: replace(cell, step_adjoint=lambda p, v, ds: cell.step_adjoint(p, v, change(v, ds)))


def with_leaving(change: Callable[[Any, Any, Any], Any]) -> PageEdit:
    """The adjoint hands ``change(v, ds, before)`` to the step before in place of ``before``."""

    def edit(cell: Cell) -> Cell:
        def step_adjoint(p: Any, v: Any, ds: Any) -> tuple[Any, Any]:
            before, d = cell.step_adjoint(p, v, ds)
            before = change(v, ds, before)
            return before, d._replace(**{f"{k}_prev": a for k, a in before._asdict().items()})

        return replace(cell, step_adjoint=step_adjoint)

    return edit


def with_derivative(wrong: Callable[[Activation], Callable[[Any], Any]], *names: str) -> PageEdit:
    """The adjoint takes ``wrong(activation)`` for the derivative of these activations."""

    def edit(cell: Cell) -> Cell:
        functions = {k: replace(f, d=wrong(f)) for k, f in cell.functions._asdict().items() if k in names}
        return with_functions(**functions)(cell)

    return edit


def with_functions(**functions: Activation) -> PageEdit:
    """The adjoint has other activations."""

    def edit(cell: Cell) -> Cell:
        page: Any = cell.step_adjoint
        return replace(cell, step_adjoint=partial(page.func, cell.functions._replace(**functions)))

    return edit


def with_globals(**other: Any) -> PageEdit:
    """The adjoint of the page calls other functions by the names of its own."""

    def edit(cell: Cell) -> Cell:
        page: Any = cell.step_adjoint
        adjoint = FunctionType(page.func.__code__, page.func.__globals__ | other, page.func.__name__)
        return replace(cell, step_adjoint=partial(adjoint, cell.functions))

    return edit


def with_contracted(change: Change) -> PageEdit:
    """The parameter gradients are contracted from other values of the steps."""
    return lambda cell: replace(cell, step_gradients=lambda v, d: cell.step_gradients(change(v), d))


def with_gradients(change: Callable[[Any, Any, Any], Any]) -> PageEdit:
    """The parameter gradients are ``change(v, d, gradients)``."""
    return lambda cell: replace(cell, step_gradients=lambda v, d: change(v, d, cell.step_gradients(v, d)))
