"""Layouts: each framework's order of gates, proved by its own forward step; exact round trips; adjoint gradients."""

import dataclasses
import itertools
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import numpy_lstm as nl
from numpy_lstm import check, layouts, tree
from numpy_lstm.layouts import LayoutError
from reference.frameworks import (
    BEFORE,
    FORMS,
    GRU,
    LSTM,
    PEEPHOLE,
    PROJECTED,
    RNN,
    Arrays,
    B,
    D,
    H,
    R,
    T,
    sigmoid,
)

CELLS = [LSTM, PEEPHOLE, nl.PeepholeOldLSTM, GRU, BEFORE, RNN, PROJECTED, nl.CoupledLSTM]
PAIRS = [(name, cell) for cell in CELLS for name in layouts.names(cell)]
every_pair = pytest.mark.parametrize(("name", "cell"), PAIRS, ids=[f"{name}-{cell.name}" for name, cell in PAIRS])


def random_stored(name: str, cell: Any, rng: np.random.Generator) -> Arrays:
    """Distinct random numbers in the shapes that the form, not the table, declares."""
    return {k: 0.5 * rng.standard_normal(shape) for k, shape in FORMS[name, cell][0].items()}


def random_params(cell: Any, rng: np.random.Generator) -> Any:
    """Multiples of 2^-20, so that adding and subtracting 1 rounds nothing."""
    size = {"h": H, "d": D, "r": R if cell is PROJECTED else H}
    axes = {"W": "hd", "U": "hr", "M": "rh", "b": "h", "p": "h"}
    shapes = {k: [size[n] for n in axes[k[0]]] for k in cell.Params._fields}
    return cell.Params(**{k: rng.integers(1, 2**20, shape) / 2**20 for k, shape in shapes.items()})


def representable(name: str, cell: Any, params: Any) -> Any:
    return params._replace(b_hn=0 * params.b_hn) if cell is GRU and "0 = b2" in layouts.notation(name, GRU) else params


def assert_same(got: Any, expected: Any) -> None:
    assert type(got) is type(expected)
    for (k, a), (_, b) in zip(tree.leaves(got), tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=k, strict=True)


def test_every_pair_has_a_form() -> None:
    assert set(PAIRS) == set(FORMS)
    assert len(PAIRS) == 68


@every_pair
def test_forward_in_the_frameworks_own_form(name: str, cell: Any) -> None:
    rng = np.random.default_rng(1)
    stored = random_stored(name, cell, rng)
    x, c = rng.standard_normal((B, D)), rng.standard_normal((B, H))
    h = rng.standard_normal((B, R if cell is PROJECTED else H))
    expected = FORMS[name, cell][1](stored, x, h, c)
    state = {"h": h, "c": c}
    first = cell.State(**{k: state[k] for k in cell.State._fields})
    new, _ = cell.step(layouts.load(name, stored, cell), x, first)
    assert check.normwise(tuple(new), expected) <= 1e-15


@every_pair
def test_round_trip_is_exact(name: str, cell: Any) -> None:
    drawn = representable(name, cell, random_params(cell, np.random.default_rng(2)))
    for dtype in (np.float32, np.float64, np.longdouble, np.complex128, object):
        params = tree.map(lambda a, dtype=dtype: a.astype(dtype), drawn)
        stored = layouts.dump(name, params, cell)
        assert {k: a.shape for k, a in stored.items()} == FORMS[name, cell][0]
        assert_same(layouts.load(name, stored, cell), params)
        assert_same(layouts.dump(name, layouts.load(name, stored, cell), cell), stored)


@every_pair
def test_gradients_are_the_adjoint_of_load(name: str, cell: Any) -> None:
    rng = np.random.default_rng(3)
    base, change = (random_stored(name, cell, rng) for _ in range(2))
    dparams = tree.random_like(random_params(cell, rng), rng)
    gradients = layouts.dump_gradients(name, dparams, cell)
    assert {k: a.shape for k, a in gradients.items()} == FORMS[name, cell][0]
    moved = layouts.load(name, tree.add(base, change), cell)
    left = sum(np.sum(gradients[k] * change[k]) for k in change)
    right = tree.dot(dparams, tree.add(moved, tree.scale(-1, layouts.load(name, base, cell))))
    scale = sum(np.sum(np.abs(gradients[k] * change[k])) for k in change)
    assert abs(left - right) <= 1e-13 * scale


@every_pair
def test_results_share_no_memory_and_arguments_stay(name: str, cell: Any) -> None:
    rng = np.random.default_rng(4)
    stored = random_stored(name, cell, rng)
    params = representable(name, cell, random_params(cell, rng))
    before = tree.map(np.copy, (stored, params))
    for result in (
        layouts.load(name, stored, cell),
        layouts.dump(name, params, cell),
        layouts.dump_gradients(name, params, cell),
    ):
        for _, a in tree.leaves(result):
            a[...] = np.nan
    assert_same((stored, params), before)


@every_pair
def test_a_wrong_order_of_gates_is_seen(name: str, cell: Any) -> None:
    stored = random_stored(name, cell, np.random.default_rng(5))
    right = layouts.load(name, stored, cell)

    def seen(changed: Arrays) -> bool:
        wrong = layouts.load(name, stored | changed, cell)
        return not all(np.array_equal(a, b) for a, b in zip(right, wrong, strict=True))

    for k, a in stored.items():
        for axis, n in enumerate(a.shape):
            if n not in (1, H):
                assert seen({k: np.roll(a, 1 if name == "chainer" or cell is RNN else H, axis)}), (k, axis)
    gradients = layouts.dump_gradients(name, right, cell)
    for j, k in itertools.combinations(stored, 2):
        if stored[j].shape == stored[k].shape:
            summed = np.array_equal(gradients[j], gradients[k])
            assert seen({j: stored[k], k: stored[j]}) != summed, (j, k)


ORDERS = {
    "torch": "ifgo", "torch_cell": "ifgo", "keras": "ifgo", "onnx": "iofg", "tf_block": "igfo+1",
    "tf_block_v2": "ifgo", "flax": "ifgo", "flax_nnx": "ifgo", "equinox": "ifgo", "haiku": "igfo+1",
    "mxnet": "ifgo", "cudnn": "ifgo", "chainer": "interleaved", "chainer_nstep": "ifgo", "haste": "igfo",
    "tmva": "ifgo", "webnn_iofg": "iofg", "webnn_ifgo": "ifgo", "caffe": "ifog", "coreml": "ifgo",
    "coreml_mil": "ifog", "tflite": "ifgo", "openvino": "figo", "tutorial": "figo",
}  # fmt: skip


def lstm_shapes(name: str) -> list[tuple[int, ...]]:
    return list(FORMS[name, LSTM][0].values())


ALIKE = [pair for pair in itertools.combinations(ORDERS, 2) if lstm_shapes(pair[0]) == lstm_shapes(pair[1])]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_layouts_of_equal_shapes_agree_if_their_orders_do(one: str, other: str) -> None:
    """Arrays of one layout read as another: the same result for the same order, and only then."""
    stored = random_stored(one, LSTM, np.random.default_rng(6))
    renamed = dict(zip(FORMS[other, LSTM][0], stored.values(), strict=True))
    got, expected = layouts.load(other, renamed), layouts.load(one, stored)
    same = all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))
    assert same == (ORDERS[one] == ORDERS[other])


# ---- Second biases, forget bias, what has no place -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cell", "first", "second"),
    [
        ("torch", LSTM, "bias_ih_l0", "bias_hh_l0"),
        ("torch", RNN, "bias_ih_l0", "bias_hh_l0"),
        ("mxnet", LSTM, "l0_i2h_bias", "l0_h2h_bias"),
        ("webnn_ifgo", BEFORE, "bias", "recurrentBias"),
        ("cudnn", LSTM, "bias_1", "bias_5"),
        ("chainer_nstep", LSTM, "b2", "b6"),
    ],
)
def test_second_bias_is_summed_and_gets_the_whole_gradient(name: str, cell: Any, first: str, second: str) -> None:
    rng = np.random.default_rng(7)
    stored = random_stored(name, cell, rng)
    merged = stored | {first: stored[first] + stored[second], second: 0 * stored[second]}
    assert_same(layouts.load(name, stored, cell), layouts.load(name, merged, cell))
    params = random_params(cell, rng)
    dumped, gradients = layouts.dump(name, params, cell), layouts.dump_gradients(name, params, cell)
    assert not dumped[second].any()
    np.testing.assert_array_equal(gradients[first], dumped[first])
    np.testing.assert_array_equal(gradients[second], dumped[first])


@pytest.mark.parametrize("name", ["torch", "mxnet", "webnn_ifgo"])
def test_gru_keeps_the_second_bias_of_its_candidate(name: str) -> None:
    stored = random_stored(name, GRU, np.random.default_rng(8))
    b, b2 = (a.ravel() for a in list(stored.values())[2:])
    p = layouts.load(name, stored, GRU)
    np.testing.assert_array_equal(np.concatenate([p.b_r, p.b_z]), (b + b2)[: 2 * H])
    np.testing.assert_array_equal(p.b_n, b[2 * H :])
    np.testing.assert_array_equal(p.b_hn, b2[2 * H :])
    again = list(layouts.dump(name, p, GRU).values())[3].ravel()
    np.testing.assert_array_equal(again, np.concatenate([np.zeros(2 * H), p.b_hn]))


@pytest.mark.parametrize(("name", "cell"), [("tf_block", LSTM), ("tf_block", PEEPHOLE), ("haiku", LSTM)])
def test_forget_bias_added_at_run_time(name: str, cell: Any) -> None:
    stored = {k: 0 * a for k, a in random_stored(name, cell, np.random.default_rng(9)).items()}
    loaded = layouts.load(name, stored, cell)
    np.testing.assert_array_equal(loaded.b_f, np.ones(H))
    assert not any(a.any() for k, a in loaded._asdict().items() if k != "b_f")
    assert not any(a.any() for a in layouts.dump(name, loaded, cell).values())
    zero = tree.scale(0, loaded)
    assert not any(a.any() for a in layouts.dump_gradients(name, zero, cell).values())


def test_no_other_layout_adds_a_forget_bias() -> None:
    for name, cell in FORMS:
        if "b_f" in cell.Params._fields and name not in {"tf_block", "haiku"}:
            zeros = {k: np.zeros(shape) for k, shape in FORMS[name, cell][0].items()}
            assert not any(a.any() for a in layouts.load(name, zeros, cell)), name


def test_webnn_peepholes_mean_something_else_there() -> None:
    """The published decomposition lets o look at the old cell: not what the page and ONNX compute."""
    rng = np.random.default_rng(10)
    stored = random_stored("webnn_iofg", PEEPHOLE, rng)
    x, h, c = (rng.standard_normal((B, n)) for n in (D, H, H))
    p = layouts.load("webnn_iofg", stored, PEEPHOLE)
    new, _ = PEEPHOLE.step(p, x, PEEPHOLE.State(h=h, c=c))
    a_o = x @ p.W_o.T + h @ p.U_o.T + p.b_o
    assert check.normwise(sigmoid(a_o + p.p_o * new.c) * np.tanh(new.c), new.h) <= 1e-15
    assert check.normwise(sigmoid(a_o + p.p_o * c) * np.tanh(new.c), new.h) > 0.01


@pytest.mark.parametrize(("name", "count"), [("tmva", 9), ("flax_nnx", 3), ("coreml_mil", 3)])
def test_a_gru_without_a_second_bias(name: str, count: int) -> None:
    params = random_params(GRU, np.random.default_rng(11))
    with pytest.raises(LayoutError) as error:
        layouts.dump(name, params, GRU)
    assert str(error.value) == f"params.b_hn is not zero; {name} has no place for it in GRU"
    assert "b_hn" in GRU.Params._fields
    assert len(layouts.dump_gradients(name, params, GRU)) == count  # the gradient of what is not there is dropped


# ---- dtypes, names, fake cells ---------------------------------------------------------------------------------------


def test_dtype_converts_and_lists_are_read() -> None:
    stored = random_stored("keras", LSTM, np.random.default_rng(12))
    half = {k: a.astype(np.float16) for k, a in stored.items()}
    assert {a.dtype.name for a in layouts.load("keras", half, dtype=np.float32)} == {"float32"}
    lists = {k: a.tolist() for k, a in stored.items()}
    assert_same(layouts.load("keras", lists), layouts.load("keras", stored))


def test_names() -> None:
    assert layouts.names() == tuple(ORDERS)
    assert layouts.names(PEEPHOLE) == PEEPHOLES
    both = ("webnn_iofg", "webnn_ifgo")
    assert layouts.names(nl.PeepholeOldLSTM) == ("onnx", *both)
    torch_and_keras, mil = ("torch", "torch_cell", "keras", "onnx"), "coreml_mil"
    gru = ("flax", "flax_nnx", "equinox", "mxnet", "cudnn", "tmva")
    assert layouts.names(GRU) == (*torch_and_keras, *gru, *both, mil)
    assert layouts.names(BEFORE) == ("keras", "onnx", "tmva", *both, "coreml")
    assert layouts.names(RNN) == (*torch_and_keras, "flax_nnx", "mxnet", "cudnn", "tmva", "coreml", mil)
    assert layouts.names(PROJECTED) == ("torch", "mxnet", "cudnn", "tflite")
    assert layouts.names(nl.CoupledLSTM) == ("tflite",)
    assert layouts.names(nl.ReLURNN) == layouts.names(RNN)
    assert layouts.names(nl.LayerNormLSTM) == ()


def test_a_page_of_ones_own_with_the_same_equations_has_their_layouts() -> None:
    Params = namedtuple("Params", [*LSTM.Params._fields, "M"])
    cell = dataclasses.replace(LSTM, title="mine", Params=Params)
    stored = random_stored("torch", PROJECTED, np.random.default_rng(13))
    got = layouts.load("torch", stored, cell)
    assert isinstance(got, Params)
    for a, b in zip(got, layouts.load("torch", stored, PROJECTED), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- PyTorch itself --------------------------------------------------------------------------------------------------

MODULES: dict[str, tuple[Any, Callable[[], torch.nn.Module]]] = {
    "LSTM": (LSTM, lambda: torch.nn.LSTM(D, H, dtype=torch.float64)),
    "LSTM with proj_size": (PROJECTED, lambda: torch.nn.LSTM(D, H, proj_size=R, dtype=torch.float64)),
    "GRU": (GRU, lambda: torch.nn.GRU(D, H, dtype=torch.float64)),
    "RNN": (RNN, lambda: torch.nn.RNN(D, H, dtype=torch.float64)),
}


@pytest.mark.parametrize("module", MODULES)
def test_torch_values_and_gradients(module: str) -> None:
    """state_dict is loaded as it is; outputs and the gradients under torch's names equal torch's."""
    torch.manual_seed(14)
    cell, build = MODULES[module]
    layer = build()
    rng = np.random.default_rng(14)
    r = R if cell is PROJECTED else H
    xs, dhs = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, r))
    state = {"h": rng.standard_normal((B, r)), "c": rng.standard_normal((B, H))}
    dlast = {k: rng.standard_normal(a.shape) for k, a in state.items()}
    fields = cell.State._fields

    first = tuple(torch.tensor(state[k])[None] for k in fields)
    output, last = layer(torch.tensor(xs), first if len(fields) > 1 else first[0])
    last = last if len(fields) > 1 else (last,)
    loss = (output * torch.tensor(dhs)).sum()
    loss = loss + sum((a * torch.tensor(dlast[k])).sum() for k, a in zip(fields, last, strict=True))
    loss.backward()

    params = layouts.load("torch", layer.state_dict(), cell)
    assert_same(params, layouts.load("torch", dict(layer.named_parameters()), cell))
    run = nl.forward(cell, params, xs, cell.State(**{k: state[k] for k in fields}))
    assert check.normwise(run.hs, output.detach().numpy()) <= 1e-14
    assert check.normwise(tuple(run.last), tuple(a[0].detach().numpy() for a in last)) <= 1e-14
    back = nl.backward(cell, params, run, dhs, dlast=cell.State(**{k: dlast[k] for k in fields}))
    gradients = layouts.dump_gradients("torch", back.dparams, cell)
    assert set(gradients) == set(layer.state_dict())
    for k, p in layer.named_parameters():
        assert check.normwise(gradients[k], p.grad.numpy()) <= 1e-14, k

    layer.load_state_dict({k: torch.tensor(a) for k, a in layouts.dump("torch", params, cell).items()})
    again, _ = layer(torch.tensor(xs), first if len(fields) > 1 else first[0])
    assert check.normwise(again.detach().numpy(), output.detach().numpy()) <= 1e-14


# ---- Bad input: exact messages ---------------------------------------------------------------------------------------

KNOWN = ", ".join(ORDERS)
PEEPHOLES = ("onnx", "tf_block", "tf_block_v2", "webnn_iofg", "webnn_ifgo", "coreml", "tflite")
RNG = np.random.default_rng(15)
TORCH_LSTM = random_stored("torch", LSTM, RNG)
PARAMS = random_params(LSTM, RNG)
STORED = f"torch stores LSTM as {', '.join(TORCH_LSTM)}"


def torch_with(**arrays: Any) -> Any:
    return layouts.load("torch", TORCH_LSTM | arrays)


def stored_with(name: str, cell: Any, **shapes: tuple[int, ...]) -> Any:
    shapes = FORMS[name, cell][0] | {k.replace("__", "."): shape for k, shape in shapes.items()}
    return layouts.load(name, {k: np.ones(shape) for k, shape in shapes.items()}, cell)


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown layout": (lambda: layouts.load("pytorch", {}), f"'pytorch' is no layout; known are {KNOWN}"),
    "unknown layout, dump": (lambda: layouts.dump("Keras", PARAMS), f"'Keras' is no layout; known are {KNOWN}"),
    "cell without this layout": (
        lambda: layouts.load("torch", {}, PEEPHOLE),
        f"torch has no place for the parameters of PeepholeLSTM; layouts that have: {', '.join(PEEPHOLES)}",
    ),
    "cell without any layout": (
        lambda: layouts.load("torch", {}, nl.LayerNormLSTM),
        "torch has no place for the parameters of LayerNormLSTM; layouts that have: none",
    ),
    "projection": (
        lambda: layouts.load("keras", {}, PROJECTED),
        f"keras has no place for the parameters of {PROJECTED.name}; layouts that have: torch, mxnet, cudnn, tflite",
    ),
    "no mapping": (
        lambda: layouts.load("torch", [1, 2]),
        "arrays is a list; expected a mapping from names to arrays",
    ),
    "missing": (
        lambda: layouts.load("torch", {k: TORCH_LSTM[k] for k in ("weight_ih_l0", "bias_ih_l0")}),
        f"weight_hh_l0, bias_hh_l0 missing; {STORED}",
    ),
    "surplus": (
        lambda: torch_with(weight_hr_l0=np.zeros((R, H)), weight_ih_l1=np.zeros(3)),
        f"weight_hr_l0, weight_ih_l1 not expected; {STORED}",
    ),
    "recurrent width": (
        lambda: torch_with(weight_hh_l0=np.zeros((28, 6))),
        "weight_hh_l0 has shape (28, 6); expected (4*H=28, R=7), where R=7 was fixed by weight_ih_l0",
    ),
    "another H": (
        lambda: torch_with(weight_hh_l0=np.zeros((24, 6))),
        "weight_hh_l0 has shape (24, 6); expected (4*H=28, R=7), "
        "where H=7 was fixed by weight_ih_l0 and R=7 was fixed by weight_ih_l0",
    ),
    "bias": (
        lambda: torch_with(bias_hh_l0=np.zeros(7)),
        "bias_hh_l0 has shape (7,); expected (4*H=28), where H=7 was fixed by weight_ih_l0",
    ),
    "bias as a column": (
        lambda: torch_with(bias_hh_l0=np.zeros((28, 1))),
        "bias_hh_l0 has shape (28, 1); expected (4*H=28)",
    ),
    "blocks do not divide": (
        lambda: torch_with(weight_ih_l0=np.zeros((27, 5))),
        "weight_ih_l0 has shape (27, 5); expected (4*H, D=5), where no H >= 1 makes 4*H=27",
    ),
    "no direction axis": (
        lambda: stored_with("onnx", LSTM, W=(28, 5)),
        "W has shape (28, 5); expected (1, 4*H, D)",
    ),
    "two directions": (
        lambda: stored_with("onnx", LSTM, W=(2, 28, 5)),
        "W has shape (2, 28, 5); expected (1, 4*H=28, D=5)",
    ),
    "one bias of two": (
        lambda: stored_with("onnx", LSTM, B=(1, 28)),
        "B has shape (1, 28); expected (1, 8*H=56), where H=7 was fixed by W",
    ),
    "no room for the inputs": (
        lambda: stored_with("tf_block", LSTM, w=(7, 28)),
        "w has shape (7, 28); expected (D+R, 4*H=28), where R=7 was fixed by w and no D >= 1 makes D+R=7",
    ),
    "inputs of another width": (
        lambda: stored_with("tutorial", LSTM, W_C=(7, 13)),
        "W_C has shape (7, 13); expected (H=7, R+D=12), where R=7 was fixed by W_f and D=5 was fixed by W_f",
    ),
    "one gate": (
        lambda: stored_with("flax", LSTM, hg__kernel=(7, 5)),
        "hg.kernel has shape (7, 5); expected (R=7, H=7), where H=7 was fixed by ii.kernel",
    ),
    "keras GRU of the other kind": (
        lambda: stored_with("keras", GRU, bias=(21,)),
        "bias has shape (21,); expected (2, 3*H=21); the arrays fit GRUResetBefore",
    ),
    "projected": (
        lambda: stored_with("torch", PROJECTED, weight_hr_l0=(3, 6)),
        "weight_hr_l0 has shape (3, 6); expected (R=3, H=7), where H=7 was fixed by weight_ih_l0",
    ),
    "mixed dtypes": (
        lambda: torch_with(bias_ih_l0=np.zeros(28, np.float32)),
        "bias_ih_l0 has dtype float32; expected float64, the dtype of weight_ih_l0 "
        "(nothing is promoted silently: convert one of them)",
    ),
    "integers": (
        lambda: torch_with(weight_ih_l0=np.zeros((28, 5), int)),
        "weight_ih_l0 has dtype int64; expected a real or complex floating-point dtype, or object",
    ),
    "params of no cell": (
        lambda: layouts.dump("torch", TORCH_LSTM),
        f"params is a dict; expected LSTM.Params({', '.join(LSTM.Params._fields)})",
    ),
    "gradients of another cell": (
        lambda: layouts.dump_gradients("torch", PARAMS, RNN),
        "dparams is a Params; expected RNN.Params(W, U, b)",
    ),
    "params of a wrong shape": (
        lambda: layouts.dump("torch", PARAMS._replace(U_g=np.zeros((7, 5)))),
        "params.U_g has shape (7, 5); expected (H=7, R=7), where R=7 was fixed by params.W_i",
    ),
    "gradients of a wrong shape": (
        lambda: layouts.dump_gradients("keras", PARAMS._replace(b_o=np.zeros(5))),
        "dparams.b_o has shape (5,); expected (H=7), where H=7 was fixed by dparams.W_i",
    ),
    "params of mixed dtypes": (
        lambda: layouts.dump("torch", PARAMS._replace(b_o=np.zeros(7, np.float32))),
        "params.b_o has dtype float32; expected float64, the dtype of params.W_i "
        "(nothing is promoted silently: convert one of them)",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_bad_input(case: str) -> None:
    call, message = ERRORS[case]
    with pytest.raises(LayoutError) as error:
        call()
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)
