"""One step of a cell in each framework's own form: its names, its gate order, its way of writing the products.

Written from the frameworks' documentation and sources, without a look at ``numpy_lstm.layouts``: so they prove the
orders there. Every form accepts complex arrays, for complex steps with respect to the stored weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import numpy_lstm as nl

B, D, H, R, T = 4, 5, 7, 3, 6
LSTM, PEEPHOLE, GRU, BEFORE, RNN = nl.LSTM, nl.PeepholeLSTM, nl.GRU, nl.GRUResetBefore, nl.RNN
PEEPHOLE_OLD = nl.PeepholeOldLSTM
PROJECTED = nl.projected(nl.LSTM, R)
Arrays = dict[str, Any]
Step = Callable[[Arrays, Any, Any, Any], tuple[Any, ...]]


def sigmoid(a: Any) -> Any:
    """The logistic function, for complex numbers too."""
    return 1 / (1 + np.exp(-a))


# ---- The frameworks' own forms: shapes by name, and one step (h, c) written as the framework writes it --------------

FORMS: dict[tuple[str, Any], tuple[dict[str, tuple[int, ...]], Step]] = {}


def form(name: str, *cells: Any, **shapes: tuple[int, ...]) -> Callable[[Step], Step]:
    """``__`` in a name stands for a dot."""

    def register(step: Step) -> Step:
        for cell in cells:
            FORMS[name, cell] = {k.replace("__", "."): shape for k, shape in shapes.items()}, step
        return step

    return register


def numbered(prefix: str, shape: tuple[int, ...], start: int, stop: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}{k}": shape for k in range(start, stop)}


def lstm(i: Any, f: Any, g: Any, o: Any, c: Any) -> tuple[Any, Any]:
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def peephole(i: Any, f: Any, g: Any, o: Any, c: Any, p_i: Any, p_f: Any, p_o: Any) -> tuple[Any, Any]:
    new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    return sigmoid(o + p_o * new) * np.tanh(new), new


def peephole_old(i: Any, f: Any, g: Any, o: Any, c: Any, p_i: Any, p_f: Any, p_o: Any) -> tuple[Any, Any]:
    new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    return sigmoid(o + p_o * c) * np.tanh(new), new


def gru_after(xr: Any, xz: Any, xn: Any, hr: Any, hz: Any, hn: Any, h: Any) -> tuple[Any]:
    z = sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h,)


def split(a: Any, n: int = 4) -> Any:
    return np.split(a, n, axis=-1)


TORCH = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0")
MXNET = ("l0_i2h_weight", "l0_h2h_weight", "l0_i2h_bias", "l0_h2h_bias", "l0_h2r_weight")


def torch_forms(name: str, names: tuple[str, ...]) -> None:
    """torch.nn.LSTM, GRU, RNN and LSTM with proj_size, also under other names."""

    def shapes(n: int, r: int = H) -> Any:
        return dict(zip(names, ((n * H, D), (n * H, r), (n * H,), (n * H,)), strict=False))

    def products(a: Arrays, x: Any, h: Any) -> tuple[Any, Any]:
        W, U, b, b2 = (a[k] for k in names[:4])
        return x @ W.T + b, h @ U.T + b2

    @form(name, LSTM, **shapes(4))
    def step(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, f, g, o = split(sum(products(a, x, h)))
        return lstm(i, f, g, o, c)

    @form(name, PROJECTED, **shapes(4, R), **{names[4]: (R, H)})
    def projected(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        m, c = step(a, x, h, c)
        return m @ a[names[4]].T, c

    @form(name, GRU, **shapes(3))
    def gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
        (xr, xz, xn), (hr, hz, hn) = (split(z, 3) for z in products(a, x, h))
        return gru_after(xr, xz, xn, hr, hz, hn, h)

    @form(name, RNN, **shapes(1))
    def rnn(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
        return (np.tanh(sum(products(a, x, h))),)


torch_forms("torch", TORCH)
torch_forms("mxnet", MXNET)


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


@form("keras", LSTM, kernel=(D, 4 * H), recurrent_kernel=(H, 4 * H), bias=(4 * H,))
def keras_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = split(x @ a["kernel"] + h @ a["recurrent_kernel"] + a["bias"])
    return lstm(i, f, g, o, c)


@form("keras", GRU, kernel=(D, 3 * H), recurrent_kernel=(H, 3 * H), bias=(2, 3 * H))
def keras_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    input_bias, recurrent_bias = a["bias"]
    xz, xr, xh = split(x @ a["kernel"] + input_bias, 3)
    hz, hr, hh = split(h @ a["recurrent_kernel"] + recurrent_bias, 3)
    return gru_after(xr, xz, xh, hr, hz, hh, h)


@form("keras", BEFORE, kernel=(D, 3 * H), recurrent_kernel=(H, 3 * H), bias=(3 * H,))
def keras_gru_before(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    xz, xr, xh = split(x @ a["kernel"] + a["bias"], 3)
    Uz, Ur, Uh = split(a["recurrent_kernel"], 3)
    z = sigmoid(xz + h @ Uz)
    return (z * h + (1 - z) * np.tanh(xh + (sigmoid(xr + h @ Ur) * h) @ Uh),)


@form("keras", RNN, kernel=(D, H), recurrent_kernel=(H, H), bias=(H,))
def keras_rnn(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    return (np.tanh(x @ a["kernel"] + h @ a["recurrent_kernel"] + a["bias"]),)


@form("onnx", LSTM, W=(1, 4 * H, D), R=(1, 4 * H, H), B=(1, 8 * H))
def onnx_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, o, f, g = split(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0, : 4 * H] + a["B"][0, 4 * H :])
    return lstm(i, f, g, o, c)


@form("onnx", PEEPHOLE, W=(1, 4 * H, D), R=(1, 4 * H, H), B=(1, 8 * H), P=(1, 3 * H))
def onnx_peephole(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, o, f, g = split(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0, : 4 * H] + a["B"][0, 4 * H :])
    p_i, p_o, p_f = split(a["P"][0], 3)
    return peephole(i, f, g, o, c, p_i, p_f, p_o)


@form("onnx", PEEPHOLE_OLD, W=(1, 4 * H, D), R=(1, 4 * H, H), B=(1, 8 * H), P=(1, 3 * H))
def onnx_peephole_old(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, o, f, g = split(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0, : 4 * H] + a["B"][0, 4 * H :])
    p_i, p_o, p_f = split(a["P"][0], 3)
    return peephole_old(i, f, g, o, c, p_i, p_f, p_o)


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


@form("tf_block", LSTM, w=(D + H, 4 * H), b=(4 * H,))
def tf_block(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, ci, f, o = split(np.concatenate([x, h], axis=1) @ a["w"] + a["b"])
    return lstm(i, f + 1, ci, o, c)


@form("tf_block", PEEPHOLE, w=(D + H, 4 * H), b=(4 * H,), wci=(H,), wcf=(H,), wco=(H,))
def tf_block_peephole(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, ci, f, o = split(np.concatenate([x, h], axis=1) @ a["w"] + a["b"])
    return peephole(i, f + 1, ci, o, c, a["wci"], a["wcf"], a["wco"])


@form("tf_block_v2", LSTM, w=(D + H, 4 * H), b=(4 * H,))
def tf_block_v2(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, ci, o = split(np.concatenate([x, h], axis=1) @ a["w"] + a["b"])
    return lstm(i, f, ci, o, c)


@form("tf_block_v2", PEEPHOLE, w=(D + H, 4 * H), b=(4 * H,), wci=(H,), wcf=(H,), wco=(H,))
def tf_block_v2_peephole(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, ci, o = split(np.concatenate([x, h], axis=1) @ a["w"] + a["b"])
    return peephole(i, f, ci, o, c, a["wci"], a["wcf"], a["wco"])


@form(
    "flax",
    LSTM,
    **{f"i{k}__kernel": (D, H) for k in "ifgo"},
    **{f"h{k}__kernel": (H, H) for k in "ifgo"},
    **{f"h{k}__bias": (H,) for k in "ifgo"},
)
def flax_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    z = {k: x @ a[f"i{k}.kernel"] + h @ a[f"h{k}.kernel"] + a[f"h{k}.bias"] for k in "ifgo"}
    return lstm(**z, c=c)


@form(
    "flax",
    GRU,
    **{f"i{k}__kernel": (D, H) for k in "rzn"},
    **{f"i{k}__bias": (H,) for k in "rzn"},
    **{f"h{k}__kernel": (H, H) for k in "rzn"},
    hn__bias=(H,),
)
def flax_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    r = sigmoid(x @ a["ir.kernel"] + a["ir.bias"] + h @ a["hr.kernel"])
    z = sigmoid(x @ a["iz.kernel"] + a["iz.bias"] + h @ a["hz.kernel"])
    n = np.tanh(x @ a["in.kernel"] + a["in.bias"] + r * (h @ a["hn.kernel"] + a["hn.bias"]))
    return ((1 - z) * n + z * h,)


@form("flax_optimized", LSTM, dense_i__kernel=(D, 4 * H), dense_h__kernel=(H, 4 * H), dense_h__bias=(4 * H,))
def flax_optimized(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = split(x @ a["dense_i.kernel"] + h @ a["dense_h.kernel"] + a["dense_h.bias"])
    return lstm(i, f, g, o, c)


@form("equinox", LSTM, weight_ih=(4 * H, D), weight_hh=(4 * H, H), bias=(4 * H,))
def equinox_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = split(x @ a["weight_ih"].T + h @ a["weight_hh"].T + a["bias"])
    return lstm(i, f, g, o, c)


@form("equinox", GRU, weight_ih=(3 * H, D), weight_hh=(3 * H, H), bias=(3 * H,), bias_n=(H,))
def equinox_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    (ir, iz, in_), (hr, hz, hn) = split(x @ a["weight_ih"].T + a["bias"], 3), split(h @ a["weight_hh"].T, 3)
    n = np.tanh(in_ + sigmoid(ir + hr) * (hn + a["bias_n"]))
    return (n + sigmoid(iz + hz) * (h - n),)


@form("haiku", LSTM, linear__w=(D + H, 4 * H), linear__b=(4 * H,))
def haiku(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, g, f, o = split(np.concatenate([x, h], axis=1) @ a["linear.w"] + a["linear.b"])
    return lstm(i, f + 1, g, o, c)


@form("chainer", LSTM, upward__W=(4 * H, D), upward__b=(4 * H,), lateral__W=(4 * H, H))
def chainer(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    z = (x @ a["upward.W"].T + a["upward.b"] + h @ a["lateral.W"].T).reshape(-1, H, 4)
    return lstm(g=z[:, :, 0], i=z[:, :, 1], f=z[:, :, 2], o=z[:, :, 3], c=c)


@form("chainer_nstep", LSTM, **numbered("w", (H, D), 0, 4), **numbered("w", (H, H), 4, 8), **numbered("b", (H,), 0, 8))
def chainer_nstep(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = (x @ a[f"w{k}"].T + a[f"b{k}"] + h @ a[f"w{k + 4}"].T + a[f"b{k + 4}"] for k in range(4))
    return lstm(i, f, g, o, c)


@form("haste", LSTM, kernel=(D, 4 * H), recurrent_kernel=(H, 4 * H), bias=(4 * H,))
def haste(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, g, f, o = split(x @ a["kernel"] + h @ a["recurrent_kernel"] + a["bias"])
    return lstm(i, f, g, o, c)


def tmva_shapes(n: int) -> dict[str, tuple[int, ...]]:
    weights = numbered("weights_", (H, D), 0, n) | numbered("weights_", (H, H), n, 2 * n)
    return weights | numbered("biases_", (H, 1), 0, n)


@form("tmva", LSTM, **tmva_shapes(4))
def tmva_lstm(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    z = [x @ a[f"weights_{k}"].T + h @ a[f"weights_{k + 4}"].T + a[f"biases_{k}"].T for k in range(4)]
    return lstm(*z, c)


@form("tmva", GRU, **tmva_shapes(3))
def tmva_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    reset, update, candidate = (x @ a[f"weights_{k}"].T + a[f"biases_{k}"].T for k in range(3))
    u = sigmoid(update + h @ a["weights_4"].T)
    r = sigmoid(reset + h @ a["weights_3"].T)
    return (u * h + (1 - u) * np.tanh(candidate + r * (h @ a["weights_5"].T)),)


@form("tmva", BEFORE, **tmva_shapes(3))
def tmva_gru_before(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    reset, update, candidate = (x @ a[f"weights_{k}"].T + a[f"biases_{k}"].T for k in range(3))
    u = sigmoid(update + h @ a["weights_4"].T)
    r = sigmoid(reset + h @ a["weights_3"].T)
    return (u * h + (1 - u) * np.tanh(candidate + (r * h) @ a["weights_5"].T),)


@form("tmva", RNN, **tmva_shapes(1))
def tmva_rnn(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    return (np.tanh(h @ a["weights_1"].T + x @ a["weights_0"].T + a["biases_0"].T),)


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


@form("openvino", LSTM, W=(4 * H, D), R=(4 * H, H), B=(4 * H,))
def openvino(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    f, i, g, o = split(x @ a["W"].T + h @ a["R"].T + a["B"])
    return lstm(i, f, g, o, c)


@form("tutorial", LSTM, **{f"W_{k}": (H, H + D) for k in "fiCo"}, **{f"b_{k}": (H,) for k in "fiCo"})
def tutorial(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    z = {k: np.concatenate([h, x], axis=1) @ a[f"W_{k}"].T + a[f"b_{k}"] for k in "fiCo"}
    return lstm(i=z["i"], f=z["f"], g=z["C"], o=z["o"], c=c)
