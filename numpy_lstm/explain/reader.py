"""Reads the tagged lines of one ``values``."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from .. import ops
from ..activations import APART, IDENTITY, SIGMOID, TANH, TOGETHER, UNCHANGED, Activation, Normalisation
from ..check.given import CaseError
from ..pages import describe
from ..pages.page import Page
from .expressions import Row, call, opposite

ACTIVATION = {ops.sigmoid: SIGMOID, ops.tanh: TANH}  # called as they are, not through F
KEPT = (ops.linear, ops.row, ops.sum_columns, ops.scores, ops.mixture, ops.softmax, ops.gather_rows)


class Scope(NamedTuple):
    """What names mean in one function: arrays, records by field, and the rest by ``known``; ``F`` holds the functions.

    Of a record, the field that each field is here; None where the names are the same.
    """

    names: dict[str, ast.expr]
    records: dict[str, dict[str, str] | None]
    known: dict[str, Any]
    F: str = ""


class Reader:
    """Reads the tagged lines of one ``values``; ``names`` are what else may be read in them, and never changes."""

    def __init__(self, page: Page, functions: dict[str, Activation], names: tuple[str, ...] = ()) -> None:
        self.page, self.functions, self.names, self.tag = page, functions, names, ""
        self.found: list[Row] = []
        definition, self.lines = self._definition(page.values)
        self.body = list(_statements(definition.body) if names else definition.body)
        F, p, self.x, self.prev = (a.arg for a in definition.args.args)
        self.scope = Scope({k: ast.Name(k) for k in names}, {p: None}, _known(page.values), F)
        self.scope.records[self.prev] = {k: f"{k}_prev" for k in page.carries}
        if len(page.reads) > 1:
            self.scope.records[self.x] = None
        else:
            self.scope.names[self.x] = ast.Name(page.reads[0])

    def inner(self) -> dict[str, str]:
        """What a combinator calls the fields of the cell within, by its ``return``: ``m=v.h`` where v are its values.

        Raises CaseError unless the cell is given x and the state as they come.
        """
        for node in self.body:
            match node:
                case ast.Assign([ast.Name(v)], ast.Call(called, [_, _, ast.Name(self.x), ast.Name(self.prev)])) if (
                    ast.unparse(called) == f"{self.scope.F}.cell.values"
                ):
                    own = {e.attr: k for k, e in self._returned() if isinstance(e, ast.Attribute) and _is(e.value, v)}
                    self.scope.records[v], self.names = own, (*self.names, v)
                    return own
        raise CaseError(
            f"{self.page.name}: no rule for this combinator; expected v = F.cell.values(F.cell.functions, p, x, prev)"
        )

    def rows(self) -> list[Row]:
        """The rows, top to bottom. Raises CaseError: see the module ``rows``."""
        if not any(map(describe.tag, self.lines)):
            raise CaseError(f"{self.page.name}: no line in values has a tag; expected 'c = f * prev.c + i * g  # (L9)'")
        fields = {e.id: k for k, e in self._returned() if isinstance(e, ast.Name)}
        fields = {name: k for name, k in fields.items() if name not in self.scope.names}
        for node in self.body:
            self.tag = next(filter(None, map(describe.tag, self.lines[node.lineno - 1 : node.end_lineno])), "")
            match node:
                case ast.Assign([to], value) | ast.AnnAssign(to, _, ast.expr() as value):
                    self._assign(to, value, fields)
                case ast.Return() | ast.Expr(ast.Constant()):
                    pass
                case ast.AugAssign(ast.Name(name)) if name not in {*fields, *self.scope.names}:
                    pass
                case _:
                    raise self._no_rule(node)
        for k, e in self._returned():
            given = k in self.page.reads or k in (f"{j}_prev" for j in self.page.carries)
            if given and not _is(self.expression(e, self.scope), k):
                raise CaseError(f"{self.page.name}: {k} is returned as {ast.unparse(e)}; expected it as it came")
            if not given and not isinstance(e, ast.Name | ast.Attribute):
                raise CaseError(f"{self.page.name}: {k} is returned as {ast.unparse(e)}; expected '{k} = ...  # (TAG)'")
        return self.found

    def _returned(self) -> list[tuple[str, ast.expr]]:
        """Field and expression of what ``return`` gives by name, or by place in a Trace."""
        done = next((n.value for n in self.body if isinstance(n, ast.Return)), None)
        if not isinstance(done, ast.Call):
            raise CaseError(f"{self.page.name}: values returns no record; expected 'return Trace(x=x, ...)'")
        by_place = done.args if self._meant(done.func, self.scope) is self.page.Trace else []
        pairs = [*zip(self.page.Trace._fields, by_place, strict=False), *((k.arg, k.value) for k in done.keywords)]
        return [(str(k), e) for k, e in pairs if k is not None]

    def _assign(self, to: ast.expr, value: ast.expr, fields: dict[str, str]) -> None:
        """One line: rows if it has a tag, else an intermediate, which is put in where it is used."""
        if self.tag:
            self.found += self._read(to, value, fields)
            return
        found = None
        with suppress(CaseError):  # what has no rule is said where it is used
            found = self.expression(value, self.scope)
        for e in ast.walk(to):
            if isinstance(e, ast.Name) and e.id not in self.names:
                if e.id in fields:
                    raise CaseError(f"{self.page.name}: '{e.id} = ...' has no tag in values; expected one, as (L9)")
                self.scope.names.pop(e.id, None)
                self.scope.records.pop(e.id, None)
        if found is not None and isinstance(to, ast.Name):
            self.scope.names[to.id] = found

    def _read(self, to: ast.expr, value: ast.expr, fields: dict[str, str]) -> list[Row]:
        """The rows of one tagged line: several if it assigns several."""
        local = [e.id for e in (to.elts if isinstance(to, ast.Tuple) else [to]) if isinstance(e, ast.Name)]
        targets = tuple(fields.get(name, name) for name in local)
        if isinstance(value, ast.Tuple):
            values = [self.expression(e, self.scope) for e in value.elts]
        else:
            found = self.expression(value, self.scope)
            values = found.elts if isinstance(found, ast.List) else [found]
        self.scope.names.update({name: ast.Name(k) for name, k in zip(local, targets, strict=True)})
        if len(values) == len(targets):
            return [Row(self.tag, (k,), e) for k, e in zip(targets, values, strict=True)]
        return [Row(self.tag, targets, values[0])]

    def expression(self, e: ast.expr, scope: Scope) -> ast.expr:
        """An expression of the page over the fields of Trace and Params."""
        match e:
            case ast.Constant(int() | float()):
                return e
            case ast.Name(name) if name in scope.names:
                return scope.names[name]
            case ast.Attribute(ast.Name(record), field) if record in scope.records:
                return ast.Name((scope.records[record] or {}).get(field, field))
            case ast.Attribute(ast.Name(scope.F), field) if isinstance(self._function(field), int | float):
                return ast.Constant(self._function(field))
            case ast.UnaryOp(ast.USub() as op, a):
                return ast.UnaryOp(op, self.expression(a, scope))
            case ast.BinOp(a, ast.MatMult(), ast.Attribute(W, "T")):
                return call("linear", self.expression(a, scope), self.expression(W, scope))
            case ast.BinOp(a, ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as op, b):
                return ast.BinOp(self.expression(a, scope), op, self.expression(b, scope))
            case ast.Call(ast.Attribute(ast.Attribute(ast.Name(scope.F), field), "complement"), [a]):
                return self._complement(self._function(field), self.expression(a, scope))
            case ast.Call(ast.Attribute(ast.Name(scope.F), field), [ast.List(blocks)]):
                return self._normalised(self._function(field), [self.expression(a, scope) for a in blocks])
            case ast.Call(ast.Attribute(ast.Name(scope.F), field), [a]):
                return self._applied(self._function(field), self.expression(a, scope))
            case ast.Call(ast.Name() | ast.Attribute() as function, arguments, []):
                return self._called(function, [self.expression(a, scope) for a in arguments], scope)
        raise self._no_rule(e)

    def _function(self, field: str) -> Any:
        return getattr(self.page.functions, field, None)

    def _applied(self, f: Any, a: ast.expr) -> ast.expr:
        """f(a), which is a for the identity; of 1 - sigmoid that is sigmoid(-a), which loses no digit."""
        if not isinstance(f, Activation):
            raise CaseError(f"{self.page.name}, {self.tag}: {f!r} has no rule; expected an Activation")
        if f == IDENTITY:
            return a
        if f.made and f.made[0] == "complement":
            return opposite(self._applied(f.made[1], a))
        name = re.sub(r"\W+", "_", f.name)
        while self.functions.setdefault(name, f) != f:  # of the same name, made otherwise
            name += "_"
        return call(name, a)

    def _complement(self, f: Any, a: ast.expr) -> ast.expr:
        """1 - f(a): 1 - z if a row says z = f(a). ``adjoint.accurate`` sees to its digits."""
        plain = self._applied(f, a)
        same = [r.targets[0] for r in self.found if ast.dump(r.expression) == ast.dump(plain)]
        return opposite(ast.Name(same[0]) if same else plain)

    def _normalised(self, norm: Any, blocks: list[ast.expr]) -> ast.expr:
        f = norm.f if isinstance(norm, Normalisation) else None
        if f is UNCHANGED.f:
            return ast.List(blocks)
        if f is APART.f:
            return ast.List([call("normalise", a, ast.Constant(norm.eps)) for a in blocks])
        if f is TOGETHER.f:
            return call("normalise", *blocks, ast.Constant(norm.eps))
        raise CaseError(f"{self.page.name}, {self.tag}: {norm!r} has no rule")

    def _called(self, function: ast.expr, arguments: list[ast.expr], scope: Scope) -> ast.expr:
        """An operation that is kept, an activation, or a helper whose one ``return`` is put in."""
        found = self._meant(function, scope)
        if found in ACTIVATION:
            return self._applied(ACTIVATION[found], arguments[0])
        if found in KEPT:
            return call(found.__name__, *arguments)
        if not inspect.isfunction(found):
            raise self._no_rule(function)
        definition, _ = self._definition(found)
        body = [n for n in definition.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
        match body:
            case [ast.Return(ast.expr() as result)]:
                names = dict(zip((a.arg for a in definition.args.args), arguments, strict=False))
                return self.expression(result, Scope(names, {}, _known(found)))
        raise self._no_rule(function)

    def _meant(self, e: ast.expr, scope: Scope) -> Any:
        """What a name stands for, with dots or without; None if nothing."""
        if isinstance(e, ast.Attribute):
            return getattr(self._meant(e.value, scope), e.attr, None)
        return scope.known.get(e.id) if isinstance(e, ast.Name) else None

    def _no_rule(self, e: ast.AST) -> CaseError:
        covered = f"+ - * /, functions of the page, {', '.join(f.__name__ for f in KEPT)}"
        where = ", ".join(filter(None, (self.page.name, self.tag)))
        return CaseError(f"{where}: no rule for {ast.unparse(e).splitlines()[0]}; expected {covered}")

    def _definition(self, function: Any) -> tuple[ast.FunctionDef, list[str]]:
        """What the source of a function says, and its lines. Raises CaseError where there is none."""
        try:
            source = textwrap.dedent(inspect.getsource(function))
            found = ast.parse(source).body[0]
        except (TypeError, OSError, SyntaxError):
            found, source = None, ""
        if not isinstance(found, ast.FunctionDef):
            name = getattr(function, "__name__", repr(function))
            raise CaseError(
                f"{self.page.name}: the source of {name} is not at hand; expected a def in a file or a notebook"
            )
        return found, source.splitlines()


def _is(e: ast.expr, name: str) -> bool:
    return isinstance(e, ast.Name) and e.id == name


def _known(function: Any) -> dict[str, Any]:
    """What a function's free names are."""
    return {**function.__globals__, **inspect.getclosurevars(function).nonlocals}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a function in order, those inside its loops too."""
    for node in body:
        if isinstance(node, ast.For):
            yield from _statements(node.body)
        else:
            yield node
