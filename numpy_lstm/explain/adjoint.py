"""Rows become terms: for every row, read upward, what it adds to which cotangent. Symbolic rules, and nothing else.

A cotangent is written ``d.c``, a value or a parameter by its name: the row L9, ``c = f * c_prev + i * g``, gives the
terms ``d.c * c_prev`` of f, ``d.c * f`` of c_prev, ``d.c * g`` of i and ``d.c * i`` of g, each with the tag L9'.
"""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .expressions import Row, call, mapped, opposite
from .rows import Equations

EVEN = ("dsigmoid", "dtanh")  # the derivative at -a is that at a


def _times(a: ast.expr, op: ast.operator, b: ast.expr) -> ast.expr:
    """a op b, with the sign of a in front."""
    if isinstance(a, ast.UnaryOp):
        return _minus(ast.BinOp(a.operand, op, b))
    return ast.BinOp(a, op, b)


def _product(a: ast.expr, b: ast.expr) -> ast.expr:
    return _times(a, ast.Mult(), b)


def _minus(a: ast.expr) -> ast.expr:
    return a.operand if isinstance(a, ast.UnaryOp) else ast.UnaryOp(ast.USub(), a)


RULES: dict[str, Callable[..., tuple[ast.expr, ...]]] = {  # from d and the arguments: the cotangents of the arguments
    "linear": lambda d, x, W: (ast.BinOp(d, ast.MatMult(), W), call("contract", d, x)),
    "row": lambda d, b: (call("sum_rows", d),),
    "sum_columns": lambda d, a: (call("keep_last", d),),
    "scores": lambda d, q, memory: (call("mixture", d, memory), call("outer", d, q)),
    "mixture": lambda d, w, memory: (call("scores", d, memory), call("outer", w, d)),
    "softmax": lambda d, e: (call("softmax_adjoint", d, call("softmax", e)),),
    "gather_rows": lambda d, W, codes: (call("scatter_rows", d, codes, W),),
}


class Term(NamedTuple):
    """What one row adds to the cotangent of ``target``: linear in those of ``sources``, the targets of the row."""

    tag: str
    target: str
    sources: tuple[str, ...]
    expression: ast.expr

    def __str__(self) -> str:
        return f"{self.tag}  d.{self.target} += {ast.unparse(self.expression)}"


def terms(equations: Equations) -> list[Term]:
    """The whole adjoint of a step, its rows read from below: each cotangent is complete before it is used.

    Targets are fields of Trace, what comes in included, and parameters.
    """
    named = {ast.dump(row.expression): ast.Name(row.targets[0]) for row in equations.rows if _is(row, "softmax")}

    def known(e: ast.expr) -> ast.expr | None:
        return named.get(ast.dump(e)) if isinstance(e, ast.Call) else None

    return [
        Term(f"{row.tag}'", target, row.targets, accurate(mapped(e, known), equations))
        for row in reversed(equations.rows)
        for target, e in _back(row.expression, [cotangent(k) for k in row.targets])
    ]


def _is(row: Row, name: str) -> bool:
    return isinstance(row.expression, ast.Call) and ast.unparse(row.expression.func) == name


def cotangent(field: str) -> ast.expr:
    """The name of the cotangent of a field: ``d.c``."""
    return ast.Attribute(ast.Name("d"), field)


def accurate(e: ast.expr, equations: Equations) -> ast.expr:
    """The expression with ``1 - f`` as ``sigmoid(-a_f)`` where a row says f = sigmoid(a_f): no digit is lost."""
    value = {row.targets[0]: row.expression for row in equations.rows}

    def new(e: ast.expr) -> ast.expr | None:
        match e:
            case ast.BinOp(ast.Constant(1), ast.Sub(), ast.Name(f)) if f in value:
                found = opposite(value[f])
                return found if isinstance(found, ast.Call) else None
        return None

    return mapped(e, new)


def _back(e: ast.expr, ds: list[ast.expr]) -> Iterator[tuple[str, ast.expr]]:
    """What each name in ``e`` receives where ``ds`` is the cotangent of ``e``, or those of its blocks."""
    d = ds[0]
    match e:
        case ast.Constant():
            pass
        case ast.Name(name):
            yield name, d
        case ast.UnaryOp(ast.USub(), a):
            yield from _back(a, [_minus(d)])
        case ast.BinOp(a, ast.Add(), b):
            yield from _back(a, [d])
            yield from _back(b, [d])
        case ast.BinOp(a, ast.Sub(), b):
            yield from _back(a, [d])
            yield from _back(b, [_minus(d)])
        case ast.BinOp(a, ast.Mult(), b):
            yield from _back(a, [_product(d, b)])
            yield from _back(b, [_product(d, a)])
        case ast.BinOp(a, ast.Div() as over, b):
            part = _times(d, over, b)
            yield from _back(a, [part])
            yield from _back(b, [_minus(_product(part, ast.BinOp(a, over, b)))])
        case ast.Call(ast.Name("normalise"), [*blocks, eps]):
            for k, block in enumerate(blocks):
                yield from _back(block, [call("normalise_adjoint", ast.Constant(k), eps, *ds, *blocks)])
        case ast.Call(ast.Name(name), arguments) if name in RULES:
            for argument, found in zip(arguments, RULES[name](d, *arguments), strict=False):
                yield from _back(argument, [found])
        case ast.Call(ast.Name(name), [a]):
            slope = f"d{name}"
            at = a.operand if isinstance(a, ast.UnaryOp) and slope in EVEN else a
            yield from _back(a, [_product(d, call(slope, at))])
