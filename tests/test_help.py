"""help() says what a reader needs, and says it of everything that is public."""

import dataclasses
import pydoc
import re
from typing import Any

import pytest

import numpy_lstm as nl
from numpy_lstm import shapes
from reference import chain_rule

CELLS = [*nl.PAGES, nl.ReLURNN, nl.projected(nl.LSTM, 3), nl.zoneout(nl.GRU), nl.ABLATIONS["NFG"]]


def shown(it: Any) -> str:
    return pydoc.plain(pydoc.render_doc(it))


def test_the_package() -> None:
    told = shown(nl)
    head = nl.__doc__ or ""
    assert head.splitlines()[0] in told
    assert told.endswith(f"{nl.__file__}\n\n")
    assert f"VERSION\n    {nl.__version__}\n" in told
    for name in nl.__all__:
        assert re.search(rf"\b{name}\b", head) or name in (
            "Backward",
            "Cell",
            "Forward",
            "dropout_mask",
            "zoneout_input",
        )


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cell(cell: nl.Cell) -> None:
    told = shown(cell)
    assert f"<Cell {cell.name}>\n    The cell {cell.name}.\n" in told
    for record in (cell.Params, cell.State, cell.Trace, *([cell.Input] if cell.Input else [])):
        for field, letters in shapes.axes(record).items():
            shape = f"({letters},)" if len(letters) == 1 else f"({','.join(letters)})"
            line = next(line for line in told.splitlines() if re.match(rf"\s*{re.escape(shape)} .*\b{field}\b", line))
            assert line.strip().startswith(shape), field
    for row in chain_rule.rows(cell) if cell in nl.PAGES else ():
        assert f"({row.tag})" in told, row.tag
    assert f"derivation {cell.page}.md beside it" in told
    for name, f in cell.functions._asdict().items():
        assert f"{name} {f.name}" in told


@pytest.mark.parametrize("cell", nl.PAGES, ids=lambda cell: cell.name)
@pytest.mark.parametrize("name", ["step", "step_adjoint", "step_gradients"])
def test_a_function_of_a_page(cell: nl.Cell, name: str) -> None:
    function = getattr(cell, name)
    told = shown(function)
    page = getattr(function, "func", function)
    assert page.__doc__.splitlines()[0] in told
    assert "partial(func" not in told
    if name != "step_gradients":
        prime = "'" if name == "step_adjoint" else ""
        assert f"\n    {name}(p: Params, " in told
        assert re.search(rf"# \([A-Z]1{prime}\)", told)


def test_of_combinators_the_step_says_what_they_add() -> None:
    assert "then projected: h = m M^T" in shown(nl.projected(nl.LSTM, 2).step)
    assert "then projected: h = m M^T" in shown(nl.projected(nl.LSTM, 2))
    assert "keeps its old state by its mask" in shown(nl.zoneout(nl.LSTM))


def test_the_class_keeps_its_own_page() -> None:
    assert shown(nl.Cell).count("A recurrent cell.") == 1
    assert "The cell LSTM" not in shown(nl.Cell)
    assert (dataclasses.replace(nl.LSTM, name="mine").__doc__ or "").startswith("The cell mine.")


def test_a_cell_of_ones_own_without_a_page_in_the_package() -> None:
    own = dataclasses.replace(nl.RNN, name="own", page="own", step=lambda p, x, s: nl.RNN.step(p, x, s))
    assert "The cell own.\n\nParams" in (own.__doc__ or "")
