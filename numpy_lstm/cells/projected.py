"""LSTMP (Sak, Senior & Beaufays 2014): the output of a cell is projected, and every recurrent product reads it.

    m = the output of the cell            (B,H)
    h = m M^T                             (B,R), M (R,H)

Back: the cotangent of m is dh M, that of M the sum over rows of dh^T m; all else is the cell's own page, whose
recurrent weights U_k are then (H,R).
"""

from functools import cache
from typing import Any

from ..ops import contract, linear
from ..shapes import axes, record
from .cell import Cell


def projected(cell: Cell, R: int) -> Cell:
    """``cell`` with its output projected to R numbers. Params gain the field M, the Trace m.

    Raises ValueError for R < 1, and for a cell that uses its old output unit by unit, such as a GRU: there the
    output must be as wide as the cell.
    """
    if isinstance(R, bool) or not isinstance(R, int) or R < 1:
        raise ValueError(f"R is {R!r}; expected a positive integer")
    if axes(cell.State)["h"] != "BR" or cell.R is not None:
        raise ValueError(f"{cell.name} cannot be projected: its equations need an output of width H")
    if cell.Input is not None:
        raise ValueError(f"{cell.name} cannot be projected: project first, then zoneout")
    return _projected(cell, R)


renamed = {"h": "m"}


@cache
def _records(params: type, trace: type) -> tuple[Any, Any]:
    """Params and Trace, the same for all cells of one page, edited ones too."""
    Params = record("Params", axes(params) | {"M": "RH"})
    return Params, record("Trace", {renamed.get(k, k): v for k, v in axes(trace).items()} | {"h": "BR"})


@cache
def _projected(cell: Cell, R: int) -> Cell:
    Params, Trace = _records(cell.Params, cell.Trace)

    def inner(trace: Any) -> Any:
        return cell.Trace(*(getattr(trace, renamed.get(k, k)) for k in cell.Trace._fields))

    def outer(trace: Any, h: Any) -> Any:
        return Trace(**{renamed.get(k, k): v for k, v in trace._asdict().items()}, h=h)

    def step(p: Any, x: Any, s: Any) -> tuple[Any, Any]:
        """One step of the cell, whose output m (B,H) is then projected: h = m M^T (B,R), which the next step reads."""
        new, v = cell.step(cell.Params(*p[:-1]), x, s)
        h = linear(new.h, p.M)
        return new._replace(h=h), outer(v, h)

    def step_adjoint(p: Any, v: Any, ds: Any) -> tuple[Any, Any]:
        before, d = cell.step_adjoint(cell.Params(*p[:-1]), inner(v), ds._replace(h=ds.h @ p.M))
        return before, outer(d, ds.h)

    def step_gradients(v: Any, d: Any) -> Any:
        return Params(*cell.step_gradients(inner(v), inner(d)), M=contract(d.h, v.m))

    name = f"projected({cell.name}, {R})"
    return Cell(
        name, Params, cell.State, Trace, step, step_adjoint, step_gradients, cell.page, cell.functions, R, cell.Input
    )
