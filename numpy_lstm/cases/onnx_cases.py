"""Cases as ONNX node-test folders: the forward values, states and lengths that ONNX can express.

    model.onnx                        one node LSTM, GRU or RNN, opset 22, of the case's dtype
    test_data_set_0/input_K.pb        X, W, R, B, sequence_lens, initial_h, initial_c, P: those that the node takes
    test_data_set_0/output_K.pb       Y, Y_h, Y_c, rounded once from the expected results

Unlike ONNX's own data these have several steps and rows, every weight its own, states and peepholes that are not
zero, both directions, rows of different lengths, and all outputs.
"""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..check.given import CaseError
from ..pages import GRU, LSTM, RNN, GRUResetBefore, PeepholeLSTM, ReLURNN
from ..pages.page import Page
from .case import Case
from .files import write_bytes
from .inputs import STEPS

# Page -> operator and the attributes that choose it.
OPERATORS: dict[Page, tuple[str, dict[str, Any]]] = {
    LSTM: ("LSTM", {}),
    PeepholeLSTM: ("LSTM", {}),
    GRU: ("GRU", {"linear_before_reset": 1}),
    GRUResetBefore: ("GRU", {}),
    RNN: ("RNN", {}),
    ReLURNN: ("RNN", {"activations": ["Relu"]}),
}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
OPSET, IR_VERSION = 22, 10


def expressible(case: Case) -> bool:
    """Whether the case is one node: in layout onnx, one layer, without projection and zoneout."""
    network = case.network
    plain = network.layers == 1 and not network.projection and not network.zoneout
    plain = plain and not any(k in case.arrays for k in STEPS)
    return plain and case.layout == "onnx" and network.page in OPERATORS


def node(case: Case) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Operator, attributes, inputs and outputs by their ONNX names; raises CaseError if ONNX cannot express it."""
    if not expressible(case):
        known = ", ".join(page.name for page in OPERATORS)
        raise CaseError(f"{case.name} is no ONNX node; expected layout onnx, one layer, a cell of {known}")
    if "output" not in case.expected:
        raise CaseError(f"{case.name} has no expected output")
    operator, chosen = OPERATORS[case.network.page]
    places, (T, B, H) = case.network.places(), (case.sizes[k] for k in "TBH")
    if "activations" in chosen:
        chosen = chosen | {"activations": chosen["activations"] * len(places)}
    attributes = {"hidden_size": H, "direction": case.network.direction, **chosen}

    def both(name: str, arrays: dict[str, Any], join: Any) -> Any:
        return join([arrays[place + name] for place in places])

    states = case.network.of_cell().State._fields
    inputs = {"X": case.arrays["x"]} | {k: both(k, case.filled().arrays, np.concatenate) for k in case.names()}
    if "lengths" in case.arrays:
        inputs["sequence_lens"] = case.arrays["lengths"].astype(np.int32)
    inputs |= {f"initial_{k}": both(f"{k}_0", case.filled().arrays, np.stack) for k in states}
    outputs = {"Y": case.expected["output"].reshape(T, B, len(places), H).transpose(0, 2, 1, 3)}
    outputs |= {f"Y_{k}": both(f"{k}_n", case.expected, np.stack) for k in states}
    inputs = {k: inputs[k] if k == "sequence_lens" else inputs[k].astype(case.dtype) for k in INPUTS if k in inputs}
    return operator, attributes, inputs, {k: a.astype(case.dtype) for k, a in outputs.items()}


def write_onnx(directory: str | PathLike[str], case: Case) -> list[Path]:
    """Write the folder of a case; returns the paths of its files. Raises CaseError without the onnx package."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise CaseError(f"{directory}: needs the onnx package: pip install 'numpy-lstm[onnx]'") from None
    operator, attributes, inputs, outputs = node(case)
    taken = [k for k in INPUTS if operator == "LSTM" or k not in ("initial_c", "P")]
    while taken[-1] not in inputs:
        taken.pop()

    def described(arrays: dict[str, Any]) -> list[Any]:
        return [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for k, a in arrays.items()
        ]

    graph = helper.make_graph(
        [helper.make_node(operator, [k if k in inputs else "" for k in taken], list(outputs), **attributes)],
        case.name.replace(" ", "_"),
        described(inputs),
        described(outputs),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "numpy-lstm"
    onnx.checker.check_model(model, full_check=True)
    directory = Path(directory)
    written = [write_bytes(directory / "model.onnx", model.SerializeToString(deterministic=True))]
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for n, (name, a) in enumerate(arrays.items()):
            data = numpy_helper.from_array(np.ascontiguousarray(a), name).SerializeToString(deterministic=True)
            written.append(write_bytes(directory / "test_data_set_0" / f"{kind}_{n}.pb", data))
    return written
