"""The derived adjoint and parameter gradients as Python, in the tone of the pages, to compare one's own with."""

import ast
import inspect
import re
import textwrap
from itertools import groupby

from ..activations import Activation
from ..pages import describe
from ..shapes import codes
from .adjoint import Term, terms
from .rows import Equations
from .show import ATOM, Signs, shown

ADJOINT = "The page read upward: the cotangent of every field."
GRADIENTS = "The parameter gradients: one contraction over all rows."
ONE, TWO = (
    ("row", "sum_rows", "sum_columns", "keep_last", "softmax"),
    ("linear", "contract", "scores", "mixture", "outer"),
)
_FORMS = {k: f"{k}({{0}})" for k in ONE} | {k: f"{k}({{0}}, {{1}})" for k in (*TWO, "softmax_adjoint", "gather_rows")}
_FORMS["scatter_rows"] = "scatter_rows({0}, {1}, {2}.shape[0])"
PYTHON = Signs(str, str, " * ", " @ ", {}, {k: (form, ATOM) for k, form in _FORMS.items()})


def python(equations: Equations) -> str:
    """``adjoint`` and ``gradients`` of the page, ready to run beside its records."""
    return f"{_adjoint(equations)}\n\n{_gradients(equations)}"


def _adjoint(equations: Equations) -> str:
    page = equations.page
    whole = [t for t in terms(equations) if t.target not in page.Params._fields]
    arrive = [k for k in page.Outputs._fields if k in page.Trace._fields]
    joined = {t.target for t in whole}
    have = {k: f"d.{k}" for k in arrive if k in joined}
    lines = [f"    d{k} = d.{k}" for k in arrive if k not in joined]
    for (tag, _), group in groupby(whole, key=lambda t: (t.tag, t.sources)):
        together: dict[str, str] = {}
        for term in group:
            e, k = _python(term, equations, "d{}"), term.target
            before = together.get(k, have.get(k))
            together[k] = e if before is None else f"{before} - {e[1:]}" if e.startswith("-") else f"{before} + {e}"
            have[k] = f"d{k}"
        left, right = (", ".join(part) for part in ((f"d{k}" for k in together), together.values()))
        one = f"    {left} = {right}  # ({tag})"
        lines += [one] if len(one) <= 100 else [f"    d{k} = {e}  # ({tag})" for k, e in together.items()]
    absent = codes(page.Trace)
    none = {k: "None" if k in absent else f"0 * v.{k}" for k in page.Trace._fields if k not in have and k not in arrive}
    fields = ", ".join(f"{k}={none.get(k, f'd{k}')}" for k in page.Trace._fields)
    done = textwrap.wrap(f"return Trace({fields})", 100, initial_indent=" " * 4, subsequent_indent=" " * 17)
    return "\n".join(["def adjoint(F, p, v, d):", f'    """{ADJOINT}"""', *lines, *done]) + "\n"


def _gradients(equations: Equations) -> str:
    fields = equations.page.Params._fields
    found: dict[str, str] = {}
    last: dict[str, list[str]] = {}  # the parameters by the tag of the row that is read last
    for term in terms(equations):
        if (k := term.target) in fields:
            e = _python(term, equations, "d.{}")
            found[k] = f"{found[k]} + {e}" if k in found else e
            last = {tag: [j for j in names if j != k] for tag, names in last.items()}
            last.setdefault(term.tag, []).append(k)
    lines = [
        f"        {', '.join(f'{k}={found[k]}' for k in names[n : n + 3])},  # ({tag})"
        for tag, names in last.items()
        for n in range(0, len(names), 3)
    ]
    lines += [f"        {k}=0 * p.{k}," for k in fields if k not in found]
    head = ["def gradients(F, p, v, d):", f'    """{GRADIENTS}"""', "    return Params("]
    return "\n".join([*head, *lines, "    )"]) + "\n"


def _python(term: Term, equations: Equations, cotangent: str) -> str:
    """The added expression; ``cotangent`` is the form of that of a field."""
    page = equations.page
    signs = PYTHON._replace(
        name=lambda k: f"p.{k}" if k in page.Params._fields else f"v.{k}",
        cotangent=cotangent.format,
    )

    def special(e: ast.expr) -> tuple[str, int] | None:
        match e:
            case ast.Call(ast.Name("normalise_adjoint"), [k, eps, *rest]):
                ds, blocks = (", ".join(shown(a, signs) for a in part) for part in _halves(rest))
                return f"normalise_adjoint([{ds}], [{blocks}], {ast.unparse(eps)})[{ast.unparse(k)}]", ATOM
            case ast.Call(ast.Name("sigmoid"), [ast.UnaryOp(_, a)]):
                return f"{_named('sigmoid', term, equations)}.complement({shown(a, signs, special)})", ATOM
            case ast.Call(ast.Name(name), [a]) if name in equations.functions:
                return f"{_named(name, term, equations)}({shown(a, signs, special)})", ATOM
            case ast.Call(ast.Name(name), [a]) if name[1:] in equations.functions:
                return f"{_named(name[1:], term, equations)}.d({shown(a, signs, special)})", ATOM
        return None

    return shown(term.expression, signs, special)


def _named(name: str, term: Term, equations: Equations) -> str:
    """Where the page holds this activation: ``F.i``; if there are several, that which the line of this tag calls."""
    F, wanted = equations.page.functions._asdict(), equations.functions[name]
    same = [k for k, f in F.items() if isinstance(f, Activation) and f == wanted]
    lines = inspect.getsource(equations.page.values).splitlines() if len(same) > 1 else []
    called = {k for line in lines if f"{describe.tag(line)}'" == term.tag for k in re.findall(r"\.(\w+)", line)}
    near = [k for k in same if k in called] or same
    held = [k for k in near if k in term.sources] or near
    return f"F.{held[0]}" if held else wanted.name.upper()


def _halves(parts: list[ast.expr]) -> tuple[list[ast.expr], list[ast.expr]]:
    return parts[: len(parts) // 2], parts[len(parts) // 2 :]
