"""The names of a case's arrays: a record that files spell, and that is read back from the spelling."""

import numpy as np
import pytest

from numpy_lstm import layouts
from numpy_lstm.cases import Case, Name, Network, parse
from numpy_lstm.cases.inputs import names
from numpy_lstm.cases.names import is_gradient

SPELLED = {
    "x": Name("", "", "x"),
    "d_x": Name("", "d_", "x"),
    "output": Name("", "", "output"),
    "h_n": Name("", "", "h_n"),
    "b_n": Name("", "", "b_n"),
    "d_weight_ih_l0": Name("", "d_", "weight_ih_l0"),
    "l0.weight_ih_l0": Name("l0.", "", "weight_ih_l0"),
    "l12_reverse.d_h_0": Name("l12_reverse.", "d_", "h_0"),
    "l0_reverse.values.a_f": Name("l0_reverse.", "values.", "a_f"),
    "cotangents.c_prev": Name("", "cotangents.", "c_prev"),
    "l0.cotangents.h": Name("l0.", "cotangents.", "h"),
    "ii.kernel": Name("", "", "ii.kernel"),
    "l1.d_hf.bias": Name("l1.", "d_", "hf.bias"),
    "lr.kernel": Name("", "", "lr.kernel"),
}


@pytest.mark.parametrize("text", SPELLED)
def test_a_name_and_its_spelling(text: str) -> None:
    assert parse(text) == SPELLED[text]
    assert str(SPELLED[text]) == text


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("layout", ["torch", "flax", "haste", "records"])
def test_every_name_of_a_case_is_what_it_says(layout: str, direction: str) -> None:
    network = Network(direction=direction, layers=2)
    case = Case.random(network, layout, {"T": 2, "B": 1, "D": 2, "H": 2}, np.random.default_rng(0))
    given, found = ({k: parse(k) for k in arrays} for arrays in (case.arrays, case.run()))
    assert {n.place for n in (given | found).values()} == {"", *network.places()}
    inputs = {k for k, n in given.items() if n.role == ""}
    assert {str(n._replace(role="d_")) for n in map(parse, inputs)} == {k for k, n in found.items() if n.role == "d_"}
    cotangents = {k for k, n in given.items() if n.role == "d_"}
    assert cotangents == {str(n._replace(role="d_")) for n in found.values() if n.role == ""}
    assert all(found[k].is_gradient == is_gradient(k) == ("d_" in k or "cotangents" in k) for k in found)
    assert {n.field for n in found.values() if n.role == "values."} == {
        n.field for n in found.values() if n.role == "cotangents."
    }


def test_no_layout_has_a_name_that_would_be_read_as_something_else() -> None:
    for layout in layouts.table.TABLE:
        for page in ("LSTM", "PeepholeLSTM", "GRU", "GRUResetBefore", "RNN"):
            try:
                stored = names(layout, Network(page).page)
            except layouts.LayoutError:
                continue
            assert all(parse(k) == Name("", "", k) for k in stored), (layout, page)
