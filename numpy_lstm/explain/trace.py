"""Every number of every step of one row of a case, forward and backward, each cotangent by its terms."""

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..arrays import on_host
from ..cases.case import Case
from ..cases.inputs import DROPOUT, RECORDS, STEPS
from ..check.given import CaseError
from ..mistakes import CATALOGUE, Workbench, label
from .evaluate import backward, forward
from .rows import rows

TINY = 1e-30  # of the complex step


class Part(NamedTuple):
    """One of the numbers that are added up: its ``origin`` in words or a tag, the expression if it has one."""

    origin: str
    expression: ast.expr | None
    array: Any
    step: int


class Value(NamedTuple):
    """One value of one step, and the row that gives it."""

    tag: str
    field: str
    block: int
    expression: ast.expr
    array: Any


class Total(NamedTuple):
    """One cotangent, (N,) or the shape of the parameter, and the parts of which it is the sum."""

    field: str
    parts: list[Part]
    array: Any


class Trace:
    """All numbers of row ``row`` of a case, by steps from 0; of a single layer that reads forward.

    Raises CaseError for other networks, for masks of steps, and for a row that has no steps.
    """

    def __init__(self, case: Case, row: int = 0, labels: Any = None) -> None:
        network = case.network
        if network.direction != "forward" or network.layers != 1:
            raise CaseError(f"case {case.name} has {network.layers} layers, {network.direction}; expected one, forward")
        if masks := [k for k in STEPS if k in case.arrays]:
            raise CaseError(f"case {case.name} has the mask {masks[0]}; expected lengths, or none")
        self.case, self.labels = only(case, row), labels
        self.cell = network.of_cell()
        self.equations = rows(self.cell)
        call = self.case.call()
        self.params: dict[str, Any] = call.params._asdict()
        self.xs = {"x": call.xs} | call.masks
        self.T = len(call.xs)
        self.given = self._given(call)
        self.names: list[dict[str, Any]] = []
        state = call.first._asdict()
        for t in range(self.T):
            self.names.append(forward(self.equations, self._start(t, state)))
            state = {k: self.names[-1][k] for k in self.cell.carries}
        self.totals: list[dict[str, Any]] = [{}] * self.T
        self.parts: list[list[Any]] = [[]] * self.T
        arriving = [{k: sum(a for _, a in parts) for k, parts in at.items()} for at in self.given]
        for t in reversed(range(self.T)):
            self.totals[t], self.parts[t] = backward(self.equations, self.names[t], arriving[t])
            for k in self.cell.carries if t else ():
                handed = self.totals[t].get(f"{k}_prev", np.zeros_like(self.names[t][f"{k}_prev"]))
                arriving[t - 1][k] = arriving[t - 1].get(k, 0) + handed

    @property
    def loss(self) -> float:
        """Half the squared distance from the labels; without labels the sum of all that is given times its value."""
        if self.labels is not None:
            return float(sum(np.sum((self.names[t]["h"] - self.labels[t]) ** 2) for t in range(self.T))) / 2
        pairs = [(a, self.names[t][k]) for t in range(self.T) for k, parts in self.given[t].items() for _, a in parts]
        return float(sum(np.sum(a * q) for a, q in pairs))

    def values(self, t: int) -> Iterator[Value]:
        """What step t computes, top to bottom."""
        for row in self.equations.rows:
            for n, k in enumerate(row.targets):
                yield Value(row.tag, k, n, row.expression, self.names[t][k][0])

    def cotangents(self, t: int) -> Iterator[Total]:
        """The cotangents of step t, in the order in which they are complete."""
        given = {k: [Part(says, None, a[0], t) for says, a in parts] for k, parts in self.given[t].items()}
        for k in self.cell.carries if t + 1 < self.T else ():
            if f"{k}_prev" in self.totals[t + 1]:
                handed = self.totals[t + 1][f"{k}_prev"][0]
                given.setdefault(k, []).append(Part(f"step {t + 2}", None, handed, t))
        last = {term.target: n for n, (term, _) in enumerate(self.parts[t])}
        for k in sorted(self.cell.Trace._fields, key=lambda k: last.get(k, -1)):
            if k in self.totals[t]:
                own = [Part(term.tag, term.expression, a[0], t) for term, a in self.parts[t] if term.target == k]
                yield Total(k, given.get(k, []) + own, self.totals[t][k][0])

    def gradients(self) -> Iterator[Total]:
        """The gradients of the parameters: sums over steps."""
        for k, like in self.params.items():
            parts = [
                Part(term.tag, term.expression, a, t)
                for t in range(self.T)
                for term, a in self.parts[t]
                if term.target == k
            ]
            yield Total(k, parts, sum((part.array for part in parts), np.zeros_like(like)))

    def moved(self, field: str, at: tuple[int, ...], t: int | None = None) -> float:
        """dL/d of one number of step t, or of a parameter, by a complex step at that very number, through the rows."""
        like = self.params[field] if t is None else self.names[t][field][0]
        step = np.zeros(like.shape, complex)
        step[at] = TINY * 1j
        start, state = t or 0, {k: self.names[t or 0][f"{k}_prev"] for k in self.cell.carries}
        loss: Any = 0
        for s in range(start, self.T):
            found = forward(self.equations, self._start(s, state), {field: step} if t in (s, None) else None)
            state = {k: found[k] for k in self.cell.carries}
            loss = loss + sum(np.sum(a * found[k]) for k, parts in self.given[s].items() for _, a in parts)
        return float(loss.imag) / TINY

    def _start(self, t: int, state: dict[str, Any]) -> dict[str, Any]:
        """What step t reads."""
        read = {k: a[t] for k, a in self.xs.items()}
        return self.params | read | {f"{k}_prev": a for k, a in state.items()}

    def _given(self, call: Any) -> list[dict[str, list[tuple[str, Any]]]]:
        """What the loss sends to each field at each step, by name; what is zero everywhere is left out."""
        sent = [(self.cell.gives[0], "d_output", dict(enumerate(call.dhs)))]
        sent += [] if call.dcs is None else [("c", "d_c", dict(enumerate(call.dcs)))]
        sent += [(k, f"d_{k}_n", {self.T - 1: a}) for k, a in call.dlast._asdict().items()]
        found: list[dict[str, list[tuple[str, Any]]]] = [{} for _ in range(self.T)]
        for k, says, by_step in sent:
            for t, a in by_step.items() if any(map(np.any, by_step.values())) else ():
                found[t].setdefault(k, []).append((says, a))
        return found


def only(case: Case, row: int) -> Case:
    """The case of one row alone, cut to its length, with the fields of Params for its parameters, fetched from a GPU.

    Raises CaseError if the case has no such row, or the row no steps.
    """
    case = case._replace(arrays={k: on_host(a) for k, a in case.arrays.items()})
    whole, sizes = case.filled(), case.sizes
    if not 0 <= row < sizes["B"]:
        raise CaseError(f"case {case.name} has {sizes['B']} rows; there is no row {row + 1}")
    T = int(whole.arrays["lengths"][row]) if "lengths" in whole.arrays else sizes["T"]
    if T == 0:
        raise CaseError(f"row {row + 1} of case {case.name} has no steps")
    params = next(iter(whole.stored().values()))._asdict()
    known = whole.inputs
    found = {}
    for k, a in whole.arrays.items():
        shape = known[k].shape
        if k not in case.names() and k != "lengths" and known[k].kind != DROPOUT:
            found[k] = a[:T, row : row + 1] if len(shape) == 3 else a[row : row + 1]
    return case._replace(layout=RECORDS, arrays=found | params, expected={})


def mistaken(case: Case, name: str) -> tuple[str, str, dict[str, Any]]:
    """Label, description and answer of a mistake in this case; ``name`` may be ``sigmoid-derivative-missing[f]``.

    Raises CaseError for an unknown mistake, and for one that changes no number here.
    """
    bare, _, variant = name.removesuffix("]").partition("[")
    if bare not in CATALOGUE:
        raise CaseError(f"{name!r} is no known mistake; numpy-lstm mistakes lists all")
    mistake, bench = CATALOGUE[bare], Workbench(case)
    shows = mistake.variants(bench)
    if not shows or (variant and variant not in shows):
        others = f"; expected one of {', '.join(label(mistake, k) for k in shows)}" if shows else ""
        raise CaseError(f"{name} changes no number of case {case.name}{others}")
    variant = variant or shows[0]
    return label(mistake, variant), f"{mistake.says} [{mistake.source}]", mistake.answer(bench, variant)
