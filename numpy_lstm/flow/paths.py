"""The ways by which a cotangent reaches the state: an exact additive split of dL/dc_t and dL/dh_t.

A step t+1 hands a cotangent to step t by the terms that its page's ``adjoint`` adds up: by the gate that keeps the
state (carry), through a matrix U_k, through a peephole p_k. What arrives at h_t goes on to c_t by the terms of step t.
The parts add up to the whole, which is checked.
"""

from typing import Any

import numpy as np

from .. import arrays, tree
from ..sequences import at
from .given import check_pass, state_field
from .passes import Pass, every_step, on_host
from .step import ByPath, Step

ORDER = ("given", "carry", "kept", "output", "gate", "peephole")


def split(p: Pass, signal: str | None = None) -> ByPath:
    """dL/dc_t (dL/dh_t with ``signal="h"``, the default of a cell without c) by path, each part (T,B,H).

    Any cell, yours too: the paths are the terms that its own ``adjoint`` adds up. ``given``, from outside at this
    very value; ``output``, from outside through h_t; ``carry``, from the next step's state through no parameter;
    ``gate k``, through the next step's U_k, and for c then through h_t; ``peephole k``, through the vector p_k, of the
    next step or (where a gate looks at c_t) of this one; ``kept``, past the next step by a mask. Zero on padding.
    Terms are followed on the host: CuPy arrays are fetched for it, and the parts moved to their device.

    Raises
    ------
    ValueError : no such signal; or the parts do not add up to the cotangents of the pass
    TypeError : not a Pass; or a ``adjoint`` that is not linear in the cotangents
    """
    check_pass(p)
    signal = state_field(p.cell, signal)
    T, state = p.run.hs.shape[0], p.cell.State._fields
    if not T:
        return {"given": getattr(p.given, signal)}
    like, p = p.run.hs, on_host(p)
    values = every_step(p.run)
    found: dict[str, list[Any]] = {}
    carried = at(p.given, T - 1)._asdict()
    first = Step(p.cell, p.params, at(values, T - 1), type(p.given)(**carried))
    hops = {k: tree.scale(0, first.hops(k)) for k in state}  # every path has its name, from the last step on
    carried = tree.map(np.zeros_like, carried)
    for t in reversed(range(T)):
        alive: Any = True if p.run.alive is None else p.run.alive[t]
        given = at(p.given, t)._asdict()
        step = Step(p.cell, p.params, at(values, t), type(p.given)(**tree.add(carried, given)))
        arriving = {k: {"given": given[k]} | hops[k] for k in state}
        parts = step.parts(signal, arriving)
        _check(p, signal, t, sum(parts.values()), step.size(signal, arriving), alive)
        handed = {k: step.hops(k) for k in state}, step.before
        if p.run.resets is not None and p.run.resets.kept is not None:
            handed = _masked(p.run.resets.kept[t], handed)
        hops, carried = _masked(alive, handed, (hops, carried))
        for name, part in _masked(alive, parts).items():
            found.setdefault(name, []).append(part)
    names = sorted(found, key=lambda name: ORDER.index(name.split()[0]))
    return {name: arrays.like(np.stack(found[name][::-1]), like) for name in names}


def _masked(alive: Any, parts: Any, old: Any = None) -> Any:
    return parts if alive is True else tree.map(lambda a, b: np.where(alive, a, 0 if b is None else b), parts, old)


def _check(p: Pass, signal: str, t: int, found: Any, size: Any, alive: Any) -> None:
    """Raise ValueError unless the sum is the cotangent of the pass, but for the rounding of sums of this size."""
    total = getattr(p.cotangents, signal)[t]
    gap = np.where(alive & np.isfinite(size), np.abs(found - total), 0)
    limits = np.finfo(total.dtype)
    terms = 4 * (16 + max(a.shape[-1] for a in p.params))  # roundings of one term, inner products included
    if np.any(wrong := ~(gap <= terms * (limits.eps * size + limits.tiny)) & (alive & np.isfinite(size))):
        worst = float(np.max(gap[wrong] / size[wrong]))
        raise ValueError(
            f"{p.name}: the parts of dL/d{signal} miss the pass's own by {worst:.0e} of their size at step {t}; "
            f"expected cotangents that the adjoint of {p.cell.name} gives with this run and these parameters"
        )
