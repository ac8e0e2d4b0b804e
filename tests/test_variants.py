"""Equations that other libraries ship: clipped cells and outputs, layer norms elsewhere; against torch operations."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import numpy_lstm as nl
from cases import SHIPPED
from numpy_lstm import activations, check, judge
from numpy_lstm.activations import clip
from numpy_lstm.cases import Case, Network

T, B, D, H, R = 5, 3, 2, 4, 2


def norm(a: Any, eps: float) -> Any:
    return torch.nn.functional.layer_norm(a, a.shape[-1:], eps=eps)


def joined(p: Any, kind: str) -> Any:
    return torch.cat([getattr(p, f"{kind}{k}") for k in "ifgo"])


def clamped(limit: float, through: bool) -> Any:
    return lambda a: a + (a.clamp(-limit, limit) - a).detach() if through else a.clamp(-limit, limit)


def clipped(limit: float, through: bool = False) -> Any:
    cut = clamped(limit, through)

    def step(p: Any, x: Any, h: Any, c: Any) -> Any:
        i, f, g, o = (x @ joined(p, "W_").T + h @ joined(p, "U_").T + joined(p, "b_")).chunk(4, 1)
        c = cut(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
        m = torch.sigmoid(o) * torch.tanh(c)
        return (cut(m @ p.M.T) if hasattr(p, "M") else m), c

    return step


def layer_normed(eps: float, summed: bool = False, cell: str = "carried") -> Any:
    def step(p: Any, x: Any, h: Any, c: Any) -> Any:
        u, w = x @ joined(p, "W_").T, h @ joined(p, "U_").T
        if summed:
            a = torch.cat([norm(k, eps) for k in (u + w).chunk(4, 1)], 1) * joined(p, "gain_") + joined(p, "b_")
        else:
            a = joined(p, "gain_x") * norm(u, eps) + joined(p, "gain_h") * norm(w, eps) + joined(p, "b_")
        i, f, g, o = a.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        z = c if cell == "plain" else p.gain_c * norm(c, eps) + p.shift_c
        return torch.sigmoid(o) * torch.tanh(z), (z if cell == "carried" else c)

    return step


def loose(eps: float) -> Any:
    return replace(activations.TOGETHER, eps=eps)


PAIRS = {  # what ships where; ours, and the same in torch operations
    "ELMo": (
        nl.projected(nl.ClippedLSTM.having(c=clip(0.3)), R).having(out=clip(0.1)),
        lambda p, x, h, c: clipped_output(p, x, h, c, False),
    ),
    "ELMo, .data": (
        nl.projected(nl.ClippedLSTM.having(c=clip(0.3, True)), R).having(out=clip(0.1, True)),
        lambda p, x, h, c: clipped_output(p, x, h, c, True),
    ),
    "LSTMBlockCell": (nl.ClippedLSTM.having(c=clip(0.4, straight_through=True)), clipped(0.4, True)),
    "clip": (nl.ClippedLSTM.having(c=clip(0.4)), clipped(0.4)),
    "haste": (nl.LayerNormLSTM, layer_normed(1e-5, cell="output")),
    "PyTorch custom_lstms": (nl.LayerNormCarriedLSTM, layer_normed(1e-5)),
    "TensorFlow Addons": (nl.LayerNormCarriedLSTM.having(norm=loose(1e-3), norm_c=loose(1e-3)), layer_normed(1e-3)),
    "DI-engine": (nl.LayerNormCarriedLSTM.having(norm_c=activations.UNCHANGED), layer_normed(1e-5, cell="plain")),
    "LayerNormBasicLSTMCell": (nl.LayerNormSumLSTM, layer_normed(1e-12, summed=True)),
}


def clipped_output(p: Any, x: Any, h: Any, c: Any, through: bool) -> Any:
    """ELMo: the cell at 0.3, the projection at 0.1."""
    plain = type("Params", (), {k: a for k, a in p._asdict().items() if k != "M"})
    m, c = clipped(0.3, through)(plain, x, h, c)
    return clamped(0.1, through)(m @ p.M.T), c


@pytest.mark.parametrize("name", PAIRS)
def test_against_torch(name: str) -> None:
    page, step = PAIRS[name]
    (params, xs, first), (states, last) = check.Problem.random(page, T, B, D, H, np.random.default_rng(0))[1:3]
    if "DI" in name:
        params = params._replace(gain_c=np.ones(H), shift_c=np.zeros(H))
    run = nl.forward(page, params, xs, first)
    back = nl.backward(page, params, run, dstates=states, dlast=last)
    p, s, x = (nl.tree.map(lambda a: torch.tensor(a, requires_grad=True), a) for a in (params, first, xs))
    (h, c), loss = s, torch.zeros(())
    for t in range(T):
        h, c = step(p, x[t], h, c)
        loss = loss + (torch.tensor(states.h[t]) * h).sum() + (torch.tensor(states.c[t]) * c).sum()
        assert check.normwise([run.values.h[t], run.values.c[t]], [h.detach(), c.detach()]) <= 1e-14
    loss = loss + (torch.tensor(last.h) * h).sum() + (torch.tensor(last.c) * c).sum()
    loss.backward()
    own = dict(nl.tree.leaves((back.dparams, back.dfirst, back.dxs)))
    theirs = {k: a.grad for k, a in nl.tree.leaves((p, s, x))}
    seen = {k: a for k, a in theirs.items() if a is not None}  # where the cell is plain, it has no gain
    assert len(theirs) - len(seen) == 2 * ("DI" in name)
    assert check.normwise({k: own[k] for k in seen}, seen) <= (1e-12 if "Basic" in name else 1e-14)
    if "clip" in name or "ELMo" in name:
        s_, limit = run.values.s, 0.4 if name == "clip" else 0.3
        assert 0.05 < np.mean(np.abs(s_) > limit) < 0.95


@pytest.mark.parametrize("page", [*SHIPPED, PAIRS["ELMo"][0]], ids=str)
def test_by_other_routes(page: nl.Page) -> None:
    problem = check.Problem.random(page, 4, 2, D, H, np.random.default_rng(1))
    paths = problem.absolute_paths()
    stepped = check.complex_step(problem.loss, problem.point)
    assert check.K(problem.gradient(), stepped, paths) <= 16
    assert check.K(problem.gradient(), check.truth.gradient(problem, 40), paths) <= 16


@pytest.mark.parametrize("page", SHIPPED, ids=str)
def test_a_case_of_one_is_judged(page: nl.Page) -> None:
    case = Case.random(
        Network(page.name), "records", {"T": 3, "B": 2, "D": D, "H": 3}, np.random.default_rng(0), scale=4
    )
    case = case._replace(expected=case.run())
    assert judge.judge(case, case.run(lambda a: a.astype(np.float32))).verdict == "pass"
    other = {"ClippedLSTM": {"c": clip(0.2, True)}}.get(page.name, {"y": activations.IDENTITY})
    wrong = case._replace(network=Network(page.having(**other))).run()
    assert judge.Judge(case).report(wrong).verdict == "fail"
