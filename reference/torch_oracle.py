"""PyTorch autograd as an oracle. The only file that imports torch; nothing of numpy_lstm needs it.

Two routes: the cells as tutorials write them, from tensor operations on [h, x] with one matrix per gate, and
``torch.nn.LSTM`` / ``torch.nn.RNN`` with its weights stacked i, f, g, o and two biases.
"""

from collections.abc import Callable
from typing import Any

import torch

from numpy_lstm import check, tree


def tensor_cell(problem: check.Problem) -> check.Point:
    """Autograd through a cell written from tensor operations."""
    return _gradient(problem, {"RNN": _rnn_states, "LSTM": _lstm_states}[problem.cell.name])


def module(problem: check.Problem) -> check.Point:
    """Autograd through torch.nn. With cotangents for every c_t, which it does not return, it is called step by step."""
    return _gradient(problem, {"RNN": _nn_rnn_states, "LSTM": _nn_lstm_states}[problem.cell.name])


def truncated(problem: check.Problem, length: int) -> check.Point:
    """The gradient with the state detached before every ``length``-th step."""

    def states(point: check.Point, _: bool) -> Any:
        run, state = [], point.first
        for t in range(point.xs.shape[0]):
            if t and t % length == 0:
                state = type(state)(*(a.detach() for a in state))
            step = _lstm_states(point._replace(xs=point.xs[t : t + 1], first=state), True)
            run.append(step)
            state = type(state)(*(a[-1] for a in step))
        return type(state)(*(torch.cat(column) for column in zip(*run, strict=True)))

    return _gradient(problem, states)


def _gradient(problem: check.Problem, states: Callable[[check.Point, bool], Any]) -> check.Point:
    point = tree.map(lambda a: torch.tensor(a, requires_grad=True), problem.point)
    given = tree.map(torch.tensor, problem.cotangents)
    every = getattr(given.states, "c", None) is not None
    out = states(point, every)
    loss = sum((d * a).sum() for d, a in zip(given.states, out, strict=True) if d is not None)
    loss = loss + sum((d * a[-1]).sum() for d, a in zip(given.last, out, strict=True) if d is not None)
    loss.backward()
    return tree.map(lambda a: a.grad.numpy(), point)


def _rnn_states(point: check.Point, _: bool) -> Any:
    p, h = point.params, point.first.h
    W = torch.cat([p.U, p.W], dim=1)
    hs = []
    for x in point.xs:
        h = torch.tanh(torch.cat([h, x], dim=1) @ W.T + p.b)
        hs.append(h)
    return type(point.first)(h=torch.stack(hs))


def _lstm_states(point: check.Point, _: bool) -> Any:
    p, (h, c) = point.params, (point.first.h, point.first.c)
    W = {k: torch.cat([getattr(p, f"U_{k}"), getattr(p, f"W_{k}")], dim=1) for k in "fiog"}
    hs, cs = [], []
    for x in point.xs:
        hx = torch.cat([h, x], dim=1)
        a = {k: hx @ W[k].T + getattr(p, f"b_{k}") for k in "fiog"}
        c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
        h = torch.sigmoid(a["o"]) * torch.tanh(c)
        hs.append(h)
        cs.append(c)
    return type(point.first)(h=torch.stack(hs), c=torch.stack(cs))


def _nn_rnn_states(point: check.Point, _: bool) -> Any:
    p = point.params
    layer = torch.nn.RNN(*p.W.shape[::-1], dtype=p.W.dtype)
    hs, _last = _call(layer, (p.W, p.U, p.b), point.xs, point.first.h[None])
    return type(point.first)(h=hs)


def _nn_lstm_states(point: check.Point, every: bool) -> Any:
    p = point.params
    layer = torch.nn.LSTM(*p.W_i.shape[::-1], dtype=p.W_i.dtype)
    weights = [torch.cat([getattr(p, f"{kind}_{k}") for k in "ifgo"]) for kind in "WUb"]
    state = (point.first.h[None], point.first.c[None])
    hs, cs = [], []
    for x in point.xs if every else [point.xs]:
        out, state = _call(layer, weights, x[None] if every else x, state)
        hs.append(out)
        cs.append(state[1])
    return type(point.first)(h=torch.cat(hs), c=torch.cat(cs))


def _call(layer: torch.nn.Module, weights: Any, xs: Any, state: Any) -> Any:
    """Run the layer on our tensors in place of its own parameters (second bias zero), so that gradients reach them."""
    W, U, b = weights
    names = {"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b, "bias_hh_l0": torch.zeros_like(b)}
    return torch.func.functional_call(layer, names, (xs, state))
