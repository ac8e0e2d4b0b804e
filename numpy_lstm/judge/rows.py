"""An unknown mistake, described: which rows of the page are wrong, given the answer's own values and cotangents.

A row that gives from the answer's own numbers what stands in the answer was computed rightly, even from wrong ones. So
the tags of the others say where the mistakes are, however many there are. Rows are read from the page's own source,
and differentiated by complex steps: no adjoint is used.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from types import CodeType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..cases.case import Case, computed
from ..cases.inputs import dump_gradients
from ..pages import describe
from ..pages.page import Page

STEP = 1e-30
WRONG = 1e-5  # of the largest number of a field

Arrays = Mapping[str, Any]


class Row(NamedTuple):
    """One equation of a page: ``targets = code``, from the fields ``reads`` and the parameters ``weighs``.

    ``called`` says what the code calls a field, if not by its name.
    """

    tag: str
    targets: tuple[str, ...]
    reads: tuple[str, ...]
    weighs: tuple[str, ...]
    code: CodeType
    called: dict[str, str]


@cache
def rows(page: Page) -> tuple[Row, ...]:
    """The rows with a tag; none where the source is not at hand, or speaks of other names than the Trace does."""
    try:
        lines = textwrap.dedent(inspect.getsource(page.values)).splitlines()
    except (TypeError, OSError):
        return ()
    found, tree = [], _OneMinus().visit(ast.parse("\n".join(lines)))
    field = {k: k for k in page.Trace._fields}
    for call in (n.value for n in ast.walk(tree) if isinstance(n, ast.Return) and isinstance(n.value, ast.Call)):
        field |= {k.value.id: k.arg for k in call.keywords if isinstance(k.value, ast.Name) and k.arg}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (tag := describe.tag(lines[node.lineno - 1])):
            names = {
                part: [n.id for n in ast.walk(of) if isinstance(n, ast.Name)]
                for part, of in (("targets", node.targets[0]), ("reads", node.value))
            }
            used = [n for n in ast.walk(node.value) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
            of = {k: [n.attr for n in used if n.value.id == k] for k in ("p", "prev")}  # type: ignore[attr-defined]
            reads = [*(field[k] for k in names["reads"] if k in field), *(f"{k}_prev" for k in of["prev"])]
            code = compile(ast.fix_missing_locations(ast.Expression(node.value)), page.values.__module__, "eval")
            targets = tuple(field.get(k, k) for k in names["targets"])
            called = {k: field[k] for k in names["reads"] if field.get(k, k) != k}
            found.append(Row(tag, targets, tuple(dict.fromkeys(reads)), tuple(of["p"]), code, called))
    complete = {k for row in found for k in row.targets} == set(computed(page))
    return tuple(found) if complete else ()


class _OneMinus(ast.NodeTransformer):
    """``F.z.complement(a_z)`` is 1 - z without its cancellation; the adjoint goes through z."""

    def visit_Call(self, node: ast.Call) -> Any:
        """Put 1 - z in the place of one call of ``complement``."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "complement":
            return ast.parse(f"1 - {node.func.value.attr}", mode="eval").body  # type: ignore[attr-defined]
        return self.generic_visit(node)


class Own:
    """The rows of a page at all steps of an answer: ``v`` its values, ``d`` its cotangents, each (T,B,N) by field."""

    def __init__(self, page: Page, params: Any, v: dict[str, Any], d: dict[str, Any]) -> None:
        self.page, self.params, self.v, self.d = page, params, v, d
        self.globals = inspect.getmodule(page.values).__dict__

    def value(self, row: Row, v: Arrays) -> list[Any]:
        """What the row gives from these fields, a list of its targets."""
        prev = SimpleNamespace(**{k: v[f"{k}_prev"] for k in self.page.carries})
        known = {
            **v,
            **{k: v[j] for k, j in row.called.items()},
            "F": self.page.functions,
            "p": self.params,
            "prev": prev,
        }
        given = eval(row.code, self.globals, known)
        return list(given) if isinstance(given, list | tuple) else [given]

    def share(self, row: Row, field: str) -> Any:
        """What the row's adjoint adds to the cotangent of one field that it reads: its targets' own, carried over."""
        a = self.v[field]
        total = np.zeros_like(a)
        for j in range(a.shape[-1]):
            moved = a.astype(complex)
            moved[..., j] += STEP * 1j
            slopes = [y.imag / STEP for y in self.value(row, self.v | {field: moved})]
            total[..., j] = sum(np.sum(s * self.d[k], axis=-1) for s, k in zip(slopes, row.targets, strict=True))
        return total


def wrong_rows(case: Case, got: Arrays, right: Arrays) -> list[str]:
    """Sentences about the rows of the answer ``got`` that are wrong; ``right`` is a right answer with every step.

    Only for a plain network, a single cell read forward without lengths, of which the cotangents of every step are
    given; values that are not given are taken to be right.
    """
    network, page = case.network, case.network.page
    plain = network._replace(cell=page) == network._replace(
        cell=page, projection=0, zoneout=False, direction="forward", layers=1
    )
    fields = computed(page)
    call = case.call()
    if not plain or call.lengths is not None or not rows(page) or any(f"cotangents.{k}" not in got for k in fields):
        return []
    if not all(np.all(np.isfinite(a)) for a in got.values()):
        return []
    v = {k: got.get(f"values.{k}", right[f"values.{k}"]) for k in fields}
    v |= {"x": call.xs} if page.reads == ("x",) else call.xs._asdict()
    v |= {f"{k}_prev": np.concatenate([getattr(call.first, k)[None], v[k][:-1]]) for k in page.carries}
    own = Own(page, call.params, v, {k: got[f"cotangents.{k}"] for k in fields})
    forward = [row.tag for row in rows(page) if any(map(_apart, own.value(row, v), (v[k] for k in row.targets)))]
    if forward:
        return [f"rows that are wrong, given the answer's own values: {_listed(page, forward)}"]
    backward = _listed(page, _backward(case, own, got), "'")
    return [f"rows that are wrong, given the answer's own cotangents: {backward}"] if backward else []


def _backward(case: Case, own: Own, got: Arrays) -> list[str]:
    """The tags of the rows whose adjoints do not give what stands in the answer."""
    page, call, found = own.page, case.call(), []
    zero = {k: np.zeros_like(a) for k, a in own.v.items()}
    readers = {k: {row.tag: own.share(row, k) for row in rows(page) if k in row.reads} for k in own.v}
    for k in computed(page):
        given = zero[k] + (call.dhs if k == page.gives[0] else 0)
        given = given + call.dcs if k == "c" and call.dcs is not None else given
        shares = dict(readers[k])
        if k in page.carries:
            given[-1] += getattr(call.dlast, k)
            for tag, share in readers[f"{k}_prev"].items():
                shares[tag] = shares.get(tag, 0) + np.concatenate([share[1:], 0 * share[:1]])
        found += _to_blame(own.d[k] - given, shares)
    if "d_x" in got:
        found += _to_blame(got["d_x"], readers["x"])
    for k in page.carries:
        if f"d_{k}_0" in got:
            found += _to_blame(got[f"d_{k}_0"][None], {tag: a[:1] for tag, a in readers[f"{k}_prev"].items()})
    return [*found, *_contractions(case, own, got)]


def _contractions(case: Case, own: Own, got: Arrays) -> list[str]:
    """The tags of the rows whose parameter gradients are not those of the answer's own cotangents."""
    page = own.page
    flat = {name: {k: a.reshape(-1, a.shape[-1]) for k, a in of.items()} for name, of in (("v", own.v), ("d", own.d))}
    absent = dict.fromkeys(page.Trace._fields)
    v, d = (page.Trace(**(absent | flat[name])) for name in ("v", "d"))
    dparams = page.gradients(page.functions, own.params, v, d)
    tags: list[str] = []
    for field in page.Params._fields:
        alone = dparams._replace(**{k: 0 * getattr(dparams, k) for k in dparams._fields if k != field})
        for name, a in dump_gradients(case.layout, alone, page).items():
            if f"d_{name}" in got and np.any(a):
                here = a != 0
                if _apart(np.where(here, got[f"d_{name}"], 0), a):
                    tags += [row.tag for row in rows(page) if field in row.weighs]
    return tags


def _to_blame(arrived: Any, shares: dict[str, Any]) -> list[str]:
    """Which shares are not in what arrived: the one that explains the gap if there is one, else all that may."""
    gap = arrived - sum(shares.values())
    if not shares or not _apart(arrived, arrived - gap, max(map(_largest, shares.values()))):
        return []
    for tag, share in shares.items():
        factor = np.vdot(share, gap) / max(np.vdot(share, share), 1e-300)
        if not _apart(gap, factor * share, _largest(gap)):
            return [tag]
    return [tag for tag, share in shares.items() if np.any(share[np.nonzero(gap)[0]])]


def _largest(a: Any) -> float:
    return float(np.max(np.abs(a), initial=0))


def _apart(a: Any, b: Any, size: float = 0.0) -> bool:
    return _largest(a - b) > WRONG * max(size, _largest(b))


def _listed(page: Page, tags: list[str], mark: str = "") -> str:
    """Each once, in the order of the page."""
    return ", ".join(row.tag + mark for row in rows(page) if row.tag in tags)
