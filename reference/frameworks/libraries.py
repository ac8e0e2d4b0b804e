"""The forms of libraries that train: PyTorch, Keras, TensorFlow, the JAX family and others."""

from typing import Any

import numpy as np

from .forms import (
    BEFORE,
    GRU,
    LSTM,
    PROJECTED,
    RNN,
    Arrays,
    D,
    H,
    R,
    form,
    fused,
    gru_after,
    joined,
    lstm,
    numbered,
    sigmoid,
    split,
)

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

    if len(names) > 4:

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
torch_forms("torch_cell", tuple(name.removesuffix("_l0") for name in TORCH[:4]))
torch_forms("mxnet", MXNET)


KERAS = ("kernel", "recurrent_kernel", "bias")
fused("keras", "ifgo", *KERAS)
fused("keras", "", *KERAS)
fused("haste", "igfo", *KERAS)
fused("equinox", "ifgo", "weight_ih", "weight_hh", "bias", columns=False)
fused("flax_nnx", "ifgo", "dense_i.kernel", "dense_h.kernel", "dense_h.bias")
fused("flax_nnx", "", "dense_i.kernel", "dense_h.kernel", "dense_i.bias")
joined("tf_block", "igfo", "w", "b", 1, ("wci", "wcf", "wco"))
joined("tf_block_v2", "ifgo", "w", "b", 0, ("wci", "wcf", "wco"))
joined("haiku", "igfo", "linear.w", "linear.b", 1)


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


@form("flax_nnx", GRU, dense_i__kernel=(D, 3 * H), dense_i__bias=(3 * H,), dense_h__kernel=(H, 3 * H))
def flax_nnx_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    xr, xz, xn = split(x @ a["dense_i.kernel"] + a["dense_i.bias"], 3)
    hr, hz, hn = split(h @ a["dense_h.kernel"], 3)
    return gru_after(xr, xz, xn, hr, hz, hn, h)


@form("equinox", GRU, weight_ih=(3 * H, D), weight_hh=(3 * H, H), bias=(3 * H,), bias_n=(H,))
def equinox_gru(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any]:
    (ir, iz, in_), (hr, hz, hn) = split(x @ a["weight_ih"].T + a["bias"], 3), split(h @ a["weight_hh"].T, 3)
    n = np.tanh(in_ + sigmoid(ir + hr) * (hn + a["bias_n"]))
    return (n + sigmoid(iz + hz) * (h - n),)


@form("chainer", LSTM, upward__W=(4 * H, D), upward__b=(4 * H,), lateral__W=(4 * H, H))
def chainer(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    z = (x @ a["upward.W"].T + a["upward.b"] + h @ a["lateral.W"].T).reshape(-1, H, 4)
    return lstm(g=z[:, :, 0], i=z[:, :, 1], f=z[:, :, 2], o=z[:, :, 3], c=c)


@form("chainer_nstep", LSTM, **numbered("w", (H, D), 0, 4), **numbered("w", (H, H), 4, 8), **numbered("b", (H,), 0, 8))
def chainer_nstep(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = (x @ a[f"w{k}"].T + a[f"b{k}"] + h @ a[f"w{k + 4}"].T + a[f"b{k + 4}"] for k in range(4))
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


@form("tutorial", LSTM, **{f"W_{k}": (H, H + D) for k in "fiCo"}, **{f"b_{k}": (H,) for k in "fiCo"})
def tutorial(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    z = {k: np.concatenate([h, x], axis=1) @ a[f"W_{k}"].T + a[f"b_{k}"] for k in "fiCo"}
    return lstm(i=z["i"], f=z["f"], g=z["C"], o=z["o"], c=c)
