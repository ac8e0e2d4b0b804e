"""A page's own adjoint held against the terms of its rows: the first that differs, right and yours."""

import inspect
import linecache
import traceback
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..check.given import CaseError
from ..pages import describe
from ..pages.page import Page, take
from ..shapes import axes, codes
from .adjoint import Term, terms
from .evaluate import value
from .load import complete
from .rows import Equations

SIZES, NEAR = {"B": 3, "D": 4, "H": 5, "N": 4, "S": 6}, 1e-9


class Difference(NamedTuple):
    """What is wrong first: the cotangent of ``field``, by rows ``right``; ``yours`` are the lines with these tags."""

    field: str
    right: tuple[Term, ...]
    yours: tuple[str, ...]
    says: str
    arrives: bool = False  # it has a part that comes from outside

    def __str__(self) -> str:
        lines = [f"the cotangent of {self.field} {self.says}", "right"]
        lines += [f"    what arrives in d.{self.field}"] * self.arrives
        lines += [f"    {term}" for term in self.right] or ["    0"] * (not self.arrives)
        return "\n".join([*lines, "yours", *(f"    {line}" for line in self.yours or ["no line has this tag"])])


def sizes(page: Page) -> dict[str, int]:
    """A size for every axis that the page has, by letter."""
    letters = {k for kind in (page.Params, page.Trace) for axis in axes(kind).values() for k in axis}
    return {k: SIZES.get(k, 3) for k in sorted(letters)} | SIZES | {"R": page.R or SIZES["H"]}


def drawn(page: Page, rng: np.random.Generator, scale: float = 1.0) -> tuple[Any, Any, Any]:
    """Random parameters times ``scale``, the values of one step, and cotangents that arrive; nothing is zero."""
    size = sizes(page)

    def draw(record: Any) -> Any:
        made = {k: rng.standard_normal([size[n] for n in letters]) for k, letters in axes(record).items()}
        return record(**made | {k: rng.integers(size[n], size=size["B"]) for k, n in codes(record).items()})

    p, x, prev = (draw(record) for record in (page.Params, page.Input, page.State))
    p = tree.scale(scale, p)
    return p, page.values(page.functions, p, page.input(x), prev), take(page.Trace, draw(page.Outputs))


def first_difference(equations: Equations, rng: np.random.Generator) -> Difference | None:
    """The first cotangent, reading upward, that is not what the rows give from the cotangents above it; None if none.

    Each is computed from the page's *own* cotangents above it, so that what follows from a mistake is not called one.
    """
    page = equations.page
    p, v, arriving = drawn(complete(page), rng)
    try:
        d = page.adjoint(page.functions, p, v, arriving)
        mine = _named(d) | _named(page.gradients(page.functions, p, v, d))
    except Exception as error:
        where = _raised(page, error)
        raise CaseError(f"{page.name}: its adjoint cannot be run: {type(error).__name__}: {error}{where}") from None
    names, whole = _named(p) | _named(v), terms(equations)
    last = {t.target: n for n, t in enumerate(whole)}  # where a cotangent is complete
    fields = [k for k in (*page.Trace._fields, *page.Params._fields) if k not in codes(page.Trace)]
    for field in sorted(fields, key=lambda k: last.get(k, -1)):
        of = tuple(t for t in whole if t.target == field)
        parts = [value(t.expression, names, mine, equations) for t in of]
        given = getattr(arriving, field, None)
        right = sum(parts, 0 * names[field] if given is None else given)
        size = np.linalg.norm(right) or 1.0
        got = mine.get(field)
        lines = _lines(page, field, of)
        if got is None or np.shape(got) != np.shape(right):
            came = "None" if got is None else f"of shape {np.shape(got)}"
            return Difference(field, of, lines, f"is {came}; expected shape {np.shape(right)}", given is not None)
        gap = float(np.linalg.norm(got - right) / size)
        if not gap <= NEAR:
            says = f"differs by {gap:.1e} of its size{_guess(got - right, of, parts, given, size)}"
            says = says if np.isfinite(gap) else "is not finite"
            return Difference(field, of, lines, says, given is not None)
    return None


def _guess(gap: Any, of: tuple[Term, ...], parts: list[Any], given: Any, size: Any) -> str:
    """Which term is left out, taken twice or subtracted, if it is one of these."""
    named = [(f"the term of {t.tag}", part) for t, part in zip(of, parts, strict=True)]
    for tag in dict.fromkeys(t.tag for t in of):
        named.append((f"all of {tag}", sum(part for t, part in zip(of, parts, strict=True) if t.tag == tag)))
    named += [] if given is None else [("what arrives", given)]
    for name, part in named:
        for factor, says in ((-1, "is missing"), (1, "counts twice"), (-2, "has the wrong sign")):
            if np.linalg.norm(gap - factor * part) <= NEAR * size:
                return f": {name} {says}"
    return ""


def _lines(page: Page, field: str, of: tuple[Term, ...]) -> tuple[str, ...]:
    """The lines of the page with the tags of these terms; of ``gradients`` those that name the parameter too."""
    function = page.gradients if field in page.Params._fields else page.adjoint
    try:
        lines = inspect.getsource(function).splitlines()
    except (TypeError, OSError):
        return ()
    keyword = f"{field}=" if function is page.gradients else "\n"
    return tuple(line.strip() for line in lines if describe.tag(line) in {t.tag for t in of} or keyword in line)


def _raised(page: Page, error: Exception) -> str:
    """The line of the page at which it was raised."""
    code = {getattr(f, "__code__", None) for f in (page.adjoint, page.gradients)}
    frames = traceback.walk_tb(error.__traceback__)
    lines = [linecache.getline(f.f_code.co_filename, n).strip() for f, n in frames if f.f_code in code]
    return f", in '{lines[-1]}'" if any(lines) else ""


def _named(record: Any) -> dict[str, Any]:
    return dict(record._asdict())
