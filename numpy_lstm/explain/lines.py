"""A trace as lines, and these as text, Markdown or LaTeX: formula, the numbers of one unit put in, the whole vector."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .adjoint import accurate
from .numbers import Printed
from .show import LATEX, TEXT, shown
from .trace import Part, Total, Trace, Value

NEAR = 1e-9  # below this a wrong number is not called another


class Line(NamedTuple):
    """``left = formula = numbers = result``, then all of ``array``; a sum has the same of each of its parts.

    ``moved`` is the number of the complex step, ``wrong`` what a mistake gives for the array; None if not asked for.
    """

    tag: str
    left: str
    formula: str
    numbers: str
    result: str
    array: str
    parts: tuple[tuple[str, str, str, str], ...] = ()  # origin, number, formula, numbers
    moved: str | None = None
    wrong: tuple[str, str] | None = None


class Section(NamedTuple):
    """Lines under a heading."""

    heading: str
    lines: list[Line]


class Wanted(NamedTuple):
    """What is to be printed: unit and step from 0 (None: all steps), digits, and the answer of a mistake by name."""

    unit: int = 0
    step: int | None = None
    digits: int = 6
    check: bool = False
    wrong: Mapping[str, Any] | None = None


class Writer:
    """Makes the lines of a trace, in the signs of text or of LaTeX."""

    def __init__(self, trace: Trace, wanted: Wanted, latex: bool = False) -> None:
        self.trace, self.wanted = trace, wanted
        self.signs = LATEX if latex else TEXT
        self.label = r"\text{label}" if latex else "label"
        self.printed = Printed(wanted.digits, self.signs._replace(times=r" \cdot " if latex else "·"))

    def sections(self) -> Iterator[Section]:
        """Steps forward in time, then backward, then the parameters and the loss."""
        trace, steps = self.trace, range(self.trace.T)
        chosen = [t for t in steps if self.wanted.step in (None, t)]
        yield Section("parameters", [self._read(k, a) for k, a in trace.params.items()])
        for t in chosen:
            read = [self._read(k, a[t][0]) for k, a in trace.xs.items()]
            read += [self._read(f"{k}_prev", trace.names[t][f"{k}_prev"][0]) for k in trace.cell.carries]
            yield Section(f"step {t + 1} of {trace.T}, forward", [*read, *(self._value(v, t) for v in trace.values(t))])
        for t in reversed(chosen):
            yield Section(
                f"step {t + 1} of {trace.T}, backward", [self._total(q, t, self._index(q)) for q in trace.cotangents(t)]
            )
        if self.wanted.step is None:
            lines = [self._total(q, None, self._index(q)) for q in trace.gradients()]
            yield Section("gradients of the parameters, summed over steps", lines)
            about = "half the squared distance of every h from its label"
            says = about if trace.labels is not None else "all that is given, times what it is given for"
            yield Section(f"loss: {says}", [Line("", "L", "", "", "", self.printed.number(trace.loss))])

    def _index(self, q: Total) -> tuple[int, ...]:
        """The unit that is printed, of a cotangent or of the first column of a matrix."""
        return (min(self.wanted.unit, len(q.array) - 1), *(0,) * (q.array.ndim - 1))

    def _read(self, k: str, a: Any) -> Line:
        return Line("", self.signs.name(k), "", "", "", self.printed.vector(a))

    def _value(self, v: Value, t: int) -> Line:
        e = accurate(v.expression, self.trace.equations)
        at = (min(self.wanted.unit, len(v.array) - 1),)
        numbers = self.printed.put_in(e, self.trace.names[t], {}, self.trace.equations, (at[0], v.block))
        left, formula = self.signs.name(v.field), shown(e, self.signs)
        line = self._line(v.tag, left, formula, numbers, v.array, at)
        return line._replace(wrong=self._wrong(f"values.{v.field}", v.array, t, at))

    def _total(self, q: Total, t: int | None, at: tuple[int, ...]) -> Line:
        left = self.signs.cotangent(q.field)
        left += "" if t is not None else f"[{','.join(str(n + 1) for n in at)}]"
        parts = [self._part(p, at, q) for p in q.parts]
        if len(parts) == 1 and q.parts[0].expression is not None and t is not None:
            line = self._line(q.parts[0].origin, left, parts[0][2], parts[0][3], q.array, at)
        else:
            tag = "JOIN" if t is not None and len(parts) > 1 else "SUM" if t is None else ""
            numbers = " + ".join(self.printed.factor(p.array[at]) for p in q.parts) if len(q.parts) > 1 else ""
            line = self._line(tag, left, "", numbers, q.array, at)._replace(parts=tuple(parts))
        moved = self.printed.number(self.trace.moved(q.field, at, t)) if self.wanted.check else None
        return line._replace(moved=moved, wrong=self._wrong(self._name(q.field, t), q.array, t, at))

    def _part(self, part: Part, at: tuple[int, ...], q: Total) -> tuple[str, str, str, str]:
        """Origin, number, formula, numbers."""
        number = self.printed.factor(part.array[at])
        origin = part.origin if q.field not in self.trace.params else f"step {part.step + 1}, {part.origin}"
        trace, s = self.trace, part.step
        if part.expression is None and origin == "d_output" and trace.labels is not None:
            h, label = trace.names[s]["h"][0][at], trace.labels[s][0][at]
            put_in = f"{self.printed.number(h)} - {self.printed.factor(label)}"
            return "loss", number, f"{self.signs.name('h')} - {self.label}", put_in
        if part.expression is None:
            return origin, number, "", ""
        where = (at[0], at[1] if len(at) > 1 else 0)
        numbers = self.printed.put_in(part.expression, trace.names[s], trace.totals[s], trace.equations, where)
        return origin, number, shown(part.expression, self.signs), numbers

    def _line(self, tag: str, left: str, formula: str, numbers: str, a: Any, at: tuple[int, ...]) -> Line:
        array = self.printed.vector(a) if a.size > 1 else ""
        return Line(tag, left, formula, numbers, self.printed.number(a[at]), array)

    def _name(self, field: str, t: int | None) -> str:
        """What an answer calls this cotangent; nothing if it does not give it."""
        if t is None or field in self.trace.xs:
            return f"d_{field}"
        if field.endswith("_prev"):
            return f"d_{field.removesuffix('_prev')}_0" if t == 0 else ""
        return f"cotangents.{field}"

    def _wrong(self, name: str, right: Any, t: int | None, at: tuple[int, ...]) -> tuple[str, str] | None:
        """What the mistake gives, if it gives another array."""
        if self.wanted.wrong is None or name not in self.wanted.wrong:
            return None
        found = self.wanted.wrong[name]
        found = found if t is None else found[0] if name.endswith("_0") else found[t][0]
        if np.allclose(found, right, rtol=NEAR, atol=NEAR * np.max(np.abs(right), initial=0)):
            return None
        return self.printed.number(found[at]), self.printed.vector(found) if found.size > 1 else ""


def text(sections: list[Section]) -> str:
    """The sections as text, for a terminal."""
    found = []
    for section in sections:
        found += [section.heading, ""]
        for line in section.lines:
            found += _text(line)
        found.append("")
    return "\n".join(found)


def _text(line: Line) -> Iterator[str]:
    head = f"  {line.tag:5}{line.left:8}"
    tail = f"    {line.left.partition('[')[0]} = {line.array}" if line.array and line.result else ""
    wrong = "" if line.wrong is None else f"    ≠ wrong: {line.wrong[0]}" + (f"  {line.wrong[1]}" if tail else "")
    moved = "" if line.moved is None else f"    moved: {line.moved}"
    if not line.result:
        yield f"{head} = {line.array}"
    elif line.formula and not line.tag.endswith("'"):
        yield f"{head} = {line.formula}"
        yield f"{'':15} = {line.numbers} = {line.result}{tail}{wrong}"
    else:
        sides = " = ".join(side for side in (line.formula, line.numbers, line.result) if side)
        yield f"{head} = {sides}{moved}{tail}{wrong}"
    for origin, number, formula, numbers in line.parts:
        yield f"         from {origin:10} {number:>14}" + (f" = {formula} = {numbers}" if formula else "")


def markdown(sections: list[Section]) -> str:
    """Tables, one for each section."""
    found = []
    for section in sections:
        more = [k for k in ("moved", "wrong") if any(getattr(line, k) for line in section.lines)]
        head = ["tag", "number", "formula", "numbers", "result", "all units", *more]
        found += [f"## {section.heading}", "", _row(head), _row(["---"] * len(head))]
        for line in section.lines:
            wrong = "≠ " + " ".join(line.wrong) if line.wrong else ""
            cells = [line.tag, line.left, line.formula, line.numbers, line.result, line.array]
            found.append(_row([*cells, *({"moved": line.moved or "", "wrong": wrong}[k] for k in more)]))
            for origin, number, formula, numbers in line.parts:
                found.append(_row([origin, "", formula, numbers, number, "", *[""] * len(more)]))
        found.append("")
    return "\n".join(found)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def latex(sections: list[Section]) -> str:
    """One align environment for each section, for the package amsmath."""
    found = []
    for section in sections:
        rows = []
        for line in section.lines:
            sides = [side for side in (line.formula, line.numbers, line.result) if side] or [line.array]
            moved = rf"\quad\text{{moved }} {line.moved}" if line.moved else ""
            wrong = rf"\quad\neq {line.wrong[0]}" if line.wrong else ""
            tag = rf" \tag{{${line.tag}$}}" if line.tag and line.tag not in ("JOIN", "SUM") else r" \notag"
            rows.append(f"  {line.left} &= {' = '.join(sides)}{moved}{wrong}{tag}")
            for origin, number, formula, numbers in line.parts:
                sides = [side for side in (formula, numbers, number) if side]
                rows.append(
                    rf"  &\quad\text{{{origin}: }} {' = '.join(sides)} \notag".replace("_", r"\_", origin.count("_"))
                )
        body = " \\\\\n".join(rows)
        found.append(f"\\subsection*{{{section.heading}}}\n\\begin{{align}}\n{body}\n\\end{{align}}\n")
    return "\n".join(found)
