"""The arguments of the instruments, checked: one clear error for anything else."""

from collections.abc import Sequence
from typing import Any

from .. import arrays, fast
from ..pages.page import Page
from ..scan import Backward, Forward
from .passes import Pass


def check_pass(p: Any) -> None:
    """Raise TypeError for anything but one Pass."""
    if isinstance(p, Pass):
        return
    if isinstance(p, tuple) and p and all(isinstance(each, Pass) for each in p):
        raise TypeError(f"p is a tuple of {len(p)} Pass, one for each cell; expected one of them, such as p[0]")
    made = " of its run and this (see flow.passes_of)" if isinstance(p, Backward) else " (see flow.passes)"
    raise TypeError(f"p is a {arrays.type_name(p)}; expected a Pass{made}")


def check_run(cell: Any, params: Any, run: Any) -> None:
    """Raise TypeError for anything but a cell, its parameters, and their run by the explicit path."""
    if not isinstance(cell, Page):
        raise TypeError(f"cell is a {arrays.type_name(cell)}; expected a Page such as numpy_lstm.LSTM")
    if not isinstance(params, cell.Params):
        raise TypeError(f"params is a {arrays.type_name(params)}; expected {cell.name}.Params")
    if not isinstance(run, Forward):
        raise TypeError(f"run is a {arrays.type_name(run)}; expected the Forward of a single cell (see flow.passes)")
    if isinstance(run.values, fast.Tape | fast.cuda.Tape):
        raise TypeError("run is of numpy_lstm.fast, which keeps no values; expected one of numpy_lstm.forward")
    if not isinstance(run.values, cell.Trace):
        raise TypeError(f"run.values is a {arrays.type_name(run.values)}; expected {cell.name}.Trace")


def state_field(cell: Page, signal: str | None) -> str:
    """The field of the state to look at: ``signal``; if that is None, c where the cell has one, else h.

    Raises ValueError for a field that is not in the state.
    """
    fields = cell.State._fields
    if signal is None:
        return "c" if "c" in fields else "h"
    if signal not in fields:
        raise ValueError(f"signal is {signal!r}; expected {' or '.join(map(repr, fields))}, the state of {cell.name}")
    return signal


def check_field(cell: Page, name: str, field: Any, among: Sequence[str] | None = None) -> None:
    """Raise ValueError for what is not a field of the cell's Trace, or not ``among`` these of them."""
    if field not in (among or cell.Trace._fields):
        fields = ", ".join(among or cell.Trace._fields)
        raise ValueError(f"{name} is {field!r}; expected a field of {cell.name}'s Trace: {fields}")
