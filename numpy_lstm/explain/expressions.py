"""Rows, and the expressions on their right-hand sides: trees of Python's own ``ast``."""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Row(NamedTuple):
    """One equation: ``targets = expression``; one target, but for blocks that are normalised together."""

    tag: str
    targets: tuple[str, ...]
    expression: ast.expr

    def operands(self) -> list[str]:
        """The fields and parameters on the right-hand side, in order of appearance."""
        return list(dict.fromkeys(names_in(self.expression)))

    def __str__(self) -> str:
        return f"{self.tag}  {', '.join(self.targets)} = {ast.unparse(self.expression)}"


def call(name: str, *arguments: ast.expr) -> ast.Call:
    """``name(arguments)``."""
    return ast.Call(ast.Name(name), list(arguments), [])


def opposite(e: ast.expr) -> ast.expr:
    """1 - e, without cancellation where the rule is known."""
    match e:
        case ast.BinOp(ast.Constant(1), ast.Sub(), a):
            return a
        case ast.Call(ast.Name("sigmoid"), [ast.UnaryOp(ast.USub(), a)]):
            return call("sigmoid", a)
        case ast.Call(ast.Name("sigmoid"), [a]):
            return call("sigmoid", ast.UnaryOp(ast.USub(), a))
    return ast.BinOp(ast.Constant(1), ast.Sub(), e)


def mapped(e: ast.expr, new: Callable[[ast.expr], ast.expr | None]) -> ast.expr:
    """The expression with every part for which ``new`` gives another in its place; what is called stays."""
    if (other := new(e)) is not None:
        return other
    match e:
        case ast.Call(function, arguments):
            return ast.Call(function, [mapped(a, new) for a in arguments], [])
        case ast.BinOp(a, op, b):
            return ast.BinOp(mapped(a, new), op, mapped(b, new))
        case ast.UnaryOp(op, a):
            return ast.UnaryOp(op, mapped(a, new))
    return e


def names_in(e: ast.AST) -> Iterator[str]:
    """Every name in an expression, from left to right, but not what is called."""
    if isinstance(e, ast.Name):
        yield e.id
    for child in ast.iter_child_nodes(e):
        if not (isinstance(e, ast.Call) and child is e.func):
            yield from names_in(child)
