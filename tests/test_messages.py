"""Calls that people get wrong: each raises one line that says what came and what to do. The text is held exactly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import numpy_lstm as nl
from cases import standard
from numpy_lstm import check, layouts
from numpy_lstm.activations import ONE

Call = Callable[[Path], Any]
P = standard(nl.LSTM, T=3, B=2, D=5, H=6)
PARAMS, XS, FIRST = P.point
RUN, FAST = nl.forward(nl.LSTM, PARAMS, XS), nl.fast.forward(nl.LSTM, PARAMS, XS)
KEPT = nl.checkpointed.forward(nl.LSTM, PARAMS, XS)
ONES = np.ones_like(RUN.hs)
BOTH, UP, BACK = nl.bidirectional(nl.LSTM), nl.Stack((nl.Recurrent(nl.LSTM),) * 1), nl.Reversed(nl.Recurrent(nl.LSTM))
TWIN = nl.nn.LSTM(5, 6)
STATE = TWIN.state_dict()
THEIRS = {kind: getattr(torch.nn, kind)(5, 6, dtype=torch.float64) for kind in ("LSTM", "GRU", "RNN")}
NOTHING = "no cotangent was given, so there is nothing to propagate; expected"
KERAS = layouts.dump("keras", PARAMS)
ONNX = {"X": np.ones((3, 2, 5)), "W": np.ones((1, 24, 5)), "R": np.ones((1, 24, 6))}
CELL = {k.removesuffix("_l0"): a for k, a in STATE.items()}
STORED = "torch stores LSTM as weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0"


def under(*prefixes: str) -> dict[str, Any]:
    return {p + k: a for p in prefixes for k, a in STATE.items()} | {"fc.weight": np.ones((2, 6))}


def case_of(page: nl.Page) -> nl.cases.Case:
    sizes = {"T": 2, "B": 2, "D": 2, "H": 2}
    return nl.cases.Case.random(nl.cases.Network(page), "records", sizes, np.random.default_rng(0))


def load(source: Any, **options: Any) -> Call:
    return lambda _: TWIN.load_state_dict(source, **options)


def saved(folder: Path, name: str) -> Path:
    """A file of torch or NumPy."""
    if name.endswith(".npz"):
        np.savez(folder / name, **STATE)
    else:
        torch.save(THEIRS["LSTM"] if "model" in name else THEIRS["LSTM"].state_dict(), folder / name)
    return folder / name


PICKLE = (
    "PATH is a pickle of torch, which is not read: hand over torch.load(path, weights_only=True), "
    "or save a .safetensors file"
)
BAD: dict[str, tuple[Call, str]] = {
    # Weights
    "a prefix": (load(under("lstm.")), "weight_ih_l0 is called lstm.weight_ih_l0; say prefix='lstm.'"),
    "two prefixes": (
        load(under("encoder.", "decoder.")),
        "weight_ih_l0 is called encoder.weight_ih_l0 and decoder.weight_ih_l0; "
        "say prefix='encoder.' or prefix='decoder.'",
    ),
    "a wrong prefix": (
        load({"a.w": 1}, prefix="lstm."),
        "no name begins with prefix='lstm.'; there are a.w",
    ),
    "a prefix that is no text": (load(STATE, prefix=1), "prefix is a int; expected a text such as 'encoder.lstm.'"),
    "a checkpoint": (
        load({"epoch": 3, "model": STATE}),
        "model is itself a mapping, of weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0; hand over source['model']",
    ),
    "of a torch cell": (
        lambda _: nl.nn.LSTM(2, 3, bidirectional=True).load_state_dict(CELL),
        "weight_ih_l0 is missing and weight_ih there, as in a torch cell; expected 8 arrays",
    ),
    "Keras into a twin": (
        load(KERAS),
        "kernel, recurrent_kernel, bias are the names of keras or haste; expected torch's. "
        "Convert: layouts.dump('torch', layouts.load('keras', arrays, LSTM), LSTM)",
    ),
    "a GRU into an LSTM": (
        load(THEIRS["GRU"].state_dict()),
        "weight_ih_l0 has shape (18, 5); expected (24, 5); "
        "18 rows are 3 blocks of 6, those of a GRU, where an LSTM has 4",
    ),
    "an LSTM into a GRU": (
        lambda _: nl.nn.GRU(5, 6).load_state_dict(STATE),
        "weight_ih_l0 has shape (24, 5); expected (18, 5); "
        "24 rows are 4 blocks of 6, those of an LSTM, where a GRU has 3",
    ),
    "an RNN into an LSTM": (
        load(THEIRS["RNN"].state_dict()),
        "weight_ih_l0 has shape (6, 5); expected (24, 5); "
        "6 rows are 1 block of 6, those of an RNN, where an LSTM has 4",
    ),
    "another size": (
        load(nl.nn.LSTM(5, 7).state_dict()),
        "weight_ih_l0 has shape (28, 5); expected (24, 5)",
    ),
    "a module": (
        load(THEIRS["LSTM"]),
        "source is a torch.nn.modules.rnn.LSTM; expected a mapping from names to arrays, "
        "or the path of a .safetensors or .npz file: hand over its .state_dict()",
    ),
    "a list": (
        load([1, 2]),
        "source is a list; expected a mapping from names to arrays, or the path of a .safetensors or .npz file",
    ),
    "a .pt file": (lambda p: TWIN.load_state_dict(saved(p, "weights.pt")), PICKLE),
    "a pickled model": (lambda p: TWIN.load_state_dict(saved(p, "model.safetensors")), PICKLE),
    "Keras as torch": (
        lambda _: layouts.load("torch", KERAS),
        f"weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 missing; {STORED}; these are the names of keras or haste",
    ),
    "a prefix in a layout": (
        lambda _: layouts.load("torch", under("lstm.")),
        "weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 missing; "
        f"{STORED}; the names begin with 'lstm.': take that off",
    ),
    "two layers as one": (
        lambda _: layouts.load("torch", STATE | {"weight_ih_l1": XS}),
        f"weight_ih_l1 not expected; {STORED}; more layers and directions go into numpy_lstm.nn",
    ),
    "a GRU's layout": (
        lambda _: layouts.load("torch", THEIRS["GRU"].state_dict()),
        "weight_ih_l0 has shape (18, 5); expected (4*H, D=5), where no H >= 1 makes 4*H=18; the arrays fit GRU",
    ),
    "a module as a layout": (
        lambda _: layouts.load("torch", THEIRS["LSTM"]),
        "arrays is a torch.nn.modules.rnn.LSTM; expected a mapping from names to arrays: hand over its .state_dict()",
    ),
    # Tensors where NumPy is expected
    "a tensor into forward": (
        lambda _: nl.forward(nl.LSTM, PARAMS, torch.ones(3, 2, 5)),
        "xs is a torch.Tensor; expected an array of NumPy, CuPy or another library of the array API: "
        ".detach().numpy() makes one",
    ),
    "a tensor into a twin": (
        lambda _: TWIN.forward(torch.ones(3, 2, 5)),
        "x is a torch.Tensor; expected a NumPy array: .detach().numpy() makes one",
    ),
    "a state_dict as params": (
        lambda _: nl.forward(nl.LSTM, STATE, XS),
        f"params is a dict; expected LSTM.Params({', '.join(nl.LSTM.Params._fields)}), "
        "as numpy_lstm.layouts.load makes it",
    ),
    # Runs of another kind
    "a fast run": (
        lambda _: nl.backward(nl.LSTM, PARAMS, FAST, dhs=ONES),
        "run was made by numpy_lstm.fast.forward; call numpy_lstm.fast.backward, not numpy_lstm.backward",
    ),
    "an explicit run": (
        lambda _: nl.fast.backward(nl.LSTM, PARAMS, RUN, dhs=ONES),
        "run was made by numpy_lstm.forward; call numpy_lstm.backward, not numpy_lstm.fast.backward",
    ),
    "a checkpointed run": (
        lambda _: nl.backward(nl.LSTM, PARAMS, KEPT, dhs=ONES),
        "run was made by numpy_lstm.checkpointed.forward; "
        "call numpy_lstm.checkpointed.backward, not numpy_lstm.backward",
    ),
    "a fast run into checkpointed": (
        lambda _: nl.checkpointed.backward(nl.LSTM, PARAMS, FAST, dhs=ONES),
        "run was made by numpy_lstm.fast.forward; call numpy_lstm.fast.backward, not numpy_lstm.checkpointed.backward",
    ),
    "no run in fast": (
        lambda _: nl.fast.backward(nl.LSTM, PARAMS, (), dhs=ONES),
        "run is a tuple; expected the Forward that fast.forward() returned",
    ),
    "a layer's run": (
        lambda _: nl.backward(nl.LSTM, PARAMS, BACK.forward(PARAMS, XS), dhs=ONES),
        "run is a numpy_lstm.wiring.Run, which the layer that made it takes back; "
        "expected the Forward that forward() returned",
    ),
    "a twin's run": (
        lambda _: nl.backward(nl.LSTM, PARAMS, TWIN.forward(XS), dhs=ONES),
        "run is a numpy_lstm.nn.twin.Run, which goes back by itself: call run.backward(...)",
    ),
    "a run into a layer": (
        lambda _: BACK.backward(PARAMS, RUN, ONES),
        "run is a numpy_lstm.scan.Forward; expected the Run that forward() of this Reversed returned",
    ),
    "a run of another layer": (
        lambda _: UP.backward((PARAMS,), BACK.forward(PARAMS, XS), ONES),
        "run is of another layer; expected the Run that forward() of this Stack returned",
    ),
    "too few params for a layer": (
        lambda _: BOTH.forward((PARAMS,), XS),
        "params is a tuple of 1; expected a tuple of 2, one for each layer",
    ),
    "one record for two layers": (
        lambda _: BOTH.forward(PARAMS, XS),
        "params is a numpy_lstm.pages.lstm.Params; expected a tuple of 2, one for each layer",
    ),
    "a list into a layer with lengths": (
        lambda _: BACK.forward(PARAMS, XS.tolist(), None, [1, 2]),
        "xs is a list; expected an array of NumPy, CuPy or another library of the array API",
    ),
    "a list of cotangents": (
        lambda _: BACK.backward(PARAMS, BACK.forward(PARAMS, XS), ONES.tolist()),
        "dhs is a list; expected an array of NumPy, CuPy or another library of the array API",
    ),
    # No cotangent
    "backward": (lambda _: nl.backward(nl.LSTM, PARAMS, RUN), f"{NOTHING} dhs, dcs or dlast"),
    "an empty state": (
        lambda _: nl.backward(nl.LSTM, PARAMS, RUN, dlast=nl.LSTM.partial_state()),
        f"{NOTHING} dhs, dcs or dlast",
    ),
    "fast.backward": (lambda _: nl.fast.backward(nl.LSTM, PARAMS, FAST), f"{NOTHING} dhs, dcs or dlast"),
    "checkpointed.backward": (
        lambda _: nl.checkpointed.backward(nl.LSTM, PARAMS, KEPT),
        f"{NOTHING} dhs, dcs or dlast",
    ),
    "Reversed.backward": (lambda _: BACK.backward(PARAMS, BACK.forward(PARAMS, XS)), f"{NOTHING} dhs, dcs or dlast"),
    "Parallel.backward": (
        lambda _: BOTH.backward((PARAMS,) * 2, BOTH.forward((PARAMS,) * 2, XS)),
        f"{NOTHING} dhs, dcs or dlast",
    ),
    "Stack.backward": (lambda _: UP.backward((PARAMS,), UP.forward((PARAMS,), XS)), f"{NOTHING} dhs, dcs or dlast"),
    "run.backward": (lambda _: TWIN.forward(XS).backward(), f"{NOTHING} d_output, d_h_n, d_c_n or d_c"),
    "onnx": (lambda _: nl.onnx.run("LSTM", ONNX).backward(), f"{NOTHING} dY, dY_h, dY_c or dC"),
    # The wrong record or kind
    "masks that are a number": (
        lambda _: nl.nn.LSTM(5, 6, 2).forward(XS, dropout_masks=3),
        "dropout_masks is a int; expected a list of 1 arrays",
    ),
    "a mask that is a list": (
        lambda _: nl.nn.LSTM(5, 6, 2).forward(XS, dropout_masks=[[1, 2]]),
        "dropout_masks[0] is a list; expected a NumPy array",
    ),
    "a pair of states for a GRU": (
        lambda _: nl.nn.GRU(5, 6).forward(XS, (ONES[:1], ONES[:1])),
        "h_0 is a tuple; expected a NumPy array",
    ),
    "a state without a value": (
        load(dict.fromkeys(STATE)),
        "weight_ih_l0 is None; expected an array of shape (24, 5)",
    ),
    "inputs of ONNX by position": (
        lambda _: nl.onnx.run("LSTM", [XS]),  # type: ignore[arg-type]
        "inputs is a list; expected a mapping by ONNX names",
    ),
    "masks for a cell that reads none": (
        lambda _: nl.Masked(nl.Recurrent(nl.LSTM), {"keep_h": XS}),
        "masks are keep_h; expected some of x, as it reads",
    ),
    "no masks for a cell that reads some": (
        lambda _: nl.Masked(nl.Recurrent(nl.zoneout(nl.LSTM)), {}).forward(PARAMS, XS),
        "zoneout(LSTM) reads x, keep_h, keep_c; expected masks for them",
    ),
    "some of the masks": (
        lambda _: nl.Masked(nl.Recurrent(nl.zoneout(nl.LSTM)), {"keep_h": XS}),
        "masks are keep_h; expected some of x, keep_h, keep_c, as it reads",
    ),
    "an engine that does not exist": (
        lambda _: nl.Recurrent(nl.LSTM, "quick"),
        "engine is 'quick'; expected 'explicit' or 'fast' or 'checkpointed' or 'each step'",
    ),
    "layers that do not fit one another": (
        lambda _: nl.Stack((nl.Recurrent(nl.LSTM),) * 2).forward((PARAMS, PARAMS), XS),
        "layer 1: xs has shape (3, 2, 6); expected (T, B, D=5), where D=5 was fixed by params.W_i",
    ),
    "sizes of other layers": (
        lambda _: nl.Stack((nl.Recurrent(nl.LSTM),) * 2).init(3, (4, 5, 6), np.random.default_rng(0)),
        "H has 3 sizes; expected 2, one for each layer",
    ),
    "each step of a cell": (
        lambda _: nl.EachStep(nl.LSTM).forward(PARAMS, XS),
        "LSTM carries h, c from step to step; expected a page without",
    ),
    "a case of a name": (
        lambda _: nl.cases.Case.random("LSTM", "torch", {}, np.random.default_rng(0)),  # type: ignore[arg-type]
        "network is a str; expected a Network, such as Network('LSTM')",
    ),
    "a case with a seed": (
        lambda _: nl.cases.Case.random(nl.cases.Network(), "torch", {}, 0),  # type: ignore[arg-type]
        "rng is a int; expected a Generator: numpy.random.default_rng(seed)",
    ),
    "an answer file without a gradient": (
        lambda p: nl.cases.files.write_answer(p / "a.json", {"d_x": None}),
        f"d_x is None; {check.given.NO_GRADIENT}",
    ),
    "an answer file of a list": (
        lambda p: nl.cases.files.write_answer(p / "a.json", [XS]),  # type: ignore[arg-type]
        "the answer is a list; expected arrays by name",
    ),
    # Networks
    "an unknown cell": (
        lambda _: nl.cases.Network("LTSM").layer(),
        f"cell is 'LTSM'; expected one of those known: {', '.join(nl.cases.network.CELLS)}; "
        "numpy_lstm.cases.register(page) makes your own known",
    ),
    "no cell at all": (
        lambda _: nl.cases.Network(3).layer(),  # type: ignore[arg-type]
        "cell is a int; expected a Page, or the name of one",
    ),
    "a cell with something around it": (
        lambda _: nl.cases.Network(nl.projected(nl.LSTM, 3)).check(),
        "cell is <Page projected(LSTM, 3)>, a page around another; expected <Page LSTM>, and projection or zoneout",
    ),
    "a cell of one's own with another's name": (
        lambda p: nl.cases.files.write_case(p / "a.json", case_of(nl.LSTM.having("GRU", f=ONE))),
        "GRU is the name of another page; give yours a title of its own",
    ),
    "a name that is taken": (
        lambda _: nl.cases.register(nl.LSTM.having("GRU", f=ONE)),
        "GRU is the name of another page; give yours a title of its own",
    ),
    "no page to register": (
        lambda _: nl.cases.register("MGU"),  # type: ignore[arg-type]
        "page is a str; expected a Page",
    ),
    "a page with axes of its own": (
        lambda _: case_of(replace(nl.RNN, title="Wide", Params=nl.shapes.record("Params", {"W": "KD"}))),
        "Wide has axes K; a case has T, B, D, H and R alone",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_one_line_says_what_came_and_what_to_do(what: str, tmp_path: Path) -> None:
    call, message = BAD[what]
    with pytest.raises((TypeError, ValueError)) as caught:
        call(tmp_path)
    (path,) = [*tmp_path.iterdir()] or [tmp_path]
    assert str(caught.value) == message.replace("PATH", str(path))


def test_a_part_of_a_larger_model_is_loaded_by_its_prefix() -> None:
    twin = nl.nn.LSTM(5, 6)
    twin.load_state_dict(under("encoder.", "decoder."), prefix="decoder.")
    assert all(np.array_equal(a, STATE[k]) for k, a in twin.state_dict().items())


def test_inside_a_wiring_an_absent_cotangent_is_zero() -> None:
    """One direction of the upper layer sees a loss: the others are handed zeros, at any depth."""
    layer = nl.Stack((BOTH, nl.bidirectional(nl.LSTM)))
    params = layer.init(5, 6, np.random.default_rng(0))
    run = layer.forward(params, XS)
    dlast = tuple(tuple(nl.LSTM.State(h=0 * s.h, c=0 * s.c) for s in level) for level in run.last)
    ones = nl.LSTM.State(h=np.ones((2, 6)), c=np.ones((2, 6)))
    for level, way in ((1, 1), (0, 0)):
        alone = [[None, None], [None, None]]
        alone[level][way] = ones  # type: ignore[call-overload]
        dense = [list(d) for d in dlast]
        dense[level][way] = ones
        backs = [layer.backward(params, run, dlast=tuple(map(tuple, d))) for d in (alone, dense)]
        for (name, a), (_, b) in zip(*map(nl.tree.leaves, backs), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
        assert np.any(backs[0].dxs)
