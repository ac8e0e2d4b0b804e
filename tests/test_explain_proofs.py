"""Each term is the derivative of its row: proved by SymPy, entry by entry, for every form of row that any page has."""

import ast
import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from test_explain import PAGES as EVERY

from numpy_lstm.explain import Equations, Row, Term, evaluate, rows, terms
from numpy_lstm.explain.expressions import mapped
from numpy_lstm.shapes import axes

SIZES = {"B": 1, "D": 2, "H": 2, "R": 2}
CELLS = [p for p in EVERY.values() if p.carries and {*"".join(axes(p.Trace).values())} <= {*SIZES}]
z = sp.Symbol("z", real=True)
FUNCTIONS = {"sigmoid": 1 / (1 + sp.exp(-z)), "tanh": (sp.exp(z) - sp.exp(-z)) / (sp.exp(z) + sp.exp(-z))}
Form = tuple[str, Row, dict[str, list[int]], Equations]


def forms() -> list[Form]:
    """The rows of all pages, one of those that are alike but for their names, with the shapes of what they read."""
    found: dict[str, Form] = {}
    for page in CELLS:
        equations, letters = rows(page), axes(page.Params) | axes(page.Trace)
        for row in equations.rows:
            names = {k: f"q{n}" for n, k in enumerate([*row.targets, *row.operands()])}
            shapes = {k: [SIZES[a] for a in letters[k]] for k in names}
            new = mapped(
                row.expression, lambda e, names=names: (isinstance(e, ast.Name) and ast.Name(names[e.id])) or None
            )
            key = f"{ast.unparse(new)} {list(shapes.values())}"
            found.setdefault(key, (f"{page.name} {row.tag}", row, shapes, equations))
    return list(found.values())


def value(e: ast.expr, at: dict[str, Any], d: dict[str, Any]) -> Any:
    """A matrix, by SymPy."""
    match e:
        case ast.Name(name):
            return at[name]
        case ast.Attribute(_, name):
            return d[name]
        case ast.Constant(number):
            return sp.nsimplify(number)
        case ast.UnaryOp(_, a):
            return -value(a, at, d)
        case ast.BinOp(a, ast.MatMult(), b):
            return value(a, at, d) * value(b, at, d)
        case ast.BinOp(a, op, b):
            x, y = value(a, at, d), value(b, at, d)
            if isinstance(op, ast.Mult):
                return x.multiply_elementwise(y)
            x = x if hasattr(x, "shape") else sp.ones(*y.shape) * x
            return x + y if isinstance(op, ast.Add) else x - y
        case ast.Call(ast.Name("linear"), [a, W]):
            return value(a, at, d) * value(W, at, d).T
        case ast.Call(ast.Name("contract"), [a, b]):
            return value(a, at, d).T * value(b, at, d)
        case ast.Call(ast.Name("row" | "sum_rows"), [a]):
            return value(a, at, d)  # there is one row
        case ast.Call(ast.Name(f), [a]):
            g = FUNCTIONS.get(f.removeprefix("d"), sp.Function(f.removeprefix("d"))(z))
            g = sp.diff(g, z) if f.startswith("d") else g
            return value(a, at, d).applyfunc(lambda x: g.subs(z, x).doit())
    raise TypeError(ast.unparse(e))


@pytest.mark.parametrize("form", forms(), ids=lambda form: form[0].replace(" ", "-"))
def test_a_term_is_the_derivative_of_its_row(form: Form) -> None:
    """<bar r, r(q)> differentiated; a normalisation by differences at rational numbers, to 50 digits."""
    _, row, shapes, equations = form
    mine = [t for t in terms(equations._replace(rows=(row,))) if t.tag == f"{row.tag}'"]
    assert {t.target for t in mine} <= set(row.operands())
    if "normalise" in ast.unparse(row.expression):
        by_differences(form, mine)
        return

    def entries(name: str, shape: list[int]) -> Any:
        r, c = ([1, *shape])[-2:]
        return sp.Matrix(r, c, lambda i, j: sp.Symbol(f"{name}_{i}{j}", real=True))

    at = {k: entries(k, shape) for k, shape in shapes.items()}
    d = {k: entries(f"bar_{k}", shapes[k]) for k in row.targets}
    loss = sum(d[row.targets[0]].multiply_elementwise(value(row.expression, at, d)))
    for name in row.operands():
        added = sum((value(t.expression, at, d) for t in mine if t.target == name), sp.zeros(*at[name].shape))
        for i, j in itertools.product(*map(range, at[name].shape)):
            gap = sp.expand(sp.diff(loss, at[name][i, j]) - added[i, j])
            assert gap == 0 or sp.simplify(gap) == 0, (name, gap)


def by_differences(form: Form, mine: list[Term]) -> None:
    _, row, shapes, equations = form
    with mpmath.workdps(120):
        rng, step = np.random.default_rng(0), mpmath.mpf(10) ** -50

        def drawn(shape: list[int]) -> Any:
            return np.vectorize(lambda p, q: mpmath.mpf(int(p)) / int(q), otypes=[object])(
                rng.integers(-99, 99, shape), rng.integers(1, 99, shape)
            )

        at, d = {k: drawn(shape) for k, shape in shapes.items()}, {k: drawn(shapes[k]) for k in row.targets}

        def loss(names: Any) -> Any:
            found = evaluate.value(row.expression, names, d, equations)
            return sum(np.sum(d[k] * a) for k, a in zip(row.targets, found, strict=True))

        for name in row.operands():
            added = sum(evaluate.value(t.expression, at, d, equations) for t in mine if t.target == name)
            for place in np.ndindex(*shapes[name]):
                e = np.full(shapes[name], mpmath.mpf(0))
                e[place] = step
                slope = (loss(at | {name: at[name] + e}) - loss(at | {name: at[name] - e})) / (2 * step)
                assert abs(slope - added[place]) < mpmath.mpf(10) ** -50 * max(1, abs(slope))
