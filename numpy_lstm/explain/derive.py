"""The derivation of a page from its rows: tag, equation, differential, adjoint; the joins; the parameters."""

import ast

from .adjoint import Term, accurate, terms
from .expressions import call
from .rows import Equations
from .show import LATEX, latex_name, shown

DIFFERENTIALS = LATEX._replace(cotangent=lambda name: f"d{latex_name(name)}")
LINEAR = ("linear", "row", "sum_columns", "scores", "mixture")  # in each argument
RECIPE = (
    "$\\bar q$ stands for $\\partial L/\\partial q$. Write the differential of an equation, insert it in "
    "$\\langle\\bar r,dr\\rangle$, and move everything away from $dq$: "
    "what then stands beside $dq$ is what this equation adds to $\\bar q$."
)

NOTES = {
    "normalise": "Of a normalisation $n$ of $v$, all blocks of a row side by side, with $s^2$ its variance plus "
    "$\\varepsilon$: $dn=(dv-\\mathrm{mean}(dv)-n\\odot\\mathrm{mean}(n\\odot dv))/s$. This map is symmetric, so "
    "$\\mathrm{normalise}^{\\ast}(\\bar n; v)$ is the same map of $\\bar n$; layer_norm_lstm.md derives it.",
    "softmax": "Of weights $w=\\operatorname{softmax}(e)$: $dw=w\\odot(de-\\sum w\\odot de)$, a symmetric map, so "
    "$\\operatorname{softmax}^{\\ast}(\\bar w; w)=w\\odot(\\bar w-\\sum w\\odot\\bar w)$.",
}


def differential(e: ast.expr) -> ast.expr | None:
    """de, where ``dot.c`` stands for dc; None for a constant."""
    match e:
        case ast.Name(name):
            return ast.Attribute(ast.Name("dot"), name)
        case ast.UnaryOp(op, a):
            return None if (da := differential(a)) is None else ast.UnaryOp(op, da)
        case ast.BinOp(a, ast.Add() | ast.Sub() as op, b):
            da, db = differential(a), differential(b)
            if da is None:
                return db if db is None or isinstance(op, ast.Add) else ast.UnaryOp(ast.USub(), db)
            return da if db is None else ast.BinOp(da, op, db)
        case ast.BinOp(a, ast.Mult() as times, b):
            da, db = differential(a), differential(b)
            left = None if da is None else ast.BinOp(da, times, b)
            right = None if db is None else ast.BinOp(a, times, db)
            return right if left is None else left if right is None else ast.BinOp(left, ast.Add(), right)
        case ast.BinOp(a, ast.Div() as over, b):  # da / b - (a / b) db / b
            da, db = differential(a), differential(b)
            left = None if da is None else ast.BinOp(da, over, b)
            if db is None:
                return left
            right = ast.BinOp(ast.BinOp(ast.BinOp(a, over, b), ast.Mult(), db), over, b)
            return ast.UnaryOp(ast.USub(), right) if left is None else ast.BinOp(left, ast.Sub(), right)
        case ast.Call(ast.Name(name), arguments) if name in LINEAR:
            found: ast.expr | None = None
            for k, a in enumerate(arguments):
                if (da := differential(a)) is not None:
                    one = call(name, *arguments[:k], da, *arguments[k + 1 :])
                    found = one if found is None else ast.BinOp(found, ast.Add(), one)
            return found
        case ast.Call(ast.Name("normalise" | "softmax" | "gather_rows")):
            return call("differential", e)
        case ast.Call(ast.Name(name), [a]):
            return None if (da := differential(a)) is None else ast.BinOp(call(f"d{name}", a), ast.Mult(), da)
    return None


class Derivation:
    """The parts of a derivation, in LaTeX: what Markdown and LaTeX pages are made of."""

    def __init__(self, equations: Equations) -> None:
        page = equations.page
        self.page, self.equations, self.terms = page, equations, terms(equations)
        self.parameters = [t for t in self.terms if t.target in page.Params._fields]
        self.others = [t for t in self.terms if t.target not in page.Params._fields]

    def rows(self) -> list[tuple[str, str, str, list[str]]]:
        """Tag, equation, differential and the adjoint's sums, top to bottom; one entry for each row."""
        said, arrived = dict[int, str](), {*self.page.gives, *self.page.carries}
        for term in self.others:
            said[id(term)] = self._sum(term, term.target in arrived)
            arrived.add(term.target)
        found = []
        for row in self.equations.rows:
            left = ", ".join(map(latex_name, row.targets))
            change = differential(row.expression)
            d = ", ".join(DIFFERENTIALS.cotangent(k) for k in row.targets)
            own = [t for t in self.others if t.tag == f"{row.tag}'" and t.sources == row.targets]
            adds = [said[id(t)] for t in own]
            if len(row.targets) > 1 and len(own) == len(row.targets):  # blocks that are normalised together
                to, whole = (", ".join(LATEX.cotangent(t.target) for t in own), shown(own[0].expression, LATEX))
                adds = [f"({to}) = {whole.replace('_1(', '(', 1)}"]
            right = "0" if change is None else shown(change, DIFFERENTIALS)
            forms = dict.fromkeys(shown(e, LATEX) for e in (row.expression, accurate(row.expression, self.equations)))
            found.append((row.tag, " = ".join([left, *forms]), f"{d} = {right}", adds))
        return found

    def notes(self) -> list[str]:
        """What is to be known of functions of a whole row, if there are any."""
        every = " ".join(ast.unparse(row.expression) for row in self.equations.rows)
        return [note for name, note in NOTES.items() if f"{name}(" in every]

    def joins(self) -> list[str]:
        """Where cotangents add up, one line of Markdown each."""
        found = []
        for k in dict.fromkeys([*self.page.carries, *(t.target for t in self.others)]):
            own = [f"${shown(t.expression, LATEX)}$ ({prime(t.tag)})" for t in self.others if t.target == k]
            if k in self.page.carries:
                after = list(dict.fromkeys(prime(t.tag) for t in self.others if t.target == f"{k}_prev"))
                cotangent = LATEX.cotangent(f"{k}_prev")
                own = ["what the loss sends", f"${cotangent}$ of the step after ({', '.join(after)})", *own]
            if len(own) > 1:
                found.append(f"${LATEX.cotangent(k)}$: " + " + ".join(own))
        return found

    def gradients(self) -> list[tuple[str, str]]:
        """Tags and sum over steps of each parameter."""
        found = []
        for k in self.page.Params._fields:
            mine = [t for t in self.parameters if t.target == k]
            total = " + ".join(shown(t.expression, LATEX) for t in mine) or "0"
            total = f"({total})" if len(mine) > 1 else total
            tags = ", ".join(dict.fromkeys(prime(t.tag) for t in mine))
            found.append((tags, rf"{LATEX.cotangent(k)} = \textstyle\sum_t {total}"))
        return found

    @staticmethod
    def _sum(term: Term, adds: bool) -> str:
        sign = r"\mathrel{+}=" if adds else "="
        return f"{LATEX.cotangent(term.target)} {sign} {shown(term.expression, LATEX)}"


def prime(tag: str) -> str:
    """L9' with a typographic prime."""
    return tag.replace("'", "′")


def markdown(equations: Equations) -> str:
    """The derivation as a page of Markdown."""
    whole = Derivation(equations)
    first, last = (equations.rows[k].tag for k in (0, -1))
    lines = [f"# {equations.page.name}: derivation of {first}′ to {last}′", "", RECIPE, ""]
    lines += ["| tag | equation | differential | adjoint |", "| --- | --- | --- | --- |"]
    for tag, equation, change, adds in whole.rows():
        sums = f"{tag}′: " + ", ".join(f"${a}$" for a in adds) if adds else ""
        lines.append(f"| {tag} | ${equation}$ | ${change}$ | {sums} |")
    lines += [line for note in whole.notes() for line in ("", note)]
    lines += ["", "Cotangents add where values fan out:", "", *(f"- {join}" for join in whole.joins())]
    if equations.page.Params._fields:
        lines += ["", "| tag | parameters, from all rows and steps |", "| --- | --- |"]
        lines += [f"| {tags} | ${total}$ |" for tags, total in whole.gradients()]
    return "\n".join(lines) + "\n"


def latex(equations: Equations) -> str:
    """The derivation as LaTeX, for the packages amsmath and amssymb: equations, differentials, adjoint, parameters."""
    whole = Derivation(equations)
    rows = whole.rows()
    blocks = [
        [(equation, tag) for tag, equation, _, _ in rows],
        [(change, f"d{tag}") for tag, _, change, _ in rows],
        [(r",\quad ".join(adds), f"{tag}'") for tag, _, _, adds in reversed(rows) if adds],
        [(total, tags.replace("′", "'")) for tags, total in whole.gradients()],
    ]
    found = []
    for block in filter(None, blocks):
        body = " \\\\\n".join(f"  & {text} \\tag{{${tag}$}}" for text, tag in block)
        found.append(f"\\begin{{align}}\n{body}\n\\end{{align}}\n")
    return "\n".join(found)
