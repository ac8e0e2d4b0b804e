"""Model files as layers and as cases: what is found in them, that it computes the same, and the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx as library
import pytest
import torch
from onnx import helper, numpy_helper

import numpy_lstm as nl
from numpy_lstm import cli, tree
from numpy_lstm.cases import files, models
from numpy_lstm.check import CaseError
from reference import frameworks

T, B = 4, 2
RNG = np.random.default_rng(0)
SHAPES: dict[str, tuple[Any, ...]] = {"LSTM": (3, 5, 2), "GRU": (3, 5, 1), "RNN": (3, 5, 3)}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_layers_of_torch_in_a_larger_model(tmp_path: Path, kind: str, bidirectional: bool, bias: bool) -> None:
    """Their outputs and gradients, and a case whose right answer is torch's."""
    options = {"bidirectional": bidirectional, "bias": bias} | ({"proj_size": 2} if kind == "LSTM" else {})
    layer = getattr(torch.nn, kind)(*SHAPES[kind], **options, dtype=torch.float64)
    whole = {f"net.0.{k}": a.detach().numpy() for k, a in layer.named_parameters()} | {"net.1.weight": np.ones((2, 5))}
    np.savez(tmp_path / "m.npz", **whole)
    (model,) = models.read(tmp_path / "m.npz").values()
    assert (model.name, model.sizes, model.dtype) == ("net.0", (3, 5), "float64")
    x = RNG.standard_normal((T, B, 3))
    ours, params = model.layer()
    expected = layer(torch.tensor(x))[0]
    assert nl.check.normwise(ours.forward(params, x).hs, expected.detach().numpy()) < 1e-15
    case = model.case(T, B, np.random.default_rng(1), x)
    assert np.array_equal(case.arrays["x"], x)
    files.write_case(tmp_path / "case.npz", case)
    assert files.read_case(tmp_path / "case.npz").arrays.keys() == case.arrays.keys()
    place = "l0." if len(model.network.places()) > 1 else ""
    np.testing.assert_array_equal(case.arrays[f"{place}weight_hh_l0"], whole["net.0.weight_hh_l0"])


@pytest.mark.parametrize("cell", [nl.LSTM, nl.GRU, nl.GRUResetBefore, nl.RNN], ids=str)
def test_layers_of_keras_by_place_and_shapes(tmp_path: Path, cell: Any) -> None:
    shapes, step = frameworks.FORMS["keras", cell]
    stored = {k: RNG.standard_normal(shape) for k, shape in shapes.items()}
    both = {
        f"layers/{layer}/cell/vars/{k}": a
        for layer in ("rnn", "both/forward_layer", "both/backward_layer")
        for k, a in enumerate(stored.values())
    }
    dense = {f"layers/dense/vars/{k}": np.ones(shape) for k, shape in enumerate([(3, 4), (4,)])}
    np.savez(tmp_path / "m.npz", **both, **dense, **{"optimizer/vars/0": np.ones(()), "optimizer/vars/1": np.ones(())})
    found = models.read(tmp_path / "m.npz")
    assert {k: m.network.direction for k, m in found.items()} == {
        "layers/rnn": "forward",
        "layers/both": "bidirectional",
    }
    h, c = (RNG.standard_normal((B, frameworks.H)) for _ in range(2))
    x = RNG.standard_normal((1, B, frameworks.D))
    layer, params = found["layers/rnn"].layer()
    first = cell.partial_state(h, c if "c" in cell.carries else None)
    assert nl.check.normwise(layer.forward(params, x, first).hs[0], step(stored, x[0], h, c)[0]) < 1e-15
    layer, params = found["layers/both"].layer()
    halves = np.split(layer.forward(params, x).hs, 2, axis=2)
    np.testing.assert_array_equal(*halves)  # one step, the same weights: read from both ends alike
    biasless = {k: a for k, a in both.items() if a.ndim == 2 and len(a) > 2}
    np.savez(tmp_path / "m.npz", **biasless)
    (model, _) = models.read(tmp_path / "m.npz").values()
    assert model.network.cell == ("GRU" if cell is nl.GRUResetBefore else cell.name)
    assert not model.stored[0]["bias"].any()


def onnx_file(path: Path, op_type: str, arrays: dict[str, Any], taken: Any = ("W", "R"), **attributes: Any) -> Path:
    node = helper.make_node(op_type, ["X", *taken], ["Y"], name="it", **attributes)
    ends = [[helper.make_empty_tensor_value_info(k)] for k in "XY"]
    initial = [numpy_helper.from_array(a, k) for k, a in arrays.items()]
    graph = helper.make_graph([node], "g", *ends, initial)
    library.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


NODES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "LSTM": ("LSTM", ("W", "R"), {"direction": "reverse"}),
    "PeepholeLSTM": ("LSTM", ("W", "R", "B", "", "", "", "P"), {}),
    "GRU": ("GRU", ("W", "R", "B"), {"linear_before_reset": 1, "direction": "bidirectional"}),
    "GRUResetBefore": ("GRU", ("W", "R", "B"), {}),
    "ReLURNN": ("RNN", ("W", "R", "B"), {"activations": ["Relu"]}),
}


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@pytest.mark.parametrize("name", NODES)
def test_a_node_as_a_case_is_answered_by_the_node(tmp_path: Path, name: str) -> None:
    """From the file to the verdict: the node's own outputs and gradients under ONNX's names."""
    op_type, taken, attributes = NODES[name]
    G, dirs, D, H = GATES[op_type], 1 + (attributes.get("direction") == "bidirectional"), 2, 3
    shapes = {"W": (G * H, D), "R": (G * H, H), "B": (2 * G * H,), "P": (3 * H,)}
    arrays = {k: RNG.uniform(-0.5, 0.5, (dirs, *shapes[k])) for k in taken if k}
    path = onnx_file(tmp_path / "m.onnx", op_type, arrays, taken, **attributes)
    assert cli.main(["case", str(path), str(tmp_path / "case.json"), "--steps", "3"]) == 0
    case = files.read_case(tmp_path / "case.json")
    assert case.network.page.name == name
    node, places = nl.onnx.read(path)["it"], case.network.places()

    def both(field: str) -> Any:
        return np.stack([case.arrays[place + field] for place in places])

    ran = node.run({"X": case.arrays["x"]} | {f"initial_{k}": both(f"{k}_0") for k in case.network.page.carries})
    dY = case.arrays["d_output"].reshape(3, 2, dirs, H).transpose(0, 2, 1, 3)
    back = ran.backward(dY, *(both(f"d_{k}_n") for k in case.network.page.carries))
    answer = {"output": ran.Y.transpose(0, 2, 1, 3).reshape(3, 2, -1), "d_x": back.pop("X")}
    for d, place in enumerate(places):
        answer |= {f"{place}{k}_n": getattr(ran, f"Y_{k}")[d] for k in case.network.page.carries}
        answer |= {f"{place}d_{k}_0": back[f"initial_{k}"][d] for k in case.network.page.carries}
        answer |= {f"{place}d_{k}": back[k][d : d + 1] for k in "WRBP" if k in back}
    files.write_answer(tmp_path / "answer.npz", answer)
    partial = [] if "B" in taken else ["--partial"]  # a node without biases has no gradient of them
    assert cli.main(["judge", str(tmp_path / "case.json"), str(tmp_path / "answer.npz"), *partial]) == 0
    if name != "LSTM":
        return
    files.write_answer(tmp_path / "answer.npz", answer | {"d_x": 1.01 * answer["d_x"]})
    assert cli.main(["judge", str(tmp_path / "case.json"), str(tmp_path / "answer.npz"), *partial]) == 1


def test_flow_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin, cell = nl.nn.LSTM(3, 5, 2, rng=RNG), nl.nn.RNN(3, 4, rng=RNG)
    named = {f"{name}.{k}": a for name, t in (("enc", twin), ("top", cell)) for k, a in t.state_dict().items()}
    np.savez(tmp_path / "m.npz", **named)
    x = RNG.standard_normal((9, 2, 3))
    np.savez(tmp_path / "x.npz", x=x)
    report = tmp_path / "flow.json"
    assert cli.main(["flow", str(tmp_path / "m.npz"), "--x", str(tmp_path / "x.npz"), "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    found = json.loads(report.read_text(encoding="utf-8"))["models"]
    assert [m["name"] for m in found] == ["enc", "top"]
    assert [cell["name"] for m in found for cell in m["cells"]] == ["0", "1", "RNN"]
    assert all(m["about"] in printed for m in found)
    layer, params = twin.network()
    ends = models.read(tmp_path / "m.npz")["enc"].ends(np.random.default_rng(0), 2)
    lower, _ = nl.flow.passes(layer, params, x, dlast=tuple((end,) for end in ends))
    diagnosis = nl.flow.diagnose(lower)
    assert found[0]["cells"][0]["rate"] == pytest.approx(diagnosis.rate, rel=1e-9)
    assert found[0]["cells"][0]["gates"]["index"] == ["i", "f", "o"]
    assert found[1]["cells"][0]["gates"] is None
    assert cli.main(["flow", str(tmp_path / "m.npz"), "--node", "to", "--steps", "5"]) == 0
    assert capsys.readouterr().out.startswith("top: RNN, forward, D=3, H=4, float64\n")


ERRORS = {
    ("flow", "m.npz", "--node", "absent"): "'absent' is in no names; expected the name of one: enc, top",
    ("case", "m.npz", "case.json"): "2 recurrent layers; expected the name of one: enc, top",
    (
        "flow",
        "x.npz",
    ): "PATH/x.npz holds no recurrent layer; expected arrays called weight_ih and weight_hh, as in torch, "
    "or lstm/cell/vars/0 and 1, as in Keras",
    ("flow", "m.npz", "--x", "m.npz"): "PATH/m.npz has no array x; expected x of shape (T, B, D)",
    ("case", "m.npz", "c.json", "--node", "top", "--x", "x.npz"): "x has shape (9, 2, 3); expected (T, B, D=4) for top",
    ("flow", "m.npz", "--x", "x.npz"): "x has shape (9, 2, 3); expected (T, B, D=4) for top",
    ("flow", "m.npz", "--x", "nan.npz"): "x has numbers that are not finite",
    ("flow", "m.npz", "--steps", "2"): "x has 2 steps; expected at least 3",
    ("flow", "inf.npz"): "PATH/inf.npz: top has numbers that are not finite, in 1 arrays",
    ("flow", "tied.onnx"): "it has input_forget: no case holds that; onnx.read(path)['it'].network() does",
    ("flow", "two.onnx"): "it has directions with different activations: no case holds that; "
    "onnx.read(path)['it'].network() does",
    ("flow", "m.tflite"): "cannot read PATH/m.tflite as weights: No such file or directory",
    ("flow", "short.txt"): "cannot read PATH/short.txt as weights: expected .safetensors, .npz, .h5",
}


@pytest.mark.parametrize("arguments", ERRORS)
def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    enc, top = nl.nn.LSTM(3, 5, 2, rng=RNG).state_dict(), nl.nn.RNN(4, 4, rng=RNG).state_dict()
    np.savez(tmp_path / "m.npz", **{f"enc.{k}": a for k, a in enc.items()}, **{f"top.{k}": a for k, a in top.items()})
    np.savez(tmp_path / "x.npz", x=np.ones((9, 2, 3)))
    np.savez(tmp_path / "nan.npz", x=np.full((9, 2, 3), np.nan))
    np.savez(tmp_path / "inf.npz", **{f"top.{k}": np.where(k == "weight_hh_l0", np.inf, a) for k, a in top.items()})
    (tmp_path / "short.txt").write_text("no weights")
    arrays = {"W": np.ones((1, 20, 3)), "R": np.ones((1, 20, 5))}
    onnx_file(tmp_path / "tied.onnx", "LSTM", arrays, input_forget=1)
    both = {k: np.concatenate([a, a]) for k, a in arrays.items()}
    names = ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Tanh", "Tanh"]
    onnx_file(tmp_path / "two.onnx", "LSTM", both, direction="bidirectional", activations=names)
    given = [str(tmp_path / a) if "." in a else a for a in arguments]
    assert cli.main(given) == 3
    assert capsys.readouterr().err == f"error: {ERRORS[arguments].replace('PATH', str(tmp_path))}\n"


def test_a_model_of_another_activation_is_a_layer_and_its_case_needs_a_name(tmp_path: Path) -> None:
    arrays = {k: RNG.standard_normal(shape) for k, shape in {"W": (1, 20, 3), "R": (1, 20, 5)}.items()}
    path = onnx_file(tmp_path / "m.onnx", "LSTM", arrays, activations=["HardSigmoid", "Tanh", "Tanh"])
    (model,) = models.read(path).values()
    layer, params = model.layer()
    x = RNG.standard_normal((3, 2, 3))
    expected = nl.onnx.read(path)["it"].run({"X": x}).Y[:, 0]
    np.testing.assert_array_equal(layer.forward(params, x).hs, expected)
    case = model.case(3, 2, RNG)
    assert tree.norm(case.run()["d_x"]) > 0
    with pytest.raises(CaseError, match="LSTM is the name of another page; give yours a title of its own"):
        files.write_case(tmp_path / "case.json", case)
