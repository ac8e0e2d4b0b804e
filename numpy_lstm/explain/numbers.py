"""Numbers as they are printed, and expressions with the numbers of one unit put in."""

import ast
from typing import Any

import numpy as np

from .evaluate import Numbers, value
from .rows import Equations
from .show import ATOM, PRODUCT, SUM, Signs, function_name, shown


class Printed:
    """How numbers are printed: exact decimals short, all others to ``digits`` decimals, small ones with an exponent."""

    def __init__(self, digits: int, signs: Signs) -> None:
        self.digits, self.signs = digits, signs
        self.norm = "norm" if signs.name("h_prev").startswith("h₋") else r"\mathrm{norm}"

    def number(self, x: float) -> str:
        """``1``, ``-0.5``, ``0.527472``, ``-2.680000e-04``: fewer than ``digits`` decimals are all that there are."""
        x = float(x) + 0.0
        if not np.isfinite(x) or abs(x) >= 1e6:
            return f"{x:.{self.digits}e}"
        for decimals in range(min(4, self.digits)):
            if abs(round(x, decimals) - x) <= 1e-13 * max(1.0, abs(x)):
                return f"{round(x, decimals) + 0.0:.{decimals}f}"
        return f"{x:.{self.digits}f}" if abs(x) >= 10.0 ** (2 - self.digits) else f"{x:.{self.digits}e}"

    def factor(self, x: float) -> str:
        """A number within a product: a negative one in brackets."""
        return self.number(x) if x >= 0 or not np.isfinite(x) else f"({self.number(x)})"

    def vector(self, a: Any) -> str:
        """``[0.1, -0.2]``, and rows of such."""
        a = np.asarray(a)
        return self.number(float(a)) if a.ndim == 0 else f"[{', '.join(map(self.vector, a))}]"

    def put_in(self, e: ast.expr, names: Numbers, d: Numbers, equations: Equations, at: tuple[int, int]) -> str:
        """The expression for unit ``at[0]`` of one row; ``at[1]`` is the column of a matrix, or the block of a norm."""
        j, k = at

        def of(part: ast.expr) -> Any:
            found = np.asarray(value(part, names, d, equations))
            return found[0] if found.ndim == 2 and len(found) == 1 else found

        def products(left: Any, right: Any) -> tuple[str, int]:
            pairs = [f"{self.factor(a)}{self.signs.times}{self.factor(b)}" for a, b in zip(left, right, strict=True)]
            return " + ".join(pairs), SUM if len(pairs) > 1 else PRODUCT

        def several(parts: list[ast.expr]) -> str:
            return ", ".join(self.number(a) for part in parts for a in of(part))

        def special(e: ast.expr) -> tuple[str, int] | None:
            match e:
                case ast.Name() | ast.Attribute() | ast.Call(ast.Name("row")):
                    return self.factor(of(e)[j]), ATOM
                case ast.Call(ast.Name("linear"), [x, W]):
                    return products(of(x), np.atleast_2d(of(W))[j])
                case ast.BinOp(left, ast.MatMult(), W):
                    return products(of(left), np.atleast_2d(of(W))[:, j])
                case ast.Call(ast.Name("contract"), [left, x]):
                    return products([of(left)[j]], [of(x)[k]])
                case ast.Call(ast.Name("normalise"), [*blocks, eps]):
                    place = k * len(of(blocks[0])) + j + 1
                    return f"{self.norm}({place}; {several(blocks)}; {ast.unparse(eps)})", ATOM
                case ast.Call(ast.Name("normalise_adjoint"), [ast.Constant(int(block)), eps, *rest]):
                    half, place = len(rest) // 2, block * len(of(rest[-1])) + j + 1
                    given = f"{several(rest[:half])}; {several(rest[half:])}; {ast.unparse(eps)}"
                    return f"{self.norm}'({place}; {given})", ATOM
                case ast.Call(ast.Name(name), [a]) if name not in self.signs.calls and not isinstance(a, ast.BinOp):
                    inner = self.put_in(a, names, d, equations, at)
                    plain = inner[1:-1] if inner.startswith("(") and isinstance(a, ast.Name) else inner
                    return f"{function_name(name, self.signs)}({plain})", ATOM
            return None

        return shown(e, self.signs, special)
