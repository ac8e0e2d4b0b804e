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
