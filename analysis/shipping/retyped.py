"""hipsternet and TMVA: backward passes that pip cannot install. Their equations, typed again in our own words, float64.

Nothing of the projects is run here: this is evidence about the equations below, and about the projects as far as the
reading is right. ``repaired``: the one row that is wrong put right, for comparison.

hipsternet (github.com/wiseodd/hipsternet, hipsternet/neuralnet.py, class LSTM, read at 563de65 and, for the
    derivative of tanh, layer.py at c1efe40; one file per project, no package). It carries y = tanh(c) as its state:

        c_t = f_t y_{t-1} + i_t g_t      y_t = tanh c_t      h_t = o_t y_t

    which is a recurrence of its own: h_n, c_n are h_T and y_T, and c_0 is y_0. In the backward pass what
    arrives from step t+1 is f_{t+1} times the cotangent of c_{t+1}, a cotangent of y_t, but it comes in behind tanh':

        theirs   dc_t = o_t dh_t tanh'(c_t) + dy_t          right   dc_t = (o_t dh_t + dy_t) tanh'(c_t)

    Upstream starts with no cotangent of y_T; d_c_n enters here as what its code would be handed as dc_next.
    Left aside: it divides its loss, not its gradient, by T, and clips every sum to +-5.

tmva (ROOT, tmva/tmva/inc/TMVA/DNN/RNN/LSTMLayer.h, Backward, read at 07f10ce; CPU path). With rememberState the
    forward pass starts from the H and C that the last batch left behind. The backward pass keeps neither: at the
    first step it takes a matrix of zeros, ``initState``, for both. The PyPI wheel root 0.1a12 (ROOT 6.40.00) is
    built without TMVA. TMVA returns no gradient of the state and takes none of the last cell, so d_h_0 and d_c_0 are
    left out and d_c_n must be zero; d_h_n enters with the last output.
"""

import numpy as np

Arrays = dict[str, np.ndarray]
GATES = "ifgo"


def activations(p: Arrays, x: np.ndarray, h: np.ndarray) -> Arrays:
    """i, f, g, o of one step."""
    a = {k: x @ p[f"W_{k}"].T + h @ p[f"U_{k}"].T + p[f"b_{k}"] for k in GATES}
    return {k: np.tanh(a[k]) if k == "g" else 1 / (1 + np.exp(-a[k])) for k in GATES}


def slopes(v: Arrays) -> Arrays:
    """The derivatives of the activations, from their values."""
    return {k: 1 - v[k] ** 2 if k == "g" else v[k] * (1 - v[k]) for k in GATES}


def collect(p: Arrays, deltas: list[Arrays], xs: np.ndarray, before: list[np.ndarray]) -> Arrays:
    """The gradients of the parameters and of x, from the cotangents of the pre-activations."""
    out = {"d_x": np.stack([sum(d[k] @ p[f"W_{k}"] for k in GATES) for d in deltas])}
    for k in GATES:
        out[f"d_W_{k}"] = sum(d[k].T @ x for d, x in zip(deltas, xs, strict=True))
        out[f"d_U_{k}"] = sum(d[k].T @ h for d, h in zip(deltas, before, strict=True))
        out[f"d_b_{k}"] = sum(d[k].sum(axis=0) for d in deltas)
    return out


def hipsternet(p: Arrays, repaired: bool = False) -> Arrays:
    """A recurrence that carries tanh(c)."""
    hs, ys, gates = [p["h_0"]], [p["c_0"]], []
    for x in p["x"]:
        v = activations(p, x, hs[-1])
        ys.append(np.tanh(v["f"] * ys[-1] + v["i"] * v["g"]))
        hs.append(v["o"] * ys[-1])
        gates.append(v)

    dh, dy, deltas = p["d_h_n"], p["d_c_n"], []
    for t in reversed(range(len(gates))):
        v, y, slope = gates[t], ys[t + 1], slopes(gates[t])
        dh = dh + p["d_output"][t]
        dc = (v["o"] * dh + dy) * (1 - y**2) if repaired else v["o"] * dh * (1 - y**2) + dy
        d = {"i": dc * v["g"], "f": dc * ys[t], "g": dc * v["i"], "o": dh * y}
        deltas.insert(0, {k: d[k] * slope[k] for k in GATES})
        dh, dy = sum(deltas[0][k] @ p[f"U_{k}"] for k in GATES), v["f"] * dc
    out = {"output": np.stack(hs[1:]), "h_n": hs[-1], "c_n": ys[-1], "d_h_0": dh, "d_c_0": dy}
    return out | collect(p, deltas, p["x"], hs[:-1])


def tmva(p: Arrays, repaired: bool = False) -> Arrays:
    """An LSTM whose backward pass knows no first state."""
    if np.any(p["d_c_n"]):
        raise ValueError("expected d_c_n = 0")
    hs, cs, gates = [p["h_0"]], [p["c_0"]], []
    for x in p["x"]:
        v = activations(p, x, hs[-1])
        cs.append(v["f"] * cs[-1] + v["i"] * v["g"])
        hs.append(v["o"] * np.tanh(cs[-1]))
        gates.append(v)

    h_before, c_before = hs[:-1], cs[:-1]
    if not repaired:
        h_before, c_before = ([np.zeros_like(s[0]), *s[1:]] for s in (h_before, c_before))
    dh, dc, deltas = p["d_h_n"], np.zeros_like(p["c_0"]), []
    for t in reversed(range(len(gates))):
        v, y, slope = gates[t], np.tanh(cs[t + 1]), slopes(gates[t])
        dh = dh + p["d_output"][t]
        dc = dc + v["o"] * dh * (1 - y**2)
        d = {"i": dc * v["g"], "f": dc * c_before[t], "g": dc * v["i"], "o": dh * y}
        deltas.insert(0, {k: d[k] * slope[k] for k in GATES})
        dh, dc = sum(deltas[0][k] @ p[f"U_{k}"] for k in GATES), v["f"] * dc
    out = {"output": np.stack(hs[1:]), "h_n": hs[-1], "c_n": cs[-1]}
    return out | collect(p, deltas, p["x"], h_before)
