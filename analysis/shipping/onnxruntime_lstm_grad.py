"""ONNX Runtime Training: the gradient of the ONNX operator LSTM, with peepholes, as its gradient graph gives it.

    python onnxruntime_lstm_grad.py IN.npz OUT.npz [--how autodiff|by_hand] [--no-peepholes]

The wheels onnxruntime-training and onnxruntime-training-cpu 1.19.2 (2024, the last ones) give the same bits; the
second is 9 MB. Before differentiating, ONNX Runtime replaces LSTM by LSTMTraining, which also gives every cell and
every gate; the gradient of that is the node LSTMGrad (pull request microsoft/onnxruntime#15034, 2023; by reading:
core/graph/ gradient_builder.cc, training_ops/cpu/rnn/lstm_grad_compute.cc under orttraining/orttraining). LSTMGrad
is not given P, so what flows through a peephole to the cell cannot be in what it returns; a comment in the kernel
says that this is meant.

--how autodiff (default): a loss is added to a graph with the node LSTM, GradientGraphBuilder differentiates it, and
    an ordinary session runs the result. by_hand: the nodes LSTMTraining and LSTMGrad are written down directly.
--no-peepholes: without the input P.

All cotangents reach the operator: every h_t, the last h and the last c. B is given as its two halves, b and zero; the
gradients of both halves are required to be equal and one is written. float32: the kernels take nothing else.
No torch is needed: importing onnxruntime.training asks for it, but the builder lives in the compiled module.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from onnxruntime.capi import _pybind_state

GATES, PEEPHOLES = "iofg", "iof"
OPSETS = [helper.make_opsetid("", 14), helper.make_opsetid("com.microsoft", 1)]


def layout(given: dict[str, np.ndarray], peepholes: bool) -> dict[str, np.ndarray]:
    """The inputs of the operator, one direction, float32."""
    bias = np.concatenate([given[f"b_{k}"] for k in GATES])
    inputs = {
        "X": given["x"],
        "W": np.concatenate([given[f"W_{k}"] for k in GATES])[None],
        "R": np.concatenate([given[f"U_{k}"] for k in GATES])[None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
        "H0": given["h_0"][None],
        "C0": given["c_0"][None],
    }
    if peepholes:
        inputs["P"] = np.concatenate([given[f"p_{k}"] for k in PEEPHOLES])[None]
    cotangents = {"dY": given["d_output"][:, None], "dYh": given["d_h_n"][None], "dYc": given["d_c_n"][None]}
    return {k: np.ascontiguousarray(a, dtype=np.float32) for k, a in (inputs | cotangents).items()}


def model(nodes: list[onnx.NodeProto], arrays: dict[str, np.ndarray], outputs: list[str]) -> onnx.ModelProto:
    """A graph with these nodes; float32 throughout."""
    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, a.shape) for k, a in arrays.items()]
    results = [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in outputs]
    return helper.make_model(helper.make_graph(nodes, "case", values, results), opset_imports=OPSETS, ir_version=8)


def run(graph: bytes, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every output of the graph."""
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    wanted = [o.name for o in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, {i.name: arrays[i.name] for i in session.get_inputs()}), strict=True))


def autodiff(arrays: dict[str, np.ndarray], units: int) -> dict[str, np.ndarray]:
    """loss = sum(dY*Y) + sum(dYh*Y_h) + sum(dYc*Y_c), differentiated by ONNX Runtime."""
    inputs = ["X", "W", "R", "B", "", "H0", "C0"] + (["P"] if "P" in arrays else [])
    nodes = [helper.make_node("LSTM", inputs, ["Y", "Y_h", "Y_c"], hidden_size=units)]
    for k in ("Y", "Y_h", "Y_c"):
        nodes.append(helper.make_node("Mul", [k, "d" + k.replace("_", "")], [f"{k}_weighted"]))
        nodes.append(helper.make_node("ReduceSum", [f"{k}_weighted"], [f"{k}_loss"], keepdims=0))
    nodes.append(helper.make_node("Add", ["Y_loss", "Y_h_loss"], ["h_loss"]))
    nodes.append(helper.make_node("Add", ["h_loss", "Y_c_loss"], ["loss"]))
    forward = model(nodes, arrays, ["loss", "Y", "Y_h", "Y_c"])

    wrt = {k for k in inputs if k}
    optimized = _pybind_state.get_optimized_model(forward.SerializeToString(), wrt, ort.SessionOptions())
    builder = _pybind_state.GradientGraphBuilder(optimized, {"loss"}, wrt, "loss")
    builder.build()
    graph = builder.get_model()
    operators = {node.op_type for node in onnx.load_from_string(graph).graph.node}
    if not {"LSTMTraining", "LSTMGrad"} <= operators:
        raise RuntimeError(f"expected the gradient graph to have LSTMTraining and LSTMGrad; it has {sorted(operators)}")
    return run(graph, arrays | {"loss_grad": np.ones((), dtype=np.float32)})


def by_hand(arrays: dict[str, np.ndarray], units: int) -> dict[str, np.ndarray]:
    """The same two nodes with nothing around them."""
    inputs = ["X", "W", "R", "B", "", "H0", "C0"] + (["P"] if "P" in arrays else [])
    saved = ["Y", "Y_h", "Y_c", "cells", "iofc"]
    taken = ["X", "W", "R", "", "H0", "C0", "Y", "cells", "iofc", "dY", "dYh", "dYc"]
    given = [f"{k}_grad" for k in inputs if k]
    attributes = {"hidden_size": units, "domain": "com.microsoft"}
    nodes = [
        helper.make_node("LSTMTraining", inputs, saved, **attributes),
        helper.make_node("LSTMGrad", taken, given, **attributes),
    ]
    return run(model(nodes, arrays, ["Y", "Y_h", "Y_c", *given]).SerializeToString(), arrays)


def main(given: dict[str, np.ndarray], how: str, peepholes: bool) -> dict[str, np.ndarray]:
    """The framework's values and gradients under the names of the case studies."""
    arrays = layout(given, peepholes)
    made = {"autodiff": autodiff, "by_hand": by_hand}[how](arrays, given["h_0"].shape[1])
    out = {"output": made["Y"][:, 0], "h_n": made["Y_h"][0], "c_n": made["Y_c"][0], "d_x": made["X_grad"]}
    out |= {"d_h_0": made["H0_grad"][0], "d_c_0": made["C0_grad"][0]}
    one, other = np.split(made["B_grad"][0], 2)
    np.testing.assert_array_equal(one, other, err_msg="the gradients of Wb and Rb")
    for name, stored in (("W", made["W_grad"][0]), ("U", made["R_grad"][0]), ("b", one)):
        out |= {f"d_{name}_{k}": block for k, block in zip(GATES, np.split(stored, 4), strict=True)}
    if peepholes:
        out |= {f"d_p_{k}": p for k, p in zip(PEEPHOLES, np.split(made["P_grad"][0], 3), strict=True)}
    return out


if __name__ == "__main__":
    source, target, *options = sys.argv[1:]
    how = options[options.index("--how") + 1] if "--how" in options else "autodiff"
    with np.load(source) as file:
        np.savez(target, **main(dict(file), how, "--no-peepholes" not in options))
    print(json.dumps({"onnxruntime-training": ort.__version__, "onnx": onnx.__version__, "numpy": np.__version__}))
