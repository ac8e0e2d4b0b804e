"""Cases at corners are judged: right answers pass, what people do wrong there is named, no mistake breaks on them."""

from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from cases import seeds
from numpy_lstm import judge, mistakes
from numpy_lstm.activations import clip
from numpy_lstm.cases import Case, Network
from numpy_lstm.mistakes import vectors
from numpy_lstm.mistakes.recipes import RECIPES

SIZES = {"T": 5, "B": 3, "D": 2, "H": 4}
CLIPPED = nl.ClippedLSTM.having("ClippedLSTM at 0.2", c=clip(0.2))
READ, RESET = np.random.default_rng(0).random((2, 5, 3)) < np.array([0.7, 0.4])[:, None, None]
HOLES = np.arange(5)[:, None] != np.array([2, 1, 3])
NAMED: dict[str, tuple[Network, dict[str, Any]]] = {
    "dropout-mask-missing-in-backward": (Network("LSTM", layers=2), {"drop": 0.5}),
    "cell-cotangents-ignored": (Network("LSTM"), {"cells": True}),
    "reset-ignored": (Network("LSTM"), {"lengths": nl.Steps(READ, RESET)}),
    "reset-ignored-in-backward": (Network("LSTM"), {"lengths": nl.Steps(READ, restart=RESET)}),
    "masked-steps-reset": (Network("LSTM"), {"lengths": nl.Steps(HOLES)}),
    "clip-taken-for-identity": (Network(CLIPPED), {}),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_people_do_wrong_there_is_named(name: str) -> None:
    network, options = NAMED[name]
    case = Case.random(network, "records", SIZES, np.random.default_rng(0), **options)
    case = case._replace(expected=case.run())
    bench, mistake = mistakes.Workbench(case), mistakes.CATALOGUE[name]
    ((variant),) = mistake.conceivable(bench)
    answer = mistake.answer(bench, variant)
    assert judge.Judge(case).report(answer).verdict == "fail"
    if list(NAMED).index(name) in seeds(6, 1):
        assert judge.judge(case, answer).suspects[0].label.startswith(name)


CORNERS = list(dict.fromkeys(["no-bias", "reset", *(recipe.name for recipe in RECIPES if recipe.corner)]))


@pytest.mark.parametrize("stem", CORNERS[: len(seeds(len(CORNERS), 2))])
def test_right_answers_pass_and_every_mistake_can_be_tried(stem: str) -> None:
    (case,) = vectors.cases("LSTM", "torch", only=[stem], mistakes=False)
    one = judge.Judge(case)
    for dtype in (np.float64, np.float32):
        report = one.report({k: a.astype(dtype) for k, a in case.run(lambda a, d=dtype: a.astype(d)).items()})
        assert report.verdict == "pass"
    bench = mistakes.Workbench(case)
    shown = 0
    for mistake, variant in mistakes.possible(bench):
        answer = mistake.answer(bench, variant)
        shown += any(vectors._differs(answer[k], a, 1e-10) for k, a in case.expected.items())
    assert shown >= 40


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_judged_by_its_own_roundoff(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    sizes, rng = {"T": 6, "B": 3, "D": 4, "H": 5}, np.random.default_rng(0)
    case = Case.random(Network("LSTM"), "torch", sizes, rng, dtype=dtype)
    case = case._replace(expected={k: a for k, a in case.run().items() if "." not in k})
    module = torch.nn.LSTM(4, 5).to(getattr(torch, dtype))
    given = {k: torch.tensor(a).to(getattr(torch, dtype)) for k, a in case.arrays.items()}
    module.load_state_dict({k: given[k] for k in case.names()})
    x, h, c = (given[k].requires_grad_() for k in ("x", "h_0", "c_0"))
    output, (h_n, c_n) = module(x, (h[None], c[None]))
    values = {"output": output, "h_n": h_n[0], "c_n": c_n[0]}
    sum((given[f"d_{k}"] * a).sum() for k, a in values.items()).backward()
    answer = {k: a.detach() for k, a in values.items()} | {"d_x": x.grad, "d_h_0": h.grad, "d_c_0": c.grad}
    answer |= {f"d_{k}": p.grad for k, p in module.named_parameters()}
    asked, free = judge.Judge(case), judge.Judge(case._replace(dtype="float64"))
    assert asked.report(answer).verdict == free.report(answer).verdict == "pass"
    assert free.report({k: a.double().numpy() for k, a in answer.items()}).verdict == "fail"
    assert asked.report(answer | {"d_weight_hh_l0": -answer["d_weight_hh_l0"]}).verdict != "pass"
