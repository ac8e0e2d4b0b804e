"""What a form is, the register of all, and the equations behind the products, which the frameworks share."""

from collections.abc import Callable
from typing import Any

import numpy as np

import numpy_lstm as nl

B, D, H, R, T = 4, 5, 7, 3, 6
LSTM, PEEPHOLE, GRU, BEFORE, RNN = nl.LSTM, nl.PeepholeLSTM, nl.GRU, nl.GRUResetBefore, nl.RNN
PEEPHOLE_OLD, COUPLED = nl.PeepholeOldLSTM, nl.CoupledLSTM
PROJECTED = nl.projected(nl.LSTM, R)
Arrays = dict[str, Any]
Step = Callable[[Arrays, Any, Any, Any], tuple[Any, ...]]


def sigmoid(a: Any) -> Any:
    """The logistic function, for complex numbers too."""
    return 1 / (1 + np.exp(-a))


# Of each layout and cell: shapes by name, and one step (h, c) written as the framework writes it.
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


def fused(name: str, order: str, W: str, U: str, b: str, columns: bool = True) -> None:
    """One product with x, one with h, one bias: an LSTM, split into gates of this order, or an RNN, of none.

    Matrices are (D, 4H) by ``columns``, else (4H, D).
    """

    def rows(a: Arrays, x: Any, h: Any) -> Any:
        return (x @ a[W] + h @ a[U] if columns else x @ a[W].T + h @ a[U].T) + a[b]

    n = max(1, len(order)) * H
    shapes: dict[str, tuple[int, ...]] = {W: (D, n) if columns else (n, D), U: (H, n) if columns else (n, H), b: (n,)}
    if order:
        gates = form(name, LSTM, **shapes)
        gates(lambda a, x, h, c: lstm(**dict(zip(order, split(rows(a, x, h)), strict=True)), c=c))
    else:
        form(name, RNN, **shapes)(lambda a, x, h, c: (np.tanh(rows(a, x, h)),))


def joined(name: str, order: str, w: str, b: str, forget_bias: float = 0, peepholes: tuple[str, ...] = ()) -> None:
    """One product of [x, h] with a matrix (D + H, 4H); what is added to f is not stored."""

    def gates(a: Arrays, x: Any, h: Any) -> dict[str, Any]:
        z = dict(zip(order, split(np.concatenate([x, h], axis=1) @ a[w] + a[b]), strict=True))
        return z | {"f": z["f"] + forget_bias}

    shapes: dict[str, tuple[int, ...]] = {w: (D + H, 4 * H), b: (4 * H,)}
    form(name, LSTM, **shapes)(lambda a, x, h, c: lstm(**gates(a, x, h), c=c))
    if peepholes:

        @form(name, PEEPHOLE, **shapes, **dict.fromkeys(peepholes, (H,)))
        def step(a: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
            p_i, p_f, p_o = (a[k] for k in peepholes)
            return peephole(**gates(a, x, h), c=c, p_i=p_i, p_f=p_f, p_o=p_o)
