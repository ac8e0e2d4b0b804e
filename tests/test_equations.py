"""Each equation of a page, and each adjoint, against the same row differentiated by machine."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS as USUAL
from cases import LAYERS, READING, SHIPPED, equation_error, equation_ids, standard
from numpy_lstm import check, tree
from numpy_lstm.shapes import apart, codes
from reference import chain_rule, mechanical

CELLS = [*USUAL, *SHIPPED]
PAGES = Path(nl.__file__).parent / "pages"
COMBINATORS = ("projected", "zoneout")
COMBINED = [
    *(nl.projected(cell, 3) for cell in (nl.LSTM, nl.RNN, nl.FullGateLSTM)),
    *(nl.zoneout(cell) for cell in (nl.LSTM, nl.GRU, nl.FullGateLSTM)),
    nl.zoneout(nl.projected(nl.PeepholeLSTM, 3)),
]
BY_NAME = {cell.name.lower(): cell for cell in [*CELLS, *COMBINED, *LAYERS, *READING]}


def one_step(cell: nl.Page) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Parameters, values and arriving cotangents of one step, and every number that goes in, by name."""
    problem = standard(cell, T=1)
    params, _, first = problem.point
    xs, held = apart(cell.as_input(problem.inputs(problem.point)))
    x, arriving = tree.map(lambda a: a[0], (xs, problem.cotangents.states))
    x = cell.input(x._replace(**held))
    _, values = cell.step(params, x, first)
    names = {k: np.atleast_2d(a) for k, a in params._asdict().items()}
    names |= {f"{k}_prev": a for k, a in first._asdict().items()} | mechanical.inputs(problem)[0]
    return params, values, arriving, names


@pytest.mark.parametrize("equation", [e for cell in CELLS for e in equation_ids(cell)])
def test_equations(equation: str) -> None:
    assert equation_error(BY_NAME[equation.split("-")[0]], equation) <= 2e-15


@pytest.mark.parametrize(
    "equation",
    [
        f"{page.name.lower()}-{row.tag}'-{k}"
        for page in [*COMBINED, *LAYERS, *READING]
        for row in chain_rule.rows(page)
        if row.tag in ("M1", "M2", "Z1") or page not in COMBINED
        for k in row.operands()
        if k not in codes(page.Input)
    ],
)
def test_equations_of_combinators_and_of_single_steps(equation: str) -> None:
    """All that reaches the operand, through the cell too: no row of a cell knows that it is wrapped."""
    name, _, operand = equation.split("-")
    page = BY_NAME[name]
    params, values, arriving, names = one_step(page)
    equations = chain_rule.rows(page)
    outside = {k: a if a.ndim == 2 else a[:, None] for k, a in arriving._asdict().items()}
    expected = chain_rule.pull(equations, chain_rule.evaluate(equations, names), outside)[operand]
    _, d = page.step_back(params, values, arriving)
    got = getattr(d if operand in d._fields else page.gradients(page.functions, params, values, d), operand)
    assert np.any(expected)
    assert check.normwise(got, expected.reshape(got.shape)) <= 2e-15


@pytest.mark.parametrize(
    "row",
    [f"{c.name.lower()}-{r.tag}-{k}" for c in BY_NAME.values() for r in chain_rule.rows(c) for k in r.targets],
)
def test_values(row: str) -> None:
    name, _, target = row.split("-")
    cell = BY_NAME[name]
    _, values, _, names = one_step(cell)
    expected = chain_rule.evaluate(chain_rule.rows(cell), names)[target]
    got = getattr(values, target)
    assert check.normwise(got, expected.reshape(got.shape)) <= 1e-15


@pytest.mark.parametrize("page", [*dict.fromkeys(c.equations for c in [*CELLS, *LAYERS, *READING]), *COMBINATORS])
def test_page_derivation_and_rows_have_the_same_tags(page: str) -> None:
    code = (PAGES / f"{page}.py").read_text(encoding="utf-8")
    prose = (PAGES / f"{page}.md").read_text(encoding="utf-8").replace("′", "'")
    tags = [row.tag for row in chain_rule.read(page)]
    both = {*tags, *(f"{tag}'" for tag in tags)}
    in_code = re.findall(r"\(([A-Z]+\d+'?)\)", code)
    assert set(in_code) == both
    assert set(re.findall(r"\b([A-Z]{1,2}\d+'?)(?!\w)", prose)) == both
    forward, backward = in_code[: len(tags)], in_code[len(tags) :]
    assert forward == tags, "equations stand top to bottom"
    read_upward = list(dict.fromkeys(backward))
    assert read_upward == [f"{tag}'" for tag in reversed(tags)], "and are read upward in the backward pass"


def test_a_row_without_a_rule_is_refused() -> None:
    import ast

    row = chain_rule.Row("X1", ("a",), ast.parse("b // c", mode="eval").body)
    for walk in (chain_rule.evaluate, lambda r, n: chain_rule.pull(r, n, {"a": n["b"]})):
        with pytest.raises(SyntaxError, match="no rule for b // c"):
            walk((row,), {"a": 0.5, "b": 1.0, "c": 2.0})


ROOT = PAGES.parent.parent
PROSE = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("numpy_lstm/**/*.md")])


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_formulas_survive_markdown(page: Path) -> None:
    """In inline math GitHub takes a backslash before punctuation away: a thin space becomes a comma."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for formula in re.findall(r"\$([^$]+)\$", re.sub(r"`[^`]*`", "", prose)):
        assert not re.search(r"\\[,;:!{}|_#%]", formula), formula
