"""PyTorch autograd as an oracle; nothing of numpy_lstm needs torch.

Two routes: the cells as tutorials write them (``torch_cells``), and ``torch.nn`` with its weights stacked i, f, g, o
(r, z, n) and two biases.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch

from numpy_lstm import check, layouts, tree
from numpy_lstm.cases.names import GRADIENT, parse

from .torch_cells import ONE_STEP, functions_of, scan, step


def read_state_dict(path: Path) -> dict[str, Any]:
    """The tensors that ``torch.save(model.state_dict(), path)`` wrote, as NumPy arrays; runs no code of the file."""
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in loaded.items()}


def tensor_cell(problem: check.Problem) -> check.Point:
    """Autograd through a cell written from tensor operations."""
    return _gradient(problem, lambda point, _: scan(problem, point))


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


def truncated(problem: check.Problem, length: int) -> check.Point:
    """Through the tensor-operation cell with the state detached before every ``length``-th step."""
    return _gradient(problem, lambda point, _: scan(problem, point, detach=length))


def hessian_vector(cell: Any, point: Any, lengths: Any, targets: Any, direction: Any) -> Any:
    """H v of half the squared distance of outputs and last states from ``targets``, by double backward.

    The network is layers of directions of ``cell`` from tensor operations, each row read by itself within its length:
    ``point`` is (params, xs, first) with params[layer][direction]. Padding counts for nothing.
    """
    leaves = tree.map(lambda a: torch.tensor(a, requires_grad=True), point)
    params, xs, first = leaves
    functions = functions_of(cell)
    loss = torch.zeros((), dtype=xs.dtype)
    for b, n in enumerate(lengths):
        rows = [xs[t, b : b + 1] for t in range(n)]
        for layer, (directions, states) in enumerate(zip(params, first, strict=True)):
            both = []
            for k, (p, state) in enumerate(zip(directions, states, strict=True)):
                s, found = tree.map(lambda a, b=b: a[b : b + 1], state), []
                for x in rows[::-1] if k else rows:
                    s = step(cell.equations, functions, p, x, s)
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
    ways = ("", "_reverse")[: network.ways]
    leaf = {k: torch.tensor(a, dtype=getattr(torch, case.dtype)) for k, a in case.arrays.items() if k != "lengths"}
    leaf = {k: a if parse(k).role == GRADIENT else a.requires_grad_() for k, a in leaf.items()}
    layer = getattr(torch.nn, network.page.name)(
        *(sizes["D"], sizes["H"], network.layers),
        bidirectional=network.ways == 2,
        dtype=getattr(torch, case.dtype),
        **({"proj_size": network.projection} if network.projection else {}),
    )
    weights = {
        k.replace("_l0", f"_l{n}{way}"): leaf[place + k]
        for place, (n, way) in zip(network.places(), product(range(network.layers), ways), strict=True)
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
