"""Bad input: one clear error that says what came, what was expected and who fixed it. Messages are held exactly."""

from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest

import numpy_lstm as nl
from cases import CELLS, standard

LSTM = nl.LSTM
PARAMS, XS, FIRST = standard(LSTM, T=3, B=4, D=5, H=6).point
STATES, LAST = standard(LSTM, T=3, B=4, D=5, H=6).cotangents
RUN = nl.forward(LSTM, PARAMS, XS, FIRST)


def forward(params: Any = PARAMS, xs: Any = XS, first: Any = FIRST, **more: Any) -> Any:
    return nl.forward(LSTM, params, xs, first, **more)


def backward(run: Any = RUN, params: Any = PARAMS, **cotangents: Any) -> Any:
    return nl.backward(LSTM, params, run, **cotangents)


def replaced(**fields: Any) -> Any:
    return PARAMS._replace(**fields)


SHAPE_ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "bias": (
        lambda: forward(replaced(b_i=np.zeros(5))),
        "params.b_i has shape (5,); expected (H=6), where H=6 was fixed by params.W_i",
    ),
    "weights of one gate": (
        lambda: forward(replaced(W_g=np.zeros((6, 4)))),
        "params.W_g has shape (6, 4); expected (H=6, D=5), where D=5 was fixed by params.W_i",
    ),
    "recurrent weights": (
        lambda: forward(replaced(U_o=np.zeros((6, 5)))),
        "params.U_o has shape (6, 5); expected (H=6, R=6), where R=6 was fixed by params.W_i",
    ),
    "transposed weights": (
        lambda: forward(replaced(W_f=PARAMS.W_f.T)),
        "params.W_f has shape (5, 6); expected (H=6, D=5), where H=6 was fixed by params.W_i "
        "and D=5 was fixed by params.W_i",
    ),
    "bias as a column": (
        lambda: forward(replaced(b_o=np.zeros((6, 1)))),
        "params.b_o has shape (6, 1); expected (H=6), where H=6 was fixed by params.W_i",
    ),
    "no time axis": (
        lambda: forward(xs=XS[0]),
        "xs has shape (4, 5); expected (T, B, D=5), where D=5 was fixed by params.W_i",
    ),
    "inputs too wide": (
        lambda: forward(xs=np.zeros((3, 4, 7))),
        "xs has shape (3, 4, 7); expected (T, B, D=5), where D=5 was fixed by params.W_i",
    ),
    "empty batch": (
        lambda: forward(xs=XS[:, :0], first=None),
        "xs has shape (3, 0, 5); expected (T, B, D=5), where B must be at least 1",
    ),
    "no units": (
        lambda: forward(replaced(W_i=np.zeros((0, 5)))),
        "params.W_i has shape (0, 5); expected (H, D), where H must be at least 1",
    ),
    "first state of another batch": (
        lambda: forward(first=FIRST._replace(c=FIRST.c[:3])),
        "first.c has shape (3, 6); expected (B=4, H=6), where B=4 was fixed by xs",
    ),
    "half a first state": (
        lambda: forward(first=FIRST._replace(c=None)),
        "first.c is absent; expected (B=4, H=6), where B=4 was fixed by xs and H=6 was fixed by params.W_i",
    ),
    "absent parameter": (
        lambda: forward(replaced(b_f=None)),
        "params.b_f is absent; expected (H=6), where H=6 was fixed by params.W_i",
    ),
    "cotangents of other steps": (
        lambda: backward(dhs=STATES.h[1:]),
        "dhs has shape (2, 4, 6); expected (T=3, B=4, R=6), where T=3 was fixed by run.values.x",
    ),
    "cotangents of the cells": (
        lambda: backward(dcs=STATES.c[..., :1]),
        "dcs has shape (3, 4, 1); expected (T=3, B=4, H=6), where H=6 was fixed by params.W_i",
    ),
    "cotangent of the last state": (
        lambda: backward(dlast=LAST._replace(h=LAST.h[0])),
        "dlast.h has shape (6,); expected (B=4, R=6), where B=4 was fixed by run.values.x "
        "and R=6 was fixed by params.W_i",
    ),
    "run of other parameters": (
        lambda: backward(params=standard(LSTM, D=5, H=8).point.params),
        "run.values.h_prev has shape (3, 4, 6); expected (T=3, B=4, R=8), where R=8 was fixed by params.W_i",
    ),
    "too few lengths": (
        lambda: forward(lengths=[1, 2]),
        "lengths is [1, 2]; expected B=4 integers from 0 to T=3",
    ),
    "lengths out of range": (
        lambda: forward(lengths=[1, 2, 3, 4]),
        "lengths is [1, 2, 3, 4]; expected B=4 integers from 0 to T=3",
    ),
}

ARRAY = "expected an array of NumPy, CuPy or another library of the array API"
SILENT = "(nothing is promoted silently: convert one of them)"

TYPE_ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "list": (lambda: forward(xs=XS.tolist()), f"xs is a list; {ARRAY}"),
    "number": (lambda: forward(replaced(b_i=0.0)), f"params.b_i is a float; {ARRAY}"),
    "matrix": (
        lambda: forward(replaced(W_i=PARAMS.W_i.view(np.matrix))),
        f"params.W_i is a numpy.matrix; {ARRAY}",
    ),
    "masked array": (lambda: forward(xs=np.ma.masked_array(XS)), f"xs is a numpy.ma.MaskedArray; {ARRAY}"),
    "integers": (
        lambda: forward(xs=np.zeros((3, 4, 5), np.int64)),
        f"xs has dtype int64; expected float64, the dtype of params.W_i {SILENT}",
    ),
    "integer parameters": (
        lambda: forward(replaced(W_i=np.zeros((6, 5), np.int32))),
        "params.W_i has dtype int32; expected float32, float64, longdouble, a complex dtype, or object",
    ),
    "booleans of another library": (
        lambda: forward(replaced(W_i=array_api_strict.ones((6, 5), dtype=array_api_strict.bool))),
        "params.W_i has dtype bool; expected float32, float64, longdouble, a complex dtype, or object",
    ),
    "half precision": (
        lambda: forward(replaced(W_i=np.zeros((6, 5), np.float16))),
        "params.W_i has dtype float16; expected float32, float64, longdouble, a complex dtype, or object",
    ),
    "mixed dtypes": (
        lambda: forward(first=FIRST._replace(h=FIRST.h.astype(np.float32))),
        f"first.h has dtype float32; expected float64, the dtype of params.W_i {SILENT}",
    ),
    "mixed dtypes in the cotangents": (
        lambda: backward(dhs=STATES.h.astype(np.complex128)),
        f"dhs has dtype complex128; expected float64, the dtype of params.W_i {SILENT}",
    ),
    "mixed libraries": (
        lambda: forward(xs=array_api_strict.asarray(XS)),
        "xs is an array of array_api_strict; expected numpy, the library of params.W_i",
    ),
    "positional state": (lambda: forward(first=(FIRST.h, FIRST.c)), "first is a tuple; expected LSTM.State(h, c)"),
    "state of another cell": (
        lambda: forward(first=nl.RNN.State(h=FIRST.h)),
        "first is a State(h); expected LSTM.State(h, c)",
    ),
    "parameters as a dict": (
        lambda: nl.forward(nl.RNN, {}, XS),
        "params is a dict; expected RNN.Params(W, U, b), as numpy_lstm.layouts.load makes it",
    ),
    "positional cotangent": (lambda: backward(dlast=LAST.h), "dlast is a numpy.ndarray; expected LSTM.State(h, c)"),
    "no such cell": (
        lambda: nl.forward("LSTM", PARAMS, XS),
        "cell is a str; expected a Page such as numpy_lstm.LSTM",
    ),
    "no run": (lambda: backward(run=RUN.hs), "run is a numpy.ndarray; expected the Forward that forward() returned"),
    "run of another cell": (
        lambda: backward(run=nl.forward(nl.RNN, *standard(nl.RNN).point)),
        "run.values is a numpy_lstm.pages.rnn.Trace; expected "
        "LSTM.Trace(x, h_prev, c_prev, a_i, a_f, a_g, a_o, i, f, g, o, c, y, h)",
    ),
    "cell cotangents without a cell": (
        lambda: nl.backward(nl.RNN, PARAMS_RNN, RUN_RNN, dcs=STATES.c),
        "RNN has no c in its state, only h",
    ),
    "fractional lengths": (
        lambda: forward(lengths=[1.5, 2, 3, 1]),
        "lengths is [1.5, 2, 3, 1]; expected B=4 integers from 0 to T=3, or Steps of masks (T, B)",
    ),
    "seed for a Generator": (
        lambda: LSTM.init(5, 6, 0),
        "rng is a int; expected a Generator: numpy.random.default_rng(seed)",
    ),
}
PARAMS_RNN, *_ = standard(nl.RNN, T=3, B=4, D=5, H=6).point
RUN_RNN = nl.forward(nl.RNN, *standard(nl.RNN, T=3, B=4, D=5, H=6).point)


@pytest.mark.parametrize("case", SHAPE_ERRORS)
def test_shape_errors(case: str) -> None:
    call, message = SHAPE_ERRORS[case]
    with pytest.raises(nl.ShapeError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("case", TYPE_ERRORS)
def test_type_errors(case: str) -> None:
    call, message = TYPE_ERRORS[case]
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == message


def test_a_torch_tensor_is_refused_by_name() -> None:
    import torch

    with pytest.raises(TypeError, match=r"^xs is a torch.Tensor; expected an array of NumPy, CuPy"):
        forward(xs=torch.zeros(3, 4, 5))


def test_a_shape_error_is_a_value_error() -> None:
    assert issubclass(nl.ShapeError, ValueError)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_records_declare_their_axes(cell: nl.Page) -> None:
    assert nl.shapes.axes(cell.State)["h"] in {"BR", "BH"}
    assert set(nl.shapes.axes(cell.Trace)) >= {"x", "h_prev", "h"}
    recurrent = nl.shapes.axes(cell.State)["h"].replace("B", "H")
    assert {letters for name, letters in nl.shapes.axes(cell.Params).items() if name[0] == "U"} == {recurrent}
