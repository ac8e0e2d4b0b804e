"""The equations of a cell as tagged rows, differentiated by machine.

A row is text, ``L9  c = f * c_prev + i * g``, in ``reference/equations/<page>.txt``. Its right-hand side is parsed
and walked by a handful of rules, one per operation: value, tangent (forward mode) and cotangent (reverse mode).
No rule knows what an LSTM is, and no page knows that this file exists.

Names: a record's fields; the state of the previous step ends in ``_prev``. Values are (B,N), weights (N,M), biases
(1,N) and one number per row (B,1). An integer code is the row (N,) that holds 1 in its place, and 0 elsewhere; ``top``
is that row for the largest; ``each`` gives (B,N) to each place of a memory (B,S,N). Tangents have one axis more in
front, the direction.
"""

import ast
from collections import defaultdict
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm import Page

from .functions import DERIVATIVES, FUNCTIONS, ROWWISE

Values = dict[str, Any]


class Row(NamedTuple):
    """One equation: ``targets = expression``, a single target but for ``normalise``."""

    tag: str
    targets: tuple[str, ...]
    expression: ast.expr

    def operands(self) -> list[str]:
        """The names on the right-hand side, in order of appearance."""
        called = {e.func for e in ast.walk(self.expression) if isinstance(e, ast.Call)}
        names = [n for n in ast.walk(self.expression) if isinstance(n, ast.Name) and n not in called]
        return list(dict.fromkeys(n.id for n in sorted(names, key=lambda n: n.col_offset)))

    def factors(self, operand: str) -> set[str]:
        """The names that stand in one product with the operand."""
        products = [n for n in ast.walk(self.expression) if isinstance(n, ast.BinOp) and not _is_sum(n)]
        names = [{n.id for n in ast.walk(product) if isinstance(n, ast.Name)} for product in products]
        return {name for product in names if operand in product for name in product}


def _is_sum(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Add | ast.Sub)


def rows(cell: Page) -> tuple[Row, ...]:
    """The equations of the cell, top to bottom, with the cell's own activations in place of the usual ones.

    Of a combinator: the equations of its cell, whose output or state then has another name, and below them its own.
    """
    own, name = cell.functions._asdict(), cell.values.__module__.rpartition(".")[2]
    if name == "projected":
        return (*_renamed(rows(own["cell"]), {"h": "m"}), *read(name))
    if name == "zoneout":
        inner = _renamed(rows(own["cell"]), {k: f"{k}_new" for k in cell.carries})
        forms = ("{}", "{}_prev", "{}_new", "keep_{}")
        return (
            *inner,
            *(r for k in cell.carries for r in _renamed(read(name), {f.format("k"): f.format(k) for f in forms})),
        )
    return tuple(_with_function(row, own[row.targets[0]].name) if row.targets[0] in own else row for row in read(name))


@cache
def read(page: str) -> tuple[Row, ...]:
    """The rows of ``equations/<page>.txt``. In those of zoneout, k stands for each carried field in turn."""
    path = Path(__file__).parent / "equations" / f"{page}.txt"
    parsed = []
    for line in path.read_text(encoding="utf-8").splitlines():
        tag, equation = line.split(maxsplit=1)
        targets, expression = equation.split(" = ")
        parsed.append(Row(tag, tuple(targets.split(", ")), ast.parse(expression, mode="eval").body))
    return tuple(parsed)


def _renamed(equations: tuple[Row, ...], names: dict[str, str]) -> tuple[Row, ...]:
    """The same rows with other names."""

    class Rename(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.Name:
            return ast.copy_location(ast.Name(names.get(node.id, node.id), node.ctx), node)

    return tuple(
        Row(row.tag, tuple(names.get(k, k) for k in row.targets), Rename().visit(deepcopy(row.expression)))
        for row in equations
    )


def _with_function(row: Row, name: str) -> Row:
    match row.expression:
        case ast.Call(_, arguments):
            return row._replace(expression=ast.parse(f"{name}({ast.unparse(arguments[0])})", mode="eval").body)
    raise SyntaxError(f"{row.tag} applies no function")


def evaluate(equations: tuple[Row, ...], names: Values) -> Values:
    """All values of one step, in a new dict."""
    names = dict(names)
    for row in equations:
        value = _value(row.expression, names)
        names |= zip(row.targets, value if len(row.targets) > 1 else [value], strict=True)
    return names


def push(equations: tuple[Row, ...], names: Values, tangents: Values) -> Values:
    """All tangents of one step (forward mode); a name without tangent is constant."""
    tangents = dict(tangents)
    for row in equations:
        dot = _tangent(row.expression, names, tangents)
        tangents |= zip(row.targets, dot if len(row.targets) > 1 else [dot], strict=True)
    return tangents


def pull(equations: tuple[Row, ...], names: Values, cotangents: Values) -> Values:
    """All cotangents of one step (reverse mode), from those that arrive from outside."""
    total: Values = defaultdict(float, cotangents)
    for row in reversed(equations):
        d = [total[target] + np.zeros_like(names[target]) for target in row.targets]
        _cotangent(row.expression, names, d if len(d) > 1 else d[0], total)
    return total


def _value(e: ast.expr, names: Values) -> Any:
    match e:
        case ast.Name(name):
            return names[name]
        case ast.Constant(number):
            return number
        case ast.Attribute(inner, "T"):
            return _value(inner, names).T
        case ast.Call(ast.Name(f), arguments) if f in ROWWISE:
            values, constants = _read(arguments, names)
            n, _ = ROWWISE[f](np.concatenate(values, axis=1), *constants)
            return np.split(n, len(values), axis=1) if len(values) > 1 else n
        case ast.Call(ast.Name("einsum"), [ast.Constant(letters), a, b]):
            return np.einsum(letters, _value(a, names), _value(b, names))
        case ast.Call(ast.Name("each"), [inner]):
            return _value(inner, names)[:, None]
        case ast.Call(ast.Name("sum"), [inner]):
            return np.sum(_value(inner, names), axis=-1, keepdims=True)
        case ast.Call(ast.Name(f), [inner]):
            return FUNCTIONS[f](_value(inner, names))
        case ast.BinOp(left, ast.Add(), right):
            return _value(left, names) + _value(right, names)
        case ast.BinOp(left, ast.Sub(), right):
            return _value(left, names) - _value(right, names)
        case ast.BinOp(left, ast.Mult(), right):
            return _value(left, names) * _value(right, names)
        case ast.BinOp(left, ast.MatMult(), right):
            return _value(left, names) @ _value(right, names)
    raise SyntaxError(f"no rule for {ast.unparse(e)}")


def _tangent(e: ast.expr, names: Values, dots: Values) -> Any:
    match e:
        case ast.Name(name):
            return dots.get(name, 0.0)
        case ast.Constant():
            return 0.0
        case ast.Attribute(inner, "T"):
            dot = _tangent(inner, names, dots)
            return dot if np.ndim(dot) == 0 else np.swapaxes(dot, -1, -2)
        case ast.Call(ast.Name("einsum"), [ast.Constant(letters), a, b]):
            left, right, out = letters.replace("->", ",").split(",")
            u, v = _value(a, names), _value(b, names)
            u_dot, v_dot = np.zeros_like(u) + _tangent(a, names, dots), np.zeros_like(v) + _tangent(b, names, dots)
            first = np.einsum(f"...{left},{right}->...{out}", u_dot, v)
            return first + np.einsum(f"{left},...{right}->...{out}", u, v_dot)
        case ast.Call(ast.Name(f), arguments) if f in ROWWISE:
            values, constants = _read(arguments, names)
            dot = [_tangent(a, names, dots) for a in arguments[: len(values)]]
            shape = np.broadcast_shapes(*(np.shape(d) for d in dot), values[0].shape)
            dot = np.concatenate([np.broadcast_to(d, shape) for d in dot], axis=-1)
            _, jacobian = ROWWISE[f](np.concatenate(values, axis=1), *constants)
            dot = np.einsum("bij,...bj->...bi", jacobian, dot)
            return np.split(dot, len(values), axis=-1) if len(values) > 1 else dot
        case ast.Call(ast.Name("each"), [inner]):
            dot = _tangent(inner, names, dots)
            return dot if np.ndim(dot) == 0 else dot[..., None, :]
        case ast.Call(ast.Name("sum"), [inner]):
            return np.sum(_tangent(inner, names, dots), axis=-1, keepdims=True)
        case ast.Call(ast.Name(f), [inner]):
            return DERIVATIVES[f](_value(inner, names)) * _tangent(inner, names, dots)
        case ast.BinOp(left, ast.Add(), right):
            return _tangent(left, names, dots) + _tangent(right, names, dots)
        case ast.BinOp(left, ast.Sub(), right):
            return _tangent(left, names, dots) - _tangent(right, names, dots)
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
            total[name] = total[name] + _fitted(d, np.shape(names[name]))
        case ast.Constant():
            pass
        case ast.Attribute(inner, "T"):
            _cotangent(inner, names, d.T, total)
        case ast.Call(ast.Name("einsum"), [ast.Constant(letters), a, b]):
            left, right, out = letters.replace("->", ",").split(",")
            _cotangent(a, names, np.einsum(f"{out},{right}->{left}", d, _value(b, names)), total)
            _cotangent(b, names, np.einsum(f"{out},{left}->{right}", d, _value(a, names)), total)
        case ast.Call(ast.Name(f), arguments) if f in ROWWISE:
            values, constants = _read(arguments, names)
            _, jacobian = ROWWISE[f](np.concatenate(values, axis=1), *constants)
            arriving = np.concatenate(d, axis=1) if len(values) > 1 else d
            split = np.split(np.einsum("bij,bi->bj", jacobian, arriving), len(values), axis=1)
            for argument, part in zip(arguments[: len(values)], split, strict=True):
                _cotangent(argument, names, part, total)
        case ast.Call(ast.Name("each"), [inner]):
            _cotangent(inner, names, np.sum(d, axis=1), total)
        case ast.Call(ast.Name("sum"), [inner]):
            ones = np.ones_like(_value(inner, names))
            _cotangent(inner, names, _fitted(d, (len(ones), 1)) * ones, total)
        case ast.Call(ast.Name(f), [inner]):
            _cotangent(inner, names, d * DERIVATIVES[f](_value(inner, names)), total)
        case ast.BinOp(left, ast.Add(), right):
            _cotangent(left, names, d, total)
            _cotangent(right, names, d, total)
        case ast.BinOp(left, ast.Sub(), right):
            _cotangent(left, names, d, total)
            _cotangent(right, names, -d, total)
        case ast.BinOp(left, ast.Mult(), right):
            _cotangent(left, names, d * _value(right, names), total)
            _cotangent(right, names, d * _value(left, names), total)
        case ast.BinOp(left, ast.MatMult(), right):
            _cotangent(left, names, d @ _value(right, names).T, total)
            _cotangent(right, names, _value(left, names).T @ d, total)
        case _:
            raise SyntaxError(f"no rule for {ast.unparse(e)}")


def _read(arguments: list[ast.expr], names: Values) -> tuple[list[Any], list[Any]]:
    """The values of a function's arguments, and the constants behind them."""
    constants = [a.value for a in arguments if isinstance(a, ast.Constant)]
    return [_value(a, names) for a in arguments[: len(arguments) - len(constants)]], constants


def _fitted(d: Any, shape: tuple[int, ...]) -> Any:
    """The cotangent of an array of this shape that served several rows or columns."""
    return np.sum(d, axis=tuple(k for k, n in enumerate(shape) if n == 1 < d.shape[k]), keepdims=True)
