"""Rows and terms as data that the page's JavaScript compiles: each expression a nested list, its operation first.

A name is a string, ``d.c``, the cotangent of c, is ``"d.c"``, a number itself. ``["+", a, b]``, ``-``, ``*``, ``/`` are
element by element, ``["neg", a]``; ``["lin", a, W]`` is a W^T, ``["nil", d, W]`` d W, ``["outer", d, a]`` d^T a;
``["f", name, numbers, a]`` a function and ``["d", name, numbers, a]`` its derivative; ``["norm", eps, blocks...]`` a
layer norm and ``["dnorm", k, eps, ds..., blocks...]`` the k-th block of its adjoint.
"""

import ast
from typing import Any

from ..check.given import CaseError
from ..pages.page import Page
from .adjoint import accurate, terms
from .expressions import Row
from .rows import Equations, rows

Packed = Any  # a nested list of strings and numbers
OPERATIONS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "nil"}
FUNCTIONS = {"sigmoid", "tanh", "relu", "identity", "one", "softsign", "softplus", "affine", "leaky_relu"} | {
    "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "clip"}  # fmt: skip
CALLS = {"linear": "lin", "contract": "outer", "normalise": "norm", "normalise_adjoint": "dnorm"}


def described(cell: Page) -> dict[str, Any]:
    """The cell as the page reads it: parameters, state, output; rows, and terms in order.

    A row is its tag, targets, expression, and how it is computed without loss; a term its tag, target, sources and
    expression. Raises CaseError for a cell without rows, or with what the page cannot compute.
    """
    try:
        equations = rows(cell)
        found = terms(equations)
    except ValueError as error:
        raise CaseError(str(error)) from None
    return {
        "params": list(cell.Params._fields),
        "state": list(cell.State._fields),
        "gives": cell.gives[0],
        "rows": [_row(row, equations) for row in equations.rows],
        "terms": [[t.tag, t.target, list(t.sources), packed(t.expression, equations)] for t in found],
    }


def _row(row: Row, equations: Equations) -> Packed:
    shown, computed = (packed(e, equations) for e in (row.expression, accurate(row.expression, equations)))
    return [row.tag, list(row.targets), shown, *([computed] if computed != shown else [])]


def packed(e: ast.expr, equations: Equations) -> Packed:
    """One expression. Raises CaseError for an operation that the page does not have."""

    def each(parts: list[ast.expr]) -> list[Packed]:
        return [packed(a, equations) for a in parts]

    match e:
        case ast.Name(name):
            return name
        case ast.Attribute(ast.Name("d"), name):
            return f"d.{name}"
        case ast.Constant(number):
            return number
        case ast.UnaryOp(ast.USub(), a):
            return ["neg", *each([a])]
        case ast.BinOp(a, op, b) if type(op) in OPERATIONS:
            return [OPERATIONS[type(op)], *each([a, b])]
        case ast.Call(ast.Name("row" | "sum_rows"), [a]):
            return packed(a, equations)  # one row
        case ast.Call(ast.Name("normalise"), [*blocks, ast.Constant(eps)]):
            return ["norm", eps, *each(blocks)]
        case ast.Call(ast.Name(name), arguments) if name in CALLS:
            return [CALLS[name], *each(arguments)]
        case ast.Call(ast.Name(name), [a]):
            kind, name = ("f", name) if name in equations.functions else ("d", name[1:])
            made = getattr(equations.functions.get(name), "made", None) or (name,)
            if made[0].lower() in FUNCTIONS:
                return [kind, made[0].lower(), [float(n) for n in made[1:]], packed(a, equations)]
    raise CaseError(f"{equations.page.name}: the page cannot compute {ast.unparse(e)}")
