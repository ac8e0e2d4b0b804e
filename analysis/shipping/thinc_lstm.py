"""thinc: the backward pass of its own LSTM layer (``thinc.api.LSTM``, registered as LSTM.v1), hand-derived, float32.

    python thinc_lstm.py IN.npz OUT.npz [--ops numpy|generic] [--state swapped|as_named]

Run and read in thinc 8.3.14 and 9.1.1; layer: thinc/layers/lstm.py, since pull request explosion/thinc#459 (2021).

--ops numpy (default): NumpyOps, Cython (backends/numpy_ops.pyx: backprop_lstm, _lstm_backward_training). generic:
    the functions of the same names in backends/ops.py, which every backend without its own has, CupyOps among them;
    here they run on NumPy arrays.
--state: the layer's parameter HC0 holds the first state, and its forward pass hands (H0, C0) to a function whose
    arguments are (c_init, h_init). as_named stores h_0 in HC0[0] as the layer's own code names it; swapped (default)
    stores c_0 there, so that the forward pass is that of the state in IN.npz and only the gradient is in question.

What the layer cannot take: a state per row (HC0 is one for all rows), so IN.npz must have equal rows of h_0 and c_0;
a cotangent of c_n (it returns no cell), so d_c_n must be zero. d_h_n enters with the last output. d_h_0 and d_c_0 are
left out: HC0 is a parameter, but no gradient is ever given to it. The layer stores two biases; all of the gradient
goes to the first, which is written, and zero to the second.
"""

import json
import sys
from importlib.metadata import version

import numpy as np
from thinc.api import LSTM, NumpyOps
from thinc.backends.ops import Ops
from thinc.types import Padded

GATES = "fiog"


class GenericOps(NumpyOps):
    """NumPy arrays with the LSTM of the base class."""

    lstm_forward_training = Ops.lstm_forward_training
    lstm_forward_inference = Ops.lstm_forward_inference
    backprop_lstm = Ops.backprop_lstm


def flat(arrays: dict[str, np.ndarray], prefix: str = "") -> list[np.ndarray]:
    """What the parameter LSTM holds, in order: W, b, U and a second bias, four gates each."""
    blocks = [arrays[f"{prefix}{kind}_{k}"] for kind in "WbU" for k in GATES]
    return [*blocks, *(np.zeros_like(b) for b in blocks[4:8])]


def main(given: dict[str, np.ndarray], ops: Ops, state: str) -> dict[str, np.ndarray]:
    """The framework's values and gradients under the names of the case studies."""
    steps, batch, inputs = given["x"].shape
    units = given["h_0"].shape[1]
    h, c = given["h_0"][0], given["c_0"][0]
    if np.any(given["h_0"] != h) or np.any(given["c_0"] != c) or np.any(given["d_c_n"]):
        raise ValueError("expected equal rows of h_0, equal rows of c_0, and d_c_n = 0")
    model = LSTM(units, inputs).initialize()
    model._to_ops(ops)
    blocks = flat(given)
    model.set_param("LSTM", np.concatenate([a.ravel() for a in blocks]).astype(np.float32))
    model.set_param("HC0", np.reshape([c, h] if state == "swapped" else [h, c], (2, 1, 1, units)).astype(np.float32))

    def padded(data: np.ndarray) -> Padded:
        full = np.full(steps, batch, dtype=np.int32)
        rows = np.arange(batch, dtype=np.int32)
        return Padded(data.astype(np.float32), full, np.full(batch, steps, dtype=np.int32), rows)

    d_output = given["d_output"].copy()
    d_output[-1] += given["d_h_n"]
    before = model.get_param("LSTM").copy()
    made, backprop = model(padded(given["x"]), is_train=True)
    cells = ops.lstm_forward_training(
        model.get_param("LSTM"), *model.get_param("HC0"), padded(given["x"]).data.reshape(-1, inputs), made.size_at_t
    )[1][2]
    d_x = backprop(padded(d_output)).data
    if model.has_grad("HC0"):
        raise RuntimeError("expected no gradient for HC0; this thinc gives one, and this script drops it")
    if not np.array_equal(before, model.get_param("LSTM")):
        print("the backward pass changed the weights", file=sys.stderr)

    ends = np.cumsum([a.size for a in blocks])
    d = [a.reshape(b.shape) for a, b in zip(np.split(model.get_grad("LSTM"), ends[:-1]), blocks, strict=True)]
    if any(np.any(a) for a in d[12:]):
        raise RuntimeError("expected zero for the second bias; this thinc gives a gradient, and this script drops it")
    out = {"output": made.data, "h_n": made.data[-1], "c_n": cells.reshape(steps, batch, units)[-1], "d_x": d_x}
    return out | {f"d_{m}_{k}": a for (m, k), a in zip([(m, k) for m in "WbU" for k in GATES], d, strict=False)}


if __name__ == "__main__":
    source, target, *options = sys.argv[1:]
    ops = options[options.index("--ops") + 1] if "--ops" in options else "numpy"
    state = options[options.index("--state") + 1] if "--state" in options else "swapped"
    with np.load(source) as file:
        np.savez(target, **main(dict(file), {"numpy": NumpyOps, "generic": GenericOps}[ops](), state))
    print(json.dumps({k: version(k) for k in ("thinc", "numpy")}))
