"""The forms of what runs models: cuDNN, ONNX, WebNN, OpenVINO, Caffe, Core ML, TensorFlow Lite."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .forms import (
    BEFORE,
    COUPLED,
    GRU,
    LSTM,
    PEEPHOLE,
    PEEPHOLE_OLD,
    PROJECTED,
    RNN,
    Arrays,
    D,
    H,
    R,
    Step,
    form,
    fused,
    gru_after,
    lstm,
    numbered,
    peephole,
    peephole_old,
    sigmoid,
    split,
)


def cudnn_products(a: Arrays, x: Any, h: Any, n: int) -> tuple[Any, Any]:
    """x W_k^T + b_k for linLayerID k < n, and h U_k^T + b_k for the n behind them."""
    return (
        [x @ a[f"matrix_{k}"].T + a[f"bias_{k}"] for k in range(n)],
        [h @ a[f"matrix_{k}"].T + a[f"bias_{k}"] for k in range(n, 2 * n)],
    )


def cudnn_shapes(n: int, r: int = H) -> dict[str, tuple[int, ...]]:
    return numbered("matrix_", (H, D), 0, n) | numbered("matrix_", (H, r), n, 2 * n) | numbered("bias_", (H,), 0, 2 * n)


@form("cudnn", LSTM, **cudnn_shapes(4))
def cudnn_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    (xi, xf, xg, xo), (hi, hf, hg, ho) = cudnn_products(a, x, h, 4)
    return lstm(xi + hi, xf + hf, xg + hg, xo + ho, c)


@form("cudnn", PROJECTED, **cudnn_shapes(4, R), matrix_8=(R, H))
def cudnn_projected(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    m, c = cudnn_lstm(a, x, h, c)
    return m @ a["matrix_8"].T, c


@form("cudnn", GRU, **cudnn_shapes(3))
def cudnn_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    (xr, xu, xn), (hr, hu, hn) = cudnn_products(a, x, h, 3)
    return gru_after(xr, xu, xn, hr, hu, hn, h)


@form("cudnn", RNN, **cudnn_shapes(1))
def cudnn_rnn(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    (xh,), (hh,) = cudnn_products(a, x, h, 1)
    return (np.tanh(xh + hh),)


def onnx_lstm(peepholes: Callable[..., tuple[Any, Any]] | None = None) -> Step:
    def step(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, o, f, g = split(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0, : 4 * H] + a["B"][0, 4 * H :])
        if peepholes is None:
            return lstm(i, f, g, o, c)
        p_i, p_o, p_f = split(a["P"][0], 3)
        return peepholes(i, f, g, o, c, p_i, p_f, p_o)

    return step


ONNX_LSTM: dict[str, tuple[int, ...]] = {"W": (1, 4 * H, D), "R": (1, 4 * H, H), "B": (1, 8 * H)}
form("onnx", LSTM, **ONNX_LSTM)(onnx_lstm())
form("onnx", PEEPHOLE, **ONNX_LSTM, P=(1, 3 * H))(onnx_lstm(peephole))
form("onnx", PEEPHOLE_OLD, **ONNX_LSTM, P=(1, 3 * H))(onnx_lstm(peephole_old))


@form("onnx", GRU, W=(1, 3 * H, D), R=(1, 3 * H, H), B=(1, 6 * H))
def onnx_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    xz, xr, xh = split(x @ a["W"][0].T + a["B"][0, : 3 * H], 3)
    hz, hr, hh = split(h @ a["R"][0].T + a["B"][0, 3 * H :], 3)
    return gru_after(xr, xz, xh, hr, hz, hh, h)


@form("onnx", BEFORE, W=(1, 3 * H, D), R=(1, 3 * H, H), B=(1, 6 * H))
def onnx_gru_before(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    (Wz, Wr, Wh), (Rz, Rr, Rh) = (np.split(a[k][0], 3) for k in "WR")
    Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = split(a["B"][0], 6)
    z, r = sigmoid(x @ Wz.T + h @ Rz.T + Wbz + Rbz), sigmoid(x @ Wr.T + h @ Rr.T + Wbr + Rbr)
    return ((1 - z) * np.tanh(x @ Wh.T + (r * h) @ Rh.T + Rbh + Wbh) + z * h,)


@form("onnx", RNN, W=(1, H, D), R=(1, H, H), B=(1, 2 * H))
def onnx_rnn(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    return (np.tanh(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0, :H] + a["B"][0, H:]),)


def webnn_shapes(n: int) -> dict[str, tuple[int, ...]]:
    return {
        "weight": (1, n * H, D),
        "recurrentWeight": (1, n * H, H),
        "bias": (1, n * H),
        "recurrentBias": (1, n * H),
    }


def webnn_slices(a: Arrays, order: str) -> dict[str, Arrays]:
    """What the published decomposition slices out, by gate."""
    rows = {k: slice(n * H, (n + 1) * H) for n, k in enumerate(order)}
    return {k: {name: a[name][0, rows[k]] for name in webnn_shapes(1)} for k in order}


def webnn_lstm(order: str, peepholes: Callable[..., tuple[Any, Any]] = peephole_old) -> Step:
    """The published decomposition lets o look at the old cell; ``peephole`` is what it is taken for where it is not."""

    def step(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        z = {
            k: x @ s["weight"].T + h @ s["recurrentWeight"].T + s["bias"] + s["recurrentBias"]
            for k, s in webnn_slices(a, order).items()
        }
        if "peepholeWeight" not in a:
            return lstm(**z, c=c)
        p_i, p_o, p_f = split(a["peepholeWeight"][0], 3)
        return peepholes(**z, c=c, p_i=p_i, p_f=p_f, p_o=p_o)

    return step


def webnn_gru(order: str, after: bool) -> Step:
    def step(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
        s = webnn_slices(a, order)
        xs = {k: x @ s[k]["weight"].T + s[k]["bias"] for k in order}
        z = sigmoid(xs["z"] + h @ s["z"]["recurrentWeight"].T + s["z"]["recurrentBias"])
        r = sigmoid(xs["r"] + h @ s["r"]["recurrentWeight"].T + s["r"]["recurrentBias"])
        U, b = s["n"]["recurrentWeight"], s["n"]["recurrentBias"]
        n = np.tanh(xs["n"] + (r * (h @ U.T + b) if after else (r * h) @ U.T + b))
        return (z * h + (1 - z) * n,)

    return step


for orders in ("iofg zrn", "ifgo rzn"):
    gates, gru_gates = orders.split()
    form(f"webnn_{gates}", LSTM, **webnn_shapes(4))(webnn_lstm(gates))
    form(f"webnn_{gates}", PEEPHOLE, **webnn_shapes(4), peepholeWeight=(1, 3 * H))(webnn_lstm(gates, peephole))
    form(f"webnn_{gates}", PEEPHOLE_OLD, **webnn_shapes(4), peepholeWeight=(1, 3 * H))(webnn_lstm(gates))
    form(f"webnn_{gates}", GRU, **webnn_shapes(3))(webnn_gru(gru_gates, after=True))
    form(f"webnn_{gates}", BEFORE, **webnn_shapes(3))(webnn_gru(gru_gates, after=False))


fused("openvino", "figo", "W", "R", "B", columns=False)
fused("caffe", "ifog", "W_xc", "W_hc", "b_c", columns=False)
fused("coreml_mil", "ifog", "weight_ih", "weight_hh", "bias", columns=False)
fused("coreml_mil", "", "weight_ih", "weight_hh", "bias", columns=False)
fused("coreml", "", "weightMatrix", "recursionMatrix", "biasVector", columns=False)


def coreml_rows(a: Arrays, x: Any, h: Any, gate: str) -> Any:
    """W x + R y + b of a gate of a Core ML layer."""
    return x @ a[f"{gate}WeightMatrix"].T + h @ a[f"{gate}RecursionMatrix"].T + a[f"{gate}BiasVector"]


def coreml_shapes(*gates: str) -> dict[str, tuple[int, ...]]:
    shapes = {"WeightMatrix": (H, D), "RecursionMatrix": (H, H), "BiasVector": (H,)}
    return {f"{gate}{kind}": shape for kind, shape in shapes.items() for gate in gates}


COREML_LSTM = ("inputGate", "forgetGate", "blockInput", "outputGate")
COREML_PEEPHOLES = ("inputGatePeepholeVector", "forgetGatePeepholeVector", "outputGatePeepholeVector")


@form("coreml", LSTM, **coreml_shapes(*COREML_LSTM))
@form("coreml", PEEPHOLE, **coreml_shapes(*COREML_LSTM), **dict.fromkeys(COREML_PEEPHOLES, (H,)))
def coreml_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, z, o = (coreml_rows(a, x, h, gate) for gate in COREML_LSTM)
    return peephole(i, f, z, o, c, *(a.get(k, 0) for k in COREML_PEEPHOLES))


@form("coreml", BEFORE, **coreml_shapes("updateGate", "resetGate", "outputGate"))
def coreml_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    z, r = (sigmoid(coreml_rows(a, x, h, gate)) for gate in ("updateGate", "resetGate"))
    o = np.tanh(coreml_rows(a, x, h * r, "outputGate"))
    return ((1 - z) * o + z * h,)


@form("coreml_mil", GRU, weight_ih=(3 * H, D), weight_hh=(3 * H, H), bias=(3 * H,))
def coreml_mil_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    (xr, xo, xz), (hr, ho, hz) = split(x @ a["weight_ih"].T + a["bias"], 3), split(h @ a["weight_hh"].T, 3)
    return gru_after(xr, xz, xo, hr, hz, ho, h)


def tflite_shapes(*gates: str, r: int = H, peepholes: str = "") -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"input_to_{gate}_weights": (H, D) for gate in gates}
    shapes |= {f"recurrent_to_{gate}_weights": (H, r) for gate in gates}
    shapes |= {f"cell_to_{gate}_weights": (H,) for gate in peepholes.split()}
    return shapes | ({"projection_weights": (r, H)} if r != H else {}) | {f"{gate}_gate_bias": (H,) for gate in gates}


TFLITE = ("input", "forget", "cell", "output")


@form("tflite", LSTM, **tflite_shapes(*TFLITE))
@form("tflite", PEEPHOLE, **tflite_shapes(*TFLITE, peepholes="input forget output"))
@form("tflite", PROJECTED, **tflite_shapes(*TFLITE, r=R))
@form("tflite", COUPLED, **tflite_shapes(*TFLITE[1:]))
def tflite(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    def gate(name: str, cell: Any) -> Any:
        z = x @ a[f"input_to_{name}_weights"].T + h @ a[f"recurrent_to_{name}_weights"].T + a[f"{name}_gate_bias"]
        return z + a.get(f"cell_to_{name}_weights", 0) * cell

    forget = sigmoid(gate("forget", c))
    update = sigmoid(gate("input", c)) if "input_gate_bias" in a else 1 - forget
    c = forget * c + update * np.tanh(gate("cell", 0))
    h = sigmoid(gate("output", c)) * np.tanh(c)
    return (h @ a["projection_weights"].T if "projection_weights" in a else h), c
