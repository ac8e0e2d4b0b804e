"""One step back as the page states it: which terms make up the cotangent of each field of the state."""

from collections import Counter
from typing import Any

import numpy as np

from ..pages.page import Page
from .terms import KEPT, Cotangent, Mask, by_label, follow, labelled

ByPath = dict[str, Any]


class Step:
    """The terms of ``cell.adjoint`` at these values (B rows), for the cotangents ``arriving``, a State.

    ``total`` holds all of dL/dh_t, dL/dc_t and so on: what arrives, and what the step adds to it; ``before`` the
    cotangents of the state before the step. Raises TypeError for a page that does more than linear operations.
    """

    def __init__(self, cell: Page, params: Any, values: Any, arriving: Any) -> None:
        self._ndim = {field: np.ndim(a) for field, a in params._asdict().items()}
        named = type(params)(*(labelled(a, k) for k, a in params._asdict().items()))
        masks = [k for k in cell.reads if k != "x"]
        values = values._replace(**{k: labelled(getattr(values, k), KEPT, Mask) for k in masks})
        self._leaf = {k: Cotangent(a) for k, a in arriving._asdict().items()}
        before, d = cell.step_back(named, values, type(arriving)(**self._leaf))
        self._before, self._total = before._asdict(), {k: getattr(d, k, a) for k, a in self._leaf.items()}
        inside = [getattr(d, f"{k}_new", None) for k in self._leaf]  # the state behind zoneout
        self._ends = {id(a) for a in (*self._leaf.values(), *self._total.values(), *inside) if a is not None}
        self.total, self.before = ({k: a.value for k, a in each.items()} for each in (self._total, self._before))

    def hops(self, field: str) -> ByPath:
        """What the step hands to ``field`` of the state before it, by path, (B,N) each: they add up to ``before``."""
        found = by_label(self._before[field], self._ends)
        parts = {{None: "carry", KEPT: "kept"}[k]: found.pop(k) for k in (None, KEPT) if k in found}
        return parts | {name: found[k] for k, name in self._names(set(found), field).items()}

    def parts(self, field: str, arriving: dict[str, ByPath], above: tuple[str, ...] = ()) -> ByPath:
        """The total of ``field`` by path, given what arrives at every field of the state by path."""
        found, above = dict(arriving[field]), (*above, field)
        others = [k for k in self._total if k not in above and self._way(field, k) is not None]
        beside = self._beside(field, others)
        for other in others:
            for name, part in self.parts(other, arriving, above).items():
                at = _renamed(name, other)
                onward = self._way(field, other, part, beside)
                found[at] = found[at] + onward if at in found else onward
        terms = by_label(self._total[field], self._ends - {id(self._total[field])})
        return found | {name: terms[k] for k, name in self._names(beside, field).items()}

    def size(self, field: str, arriving: dict[str, ByPath]) -> Any:
        """The absolute values of all terms of the total of ``field``, from those of the parts that arrive."""
        sizes = {id(self._leaf[k]): sum(np.abs(a) for a in parts.values()) for k, parts in arriving.items()}
        return follow(self._total[field], sizes, size=True)

    def carried(self, field: str, part: Any, kept: bool = True) -> Any:
        """What ``part`` of the total of ``field`` hands to that field before the step through no parameter.

        None if there is no such way. ``kept=False`` leaves out what a mask keeps.
        """
        cut = frozenset(self._ndim) | (frozenset() if kept else {KEPT})
        return follow(self._before[field], self._source(field, part), cut)

    def _source(self, field: str, part: Any) -> dict[int, Any]:
        return {id(a[field]): part for a in (self._leaf, self._total)}

    def _way(self, field: str, other: str, part: Any = None, cut: set[str] | None = None) -> Any:
        """What ``part`` of the total of ``other`` (absent: all of it) adds to that of ``field``; None if nothing.

        Not by way of a third field, whose total has its own parts.
        """
        part = self.total[other] if part is None else part
        closed = {id(self._total[k]): None for k in self._total.keys() - {field, other}}
        return follow(self._total[field], closed | self._source(other, part), frozenset(cut or ()))

    def _beside(self, field: str, others: list[str]) -> set[str]:
        """Parameters through which the others reach ``field`` beside a way that does without: the peephole of o."""

        def open_without(cut: set[str]) -> bool:
            return all(self._way(field, k, None, cut) is not None for k in others)

        met = by_label(self._total[field], self._ends - {id(self._total[field])})
        beside = {k for k in met if k is not None and k != KEPT and open_without({k})}
        return beside if open_without(beside) else set()

    def _names(self, parameters: set[Any], field: str) -> dict[str, str]:
        """``gate i`` for U_i, ``peephole i`` for p_i, a vector, but into h; two alike by their whole names."""
        ordered = [k for k in self._ndim if k in parameters]
        kinds = {k: "peephole" if self._ndim[k] == 1 and field != "h" else "gate" for k in ordered}
        short = {k: f"{kinds[k]} {k.partition('_')[2]}".strip() for k in ordered}
        count = Counter(short.values())
        return {k: name if count[name] == 1 else f"{kinds[k]} {k}" for k, name in short.items()}


def _renamed(name: str, other: str) -> str:
    """What a part of dL/dh_t is called where it has gone on to c_t."""
    renamed = {"given": "output" if other == "h" else f"given {other}", "carry": f"carry {other}"}
    return renamed.get(name, name)
