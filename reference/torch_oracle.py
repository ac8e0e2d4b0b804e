"""PyTorch autograd as an oracle. The only file that imports torch; nothing of numpy_lstm needs it.

Two routes: the cells as tutorials write them, from tensor operations, and ``torch.nn`` with its weights stacked i, f,
g, o (r, z, n) and two biases.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional
from torch.nn.functional import layer_norm

from numpy_lstm import check, layouts, tree
from numpy_lstm.activations import Activation
from numpy_lstm.cases.names import GRADIENT, parse
from numpy_lstm.shapes import apart

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda a: a,
    "one": torch.ones_like,
}


def read_state_dict(path: Path) -> dict[str, Any]:
    """The tensors that ``torch.save(model.state_dict(), path)`` wrote, as NumPy arrays; runs no code of the file."""
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in loaded.items()}


def tensor_cell(problem: check.Problem) -> check.Point:
    """Autograd through a cell written from tensor operations."""
    return _gradient(problem, lambda point, _: _scan(problem, point))


def module(problem: check.Problem) -> check.Point:
    """Autograd through torch.nn. With cotangents for every c_t, which it does not return, it is called step by step."""
    states = {"rnn": _nn_rnn, "lstm": _nn_lstm, "gru": _nn_gru}[problem.cell.equations]
    return _gradient(problem, lambda point, every: states(problem, point, every))


def one_step(problem: check.Problem) -> tuple[Any, check.Point]:
    """Outputs, and autograd, of torch.nn.functional's counterpart of a page that carries nothing."""
    point = tree.map(lambda a: torch.tensor(a, requires_grad=True), problem.point)
    xs = problem._replace(codes=tree.map(torch.tensor, problem.codes)).inputs(point)
    out = ONE_STEP[problem.cell.equations](point.params, xs)
    (out * torch.tensor(problem.cotangents.states[0])).sum().backward()
    return out.detach().numpy(), tree.map(lambda a: a.grad.numpy(), point)


ONE_STEP: dict[str, Callable[[Any, Any], Any]] = {
    "embedding": lambda p, x: functional.embedding(x, p.W),
    "linear": lambda p, x: functional.linear(x, p.W, p.b),
    "dropout": lambda _, x: x.mask * x.x,
    "cross_entropy": lambda _, x: functional.cross_entropy(x.x.movedim(-1, 1), x.target, reduction="none"),
    "attention": lambda p, x: _attention(p, x),
    "squared_error": lambda _, x: functional.mse_loss(x.x, x.target, reduction="none").sum(-1),
}


def _attention(p: Any, x: Any) -> Any:
    scores = torch.einsum("tbn,bsn->tbs", x.x @ p.W_a.T, x.memory) + x.bias
    read = torch.einsum("tbs,bsn->tbn", scores.softmax(-1), x.memory)
    return torch.tanh(torch.cat([read, x.x], -1) @ torch.cat([p.W_r, p.W_x], -1).T + p.b)


def truncated(problem: check.Problem, length: int) -> check.Point:
    """Through the tensor-operation cell with the state detached before every ``length``-th step."""
    return _gradient(problem, lambda point, _: _scan(problem, point, detach=length))


def hessian_vector(cell: Any, point: Any, lengths: Any, targets: Any, direction: Any) -> Any:
    """H v of half the squared distance of outputs and last states from ``targets``, by double backward.

    The network is layers of directions of ``cell`` from tensor operations, each row read by itself within its length:
    ``point`` is (params, xs, first) with params[layer][direction]. Padding counts for nothing.
    """
    leaves = tree.map(lambda a: torch.tensor(a, requires_grad=True), point)
    params, xs, first = leaves
    functions = {k: FUNCTIONS[f.name] for k, f in cell.core.functions._asdict().items() if isinstance(f, Activation)}
    loss = torch.zeros((), dtype=xs.dtype)
    for b, n in enumerate(lengths):
        rows = [xs[t, b : b + 1] for t in range(n)]
        for layer, (directions, states) in enumerate(zip(params, first, strict=True)):
            both = []
            for k, (p, state) in enumerate(zip(directions, states, strict=True)):
                s, found = tree.map(lambda a, b=b: a[b : b + 1], state), []
                for x in rows[::-1] if k else rows:
                    s = _projected(CELLS[cell.equations], functions, p, x, s)
                    found.append(s.h)
                both.append(found[::-1] if k else found)
                for a, target in zip(s, targets[1][layer][k], strict=True):
                    loss = loss + ((a - torch.tensor(target[b : b + 1])) ** 2).sum() / 2
            rows = [torch.cat(each, dim=1) for each in zip(*both, strict=True)]
        for t, y in enumerate(rows):
            loss = loss + ((y - torch.tensor(targets[0][t, b : b + 1])) ** 2).sum() / 2
    flat = [a for _, a in tree.leaves(leaves)]
    gradients = torch.autograd.grad(loss, flat, create_graph=True)
    slope = sum((g * torch.tensor(v)).sum() for g, (_, v) in zip(gradients, tree.leaves(direction), strict=True))
    found = iter(torch.autograd.grad(slope, flat))
    return tree.map(lambda _: next(found).numpy(), leaves)


def _gradient(problem: check.Problem, states: Callable[[check.Point, bool], Any]) -> check.Point:
    point = tree.map(lambda a: torch.tensor(a, requires_grad=True), problem.point)
    given = tree.map(torch.tensor, problem.cotangents)
    out = states(point, getattr(given.states, "c", None) is not None)
    loss = sum((d * a).sum() for d, a in zip(given.states, out, strict=True) if d is not None)
    if given.last is not None:
        loss = loss + sum((d * a[-1]).sum() for d, a in zip(given.last, out, strict=True) if d is not None)
    loss.backward()
    return tree.map(lambda a: torch.zeros_like(a).numpy() if a.grad is None else a.grad.numpy(), point)


def _scan(problem: check.Problem, point: check.Point, detach: int = 0) -> Any:
    """Every state of a run, stacked over time."""
    cell = problem.cell
    own = cell.core.functions._asdict()
    functions = {name: FUNCTIONS[f.name] for name, f in own.items() if isinstance(f, Activation)}
    step = CELLS[cell.equations]
    state, states, (xs, held) = point.first, [], apart(point.xs)
    for t in range(next(a.shape[0] for _, a in tree.leaves(xs))):
        if detach and t % detach == 0 and t:
            state = tree.map(lambda a: a.detach(), state)
        x = tree.map(lambda a, t=t: a[t], xs)
        if len(cell.reads) == 1 or held:
            state = _projected(step, functions, point.params, x._replace(**held) if held else x, state)
        else:
            new = _projected(step, functions, point.params, x.x, state)
            state = type(state)(*(torch.lerp(n, s, k) for n, s, k in zip(new, state, x[1:], strict=True)))
        states.append(state)
    return tree.map(lambda *steps: torch.stack(steps), *states)


def _projected(step: Any, functions: Any, p: Any, x: Any, state: Any) -> Any:
    new = type(state)(**step(p, functions, x, **state._asdict()))
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


def _nn_rnn(problem: check.Problem, point: check.Point, _: bool) -> Any:
    p = point.params
    layer = torch.nn.RNN(*p.W.shape[::-1], nonlinearity=problem.cell.functions.h.name, dtype=p.W.dtype)
    hs, _last = _call(layer, p.W, p.U, p.b, torch.zeros_like(p.b), point.xs, point.first.h[None])
    return type(point.first)(h=hs)


def _nn_gru(_: check.Problem, point: check.Point, __: bool) -> Any:
    p = point.params
    layer = torch.nn.GRU(*p.W_r.shape[::-1], dtype=p.W_r.dtype)
    W, U, b = (torch.cat([getattr(p, f"{kind}_{k}") for k in "rzn"]) for kind in "WUb")
    second = torch.cat([torch.zeros_like(p.b_r), torch.zeros_like(p.b_z), p.b_hn])
    hs, _last = _call(layer, W, U, b, second, point.xs, point.first.h[None])
    return type(point.first)(h=hs)


def _nn_lstm(_: check.Problem, point: check.Point, every: bool) -> Any:
    p = point.params
    layer = torch.nn.LSTM(*p.W_i.shape[::-1], dtype=p.W_i.dtype)
    W, U, b = (torch.cat([getattr(p, f"{kind}_{k}") for k in "ifgo"]) for kind in "WUb")
    state = (point.first.h[None], point.first.c[None])
    hs, cs = [], []
    for x in point.xs if every else [point.xs]:
        out, state = _call(layer, W, U, b, torch.zeros_like(b), x[None] if every else x, state)
        hs.append(out)
        cs.append(state[1])
    return type(point.first)(h=torch.cat(hs), c=torch.cat(cs))


def _call(layer: torch.nn.Module, W: Any, U: Any, b: Any, second: Any, xs: Any, state: Any) -> Any:
    """Run the layer on our tensors in place of its own parameters, so that gradients reach them."""
    names = {"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b, "bias_hh_l0": second}
    return torch.func.functional_call(layer, names, (xs, state))


def ragged(twin: Any, x: Any, lengths: list[int], cotangents: list[Any]) -> list[Any]:
    """output, h_n, c_n, the gradient of x and of each parameter by name, of torch.nn on a packed batch (T,B,D)."""
    options = {"num_layers": twin.num_layers, "bias": twin.bias, "bidirectional": twin.bidirectional}
    if twin.cell.R:
        options["proj_size"] = twin.cell.R
    layer = getattr(torch.nn, type(twin).__name__)(twin.input_size, twin.hidden_size, dtype=torch.float64, **options)
    layer.load_state_dict({name: torch.tensor(a) for name, a in twin.state_dict().items()})
    leaf = torch.tensor(x, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(leaf, torch.tensor(lengths), enforce_sorted=False)
    out, last = layer(packed)
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=len(x))
    values = [output, *(last if isinstance(last, tuple) else (last, None))]
    sum((torch.tensor(d) * a).sum() for d, a in zip(cotangents, values, strict=True) if d is not None).backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in layer.named_parameters()}
    return [*(None if a is None else a.detach().numpy() for a in values), leaf.grad.numpy(), gradients]


def answer(case: Any) -> dict[str, Any]:
    """torch.nn's answer to a ``Case`` in the layout of torch: packed if it has lengths, in the case's dtype.

    Every output and gradient that torch.nn gives, by the names of the case; the cells and cotangents of single steps
    are not among them.
    """
    network, sizes = case.network, case.sizes
    ways = ("", "_reverse") if network.direction == "bidirectional" else ("",)
    leaf = {k: torch.tensor(a, dtype=getattr(torch, case.dtype)) for k, a in case.arrays.items() if k != "lengths"}
    leaf = {k: a if parse(k).role == GRADIENT else a.requires_grad_() for k, a in leaf.items()}
    layer = getattr(torch.nn, network.page.name)(
        *(sizes["D"], sizes["H"], network.layers),
        bidirectional=len(ways) == 2,
        dtype=getattr(torch, case.dtype),
        **({"proj_size": network.projection} if network.projection else {}),
    )
    weights = {
        k.replace("_l0", f"_l{n}{way}"): leaf[place + k]
        for place, (n, way) in zip(
            network.places(), [(n, way) for n in range(network.layers) for way in ways], strict=True
        )
        for k in case.names()
    }
    fields = [k for k in "hc" if f"{network.places()[0]}{k}_0" in leaf]
    first = [torch.stack([leaf[f"{place}{k}_0"] for place in network.places()]) for k in fields]
    xs = leaf["x"]
    if (lengths := case.arrays.get("lengths")) is not None:
        xs = torch.nn.utils.rnn.pack_padded_sequence(xs, torch.tensor(lengths), enforce_sorted=False)
    out, last = torch.func.functional_call(layer, weights, (xs, tuple(first) if len(first) > 1 else first[0]))
    if lengths is not None:
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=sizes["T"])
    values = {"output": out}
    for k, stacked in zip(fields, last if len(fields) > 1 else [last], strict=True):
        values |= {f"{place}{k}_n": a for place, a in zip(network.places(), stacked, strict=True)}

    def gradient(name: str) -> str:
        return str(parse(name)._replace(role=GRADIENT))

    sum((leaf[gradient(k)] * a).sum() for k, a in values.items()).backward()
    gradients = {gradient(k): a.grad for k, a in leaf.items() if a.grad is not None}
    return {k: a.detach().numpy() for k, a in (values | gradients).items()}


def gradcheck(loss: Callable[[list[Any]], float], gradients: list[Any], arrays: list[Any], fast_mode: bool) -> bool:
    """Whether ``torch.autograd.gradcheck``, at its defaults, accepts these gradients of ``loss`` at these arrays.

    Both are NumPy: the loss of a list of arrays, and one gradient for each of them.
    """

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            return torch.tensor(loss([t.detach().numpy() for t in tensors]), dtype=torch.float64)

        @staticmethod
        def backward(ctx: Any, *given: Any) -> Any:
            return tuple(given[0] * torch.tensor(g) for g in gradients)

    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    return bool(torch.autograd.gradcheck(Loss.apply, leaves, fast_mode=fast_mode, raise_exception=False))


def timed(problem: check.Problem, device: str = "cpu") -> Any:
    """Forward and backward of torch.nn with these weights, to be timed: the gradients of x, states, parameters.

    Cotangents of every h and of the last state. Threads as torch finds them in the environment. None if torch has no
    such device.
    """
    cell, (params, xs, first), (states, last) = problem[:3]
    if device == "cuda" and not torch.cuda.is_available():
        return None
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32

    def to(a: Any) -> Any:
        return torch.from_numpy(a).to(device)

    name = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[cell.equations]
    layer = getattr(torch.nn, name)(xs.shape[2], first.h.shape[1], dtype=to(xs).dtype, device=device)
    layer.load_state_dict({k: to(a) for k, a in layouts.dump("torch", params, cell).items()})
    x, *state = (to(a).requires_grad_() for a in (xs, *(s[None] for s in first)))
    given = (to(states.h), *(to(d[None]) for d in last))
    inputs = [x, *state, *layer.parameters()]

    def call() -> list[Any]:
        out, last = layer(x, tuple(state) if len(state) > 1 else state[0])
        return list(torch.autograd.grad((out, *(last if isinstance(last, tuple) else (last,))), inputs, given))

    return call
