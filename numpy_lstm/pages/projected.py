"""LSTMP (Sak, Senior & Beaufays 2014): M1, M2 forward, M2', M1' back. Derivation: projected.md.

The output of a cell, now called m (B,H), is projected to h (B,R), and every recurrent product reads h. All else is the
cell's own page, whose recurrent weights U_k are then (H,R).
"""

from functools import cache
from typing import Any, NamedTuple

from ..activations import IDENTITY, Activation
from ..ops import contract, linear
from ..shapes import axes, declared, record
from .page import Page, take


class Functions(NamedTuple):
    """The cell that is projected, and what becomes of the projection: ELMo's ``proj_clip`` is ``out=clip(3.0)``."""

    cell: Page
    out: Activation = IDENTITY


@cache
def records(params: Any, trace: Any) -> tuple[Any, Any]:
    """Params and Trace of a projected cell: M (R,H) joins the parameters; m (B,H) is the cell's h."""
    renamed = {"m" if k == "h" else k: letters for k, letters in declared(trace).items()}
    return record("Params", declared(params) | {"M": "RH"}), record("Trace", renamed | {"q": "BR", "h": "BR"})


def within(cell: Page, v: Any) -> Any:
    """The Trace of the cell itself, whose output h is m here; values or cotangents."""
    return take(cell.Trace, v, h=v.m)


def values(F: Functions, p: Any, x: Any, prev: Any) -> Any:
    """One step of the cell, whose output is m (B,H), then its projection h (B,R). x and prev as the cell reads them."""
    v = F.cell.values(F.cell.functions, take(F.cell.Params, p), x, prev)
    q = linear(v.h, p.M)  # (M1)
    h = F.out(q)  # (M2)
    return take(records(F.cell.Params, F.cell.Trace)[1], v, m=v.h, q=q, h=h)


def adjoint(F: Functions, p: Any, v: Any, d: Any) -> Any:
    """The projection first, then the cell's own adjoint. d.h (B,R) holds all of dL/dh_t, the rest is the cell's."""
    dq = d.h * F.out.d(v.q)  # (M2')
    dm = dq @ p.M  # (M1')
    inner = take(F.cell.Trace, d, h=dm)
    back = F.cell.adjoint(F.cell.functions, take(F.cell.Params, p), within(F.cell, v), inner)
    return take(type(v), back, m=back.h, q=dq, h=d.h)


def gradients(F: Functions, p: Any, v: Any, d: Any) -> Any:
    """The parameter gradients of the cell, and that of M (R,H)."""
    inner = take(F.cell.Params, p)
    found = F.cell.gradients(F.cell.functions, inner, within(F.cell, v), within(F.cell, d))
    return take(type(p), found, M=contract(d.q, v.m))  # (M1')


def projected(cell: Page, R: int) -> Page:
    """``cell`` with its output projected to R numbers, by M1. Params gain M (R,H), the Trace m (B,H) and q (B,R).

    Every U_k is then (H,R). Raises ValueError for R < 1, and for a cell that uses its old output unit by unit, such as
    a GRU: there the output must be as wide as the cell.
    """
    if isinstance(R, bool) or not isinstance(R, int) or R < 1:
        raise ValueError(f"R is {R!r}; expected a positive integer")
    if any(k.startswith("keep_") for k in cell.reads):
        raise ValueError(f"{cell.name} cannot be projected: project first, then zoneout")
    letters = axes(cell.Trace)
    if (letters.get("h"), letters.get("h_prev")) != ("BH", "BR") or cell.R is not None:
        raise ValueError(f"{cell.name} cannot be projected: its equations need an output of width H")
    Params, Trace = records(cell.Params, cell.Trace)
    title = f"projected({{cell}}, {R})"
    return Page(
        title, Params, Trace, Functions(cell), values, adjoint, gradients, cell.reads, cell.carries, cell.gives, R
    )
