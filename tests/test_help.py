"""help() says what a reader needs, and says it of everything that is public."""

import dataclasses
import pydoc
import re
from typing import Any

import pytest

import numpy_lstm as nl
from cases import LAYERS, READING
from numpy_lstm import shapes
from reference import chain_rule

CELLS = [*nl.PAGES, nl.ReLURNN, nl.projected(nl.LSTM, 3), nl.zoneout(nl.GRU), nl.ABLATIONS["NFG"], *LAYERS, *READING]


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
            "Page",
            "Layer",
            "Forward",
            "dropout_mask",
            "zoneout_input",
        )


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cell(cell: nl.Page) -> None:
    told = shown(cell)
    assert f"<Page {cell.name}>\n    The {'cell' if cell.carries else 'page'} {cell.name}.\n" in told
    for field, letter in shapes.codes(cell.Trace).items():
        assert f"{field} from 0 to {letter} - 1" in told
    for record in (cell.Params, cell.State, cell.Trace, cell.Input):
        for field, letters in shapes.axes(record).items():
            shape = f"({letters},)" if len(letters) == 1 else f"({','.join(letters)})"
            line = next(line for line in told.splitlines() if re.match(rf"\s*{re.escape(shape)} .*\b{field}\b", line))
            assert line.strip().startswith(shape), field
    file = cell.values.__module__.rpartition(".")[2]
    for row in chain_rule.read(file):
        assert f"({row.tag})" in told, row.tag
    assert f"derivation {file}.md beside it" in told
    for name, f in cell.functions._asdict().items():
        assert f"{name} {getattr(f, 'name', f)}" in told


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("name", ["step", "step_back"])
def test_a_function_of_a_page(cell: nl.Page, name: str) -> None:
    told = shown(getattr(cell, name))
    equations = cell.adjoint if name == "step_back" else cell.values
    assert equations.__doc__.splitlines()[0] in told
    assert "partial(func" not in told
    assert f"\n    {name}(p, " in told
    prime = "'" if name == "step_back" else ""
    assert re.search(rf"# \([A-Z]1{prime}\)", told)


def test_of_combinators_the_step_says_what_they_add() -> None:
    assert "then its projection h (B,R)" in shown(nl.projected(nl.LSTM, 2).step)
    assert "q = linear(v.h, p.M)  # (M1)" in shown(nl.projected(nl.LSTM, 2))
    assert "now = keep * old + (1 - keep) * new  # (Z1)" in shown(nl.zoneout(nl.LSTM))
    assert "Of GRU:" in shown(nl.zoneout(nl.GRU))


def test_the_class_keeps_its_own_page() -> None:
    assert shown(nl.Page).count("Equations, their adjoint and their parameter gradients") == 1
    assert "The cell LSTM" not in shown(nl.Page)
    assert (dataclasses.replace(nl.LSTM, title="mine").__doc__ or "").startswith("The cell mine.")


def test_a_cell_of_ones_own_without_a_page_in_the_package() -> None:
    own = dataclasses.replace(nl.RNN, title="own", values=eval("lambda F, p, x, prev: None", {"__name__": "elsewhere"}))
    assert "The cell own.\n\nInput" in (own.__doc__ or "")
