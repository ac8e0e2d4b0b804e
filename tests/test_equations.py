"""Each equation of a page, and each adjoint, against the same row differentiated by machine."""

import re
from pathlib import Path

import pytest

import numpy_lstm as nl
from cases import CELLS, equation_error, equation_ids, standard
from numpy_lstm import check
from reference import chain_rule

PAGES = Path(nl.__file__).parent / "cells"
BY_NAME = {cell.name.lower(): cell for cell in CELLS}


@pytest.mark.parametrize("equation", [e for cell in CELLS for e in equation_ids(cell)])
def test_equations(equation: str) -> None:
    assert equation_error(BY_NAME[equation.split("-")[0]], equation) <= 2e-15


@pytest.mark.parametrize(
    "row", [f"{c.name.lower()}-{r.tag}-{r.target}" for c in CELLS for r in chain_rule.rows(c.name)]
)
def test_values(row: str) -> None:
    name, _, target = row.split("-")
    cell = BY_NAME[name]
    params, xs, first = standard(cell, T=1).point
    _, values = cell.step(params, xs[0], first)
    names = params._asdict() | {f"{k}_prev": a for k, a in first._asdict().items()} | {"x": xs[0]}
    expected = chain_rule.evaluate(chain_rule.rows(cell.name), names)[target]
    assert check.normwise(getattr(values, target), expected) <= 1e-15


@pytest.mark.parametrize("name", BY_NAME)
def test_page_derivation_and_rows_have_the_same_tags(name: str) -> None:
    code = (PAGES / f"{name}.py").read_text(encoding="utf-8")
    prose = (PAGES / f"{name}.md").read_text(encoding="utf-8").replace("′", "'")
    tags = [row.tag for row in chain_rule.rows(name)]
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

    row = chain_rule.Row("X1", "a", ast.parse("b / c", mode="eval").body)
    for walk in (chain_rule.evaluate, lambda r, n: chain_rule.pull(r, n, {"a": n["b"]})):
        with pytest.raises(SyntaxError, match="no rule for b / c"):
            walk((row,), {"b": 1.0, "c": 2.0})
