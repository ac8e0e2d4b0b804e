"""The ways by which a cotangent reaches the state: an exact additive split of dL/dc_t and dL/dh_t.

A step t+1 hands a cotangent to step t by edges: through f to the cell (carry), through each gate's U_k to the output,
through each peephole p_k to the cell. What arrives at h_t goes on to c_t by the page's own adjoint of step t, which is
linear, so every part of dL/dh_t can be followed there alone. The parts add up to the whole.
"""

from typing import Any

import numpy as np

from .. import tree
from ..pages.page import Page
from .passes import Pass

Parts = dict[str, Any]


def split(p: Pass, signal: str | None = None) -> Parts:
    """dL/dc_t (or dL/dh_t with ``signal="h"``, the only choice of a cell without c) by path, each part (T,B,H).

    Paths: ``given``, from outside at this very value; ``output``, from outside through h_t; ``carry``, from the next
    step's own value, through f (in a GRU through z); ``gate k``, through the next step's U_k, and for c then through
    h_t; ``peephole k``, through p_k; ``kept``, past the next step by zoneout. Raises ValueError for another signal.
    """
    fields = [k for k in p.cell.State._fields if k in ("h", "c")]
    signal = fields[-1] if signal is None else signal
    if signal not in fields:
        raise ValueError(f"signal is {signal!r}; expected {' or '.join(map(repr, fields))}, the state of {p.cell.name}")
    to_h, to_c = ({name: _earlier(a) for name, a in hop.items()} for hop in _hops(p))
    if signal == "h":
        return {"given": p.given.h} | to_h
    peephole_o = _sees_new_cell(p.cell)
    parts = {"given": p.given.c} | to_c
    through_h = {"output" if name == "given" else name: a for name, a in ({"given": p.given.h} | to_h).items()}
    for name, dh in through_h.items():
        parts[name] = parts[name] + _through_output(p, dh) if name in parts else _through_output(p, dh)
    if peephole_o:
        parts["peephole o"] = p.cotangents.a_o * p.params.p_o
    return parts


def _hops(p: Pass) -> tuple[Parts, Parts]:
    """What each edge of each step hands to the h and to the c before it."""
    v, d, cell = p.run.values, p.cotangents, p.cell
    to_h: Parts = {}
    to_c: Parts = {}
    dh, dc = (getattr(d, f"{k}_new", getattr(d, k, None)) for k in "hc")  # behind zoneout, if there is any
    if "c" in cell.State._fields:
        to_c["carry"] = dc * v.f
    elif "z" in cell.Trace._fields:
        to_h["carry"] = dh * v.z
    for name in cell.Params._fields:
        letter, _, gate = name.partition("_")
        if letter == "U":
            to_h[f"gate {gate}" if gate else "gate"] = _recurrent(p, gate) @ getattr(p.params, name)
        elif letter == "p" and not (gate == "o" and _sees_new_cell(cell)):
            to_c[f"peephole {gate}"] = getattr(d, f"a_{gate}") * getattr(p.params, name)
    if cell.equations == "gru_reset_before":
        to_h["gate n"] = to_h["gate n"] * v.r
    for field, hops in (("h", to_h), ("c", to_c)):
        if f"keep_{field}" in cell.Trace._fields:
            hops["kept"] = getattr(d, field) * getattr(v, f"keep_{field}")
    return to_h, to_c


def _recurrent(p: Pass, gate: str) -> Any:
    """The cotangent of h_prev U_k^T, wherever the page keeps it."""
    own = {"gru": {"n": "u"}, "layer_norm_lstm": {k: f"w_{k}" for k in "ifgo"}}.get(p.cell.equations, {})
    return getattr(p.cotangents, own.get(gate, f"a_{gate}" if gate else "a"))


def _sees_new_cell(cell: Page) -> bool:
    """Whether o looks at c_t, so that c_t receives a second cotangent from its own output."""
    return cell.equations == "peephole_lstm"


def _through_output(p: Pass, dh: Any) -> Any:
    """What a part of dL/dh_t adds to dL/dc_t, but for the peephole of o."""
    params = p.params._replace(p_o=0 * p.params.p_o) if _sees_new_cell(p.cell) else p.params
    zeros = tree.map(np.zeros_like, p.given)
    _, d = p.cell.step_adjoint(params, p.run.values, zeros._replace(h=dh))
    return d.c


def _earlier(hops: Any) -> Any:
    """Moved from the step that sends to the step that receives."""
    return np.concatenate([hops[1:], np.zeros_like(hops[:1])])
