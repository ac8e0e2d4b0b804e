"""Pages as tutorials write them, from PyTorch's tensor operations: the forward pass alone, for ``torch_oracle``."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional
from torch.nn.functional import layer_norm

from numpy_lstm import check, tree
from numpy_lstm.activations import Activation
from numpy_lstm.shapes import apart

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda a: a,
    "one": torch.ones_like,
}


def _attention(p: Any, x: Any) -> Any:
    scores = torch.einsum("tbn,bsn->tbs", x.x @ p.W_a.T, x.memory) + x.bias
    read = torch.einsum("tbs,bsn->tbn", scores.softmax(-1), x.memory)
    return torch.tanh(torch.cat([read, x.x], -1) @ torch.cat([p.W_r, p.W_x], -1).T + p.b)


ONE_STEP: dict[str, Callable[[Any, Any], Any]] = {
    "embedding": lambda p, x: functional.embedding(x, p.W),
    "linear": lambda p, x: functional.linear(x, p.W, p.b),
    "dropout": lambda _, x: x.mask * x.x,
    "cross_entropy": lambda _, x: functional.cross_entropy(x.x.movedim(-1, 1), x.target, reduction="none"),
    "attention": _attention,
    "squared_error": lambda _, x: functional.mse_loss(x.x, x.target, reduction="none").sum(-1),
}


def functions_of(cell: Any) -> dict[str, Callable[[Any], Any]]:
    """The activations of a page, torch's own, by field."""
    return {k: FUNCTIONS[f.name] for k, f in cell.core.functions._asdict().items() if isinstance(f, Activation)}


def scan(problem: check.Problem, point: check.Point, detach: int = 0) -> Any:
    """Every state of a run, stacked over time."""
    cell, functions = problem.cell, functions_of(problem.cell)
    state, states, (xs, held) = point.first, [], apart(point.xs)
    for t in range(next(a.shape[0] for _, a in tree.leaves(xs))):
        if detach and t % detach == 0 and t:
            state = tree.map(lambda a: a.detach(), state)
        x = tree.map(lambda a, t=t: a[t], xs)
        if len(cell.reads) == 1 or held:
            state = step(cell.equations, functions, point.params, x._replace(**held) if held else x, state)
        else:
            new = step(cell.equations, functions, point.params, x.x, state)
            state = type(state)(*(torch.lerp(n, s, k) for n, s, k in zip(new, state, x[1:], strict=True)))
        states.append(state)
    return tree.map(lambda *steps: torch.stack(steps), *states)


def step(equations: str, functions: Any, p: Any, x: Any, state: Any) -> Any:
    """The state after one step of the page of these equations, projected where it has an M."""
    new = type(state)(**CELLS[equations](p, functions, x, **state._asdict()))
    return new._replace(h=new.h @ p.M.T) if "M" in p._fields else new


def _gates(p: Any, hx: Any, names: str) -> dict[str, Any]:
    """Pre-activations from [h, x] concatenated, one matrix per gate."""
    joined = {k: torch.cat([getattr(p, f"U_{k}"), getattr(p, f"W_{k}")], dim=1) for k in names}
    return {k: hx @ joined[k].T + getattr(p, f"b_{k}") for k in names}


def _rnn(p: Any, F: Any, x: Any, h: Any) -> dict[str, Any]:
    return {"h": F["h"](torch.cat([h, x], dim=1) @ torch.cat([p.U, p.W], dim=1).T + p.b)}


def _lstm(p: Any, F: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "fiog")
    c = F["f"](a["f"]) * c + F["i"](a["i"]) * F["g"](a["g"])
    return {"h": F["o"](a["o"]) * F["y"](c), "c": c}


def _peephole_lstm(p: Any, F: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "fiog")
    c = F["f"](a["f"] + p.p_f * c) * c + F["i"](a["i"] + p.p_i * c) * F["g"](a["g"])
    return {"h": F["o"](a["o"] + p.p_o * c) * F["y"](c), "c": c}


def _peephole_old_lstm(p: Any, F: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "fiog")
    o = F["o"](a["o"] + p.p_o * c)
    c = F["f"](a["f"] + p.p_f * c) * c + F["i"](a["i"] + p.p_i * c) * F["g"](a["g"])
    return {"h": o * F["y"](c), "c": c}


def _coupled_lstm(p: Any, F: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "fog")
    c = torch.lerp(F["g"](a["g"]), c, F["f"](a["f"]))
    return {"h": F["o"](a["o"]) * F["y"](c), "c": c}


def _full_gate_lstm(p: Any, F: Any, x: Any, h: Any, c: Any, i: Any, f: Any, o: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "fiog")
    previous = torch.cat([i, f, o], dim=1)
    gate = {}
    for k in "ifo":
        R = torch.cat([getattr(p, f"R_{s}{k}") for s in "ifo"], dim=1)
        gate[k] = F[k](a[k] + previous @ R.T)
    c = gate["f"] * c + gate["i"] * F["g"](a["g"])
    return {"h": gate["o"] * F["y"](c), "c": c} | gate


def _layer_norm_lstm(p: Any, F: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
    W, U, b, gain_x, gain_h = (
        torch.cat([getattr(p, f"{kind}{k}") for k in "ifgo"]) for kind in ("W_", "U_", "b_", "gain_x", "gain_h")
    )
    u, w = x @ W.T, h @ U.T
    a = layer_norm(u, u.shape[1:], gain_x, b) + layer_norm(w, w.shape[1:], gain_h)
    i, f, g, o = (F[k](part) for k, part in zip("ifgo", a.chunk(4, dim=1), strict=True))
    c = f * c + i * g
    return {"h": o * F["y"](layer_norm(c, c.shape[1:], p.gain_c, p.shift_c)), "c": c}


def _gru(p: Any, F: Any, x: Any, h: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "rz")
    n = F["n"](x @ p.W_n.T + p.b_n + F["r"](a["r"]) * (h @ p.U_n.T + p.b_hn))
    return {"h": torch.lerp(n, h, F["z"](a["z"]))}


def _gru_reset_before(p: Any, F: Any, x: Any, h: Any) -> dict[str, Any]:
    a = _gates(p, torch.cat([h, x], dim=1), "rz")
    n = _gates(p, torch.cat([F["r"](a["r"]) * h, x], dim=1), "n")["n"]
    return {"h": torch.lerp(F["n"](n), h, F["z"](a["z"]))}


def _additive_attention_lstm(p: Any, F: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
    scores = F["n"](x.keys + functional.linear(h, p.W_q)[:, None]) @ p.v + x.bias
    read = torch.bmm(scores.softmax(1)[:, None], x.memory)[:, 0]
    both = {f"W_{k}": torch.cat([getattr(p, f"W_{k}"), getattr(p, f"V_{k}")], dim=1) for k in "ifgo"}
    return _lstm(SimpleNamespace(**p._asdict() | both), F, torch.cat([x.x, read], dim=1), h, c)


CELLS: dict[str, Callable[..., dict[str, Any]]] = {
    "additive_attention_lstm": _additive_attention_lstm,
    "rnn": _rnn,
    "lstm": _lstm,
    "peephole_lstm": _peephole_lstm,
    "peephole_old_lstm": _peephole_old_lstm,
    "coupled_lstm": _coupled_lstm,
    "full_gate_lstm": _full_gate_lstm,
    "layer_norm_lstm": _layer_norm_lstm,
    "gru": _gru,
    "gru_reset_before": _gru_reset_before,
}
