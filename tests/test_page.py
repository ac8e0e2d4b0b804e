"""What a page says of itself: fields that fit, equality, other functions, pickles."""

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS, LAYERS, READING, standard
from numpy_lstm import activations, check, tree
from numpy_lstm.activations import ONE, SIGMOID, TANH, clipped, hard_sigmoid

COMBINED = [nl.projected(nl.LSTM, 3), nl.zoneout(nl.GRU), nl.zoneout(nl.projected(nl.LayerNormLSTM, 3))]
OTHER = [nl.LSTM.having(f=ONE), nl.LSTM.having(g=hard_sigmoid(0.25), y=clipped(TANH, 3.0))]


@pytest.mark.parametrize("page", [*CELLS, *COMBINED, *OTHER, *LAYERS, *READING], ids=lambda page: page.name)
def test_a_page_and_its_records_pickle(page: nl.Page) -> None:
    problem = standard(page)
    again, other = pickle.loads(pickle.dumps((page, problem)))
    assert again == page
    assert hash(again) == hash(page)
    assert again.name == page.name
    assert type(other.point.first) is page.State
    for (_, a), (_, b) in zip(tree.leaves(other.gradient()), tree.leaves(problem.gradient()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pickle_is_read_in_another_process() -> None:
    read = "import pickle, sys; page, state = pickle.load(sys.stdin.buffer); print(page, page.State is type(state))"
    page = nl.zoneout(nl.projected(nl.LSTM.having(f=hard_sigmoid(0.25)), 3))
    sent = pickle.dumps((page, page.zero_state(2, 4)))
    found = subprocess.run([sys.executable, "-c", read], input=sent, capture_output=True, check=True)
    assert found.stdout.decode().strip() == f"{page.name} True"


def test_equal_are_pages_whose_equations_are() -> None:
    assert nl.LSTM.having(f=SIGMOID) == nl.LSTM == nl.ABLATIONS["NP"]
    assert nl.LSTM.having(f=hard_sigmoid(0.25)) == nl.LSTM.having(f=hard_sigmoid(alpha=0.25))
    assert nl.LSTM.having(f=hard_sigmoid(0.25)) != nl.LSTM.having(f=hard_sigmoid(0.2))
    assert nl.LSTM.having(f=replace(SIGMOID, d=TANH.d)) != nl.LSTM
    assert nl.projected(nl.LSTM, 3) == nl.projected(nl.LSTM, 3) != nl.projected(nl.LSTM, 2)


def test_having_other_functions() -> None:
    assert nl.LSTM.having(f=ONE).name == "LSTM(f=one)"
    assert nl.zoneout(nl.projected(nl.LSTM, 3)).having(f=ONE).name == "zoneout(projected(LSTM(f=one), 3))"
    assert nl.RNN.having("mine", h=ONE).name == "mine"
    with pytest.raises(TypeError, match=r"^RNN has no function f, only h$"):
        nl.RNN.having(f=ONE)
    with pytest.raises(TypeError, match=r"^RNN has no function f, only h$"):
        nl.projected(nl.RNN, 3).having(f=ONE)


@pytest.mark.parametrize("norm", [activations.TOGETHER, activations.APART, replace(activations.TOGETHER, eps=1e-3)])
def test_what_a_layer_norm_normalises_with(norm: activations.Normalisation) -> None:
    problem = standard(nl.LayerNormLSTM.having(norm=norm), T=5)
    stepped = check.complex_step(problem.loss, problem.point, chunk=256)
    assert check.normwise(stepped, problem.gradient()) <= 2e-15
    if norm != activations.TOGETHER:
        assert check.normwise(standard(nl.LayerNormLSTM, T=5).gradient(), problem.gradient()) > 1e-4


def test_every_carried_field_takes_a_cotangent() -> None:
    """The gates of full gate recurrence too, at every step: by the complex step, whichever way they are given."""
    problem = standard(nl.FullGateLSTM, T=5)
    states, last = problem.cotangents
    assert states._fields == ("h", "c", "i", "f", "o")
    stepped = check.complex_step(problem.loss, problem.point, chunk=256)
    assert check.normwise(stepped, problem.gradient()) <= 2e-15
    params, xs, first = problem.point
    run = nl.forward(nl.FullGateLSTM, params, xs, first)
    whole = nl.backward(nl.FullGateLSTM, params, run, dlast=last, dstates=nl.FullGateLSTM.State(*states))
    apart = nl.backward(nl.FullGateLSTM, params, run, states.h, states.c, last, dstates=states._replace(h=None, c=None))
    for (_, a), (_, b) in zip(tree.leaves(whole), tree.leaves(apart), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(TypeError, match=r"^the cotangent of h is given twice, in dstates too$"):
        nl.backward(nl.FullGateLSTM, params, run, states.h, dstates=states)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"carries": ("h", "c")}, "RNN: carries names c, c_prev; Trace has only x, h_prev, a, h"),
        ({"reads": ("x", "mask")}, "RNN: reads names mask; Trace has only x, h_prev, a, h"),
        ({"gives": ("y",)}, "RNN: gives names y; Trace has only x, h_prev, a, h"),
    ],
)
def test_fields_that_a_page_does_not_have(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        replace(nl.RNN, **change)
    assert str(caught.value) == message
