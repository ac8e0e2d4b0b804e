"""What a diagnosis says, and that it is true: who takes its advice has a longer memory."""

import re
from typing import Any

import numpy as np
import pytest
from test_flow import CELLS, LENGTHS, seen

import numpy_lstm as nl
from numpy_lstm import flow, tree


@pytest.mark.parametrize(
    ("bias", "verdict", "word"), [(0.0, "vanishes", "Open the forget gate"), (8.0, "keeps", "Nothing to change")]
)
def test_a_diagnosis_says_what_to_change(bias: float, verdict: str, word: str) -> None:
    p = _loss_at_the_end(nl.LSTM, {"b_f": bias})
    found = flow.diagnose(p)
    assert (found.verdict, found.signal) == (verdict, "c")
    assert found.advice.startswith(word)
    assert f"dL/dc {verdict}" in str(found)
    assert found.to_dict()["rate"] == found.rate
    gates = flow.saturation(p)
    assert gates["mean"][gates.index.index("f")] == pytest.approx(1 / (1 + np.exp(-bias)), abs=0.05)


def test_other_verdicts() -> None:
    exploding = _loss_at_the_end(nl.RNN, scale=20.0, x=0.0)
    assert "Clip" in flow.diagnose(exploding).advice
    assert flow.diagnose(exploding).verdict == "explodes"
    assert "orthogonal" in flow.diagnose(_loss_at_the_end(nl.RNN)).advice
    with pytest.raises(TypeError, match="RNN has no gates"):
        flow.saturation(exploding)
    silent = exploding._replace(cotangents=tree.scale(0, exploding.cotangents))
    with pytest.raises(ValueError, match="nothing arrives at the last step"):
        flow.diagnose(silent)


GATES = {"GRU": "rz", "GRUResetBefore": "rz", "CoupledLSTM": "fo", "NIG": "fo", "NFG": "io", "NOG": "if"}
GATES |= {"RNN": "", "ReLURNN": "", "MGU": "f", "ChungGRU": "ab"}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_gates_are_those_of_the_page_and_padding_does_not_count(cell: nl.Page) -> None:
    p, _ = seen(cell, LENGTHS)
    inner = re.sub(r"\w+\((\w+).*", r"\1", cell.name)
    if not GATES.get(inner, "ifo"):
        with pytest.raises(
            TypeError, match=f"{cell.name} has no gates: no value of its Trace is the logistic function"
        ):
            flow.saturation(p)
        return
    found = flow.saturation(p)
    assert "".join(found.index) == GATES.get(inner, "ifo")
    here = p.run.alive[..., 0]
    for k, gate in enumerate(found.index):
        values = getattr(p.run.values, gate)[here]
        assert found["mean"][k] == pytest.approx(values.mean(), rel=1e-14)
        assert found["shut"][k] == np.mean(values < 0.1)
        assert not np.any(getattr(p.run.values, gate)[~here])


KEEPS = {"MGU": ("b_f", -1), "ChungGRU": ("bias_b", -1), "GRU": ("b_z", 1), "GRUResetBefore": ("b_z", 1)}
NO_ADVICE = [nl.RNN, nl.ReLURNN, nl.ABLATIONS["NFG"], nl.zoneout(nl.GRU)]


@pytest.mark.parametrize("lengths", [None, [40, 9, 21]], ids=["full", "ragged"])
@pytest.mark.parametrize("cell", [c for c in CELLS if len(c.reads) == 1 and c not in NO_ADVICE], ids=lambda c: c.name)
def test_who_takes_the_advice_has_a_longer_memory(cell: nl.Page, lengths: Any) -> None:
    """The bias that it names, moved as it says, lengthens the half-life; moved the other way, it shortens it."""
    p = _loss_at_the_end(cell, lengths=lengths)
    found = flow.diagnose(p)
    assert found.verdict == "vanishes"
    told = re.search(
        r"(Open|Shut).* gate (\w+): its mean is ([\d.]+), .*; a bias (\w+) near -?log T = (-?[\d.]+)", found.advice
    )
    assert told is not None, found.advice
    verb, gate, mean, bias, value = told.groups()
    field, sign = KEEPS.get(cell.name, ("b_f", 1))
    assert (bias, verb) == (field, "Open" if sign > 0 else "Shut")
    assert float(value) == pytest.approx(sign * np.log(40), abs=0.1)
    values = getattr(p.run.values, gate)
    assert float(mean) == pytest.approx(np.mean(values if lengths is None else values[p.run.alive[..., 0]]), abs=0.005)
    lives = [
        flow.diagnose(_loss_at_the_end(cell, {bias: x}, lengths=lengths)).rate
        for x in (-float(value), 0.0, float(value))
    ]
    assert lives[0] < lives[1] < lives[2], lives


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
def test_only_what_enters_at_the_last_step_is_diagnosed(lengths: Any) -> None:
    """A loss at every step too, or a layer above, keeps no gradient of the last step alive."""
    p, _ = seen(nl.LSTM, lengths)
    ends = [19] * 4 if lengths is None else [n - 1 for n in lengths]
    end = tree.map(lambda a: a[ends, range(4)], p.given)
    first = nl.LSTM.State(h=p.run.values.h_prev[0], c=p.run.values.c_prev[0])
    (alone,) = flow.passes(nl.LSTM, p.params, p.run.values.x, first, lengths, dlast=end)
    assert flow.diagnose(p)[1:] == pytest.approx(flow.diagnose(alone)[1:])
    assert np.median(flow.norms(p)["c"][0]) > 10 * np.median(flow.norms(alone)["c"][0])


def test_what_the_page_does_not_say_gets_no_advice() -> None:
    closed = nl.LSTM.having("half", f=nl.activations.affine(0.0, 0.5))
    assert (
        flow.diagnose(_loss_at_the_end(closed)).advice == "No advice: no gate alone decides how much of c a step keeps."
    )
    p = _loss_at_the_end(nl.LSTM, {"b_f": 9.0})
    told = flow.diagnose(p._replace(cotangents=_shrinking(p.cotangents)))
    assert told.verdict == "vanishes"
    assert told.advice == "No advice: the forget gate f, 1.00 on average, keeps c for 40 steps already."
    hard = nl.LSTM.having("hard", f=nl.activations.hard_sigmoid())
    told = flow.diagnose(_loss_at_the_end(hard))
    assert told.advice.startswith("Open the forget gate f: its mean is 0.5")
    assert "bias" not in told.advice, "log T is that of the logistic function"


def _shrinking(cotangents: Any) -> Any:
    return tree.map(lambda a: a * 0.5 ** np.arange(len(a), 0, -1)[:, None, None], cotangents)


def _loss_at_the_end(
    cell: nl.Page, biases: Any = None, scale: float = 1.0, x: float = 1.0, lengths: Any = None
) -> flow.Pass:
    g = np.random.default_rng(0)
    params = nl.init.uniform(cell.Params, cell.sizes(16, D=4), g)
    params = params._replace(**{k: scale * getattr(params, k) for k in params._fields if k[0] == "U"})
    params = params._replace(**{k: 0 * getattr(params, k) for k in params._fields if k[0] == "b"})
    params = params._replace(**{k: np.full(16, value) for k, value in (biases or {}).items()})
    if x == 0:
        params = params._replace(U=2 * np.linalg.qr(g.standard_normal((16, 16)))[0])
    last = cell.partial_state(h=g.standard_normal((3, cell.R or 16)))
    return flow.passes(cell, params, x * g.standard_normal((40, 3, 4)), lengths=lengths, dlast=last)[0]
