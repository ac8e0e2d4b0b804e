"""The catalogue of mistakes: each can be made, gives wrong numbers wherever it is made, and changes nothing."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import cases
from analysis.mistakes import differences, homes
from analysis.shipping import studies
from numpy_lstm import check, mistakes
from numpy_lstm.cases.case import Case, computed
from numpy_lstm.cases.names import is_gradient
from numpy_lstm.cases.network import Network
from numpy_lstm.mistakes import CATALOGUE, Mistake, Workbench, label, sightings
from numpy_lstm.pages import GRUResetBefore
from reference import chain_rule

SHORT = (3, 4, 1)  # a short, a full and a length-1 row
SETTINGS: dict[str, tuple[str, Network, tuple[int, ...] | None]] = {
    "LSTM": ("torch", Network("LSTM"), None),
    "LSTM, lengths": ("torch", Network("LSTM"), SHORT),
    "LSTM, blocks in another order": ("onnx", Network("LSTM"), None),
    "LSTM, one array per gate": ("tmva", Network("LSTM"), None),
    "LSTM, [h, x]": ("tutorial", Network("LSTM"), None),
    "LSTM, two layers, both directions": ("torch", Network("LSTM", direction="bidirectional", layers=2), SHORT),
    "LSTM, two layers": ("torch", Network("LSTM", layers=2), None),
    "LSTM, projected": ("torch", Network("LSTM", projection=2), None),
    "LSTM, zoneout": ("torch", Network("LSTM", zoneout=True), None),
    "PeepholeLSTM": ("onnx", Network("PeepholeLSTM"), SHORT),
    "PeepholeOldLSTM": ("records", Network("PeepholeOldLSTM"), None),
    "CoupledLSTM": ("records", Network("CoupledLSTM"), None),
    "LayerNormLSTM": ("records", Network("LayerNormLSTM"), None),
    "FullGateLSTM": ("records", Network("FullGateLSTM"), None),
    "NFG": ("records", Network("NFG"), None),
    "GRU": ("torch", Network("GRU"), None),
    "GRU, reversed": ("keras", Network("GRU", direction="reverse"), SHORT),
    "GRUResetBefore": ("keras", Network("GRUResetBefore"), None),
    "RNN": ("torch", Network("RNN"), None),
    "ReLURNN": ("torch", Network("ReLURNN"), None),
}
SIZES = {"T": 4, "B": 3, "D": 4, "H": 6}
SQUARE = SIZES | {"D": 6}
PRECISION = {"computed-in-float32", "rounded-to-float32", "rounded-to-float16"}
FAINT = {*PRECISION, "epsilon-of-another-library", "weight-decay-in-gradient"}


@cache
def bench(setting: str, D: int = 4, cotangents: float = 1.0) -> Workbench:
    layout, network, lengths = SETTINGS[setting]
    rng = np.random.default_rng(0)
    case = Case.random(network, layout, SIZES | {"D": D}, rng, lengths=lengths, cotangents=cotangents)
    for array in case.arrays.values():
        array.flags.writeable = False
    return Workbench(case)


def gap(answer: dict[str, Any], right: dict[str, Any]) -> float:
    return check.worst(check.normwise(answer[k], a) for k, a in right.items())


def some(b: Workbench, shard: int | None = None, among: Iterable[Mistake] = CATALOGUE.values()) -> Iterator[Any]:
    """Mistakes that can be made here, each with its first and its last variant; all of them with --thorough.

    ``shard`` says at which of the first four mistakes to begin; then every fourth is looked at.
    """
    among = list(among)
    for mistake in among if shard is None or cases.THOROUGH else among[shard % 4 :: 4]:
        variants = mistake.conceivable(b)
        for k in variants if cases.THOROUGH else dict.fromkeys([*variants[:1], *variants[-1:]]):
            if mistake.shows(b, k):
                yield mistake, k


def everywhere() -> list[Workbench]:
    """Benches in which every mistake can be made: what only some cases have is in the homes of the kill matrix."""
    return [*(bench(s, D) for s, D in FORMS), *(homes.bench(home, 0) for home in homes.HOMES[12:])]


def test_names() -> None:
    assert len(CATALOGUE) >= 180
    for name, mistake in CATALOGUE.items():
        assert name == mistake.name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert mistake.says
        assert "\n" not in mistake.says
    assert len({m.says for m in CATALOGUE.values()}) == len(CATALOGUE)
    assert sum(len(group) for group in mistakes._LISTS) == len(CATALOGUE), "names are unique"


def test_sightings() -> None:
    """Each names a mistake, a thread, page or file, and what was wrong there; no two say the same."""
    found = sightings()
    assert len({s.address.removeprefix("~") for s in found}) >= 60
    assert {s.mistake for s in found} <= {*CATALOGUE, studies.PAST_TANH.name}
    assert len({(s.mistake, s.address) for s in found}) == len(found)
    assert all(re.fullmatch(r"~?[\w./-]+( [\w./#-]+)*(#\d+)?", s.address) and 10 < len(s.what) < 160 for s in found)
    assert CATALOGUE["cell-carry-dropped"].source != "derived"
    assert {m.source for m in CATALOGUE.values()} > {"derived"}


def test_every_mistake_can_be_made_somewhere() -> None:
    benches = [*everywhere(), bench("LSTM", cotangents=100.0)]
    for mistake in CATALOGUE.values():
        assert any(True for b in benches for _ in some(b, among=[mistake])), mistake.name
    assert label(CATALOGUE["cell-carry-dropped"], "") == "cell-carry-dropped"
    assert label(CATALOGUE["sigmoid-derivative-missing"], "f") == "sigmoid-derivative-missing[f]"


SQUARES = ("LSTM", "GRU", "RNN", "LSTM, two layers")  # D = H: more arrays fit in each other's place
LESS = ("LSTM, blocks in another order", "LSTM, one array per gate", "FullGateLSTM", "NFG", "GRU, reversed")
FORMS = [(s, 4) for s in SETTINGS if cases.THOROUGH or s not in (*LESS, *SQUARES)]
FORMS += [(s, 6) for s in (SETTINGS if cases.THOROUGH else SQUARES)]


@pytest.mark.parametrize(("setting", "D"), FORMS)
def test_every_mistake_is_silent_and_visible(setting: str, D: int) -> None:
    b = bench(setting, D)
    right = {k: a.copy() for k, a in b.right.items()}
    for mistake, variant in some(b, FORMS.index((setting, D))):
        answer = mistake.answer(b, variant)
        assert answer.keys() == right.keys(), label(mistake, variant)
        for k, a in answer.items():
            assert (a.shape, a.dtype) == (right[k].shape, right[k].dtype), label(mistake, variant)
        assert gap(answer, right) > (1e-9 if mistake.name in FAINT else 1e-4), label(mistake, variant)
        changed = [k for k in right if not is_gradient(k) and not np.array_equal(answer[k], right[k])]
        assert bool(changed) <= (mistake.consistent or mistake.name in PRECISION), label(mistake, variant)
    assert all(np.array_equal(a, b.right[k]) for k, a in right.items()), "the workbench is as it was"


def test_a_mistake_that_runs_away_is_silent_too() -> None:
    """An update gate that nothing bounds: infinities, then NaN."""
    b = Workbench(Case.random(Network("GRU"), "torch", SIZES | {"T": 60}, np.random.default_rng(0)))
    mistake = CATALOGUE["another-activation"]
    assert np.isnan(mistake.answer(b, "z=identity")["output"]).any()
    assert mistake.shows(b, "z=identity")


@pytest.mark.parametrize("sizes", [(1, 3, 2, 4), (4, 1, 2, 3), (4, 3, 2, 1), (2, 2, 2, 2), (1, 1, 1, 1)])
def test_no_mistake_is_made_where_it_cannot_be_seen(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    for cell, layout in (("LSTM", "torch"), ("GRU", "keras"), ("RNN", "torch"), ("PeepholeLSTM", "onnx")):
        for direction in ("forward", "bidirectional") if cell == "LSTM" or cases.THOROUGH else ("forward",):
            network = Network(cell, direction=direction)
            b = Workbench(Case.random(network, layout, dict(zip("TBDH", sizes, strict=True)), rng))
            for mistake, variant in some(b, sum(sizes)):
                assert gap(mistake.answer(b, variant), b.right) > 1e-10, f"{label(mistake, variant)} {network}"


def test_mistakes_of_precision_are_for_double_precision() -> None:
    b = Workbench(bench("LSTM").case._replace(dtype="float32"))
    assert not any(CATALOGUE[name].variants(b) for name in ("computed-in-float32", "rounded-to-float32"))


def test_clipping_is_seen_with_large_cotangents() -> None:
    b = bench("LSTM", cotangents=100.0)
    assert {"1", "5"} == set(CATALOGUE["clipped-on-the-way"].variants(b))
    assert CATALOGUE["clipped-on-the-way"].variants(bench("LSTM", cotangents=0.01)) == []


CONSISTENT = [name for name, mistake in CATALOGUE.items() if mistake.consistent]


@pytest.mark.parametrize("name", CONSISTENT)
def test_a_consistent_mistake_agrees_with_its_own_differences(name: str) -> None:
    """Along a random direction, the outputs of the wrong network change as its own gradient says."""
    mistake = CATALOGUE[name]
    b, variant = next((b, k) for b in everywhere() for _, k in some(b, among=[mistake]))
    case = b.case
    rng = np.random.default_rng(2)
    direction = {k: rng.standard_normal(case.arrays[k].shape) for k in differences.gradient_names(case)}

    def outputs(h: float) -> float:
        arrays = {k: case.arrays[k] + h * a for k, a in direction.items()}
        answer = mistake.answer(Workbench(case._replace(arrays=case.arrays | arrays)), variant)
        return sum(float(np.sum(case.arrays[k] * answer[result])) for k, result in _given(case).items())

    slope = (8 * (outputs(1e-4) - outputs(-1e-4)) - (outputs(2e-4) - outputs(-2e-4))) / 12e-4
    answer = mistake.answer(b, variant)
    expected = sum(float(np.sum(a * answer[differences.gradient_names(case)[k]])) for k, a in direction.items())
    assert slope == pytest.approx(expected, rel=1e-7, abs=1e-7)


def _given(case: Case) -> dict[str, str]:
    """The cotangents that come with the case, and the results to which they belong."""
    fields = case.network.of_cell().State._fields
    states = {f"{place}d_{k}_n": f"{place}{k}_n" for place in case.network.places() for k in fields}
    return {"d_output": "output"} | states


PLAIN = ["LSTM", "PeepholeLSTM, no lengths", "CoupledLSTM", "LayerNormLSTM", "GRU", "GRUResetBefore", "RNN"]


@pytest.mark.parametrize("setting", PLAIN)
def test_the_first_wrong_cotangent_is_where_it_is_said_to_be(setting: str) -> None:
    name = setting.split(",")[0]
    layout, network, _ = SETTINGS[name]
    rng = np.random.default_rng(3)
    b = Workbench(Case.random(network, layout, SIZES | {"D": 6}, rng, cotangents=20.0))
    fields = [k for row in chain_rule.rows(b.cell)[::-1] for k in row.targets if k in computed(b.cell)]
    checked = 0
    for mistake, variant in some(b, among=[m for m in CATALOGUE.values() if m.at]):
        answer = mistake.answer(b, variant)
        order = [(k, t) for t in reversed(range(SIZES["T"])) for k in fields]
        first = next((k, SIZES["T"] - 1 - t) for k, t in order if _differ(answer, b.right, f"cotangents.{k}", t))
        field, back = mistake.at
        if b.cell == GRUResetBefore and variant in ("n", "all") and field == "h":
            field, back = "s", 0  # U_n stands in the way from a_n to r h, not to h
        assert first == (field.format(variant), back), label(mistake, variant)
        checked += 1
    assert checked >= 5


def _differ(answer: dict[str, Any], right: dict[str, Any], name: str, t: int) -> bool:
    return check.normwise(answer[name][t], right[name][t]) > 1e-12


def test_a_mistake_with_lengths_is_about_short_rows() -> None:
    about = {
        *("token-mean", "padding-in-the-backward-pass", "last-state-cotangent-of-short-rows-lost"),
        *("cotangents-on-padding-counted", "lengths-ignored", "last-output-as-last-state"),
        *("last-output-held-on-padding", "last-states-in-sorted-order", "first-states-of-sorted-rows"),
    }
    for name in about:
        assert CATALOGUE[name].variants(bench("LSTM, lengths"))
        assert not CATALOGUE[name].variants(bench("LSTM"))


def test_two_mistakes_at_once() -> None:
    """Where one stands in the forward pass, one in the page's backward pass, and one in the results."""
    b = bench("LSTM")
    one, two, three = (CATALOGUE[k] for k in ("output-without-tanh", "cell-carry-dropped", "batch-mean"))
    edits = one.edits(b).and_then(two.edits(b)).and_then(three.edits(b, "parameters"))
    answer = b.answer(edits)
    without = b.answer(one.edits(b).and_then(two.edits(b)))
    assert np.array_equal(answer["output"], one.answer(b)["output"])
    assert gap(without, one.answer(b)) > 1e-3
    for k in b.right:
        factor = 1 / 3 if k.startswith(("d_weight", "d_bias")) else 1.0
        assert np.array_equal(answer[k], factor * without[k]), k
