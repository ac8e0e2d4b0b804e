"""Model files: every recurrent node with its weights, wherever it stands and however they are made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx as library
import pytest
from onnx import TensorProto, helper, numpy_helper

import numpy_lstm as nl
from numpy_lstm.onnx import OnnxError

T, B, D, H = 3, 2, 4, 5
Arrays = dict[str, Any]
make = helper.make_node


def weights(seed: int, op_type: str = "LSTM", dirs: int = 1, dtype: Any = np.float32) -> Arrays:
    rng, G = np.random.default_rng(seed), {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type]
    shapes = {"W": (dirs, G * H, D), "R": (dirs, G * H, H), "B": (dirs, 2 * G * H)}
    return {k: rng.standard_normal(shape).astype(dtype) for k, shape in shapes.items()}


def tensors(arrays: Arrays, prefix: str = "") -> list[Any]:
    return [numpy_helper.from_array(a, prefix + k) for k, a in arrays.items()]


def constant(name: str, value: Any) -> Any:
    return make("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value), name))


def graph(nodes: list[Any], name: str, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ("Y",)) -> Any:
    described = [[helper.make_empty_tensor_value_info(k) for k in names] for names in (inputs, outputs)]
    return helper.make_graph(nodes, name, *described)


def saved(path: Path, nodes: list[Any], initial: list[Any], **more: Any) -> Path:
    made = graph(nodes, "main", ("X", "flag", "n"))
    made.initializer.extend(initial)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1), helper.make_opsetid("com.microsoft", 1)]
    library.save(helper.make_model(made, opset_imports=opsets, ir_version=8, **more), path)
    return path


def assert_holds(node: nl.onnx.Node, expected: Arrays) -> None:
    assert node.inputs.keys() == expected.keys()
    for k, a in expected.items():
        np.testing.assert_array_equal(node.inputs[k], a, strict=True)


def lstm(*inputs: str, output: str = "Y", **attributes: Any) -> Any:
    return make("LSTM", ["X", *inputs], [output], hidden_size=H, **attributes)


def through_other_nodes(a: Arrays) -> tuple[list[Any], list[Any]]:
    """W by Slice, Concat, Cast, Unsqueeze out of a half-precision matrix, R by Transpose and a long chain, B by If."""
    W, R, B = a["W"], a["R"], a["B"]
    swapped = np.concatenate([W[0, 2 * H :], W[0, : 2 * H]]).astype(np.float16)
    initial = tensors({"stored": swapped, "R_T": R.swapaxes(1, 2).copy(), "half": B[:, : 4 * H], "rest": B[:, 4 * H :]})
    branches = [graph([make("Concat", ends, [k], axis=1)], k, outputs=(k,)) for k, ends in BRANCHES.items()]
    nodes = [
        *(constant(k, [v]) for k, v in {"zero": 0, "middle": 2 * H, "end": 4 * H}.items()),
        make("Slice", ["stored", "middle", "end", "zero"], ["upper"]),
        make("Slice", ["stored", "zero", "middle", "zero"], ["lower"]),
        make("Concat", ["upper", "lower"], ["rows"], axis=0),
        make("Cast", ["rows"], ["wide"], to=TensorProto.FLOAT),
        make("Unsqueeze", ["wide", "zero"], ["W"]),
        make("Transpose", ["R_T"], ["R0"], perm=[0, 2, 1]),
        *(make("Identity", [f"R{k}"], [f"R{k + 1}"]) for k in range(1500)),
        constant("yes", True),
        make("If", ["yes"], ["B"], then_branch=branches[0], else_branch=branches[1]),
        lstm("W", "R1500", "B", direction="reverse"),
    ]
    return nodes, initial


BRANCHES = {"right": ["half", "rest"], "wrong": ["rest", "half"]}


def test_initialisers_are_folded(tmp_path: Path) -> None:
    a = weights(0)
    a["W"] = a["W"].astype(np.float16).astype(np.float32)
    found = nl.onnx.read(saved(tmp_path / "m.onnx", *through_other_nodes(a)))
    (node,) = found.values()
    assert list(found) == ["Y"]
    assert (node.attributes, node.dtype) == ({"hidden_size": H, "direction": "reverse"}, "float32")
    assert_holds(node, a)


def nested(of: Callable[[str], list[Any]]) -> list[Any]:
    """A node in both branches of an If inside the body of a Loop; the branches use the same names for other values."""
    branches = {k: graph(of(k), k, outputs=("Z",)) for k in ("then_branch", "else_branch")}
    body = graph(
        [make("Identity", ["going"], ["go on"]), make("If", ["flag"], ["out"], name="choice", **branches)],
        "body",
        ("step", "going"),
        ("go on", "out"),
    )
    return [make("Loop", ["n", ""], ["Y"], name="loop", body=body)]


def test_nodes_in_bodies_see_the_names_around_them(tmp_path: Path) -> None:
    a, b = weights(1), weights(2)

    def branch(k: str) -> list[Any]:
        own = "a" if k == "then_branch" else "b"
        return [make("Identity", [f"{own}W"], ["W"]), lstm("W", f"{own}R", f"{own}B", output="Z")]

    found = nl.onnx.read(saved(tmp_path / "m.onnx", nested(branch), tensors(a, "a") + tensors(b, "b")))
    place = "loop.body/choice"
    assert found.keys() == {f"{place}.then_branch/Z", f"{place}.else_branch/Z"}
    for branch_name, expected in (("then", a), ("else", b)):
        node = found[f"{place}.{branch_name}_branch/Z"]
        assert_holds(node, expected)
        assert node.names == {"X": "X", "W": "W", "R": node.names["R"], "B": node.names["B"], "Y": "Z"}


def test_what_changes_from_step_to_step_is_no_constant(tmp_path: Path) -> None:
    """Even where a name outside is: a loop carries W, the states come from the inputs, and noise is drawn anew."""
    a = weights(3)
    body = graph(
        [make("Identity", ["go"], ["go on"]), make("Add", ["carried", "carried"], ["next"]), lstm("carried", "R")],
        "body",
        ("step", "go", "carried"),
        ("go on", "next"),
    )
    drawn = make("RandomNormal", [], ["noise"], shape=[1, B, H])
    last = make("LSTM", ["X", "W", "R", "B", "", "noise", "X"], ["Y2", "Y_h"], hidden_size=H, name="last")
    path = saved(tmp_path / "m.onnx", [make("Loop", ["n", "", "W"], ["out"], body=body), drawn, last], tensors(a))
    found = nl.onnx.read(path)
    assert_holds(found["Y"], {"R": a["R"]})
    assert found["Y"].dtype == "unknown"
    assert_holds(found["last"], a)
    assert found["last"].names["initial_h"] == "noise"
    with pytest.raises(OnnxError, match=r"^X, W missing; LSTM needs X, W, R$"):
        found["Y"].network()


def test_a_function_of_the_model_is_looked_into(tmp_path: Path) -> None:
    a = weights(4)
    ends, opset = (["u", "w", "r"], ["v"]), [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Layer", *ends, [make("LSTM", ends[0], ends[1], hidden_size=H)], opset)
    path = saved(
        tmp_path / "m.onnx",
        [make("Layer", ["X", "W", "R"], ["Y"], domain="own", name="it")],
        tensors(a),
        functions=[function],
    )
    (node,) = nl.onnx.read(path).values()
    assert_holds(node, {k: a[k] for k in "WR"})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_half_precision_is_widened_exactly(tmp_path: Path, dtype: str) -> None:
    stored = {
        k: numpy_helper.to_array(helper.make_tensor(k, KINDS[dtype], a.shape, a.ravel())) for k, a in HALVES.items()
    }
    node = make("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=H, name="gru")
    path = saved(tmp_path / "m.onnx", [node], tensors(stored))
    found, wide = nl.onnx.read(path)["gru"], nl.onnx.read(path, np.float64)["gru"]
    assert found.dtype == dtype
    assert_holds(found, {k: a.astype("float64" if dtype == "float64" else "float32") for k, a in stored.items()})
    assert_holds(wide, {k: a.astype(np.float64) for k, a in stored.items()})


HALVES = weights(5, "GRU")
KINDS = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
KINDS |= {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_quantize_lstm_is_dequantised(tmp_path: Path, per_channel: bool) -> None:
    rng, dirs = np.random.default_rng(6), 2
    a: Arrays = {"B": weights(7, dirs=dirs)["B"]}
    expected = dict(a)
    for k, n in (("W", D), ("R", H)):
        count = (dirs, 4 * H) if per_channel else (dirs,)
        scale, zero = rng.uniform(0.01, 0.1, count).astype(np.float32), rng.integers(-9, 9, count).astype(np.int8)
        a[k] = rng.integers(-128, 128, (dirs, n, 4 * H)).astype(np.int8)
        a |= {f"{k}_scale": scale, f"{k}_zero_point": zero}
        wide = scale.reshape(dirs, 1, -1) * (a[k].astype(np.float32) - zero.reshape(dirs, 1, -1))
        expected[k] = wide.transpose(0, 2, 1)
    names = ["X", "W", "R", "B", "", "", "", "", "W_scale", "W_zero_point", "R_scale", "R_zero_point"]
    quantised = make("DynamicQuantizeLSTM", names, ["Y"], domain="com.microsoft", direction="bidirectional", name="q")
    node = nl.onnx.read(saved(tmp_path / "m.onnx", [quantised], tensors(a)))["q"]
    assert (node.op_type, node.dtype) == ("LSTM", "int8")
    assert_holds(node, {k: expected[k] for k in ("B", "W", "R")})


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("layout", [0, 1])
def test_a_node_runs_and_is_a_layer(tmp_path: Path, op_type: str, direction: str, layout: int) -> None:
    dirs, rng = 1 + (direction == "bidirectional"), np.random.default_rng(8)
    a = weights(9, op_type, dirs, np.float64) | {"initial_h": rng.standard_normal((dirs, B, H))}
    X, attributes = rng.standard_normal((T, B, D)), {"direction": direction, "clip": 0.75, "layout": layout}
    a["initial_h"] = a["initial_h"].swapaxes(0, 1) if layout else a["initial_h"]
    given = X.swapaxes(0, 1) if layout else X
    path = saved(tmp_path / "m.onnx", [make(op_type, ["X", *"WRB", "", "initial_h"], ["Y"], **attributes)], tensors(a))
    (node,) = nl.onnx.read(path).values()
    ran, direct = node.run({"X": given}), nl.onnx.run(op_type, a | {"X": given}, attributes)
    np.testing.assert_array_equal(ran.Y, direct.Y)
    plain = nl.onnx.run(op_type, {k: a[k] for k in "WRB"} | {"X": given}, attributes).Y
    layer, params = node.network()
    hs = layer.forward(params, X).hs.reshape(T, B, dirs, H)
    np.testing.assert_allclose(hs, plain.transpose(1, 0, 2, 3) if layout else plain.transpose(0, 2, 1, 3), rtol=1e-13)
    assert len(nl.flow.passes(layer, params, X, dhs=np.ones((T, B, dirs * H)))) == dirs


def test_all_constants_by_name(tmp_path: Path) -> None:
    """For cells that are spelled out; an initialiser may be sparse."""
    values = helper.make_tensor("s", TensorProto.FLOAT, [2], [1.0, 2.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("at", TensorProto.INT64, [2], [1, 3]), [2, 2])
    nodes = [make("Identity", ["a"], ["b"]), make("Add", ["a", "X"], ["Y"])]
    path = saved(tmp_path / "m.onnx", nodes, tensors({"a": np.arange(3.0)}))
    model = library.load(path)
    model.graph.sparse_initializer.append(sparse)
    library.save(model, path)
    constants = nl.onnx.constants(path)
    assert {k: a.tolist() for k, a in constants.items()} == {"a": [0, 1, 2], "b": [0, 1, 2], "s": [[0, 1], [0, 2]]}
    with pytest.raises(KeyError):
        constants["Y"]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for raw, said in ((b"", "it has no graph"), (b"\x80\x05 no model", ".*"), (b"PK\x03\x04", ".*")):
        path.write_bytes(raw)
        with pytest.raises(OnnxError, match=rf"^{path} cannot be read as an ONNX model: {said}$"):
            nl.onnx.read(path)
    with pytest.raises(OnnxError, match=r"No such file or directory$"):
        nl.onnx.read(tmp_path / "absent.onnx")
    saved(path, [make("Identity", ["W"], ["a"]), make("Identity", ["a"], ["W"])], tensors(weights(10)))
    with pytest.raises(OnnxError, match=r"model: W is computed twice$"):
        nl.onnx.read(path)
    bad = make("Concat", ["W", "R"], ["V"], axis=0, name="join")
    saved(path, [bad, lstm("V", "R")], tensors(weights(10)))
    with pytest.raises(OnnxError, match=r"model: Concat join cannot be computed: "):
        nl.onnx.read(path)


W, LARGE = numpy_helper.from_array(weights(10)["W"], "W"), numpy_helper.from_array(np.array([1 << 12] * 3), "large")
DEPTH, PAIR = (numpy_helper.from_array(np.array(a), k) for k, a in (("depth", 1 << 30), ("pair", [0, 1])))
ONE, FAR = numpy_helper.from_array(np.ones(1), "V"), numpy_helper.from_array(np.array([10**9]), "at")
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
LAUGHS = [
    helper.make_function(
        *("own", f"f{k}", ["a"], ["b"]),
        [make(f"f{k - 1}", ["a"], ["c"], domain="own"), make(f"f{k - 1}", ["c"], ["b"], domain="own")],
        OPSETS,
    )
    for k in range(1, 40)
]
LAUGHS.append(helper.make_function("own", "f0", ["a"], ["b"], [make("Identity", ["a"], ["b"])], OPSETS))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([make("ConstantOfShape", ["large"], ["V"])], r"V would hold 2\.75e\+11 bytes"),
        ([make("Tile", ["W", "large"], ["V"])], "V would hold .* bytes"),
        ([make("OneHot", ["large", "depth", "pair"], ["V"])], r"V would hold 2\.58e\+10 bytes"),
        ([make("Concat", [f"W{k or ''}"] * 2, [f"W{k + 1}"], axis=0) for k in range(40)], "W1[0-9] would hold"),
        ([make("f39", ["W"], ["V"], domain="own")], r"its functions spell out 5\.5e\+11 nodes; expected at most 10000"),
    ],
)
def test_a_few_bytes_that_ask_for_all_memory_are_refused(tmp_path: Path, nodes: list[Any], said: str) -> None:
    initial = [W, LARGE, DEPTH, PAIR, *tensors({"R": weights(10)["R"]})]
    functions = LAUGHS if nodes[0].domain else []
    nodes[-1].output[0] = "V"
    path = saved(tmp_path / "m.onnx", [*nodes, lstm("V", "R")], initial, functions=functions)
    with pytest.raises(OnnxError, match=rf"^{path} cannot be read as an ONNX model: ({said})"):
        nl.onnx.read(path)


@pytest.mark.parametrize(
    ("dims", "said"), [([1 << 20] * 2, r"it would hold 8\.8e\+12 bytes"), ([2, 2], "index 1000000000 is out of bounds")]
)
def test_a_sparse_array_that_lies_is_refused_by_its_name(tmp_path: Path, dims: list[int], said: str) -> None:
    made = graph([lstm("V", "R")], "main", ("X",))
    made.initializer.extend(tensors({"R": weights(10)["R"]}))
    made.sparse_initializer.append(helper.make_sparse_tensor(ONE, FAR, dims))
    library.save(helper.make_model(made, opset_imports=OPSETS, ir_version=8), tmp_path / "m.onnx")
    with pytest.raises(OnnxError, match=rf"model: V cannot be read: {said}"):
        nl.onnx.read(tmp_path / "m.onnx")


def test_a_dense_array_that_lies_is_refused_by_its_name(tmp_path: Path) -> None:
    arrays = tensors({"V": weights(10)["W"], "R": weights(10)["R"]})
    arrays[0].dims[1] += 1
    path = saved(tmp_path / "m.onnx", [lstm("V", "R")], arrays)
    with pytest.raises(OnnxError, match=r"model: V cannot be read: cannot reshape"):
        nl.onnx.read(path)
