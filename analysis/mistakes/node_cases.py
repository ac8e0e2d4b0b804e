"""The recurrent node cases of the onnx package, as cases of ours with the values that they expect."""

from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm.cases.case import Case
from numpy_lstm.cases.network import Network
from numpy_lstm.mistakes import Workbench

Arrays = dict[str, Any]
HAS_ONNX = util.find_spec("onnx") is not None
NODE_CASES = {
    "lstm": ("defaults", "with_initial_bias", "with_peepholes", "batchwise"),
    "gru": ("defaults", "with_initial_bias", "seq_length", "batchwise"),
    "simple_rnn": ("defaults", "with_initial_bias", "batchwise"),
    "rnn": ("seq_length",),
}


@cache
def load() -> list[tuple[Workbench, Arrays]]:
    """The node cases of the onnx package for LSTM, GRU and RNN, and the values they expect by our names."""
    import onnx
    from onnx import numpy_helper

    root = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
    found = []
    for op, names in NODE_CASES.items():
        for name in names:
            folder = root / f"test_{op}_{name}"
            graph = onnx.load(folder / "model.onnx").graph

            def read(kind: str, k: int, folder: Path = folder) -> Any:
                return numpy_helper.to_array(onnx.load_tensor(folder / "test_data_set_0" / f"{kind}_{k}.pb"))

            place = {info.name: k for k, info in enumerate(graph.input)}
            inputs = {
                role: read("input", place[given]).astype(np.float64)
                for role, given in zip(("x", "W", "R", "B", "", "h_0", "c_0", "P"), graph.node[0].input, strict=False)
                if given and role
            }
            outputs = [k for k, given in enumerate(graph.node[0].output) if given and k < 2]
            expected = {("output", "h_n")[k]: read("output", i) for i, k in enumerate(outputs)}
            found.append(_as_case(f"test_{op}_{name}", inputs, expected, name == "batchwise"))
    return found


def _as_case(name: str, inputs: Arrays, expected: Arrays, batchwise: bool) -> tuple[Workbench, Arrays]:
    cell = {"lstm": "LSTM", "gru": "GRUResetBefore"}.get(name.split("_")[1], "RNN")
    network = Network("PeepholeLSTM" if "P" in inputs else cell)
    inputs["x"] = np.swapaxes(inputs["x"], 0, 1) if batchwise else inputs["x"]
    T, B, D = inputs["x"].shape
    H = inputs["R"].shape[-1]
    like = Case.random(network, "onnx", {"T": T, "B": B, "D": D, "H": H}, np.random.default_rng(0))
    states = {k: 0 * a for k, a in like.arrays.items() if k in ("h_0", "c_0")}
    given = {k: a.reshape(like.arrays[k].shape) for k, a in inputs.items()}
    case = like._replace(arrays=like.arrays | {"B": 0 * like.arrays["B"]} | states | given)
    b = Workbench(case)
    return b, {k: (np.swapaxes(a, 0, 1) if batchwise else a).reshape(b.right[k].shape) for k, a in expected.items()}
