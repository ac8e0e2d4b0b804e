"""Each equation of a page, and each adjoint, against the same row differentiated by machine."""

import re
from pathlib import Path

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS, equation_error, equation_ids, standard
from numpy_lstm import check
from reference import chain_rule

PAGES = Path(nl.__file__).parent / "pages"
BY_NAME = {cell.name.lower(): cell for cell in CELLS}


@pytest.mark.parametrize("equation", [e for cell in CELLS for e in equation_ids(cell)])
def test_equations(equation: str) -> None:
    assert equation_error(BY_NAME[equation.split("-")[0]], equation) <= 2e-15


@pytest.mark.parametrize(
    "row", [f"{c.name.lower()}-{r.tag}-{target}" for c in CELLS for r in chain_rule.rows(c) for target in r.targets]
)
def test_values(row: str) -> None:
    name, _, target = row.split("-")
    cell = BY_NAME[name]
    params, xs, first = standard(cell, T=1).point
    _, values = cell.step(params, xs[0], first)
    names = {k: np.atleast_2d(a) for k, a in params._asdict().items()}
    names |= {f"{k}_prev": a for k, a in first._asdict().items()} | {"x": xs[0]}
    expected = chain_rule.evaluate(chain_rule.rows(cell), names)[target]
    assert check.normwise(getattr(values, target), expected) <= 1e-15


@pytest.mark.parametrize("cell", {cell.equations: cell for cell in CELLS}.values(), ids=lambda cell: cell.equations)
def test_page_derivation_and_rows_have_the_same_tags(cell: nl.Page) -> None:
    code = (PAGES / f"{cell.equations}.py").read_text(encoding="utf-8")
    prose = (PAGES / f"{cell.equations}.md").read_text(encoding="utf-8").replace("′", "'")
    tags = [row.tag for row in chain_rule.rows(cell)]
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


@pytest.mark.parametrize("page", sorted(p.name for p in [*PAGES.glob("*.md"), PAGES.parent.parent / "README.md"]))
def test_formulas_survive_markdown(page: str) -> None:
    """In inline math GitHub takes a backslash before punctuation away: a thin space becomes a comma."""
    path = PAGES / page if (PAGES / page).exists() else PAGES.parent.parent / page
    prose = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for formula in re.findall(r"\$([^$]+)\$", prose):
        assert not re.search(r"\\[,;:!{}|_#%]", formula), formula
