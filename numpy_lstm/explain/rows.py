"""The equations of a page as rows, read from the tagged lines of its own ``values``.

``c = f * prev.c + i * g  # (L9)`` becomes a row with tag L9, target c and expression ``f * c_prev + i * g``: names are
fields of Trace and Params. A function of the page is written by its name, ``sigmoid(a_i)``; a helper that is one
``return``, such as ``affine``, is put in. What is left is arithmetic and the operations that ``adjoint.RULES`` lists.
"""

import ast
from typing import NamedTuple

from ..activations import Activation
from ..check.given import CaseError
from ..pages.page import Page
from ..pages.zoneout import values as zoneout_values
from .expressions import Row, mapped
from .reader import Reader


class Equations(NamedTuple):
    """The rows of a page, top to bottom, and the activations that their names stand for."""

    page: Page
    rows: tuple[Row, ...]
    functions: dict[str, Activation]


def rows(page: Page) -> Equations:
    """The equations of a page; of a combinator those of its cell, under the names that it gives them, then its own.

    Raises CaseError, in one line, where the source is not at hand, where a field has no tagged line, and where a line
    holds what no rule covers.
    """
    functions: dict[str, Activation] = {}
    found = tuple(_rows(page, functions))
    targets = [k for row in found for k in row.targets]
    given = {*page.reads, *(f"{k}_prev" for k in page.carries)}
    for field in page.Trace._fields:
        if targets.count(field) + (field in given) != 1:
            has = "more than one tagged line" if field in targets else "no tagged line"
            raise CaseError(f"{page.name}: {field} has {has} in values; expected one '{field} = ...  # (TAG)'")
    if other := [k for k in targets if k not in page.Trace._fields]:
        raise CaseError(f"{page.name}: {other[0]} has a tagged line in values, but is no field of Trace")
    if both := {*page.Trace._fields} & {*page.Params._fields}:
        raise CaseError(f"{page.name}: {min(both)} is a field of Trace and of Params; expected different names")
    return Equations(page, found, functions)


def _rows(page: Page, functions: dict[str, Activation]) -> list[Row]:
    """See ``rows``; fills ``functions``."""
    cell = getattr(page.functions, "cell", None)
    if not isinstance(cell, Page):
        return Reader(page, functions).rows()
    if page.values is zoneout_values:
        inner = _renamed(_rows(cell, functions), {k: f"{k}_new" for k in cell.carries})
        own = Reader(page, functions, names=("keep", "old", "new")).rows()
        forms = {"now": "{}", "keep": "keep_{}", "old": "{}_prev", "new": "{}_new"}
        return inner + [r for k in cell.carries for r in _renamed(own, {a: b.format(k) for a, b in forms.items()})]
    reader = Reader(page, functions)
    return [*_renamed(_rows(cell, functions), reader.inner()), *reader.rows()]


def _renamed(found: list[Row], names: dict[str, str]) -> list[Row]:
    """The same rows with other names."""

    def new(e: ast.expr) -> ast.expr | None:
        return ast.Name(names.get(e.id, e.id)) if isinstance(e, ast.Name) else None

    return [Row(tag, tuple(names.get(k, k) for k in targets), mapped(e, new)) for tag, targets, e in found]
