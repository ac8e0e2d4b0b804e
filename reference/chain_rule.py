"""The equations of a cell as tagged rows, differentiated by machine.

A row is text, ``L9  c = f * c_prev + i * g``, in ``reference/equations/<cell>.txt``. Its right-hand side is parsed
and walked by a handful of rules, one per operation: value, tangent (forward mode) and cotangent (reverse mode).
No rule knows what an LSTM is, and no page knows that this file exists.

Names: a record's fields; the state of the previous step ends in ``_prev``. Values are (B,N), weights (N,M) and
biases (1,N). Tangents have one axis more in front, the direction.
"""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

Values = dict[str, Any]

FUNCTIONS = {"sigmoid": expit, "tanh": np.tanh}
DERIVATIVES = {"sigmoid": lambda a: expit(a) * expit(-a), "tanh": lambda a: np.cosh(a) ** -2.0}


class Row(NamedTuple):
    """One equation: ``target = expression``."""

    tag: str
    target: str
    expression: ast.expr

    def operands(self) -> list[str]:
        """The names on the right-hand side, in order of appearance."""
        called = {node.func for node in ast.walk(self.expression) if isinstance(node, ast.Call)}
        names = [n for n in ast.walk(self.expression) if isinstance(n, ast.Name) and n not in called]
        return list(dict.fromkeys(n.id for n in sorted(names, key=lambda n: n.col_offset)))


@cache
def rows(cell_name: str) -> tuple[Row, ...]:
    """The equations of the cell of that name, top to bottom."""
    path = Path(__file__).parent / "equations" / f"{cell_name.lower()}.txt"
    parsed = []
    for line in path.read_text(encoding="utf-8").splitlines():
        tag, equation = line.split(maxsplit=1)
        target, expression = equation.split(" = ")
        parsed.append(Row(tag, target, ast.parse(expression, mode="eval").body))
    return tuple(parsed)


def evaluate(equations: tuple[Row, ...], names: Values) -> Values:
    """All values of one step, in a new dict."""
    names = dict(names)
    for row in equations:
        names[row.target] = _value(row.expression, names)
    return names


def push(equations: tuple[Row, ...], names: Values, tangents: Values) -> Values:
    """All tangents of one step (forward mode); a name without tangent is constant."""
    tangents = dict(tangents)
    for row in equations:
        tangents[row.target] = _tangent(row.expression, names, tangents)
    return tangents


def pull(equations: tuple[Row, ...], names: Values, cotangents: Values) -> Values:
    """All cotangents of one step (reverse mode), from those that arrive from outside."""
    total: Values = defaultdict(float, cotangents)
    for row in reversed(equations):
        _cotangent(row.expression, names, total[row.target], total)
    return total


def _value(e: ast.expr, names: Values) -> Any:
    match e:
        case ast.Name(name):
            return names[name]
        case ast.Attribute(inner, "T"):
            return _value(inner, names).T
        case ast.Call(ast.Name(f), [inner]):
            return FUNCTIONS[f](_value(inner, names))
        case ast.BinOp(left, ast.Add(), right):
            return _value(left, names) + _value(right, names)
        case ast.BinOp(left, ast.Mult(), right):
            return _value(left, names) * _value(right, names)
        case ast.BinOp(left, ast.MatMult(), right):
            return _value(left, names) @ _value(right, names)
    raise SyntaxError(f"no rule for {ast.unparse(e)}")


def _tangent(e: ast.expr, names: Values, dots: Values) -> Any:
    match e:
        case ast.Name(name):
            return dots.get(name, 0.0)
        case ast.Attribute(inner, "T"):
            dot = _tangent(inner, names, dots)
            return dot if np.ndim(dot) == 0 else np.swapaxes(dot, -1, -2)
        case ast.Call(ast.Name(f), [inner]):
            return DERIVATIVES[f](_value(inner, names)) * _tangent(inner, names, dots)
        case ast.BinOp(left, ast.Add(), right):
            return _tangent(left, names, dots) + _tangent(right, names, dots)
        case ast.BinOp(left, op, right):
            product = np.matmul if isinstance(op, ast.MatMult) else np.multiply
            left_dot, right_dot = _tangent(left, names, dots), _tangent(right, names, dots)
            a = 0.0 if np.ndim(left_dot) == 0 else product(left_dot, _value(right, names))
            b = 0.0 if np.ndim(right_dot) == 0 else product(_value(left, names), right_dot)
            return a + b
    raise SyntaxError(f"no rule for {ast.unparse(e)}")


def _cotangent(e: ast.expr, names: Values, d: Any, total: Values) -> None:
    """Add to ``total`` what ``d``, the cotangent of ``e``, means for each name in ``e``."""
    match e:
        case ast.Name(name):
            shape = np.shape(names[name])
            total[name] = total[name] + (np.sum(d, axis=0, keepdims=True) if shape[0] == 1 < len(d) else d)
        case ast.Attribute(inner, "T"):
            _cotangent(inner, names, d.T, total)
        case ast.Call(ast.Name(f), [inner]):
            _cotangent(inner, names, d * DERIVATIVES[f](_value(inner, names)), total)
        case ast.BinOp(left, ast.Add(), right):
            _cotangent(left, names, d, total)
            _cotangent(right, names, d, total)
        case ast.BinOp(left, ast.Mult(), right):
            _cotangent(left, names, d * _value(right, names), total)
            _cotangent(right, names, d * _value(left, names), total)
        case ast.BinOp(left, ast.MatMult(), right):
            _cotangent(left, names, d @ _value(right, names).T, total)
            _cotangent(right, names, _value(left, names).T @ d, total)
        case _:
            raise SyntaxError(f"no rule for {ast.unparse(e)}")
