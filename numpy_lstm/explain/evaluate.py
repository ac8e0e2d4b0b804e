"""Rows and terms with numbers put in: any arrays that ``ops`` takes, B rows at once."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from .. import ops
from ..arrays import keep_last
from .adjoint import Term, accurate, terms
from .rows import Equations

Numbers = Mapping[str, Any]
OPERATIONS: dict[str, Callable[..., Any]] = {
    "keep_last": keep_last,
    "scatter_rows": lambda d, codes, W: ops.scatter_rows(d, codes, W.shape[-2]),
    "normalise": lambda *a: ops.normalise(a[:-1], a[-1]),
    "normalise_adjoint": lambda k, eps, *a: ops.normalise_adjoint(a[: len(a) // 2], a[len(a) // 2 :], eps)[k],
}


def value(e: ast.expr, names: Numbers, d: Numbers, equations: Equations) -> Any:
    """What an expression is where names and cotangents ``d.name`` are these; a list of blocks for ``normalise``."""
    match e:
        case ast.Name(name):
            return names[name]
        case ast.Constant(number):
            return number
        case ast.Attribute(ast.Name("d"), name):
            return d[name]
        case ast.UnaryOp(_, a):
            return -value(a, names, d, equations)
        case ast.BinOp(left, op, right):
            a, b = value(left, names, d, equations), value(right, names, d, equations)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
            return a @ b
        case ast.Call(ast.Name(name), arguments):
            given = [value(a, names, d, equations) for a in arguments]
            return function(name, equations)(*given)
    raise TypeError(f"no value of {ast.unparse(e)}")


def function(name: str, equations: Equations) -> Callable[..., Any]:
    """The function, or for ``dsigmoid`` the derivative, that a name in an expression stands for."""
    if name in equations.functions:
        return equations.functions[name].f
    if name[1:] in equations.functions and name[0] == "d":
        return equations.functions[name[1:]].d
    return OPERATIONS.get(name) or getattr(ops, name)


def forward(equations: Equations, names: Numbers, moved: Numbers | None = None) -> dict[str, Any]:
    """All values of one step from the inputs, ``c_prev`` and so on, and the parameters.

    ``moved`` is added to some of them. Then 1 - f is taken of f itself, so that it moves with f.
    """
    moved, exact = moved or {}, not moved
    found = {k: a + moved[k] if k in moved else a for k, a in names.items()}
    for row in equations.rows:
        given = value(accurate(row.expression, equations) if exact else row.expression, found, {}, equations)
        blocks = given if isinstance(given, list) else [given]
        found |= {k: a + moved.get(k, 0) for k, a in zip(row.targets, blocks, strict=True)}
    return found


def backward(equations: Equations, names: Numbers, arriving: Numbers) -> tuple[dict[str, Any], list[tuple[Term, Any]]]:
    """All cotangents of one step, of the parameters too, and each term with its value, in the order of ``terms``.

    ``arriving`` holds what comes from outside at what the step gives and carries.
    """
    total = dict(arriving)
    parts = []
    for term in terms(equations):
        for source in term.sources:
            if source not in total:
                total[source] = 0 * names[source]
        found = value(term.expression, names, total, equations)
        total[term.target] = total[term.target] + found if term.target in total else 0 * names[term.target] + found
        parts.append((term, found))
    return total, parts
