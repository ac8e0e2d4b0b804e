"""Expressions as text, as LaTeX, or with numbers put in: one walk, and a table of signs for each."""

import ast
from collections.abc import Callable
from typing import Any, NamedTuple

GREEK = {"gain": r"\gamma", "shift": r"\beta"}
SUM, QUOTIENT, PRODUCT, ATOM = 1, 2, 3, 4  # how strongly a form holds together


class Signs(NamedTuple):
    """How one kind of output spells things; ``calls`` has the form of each operation and how strongly it holds."""

    name: Callable[[str], str]
    cotangent: Callable[[str], str]
    times: str
    through: str  # between a cotangent and a matrix
    functions: dict[str, str]
    calls: dict[str, tuple[str, int]]


def shown(e: ast.expr, signs: Signs, special: Callable[[ast.expr], tuple[str, int] | None] = lambda e: None) -> str:
    """The expression in these signs; ``special`` may write a part in its own way, and says how that holds together."""
    return _shown(e, signs, special)[0]


def _shown(e: ast.expr, signs: Signs, special: Any) -> tuple[str, int]:
    def within(part: ast.expr, least: int) -> str:
        text, holds = _shown(part, signs, special)
        return text if holds >= least else f"({text})"

    if (own := special(e)) is not None:
        return own  # type: ignore[no-any-return]
    match e:
        case ast.Name(name):
            return signs.name(name), ATOM
        case ast.Attribute(_, name):
            return signs.cotangent(name), ATOM
        case ast.Constant(int() | float() as number):
            return f"{number:g}", ATOM
        case ast.UnaryOp(_, a):
            return "-" + within(a, QUOTIENT), SUM
        case ast.BinOp(a, ast.Add(), b):
            return f"{within(a, SUM)} + {within(b, SUM)}", SUM
        case ast.BinOp(a, ast.Sub(), b):
            return f"{within(a, SUM)} - {within(b, QUOTIENT)}", SUM
        case ast.BinOp(a, ast.Div(), b):
            return f"{within(a, PRODUCT)} / {within(b, ATOM)}", QUOTIENT
        case ast.BinOp(a, ast.MatMult(), b):
            return within(a, PRODUCT) + signs.through + within(b, PRODUCT), PRODUCT
        case ast.BinOp(a, _, b):
            return within(a, PRODUCT) + signs.times + within(b, PRODUCT), PRODUCT
        case ast.Call(ast.Name("normalise"), [*blocks, _]):
            return _called("normalise", signs, [", ".join(within(a, SUM) for a in blocks)])
        case ast.Call(ast.Name("normalise_adjoint"), [ast.Constant(int(k)), _, *rest]):
            half = len(rest) // 2
            ds, vs = (", ".join(within(a, SUM) for a in part) for part in (rest[:half], rest[half:]))
            return _called("normalise_adjoint", signs, [ds, vs, "" if half == 1 else f"_{k + 1}"])
        case ast.Call(ast.Name(name), arguments) if name in signs.calls:
            least = SUM if "({0}" in signs.calls[name][0] else ATOM
            return _called(name, signs, [within(a, least) for a in arguments])
        case ast.Call(ast.Name(name), [a]):
            return f"{function_name(name, signs)}({within(a, SUM)})", ATOM
    raise TypeError(f"no form for {ast.unparse(e)}")


def function_name(name: str, signs: Signs) -> str:
    """``sigmoid`` in these signs, and ``dsigmoid`` with a prime."""
    base, prime = (name[1:], "'") if name.startswith("d") else (name, "")
    return signs.functions.get(base, signs.functions[""].format(base.replace("_", " "))) + prime


def _called(name: str, signs: Signs, arguments: list[str]) -> tuple[str, int]:
    form, holds = signs.calls[name]
    return form.format(*arguments), holds


def _plain(name: str) -> str:
    return name.removesuffix("_prev") + "₋₁" if name.endswith("_prev") else name


def latex_name(name: str, over: str = "") -> str:
    """``a_i`` as a_i, ``h_prev`` as h_{t-1}; ``over`` is set over the letter: \\bar or \\overline."""
    base, _, below = name.removesuffix("_prev").partition("_")
    letter = base if len(base) == 1 else GREEK.get(base, rf"\mathit{{{base}}}")
    letter = f"{over}{{{letter}}}" if over else letter
    marks = [below if len(below) == 1 else rf"\mathrm{{{below.replace('_', ' ')}}}"] if below else []
    marks += ["t-1"] * name.endswith("_prev")
    return letter + (f"_{{{','.join(marks)}}}" if marks else "")


TEXT = Signs(
    _plain,
    lambda name: f"d {_plain(name)}",
    "·",
    "·",
    {"sigmoid": "σ", "": "{}"},
    {
        "linear": ("{0}·{1}ᵀ", PRODUCT),
        "row": ("{0}", ATOM),
        "contract": ("({0})ᵀ·{1}", PRODUCT),
        "sum_rows": ("{0}", ATOM),
        "normalise": ("norm({0})", ATOM),
        "normalise_adjoint": ("norm'{2}({0}; {1})", ATOM),
    },
)
LATEX = Signs(
    latex_name,
    lambda name: latex_name(name, r"\overline" if name[:1].isupper() else r"\bar"),
    r"\odot ",
    " ",
    {"sigmoid": r"\sigma", "tanh": r"\tanh", "": r"\operatorname{{{}}}"},
    {
        "linear": (r"{0} {1}^{{\top}}", PRODUCT),
        "row": ("{0}", ATOM),
        "contract": (r"{0}^{{\top}}{1}", PRODUCT),
        "sum_rows": (r"\operatorname{{sum}}({0})", ATOM),
        "normalise": (r"\mathrm{{normalise}}({0})", ATOM),
        "normalise_adjoint": (r"\mathrm{{normalise}}^{{\ast}}{2}({0}; {1})", ATOM),
        "differential": (r"d({0})", ATOM),
        "sum_columns": (r"\operatorname{{sum}}({0})", ATOM),
        "keep_last": (r"{0}", ATOM),
        "scores": (r"{1} {0}", PRODUCT),
        "mixture": (r"{1}^{{\top}} {0}", PRODUCT),
        "outer": (r"{0}{1}^{{\top}}", PRODUCT),
        "softmax": (r"\operatorname{{softmax}}({0})", ATOM),
        "softmax_adjoint": (r"\operatorname{{softmax}}^{{\ast}}({0}; {1})", ATOM),
        "gather_rows": (r"{0}[{1}]", ATOM),
        "scatter_rows": (r"\operatorname{{scatter}}({0}; {1})", ATOM),
    },
)
