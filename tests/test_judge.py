"""The judge: names planted mistakes, finds the step and the node, raises no false alarm, and refuses bad answers."""

import gc
import json
import re
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cases
import numpy_lstm as nl
from analysis.mistakes import homes
from analysis.verify import calibration
from cases import seeds
from numpy_lstm import check, mistakes
from numpy_lstm.cases.case import RECORDS, Case, computed
from numpy_lstm.cases.network import Network
from numpy_lstm.judge import rows, suspects
from numpy_lstm.judge.judgement import SCHEMA
from numpy_lstm.judge.locate import first_cotangent
from numpy_lstm.judge.suspects import Lineup
from reference import chain_rule, torch_oracle

NETWORKS = {
    "LSTM": (Network(), "torch"),
    "LSTM, reverse": (Network(direction="reverse"), "onnx"),
    "LSTM, bidirectional": (Network(direction="bidirectional"), "keras"),
    "LSTM, 2 layers": (Network(layers=2), "torch"),
    "LSTM, projected": (Network(projection=2), "torch"),
    "LSTM, zoneout": (Network(zoneout=True), RECORDS),
    "GRU": (Network("GRU"), "torch"),
    "GRU, bidirectional": (Network("GRU", direction="bidirectional"), "keras"),
    "GRUResetBefore": (Network("GRUResetBefore"), "onnx"),
    "RNN": (Network("RNN"), "torch"),
    "PeepholeLSTM": (Network("PeepholeLSTM"), "onnx"),
    "CoupledLSTM": (Network("CoupledLSTM"), RECORDS),
    "LayerNormLSTM": (Network("LayerNormLSTM"), RECORDS),
}


def drawn(name: str, seed: int, ragged: bool = False, **sizes: int) -> Case:
    """A case of random size, T >= 4 and all sizes different, without the truth: our own run stands for it here."""
    network, layout = NETWORKS[name]
    rng = np.random.default_rng(seed)
    T, B, D, H = (int(n) for n in rng.choice(np.arange(4, 9), 4, replace=False))
    sizes = {"T": T, "B": B, "D": D, "H": H} | sizes
    lengths = [sizes["T"] // 2, sizes["T"], 1, *([sizes["T"] - 1] * sizes["B"])][: sizes["B"]] if ragged else None
    case = Case.random(network, layout, sizes, rng, lengths=lengths, cotangents=20.0)
    return case._replace(expected=case.run())


RAGGED = ("LSTM", "LSTM, reverse", "LSTM, bidirectional", "GRU", "RNN")
LINEUP = [(name, False) for name in NETWORKS] + [(name, True) for name in RAGGED]
USUAL = [("LSTM", False), ("LSTM, reverse", True), ("GRU", False), ("LSTM, zoneout", False), ("PeepholeLSTM", False)]


@pytest.mark.parametrize(("name", "ragged"), LINEUP if cases.THOROUGH else USUAL)
def test_it_names_the_planted_mistake(name: str, ragged: bool) -> None:
    """First or tied-first, in at least 95 of 100, from outputs and gradients alone; some by the whole judge.

    A few mistakes, others in each network; all of them with --thorough.
    """
    case = drawn(name, 1, ragged)
    judge = nl.judge.Judge(case)
    lineup = judge._lineup
    made = lineup.made()
    missed, planted = [], 0
    every = 1 if cases.THOROUGH else len(made) // 7
    for n, one in enumerate(made[LINEUP.index((name, ragged)) % every :: every]):
        got = {k: a for k, a in one.answer.items() if "values." not in k and "cotangents." not in k}
        if check.worst(check.normwise(a, case.expected[k]) for k, a in got.items()) < 1e-13:
            continue  # its mark is in what was left out
        planted += 1
        found = lineup.suspects(got)
        if n % 10 == 0:
            judgement = judge(got)
            assert judgement.verdict == "fail", one.label
            assert judgement.suspects[0] == found[0]
        if one.label not in [s.label for s in found if s.left <= found[0].left + 1e-9]:
            missed.append((one.label, found))
    assert planted >= 5
    assert len(missed) <= 0.05 * planted, missed


def test_every_mistake_stood_in_the_lineup() -> None:
    benches = [mistakes.Workbench(drawn(name, 1, ragged)) for name, ragged in LINEUP]
    benches += [mistakes.Workbench(drawn(name, 1, T=6, B=3, D=5, H=5)) for name in ("LSTM", "LSTM, 2 layers")]
    benches += [homes.bench(home, 0) for home in homes.HOMES[12:]]
    for mistake in mistakes.CATALOGUE.values():
        assert any(
            mistake.shows(b, k) for b in benches for k in mistake.conceivable(b)[:1] + mistake.conceivable(b)[-1:]
        )


PAIRED = [("GRU", False, 10)]
WHOLE = [("LSTM", False, 70), ("GRU", False, 50), ("LSTM, bidirectional", True, 40), ("PeepholeLSTM", False, 40)]


def test_it_names_two_mistakes_made_at_once() -> None:
    """In at least 90 of 100 random pairs, from outputs and gradients alone: both, or two that give the same numbers."""
    rng, named, tried, spent = np.random.default_rng(0), 0, 0, []
    for name, ragged, count in WHOLE if cases.THOROUGH else PAIRED:
        case = drawn(name, 1, ragged)
        lineup = Lineup(case)
        made, bench = lineup.made(), lineup.bench
        of = {m.mistake.name: [n for n in made if n.mistake == m.mistake] for m in made}
        for _ in range(count):
            one, two = (of[k][rng.integers(len(of[k]))] for k in rng.choice(list(of), 2, replace=False))
            one, two = sorted((one, two), key=made.index)
            whole = bench.answer(one.mistake.edits(bench, one.variant).and_then(two.mistake.edits(bench, two.variant)))
            got = {k: a for k, a in whole.items() if "values." not in k and "cotangents." not in k}
            if not all(_apart(got, m.answer) for m in (one, two)) or not _apart(got, lineup.truth):
                continue  # one of them hides the other
            start = time.process_time()
            found = lineup.suspects(got)
            spent.append(time.process_time() - start)
            tried += 1
            named += any({one.label, two.label} <= set(s.label.split(" + ")) or s.left < 1e-9 for s in found)
    assert tried >= 0.8 * sum(count for *_, count in (WHOLE if cases.THOROUGH else PAIRED))
    assert named >= (0.9 if cases.THOROUGH else 0.7) * tried
    assert np.median(spent) < 1.0


def _apart(got: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(check.worst(check.normwise(a, other[k]) for k, a in got.items()) > 1e-6)


def test_it_tells_the_rows_of_an_unknown_mistake() -> None:
    """Each tag that a mistake of the LSTM names is among those that are told, and of two mistakes both."""
    case = drawn("LSTM", 2)
    bench = mistakes.Workbench(case)
    assert rows.wrong_rows(case, bench.right, bench.right) == []
    of = {m: tags for m in mistakes.CATALOGUE.values() if (tags := set(re.findall(r"\bL\d+(?=')", m.says)))}
    found = [(m, m.conceivable(bench)[-1:]) for m in of]
    found = [(m, k[0]) for m, k in found if k and m.shows(bench, k[0])]
    assert len(found) >= 40
    for m, variant in found if cases.THOROUGH else found[::4]:
        told = rows.wrong_rows(case, m.answer(bench, variant), bench.right)
        assert told, m.name
        assert of[m] & set(re.findall(r"L\d+", told[0])) or "-" in m.says, (m.name, told)
    one, two = (mistakes.CATALOGUE[k].edits(bench, v) for k, v in (("do-from-cell", ""), ("carry-doubled", "c")))
    answer = bench.answer(one.and_then(two))
    told = ["rows that are wrong, given the answer's own cotangents: L9', L11'"]
    assert rows.wrong_rows(case, answer, bench.right) == told
    assert told[0] in nl.judge.judge(case, answer).notes
    with_values = bench.answer(mistakes.CATALOGUE["output-without-tanh"].edits(bench))
    assert rows.wrong_rows(case, with_values, bench.right) == [
        "rows that are wrong, given the answer's own values: L10"
    ]


@pytest.mark.parametrize("page", [p for p in nl.PAGES if p.carries], ids=str)
def test_the_rows_are_those_of_the_page(page: nl.Page) -> None:
    case = Case.random(Network(page), RECORDS, {"T": 4, "B": 2, "D": 3, "H": 5}, np.random.default_rng(0))
    assert [row.tag for row in rows.rows(page)] == [row.tag for row in chain_rule.rows(page)]
    right = case.run()
    assert rows.wrong_rows(case, right, right) == []


def test_it_passes_our_own_run_with_every_array() -> None:
    for name in NETWORKS:
        case = drawn(name, 3, True)._replace(expected={})
        judgement = nl.judge.judge(case, case.run())
        assert judgement.verdict == "pass", f"{judgement}"
        assert not judgement.suspects
        assert judgement.value is None
        assert judgement.cotangent is None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("network", "shift"),
    [
        (Network(), {}),
        (Network(direction="bidirectional", layers=2), {}),
        (Network("GRU", direction="bidirectional"), {}),
        (Network("RNN", layers=2), {}),
        (Network(projection=3), {}),
        (Network(), {"b_f": 10.0}),
        (Network(), {"b_g": 8.0}),
        (Network("GRU"), {"b_z": 10.0}),
    ],
)
def test_torch_is_not_failed(network: Network, shift: dict[str, float], dtype: str) -> None:
    for seed in seeds(3, 1):
        for cotangents in (1e-6, 1.0, 1e3):
            case = Case.random(
                network, "torch", {"T": 9, "B": 3, "D": 4, "H": 5}, np.random.default_rng(seed), lengths=[4, 9, 1],
                shift=shift, cotangents=cotangents,
            )._replace(dtype=dtype)  # fmt: skip
            judgement = nl.judge.judge(case, torch_oracle.answer(case))
            if shift and dtype == "float32":  # there torch loses more than half its digits, or all of them
                assert {row.reason for row in judgement.report if row.verdict == "cannot tell"} <= {"cancellation"}
                assert judgement.verdict != "fail", f"{judgement}"
            else:
                assert judgement.verdict == "pass", f"{judgement}"
            assert judgement.dtype == dtype
    if shift and dtype == "float64":
        assert any("loses digits" in note and "numpy-lstm has K" in note for note in judgement.notes)


def test_float32_answers_to_a_float64_case_are_judged_as_float32() -> None:
    case = drawn("LSTM", 0)
    single = torch_oracle.answer(case._replace(dtype="float32"))
    assert nl.judge.judge(case, single).verdict == "pass"
    promised = nl.judge.judge(case, {k: a.astype(np.float64) for k, a in single.items()})
    assert promised.verdict == "fail"
    assert {row.reason for row in promised.report if row.verdict == "fail"} == {"single-precision"}
    assert promised.suspects[0].label.startswith("computed-in-float32")


def test_it_finds_the_step_and_the_node_and_is_quick() -> None:
    """T=20, B=4, H=7, cotangents of every step given; localisation of every mistake that says where it is."""
    case = Case.random(Network(), "torch", {"T": 20, "B": 4, "D": 5, "H": 7}, np.random.default_rng(0), cotangents=20.0)
    case = case._replace(expected=case.run())
    bench, judge = mistakes.Workbench(case), nl.judge.Judge(case)
    located = 0
    for mistake in [m for m in mistakes.CATALOGUE.values() if m.at][:: 1 if cases.THOROUGH else 8]:
        if not (variants := mistake.variants(bench)):
            continue
        variant = variants[-1]
        judgement = judge(mistake.answer(bench, variant))
        field, back = mistake.at
        assert judgement.cotangent is not None, mistake.name
        found = (judgement.cotangent.name, judgement.cotangent.step)
        assert found == (f"cotangents.{field.format(variant)}", 19 - back), mistake.name
        located += 1
    assert located >= 8


def test_locating_is_quick() -> None:
    case = Case.random(Network(), "torch", {"T": 20, "B": 4, "D": 5, "H": 7}, np.random.default_rng(0))
    case = case._replace(expected=case.run())
    bench = mistakes.Workbench(case)
    answer = mistakes.CATALOGUE["cell-carry-dropped"].answer(bench, "")
    report, paths = nl.judge.judge(case, answer).report, case.textbook_paths()
    paths = {k: paths.get(k, np.ones(1)) for k in answer}
    start = time.process_time()
    first_cotangent(case, answer, case.expected, paths, report)
    assert time.process_time() - start < 0.2


def test_a_mistake_in_one_row_at_one_step() -> None:
    case = drawn("LSTM", 5, T=8, B=4)
    answer = dict(case.expected)
    answer["cotangents.a_f"] = answer["cotangents.a_f"].copy()
    answer["cotangents.a_f"][3, 2] *= 1 + 1e-8
    answer["values.c"] = answer["values.c"].copy()
    answer["values.c"][5, 1] *= 1 + 1e-8
    judgement = nl.judge.judge(case, answer)
    assert judgement.cotangent[:3] == ("cotangents.a_f", 3, (2,))
    assert judgement.value[:3] == ("values.c", 5, (1,))
    assert "cotangents.a_f at step 3, batch row 2: off by" in str(judgement)


def test_without_cotangents_of_steps_dx_tells_the_step() -> None:
    for direction, step in (("forward", 6), ("reverse", 1)):
        case = drawn("LSTM", 6, T=8)
        case = case._replace(network=Network(direction=direction))
        case = case._replace(expected=case.run())
        bench = mistakes.Workbench(case)
        answer = mistakes.CATALOGUE["hidden-carry-dropped"].answer(bench, "")
        judgement = nl.judge.judge(case, {"d_x": answer["d_x"]})
        assert (judgement.cotangent.name, judgement.cotangent.step) == ("d_x", step)


def test_blocks_and_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "PAIRS", 0)  # no two mistakes give such answers: the search would take seconds
    case = drawn("LSTM", 7)
    answer = {k: a.copy() for k, a in case.expected.items() if k.startswith("d_")}
    H = case.sizes["H"]
    answer["d_weight_ih_l0"][2 * H : 3 * H] *= 2
    judge = nl.judge.Judge(case)
    judgement = judge(answer)
    rows = {row.name: row.verdict for row in judgement.report}
    assert [rows[f"d_weight_ih_l0[W_{k}]"] for k in "ifgo"] == ["pass", "pass", "fail", "pass"]
    assert "d_weight_ih_l0[W_g]" in str(judgement)
    assert "d_weight_hh_l0[U_g]" not in str(judgement)

    W, U = case.expected["d_weight_ih_l0"], case.expected["d_weight_hh_l0"].reshape(4, H, H)
    looks = judge({"d_weight_ih_l0": W / case.sizes["B"]}).patterns
    assert looks["d_weight_ih_l0"] == [f"{1 / case.sizes['B']:.6g} times the truth = 1/B"]
    looks = judge({"d_weight_hh_l0": U[[1, 0, 2, 3]].reshape(4 * H, H)}).patterns
    assert looks["d_weight_hh_l0"] == ["U_i holds the gradient of U_f, U_f holds the gradient of U_i"]
    looks = judge({"d_h_0": case.expected["d_c_0"]}).patterns
    assert looks["d_h_0"] == ["the truth of d_c_0"]
    rnn = drawn("RNN", 0)
    looks = nl.judge.judge(rnn, {"d_weight_hh_l0": rnn.expected["d_weight_hh_l0"].T}).patterns
    assert looks["d_weight_hh_l0"] == ["the truth transposed"]


def test_what_no_catalogue_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "PAIRS", 1800 if cases.THOROUGH else 200)
    case = drawn("LSTM", 8)
    rng = np.random.default_rng(0)
    judgement = nl.judge.judge(case, {k: a + rng.standard_normal(a.shape) for k, a in case.expected.items()})
    assert judgement.verdict == "fail"
    assert judgement.suspects == []
    assert "no single mistake of the catalogue" in str(judgement)


def test_chaotic_weights() -> None:
    """Large weights: the judge says that rounding the inputs moves the truth, and how far, and allows for no more."""
    sizes = {"T": 60, "B": 2, "D": 5, "H": 7}
    case = Case.random(Network(), "torch", sizes, np.random.default_rng(2), scale=8 * np.sqrt(7))
    judge = nl.judge.Judge(case)
    judgement = judge(torch_oracle.answer(case))
    assert judgement.verdict == "pass", f"{judgement}"
    assert any("forward errors dominate" in note for note in judgement.notes)
    wrong = {k: (1 + 1e-8) * a for k, a in case.run().items()}
    assert judge.report(wrong).verdict == "fail"


@pytest.mark.parametrize("T", [80] if cases.THOROUGH else [])
def test_weights_at_which_nothing_can_be_told(T: int) -> None:
    sizes = {"T": T, "B": 2, "D": 5, "H": 16}
    case = Case.random(Network("RNN"), "torch", sizes, np.random.default_rng(2), scale=10.0)
    assert nl.judge.judge(case, torch_oracle.answer(case)).verdict == "cannot tell"
    assert nl.judge.judge(case, {k: 1.5 * a for k, a in case.run().items()}).verdict == "fail"


def test_each_component_has_the_best_of_its_bounds() -> None:
    """Of torch's answer no single bound holds for all of an array; each of its components meets one by far."""
    rng, sizes = np.random.default_rng(0), {"T": 2, "B": 1, "D": 16, "H": 4}
    case = Case.random(Network(), "torch", sizes, np.random.default_rng(1))
    for k, a in case.arrays.items():
        scale = 10 / np.sqrt(a.shape[1]) if "weight" in k and "d_" not in k else 0.25 if k == "h_0" else 1.0
        case.arrays[k] = (scale * rng.standard_normal(a.shape)).astype(np.float32).astype(float)
    case.arrays["x"] = np.abs(case.arrays["x"])
    judgement = nl.judge.judge(case, torch_oracle.answer(case))
    assert judgement.verdict == "pass", f"{judgement}"


def test_no_answer_is_wrong_to_a_damaged_case() -> None:
    """A fault in the expected results is not noise, and no fault of the answer."""
    case = drawn("LSTM", 4)
    for damage, off in ((1e-9, 1e-8), (5e-10, 8e-9), (1e-3, 0.0)):
        judge = nl.judge.Judge(case._replace(expected=case.expected | {"d_x": (1 + damage) * case.expected["d_x"]}))
        answer = case.expected | {"d_x": (1 + off) * case.expected["d_x"]}
        assert {row.reason for row in judge.report(answer) if row.verdict != "pass"} == {"damaged-case"}
        for wrong in ({"d_h_0": 2 * case.expected["d_h_0"]}, {"d_x": np.nan * case.expected["d_x"]}):
            assert judge.report(answer | wrong).verdict == "fail"
    judgement = judge(answer)
    assert judgement.verdict == "cannot tell"
    assert any("damaged" in note for note in judgement.notes)


def test_a_judge_is_freed() -> None:
    case = drawn("RNN", 0)
    judge = nl.judge.Judge(case)
    judge(case.expected | {"d_x": 2 * case.expected["d_x"]})
    seen = weakref.ref(judge)
    del judge
    gc.collect()
    assert seen() is None


def test_a_large_case_is_quick_and_its_truth_wide() -> None:
    """H = 256, no truth given: a right answer passes, one number off by 1e-10 fails; 50 digits would take a minute."""
    case = Case.random(Network(), "torch", {"T": 4, "B": 2, "D": 64, "H": 256}, np.random.default_rng(0))
    answer = {k: a for k, a in case.run().items() if "values." not in k and "cotangents." not in k}
    start = time.process_time()
    judge = nl.judge.Judge(case)
    assert judge(answer).verdict == "pass"
    answer["d_weight_hh_l0"] = answer["d_weight_hh_l0"].copy()
    median = np.argsort(np.abs(answer["d_weight_hh_l0"]), axis=None)[answer["d_weight_hh_l0"].size // 2]
    answer["d_weight_hh_l0"].flat[median] *= 1 + 1e-10
    assert judge.report(answer).verdict == "fail"
    if np.finfo(np.longdouble).nmant >= 63:
        assert judge.case.about["truth"]["arithmetic"] == "longdouble"
        assert time.process_time() - start < 5


def test_calibration() -> None:
    """Other orders of summation are right, and no mistake passes; the full count is a command: see docs/judging.md."""
    found, misjudged = calibration.rates(5, 350 if cases.THOROUGH else 4)
    assert not misjudged
    assert sum(n for (_, what, _), n in found.items() if what == "right") >= 6 * 4
    assert sum(n for (_, what, verdict), n in found.items() if (what, verdict) == ("wrong", "fail")) > 0


def test_calibration_tells_what_is_misjudged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibration, "wrong_answers", lambda case, _: [("right", case.run())])
    monkeypatch.setattr(
        calibration, "right_answers", lambda case: [("wrong", {k: 2 * a for k, a in case.run().items()})]
    )
    failed = calibration.run(tmp_path, 0, 1)
    assert [line.partition(",")[0] for line in failed] == ["fail: wrong", "pass: right"]


def test_json(tmp_path: Path) -> None:
    case = drawn("LSTM", 9)
    bench = mistakes.Workbench(case)
    judgement = nl.judge.judge(case, mistakes.CATALOGUE["cell-carry-dropped"].answer(bench, ""))
    said = json.loads(json.dumps(judgement.to_dict(), allow_nan=False))
    assert said["schema"] == SCHEMA
    assert said["verdict"] == "fail"
    assert said["first_wrong"]["cotangent"]["name"] == "cotangents.c"
    assert said["suspects"][0]["label"] == "cell-carry-dropped"
    assert {row["name"] for row in said["report"]["rows"]} >= set(case.expected)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "the answer has no arrays; expected output, h_n, c_n, d_x, d_h_0, d_c_0, d_weight_ih_l0"),
        ([], "the answer is a list; expected arrays by name, or a file of them"),
        ({"d_x": None}, r"d_x is None; expected an array \(torch leaves .grad None where no gradient arrived"),
        ({"dx": np.ones(3)}, "dx is not expected by case"),
        ({"d_x": np.ones(3)}, r"d_x has shape \(3,\); expected \(\d, \d, \d\)"),
        ({"d_x": "right"}, "d_x has dtype"),
        ({"d_x": np.ma.ones(3)}, r"d_x is a numpy.ma.MaskedArray; expected a plain array: .filled\(0\) makes one"),
        ({"d_x": np.array(None)}, "d_x has dtype object"),
        ({"d_x": np.ones(2, complex)}, "d_x has dtype complex128"),
    ],
)
def test_bad_answers(answer: dict, says: str) -> None:
    with pytest.raises(check.CaseError, match=says):
        nl.judge.judge(drawn("LSTM", 0), answer)


def test_no_case() -> None:
    with pytest.raises(check.CaseError, match=r"^case is a dict; expected a Case, or the file of one$"):
        nl.judge.judge({}, {})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", ["", ".json", ".npz", ".safetensors"])
def test_numbers_that_are_not_finite_are_wrong(bad: float, suffix: str, tmp_path: Path) -> None:
    """And the array is named, in memory and from every kind of file."""
    case = drawn("LSTM", 0)
    wrong = case.expected["d_x"].copy()
    wrong[2, 1, :2] = bad
    answer: Any = case.expected | {"d_x": wrong}
    if suffix:
        answer = nl.cases.files.write_answer(tmp_path / f"answer{suffix}", answer)
    judgement = nl.judge.judge(case, answer)
    rows = {row.name: (row.verdict, row.reason) for row in judgement.report if "[" not in row.name}
    assert judgement.verdict == "fail"
    assert rows.pop("d_x") == ("fail", "not-finite")
    assert {verdict for verdict, _ in rows.values()} == {"pass"}
    assert judgement.cotangent[:3] == ("d_x", 2, (1,))
    assert f"d_x has 2 numbers that are not finite, of {wrong.size}" in str(judgement)
    json.dumps(judgement.to_dict(), allow_nan=False)


def test_a_mistake_is_named_beside_numbers_that_are_not_finite() -> None:
    case = drawn("LSTM", 9)
    answer = mistakes.CATALOGUE["cell-carry-dropped"].answer(mistakes.Workbench(case), "")
    judgement = nl.judge.judge(case, answer | {"output": np.nan * answer["output"]})
    assert judgement.suspects[0].label == "cell-carry-dropped"


def test_what_is_missing_leaves_no_verdict() -> None:
    """Of outputs and gradients each is asked for; what is wrong is wrong, whatever is missing."""
    case = drawn("LSTM, 2 layers", 0)
    asked = {k: a for k, a in case.expected.items() if "values." not in k and "cotangents." not in k}
    assert len(asked) == 18
    assert nl.judge.judge(case, asked).verdict == "pass"
    judge = nl.judge.Judge(case)
    for left_out in list(asked)[:: 1 if cases.THOROUGH else 5]:
        given = {k: a for k, a in asked.items() if k != left_out}
        judgement = judge(given)
        assert (judgement.verdict, judgement.reason, judgement.absent) == ("cannot tell", "not given", [left_out])
        assert f"not given, so not judged: {left_out} (to judge a part alone, say --partial" in str(judgement)
    assert judgement.to_dict()["reason"] == "not given"
    with pytest.raises(AssertionError, match=r"^cannot tell\n\nCANNOT TELL \(not given\): "):
        nl.judge.assert_gradients(case, given)
    for passing in (nl.judge.judge(case, given, partial=True), nl.judge.Judge(case, partial=True)(given)):
        assert (passing.verdict, passing.reason) == ("pass", "")
    assert nl.judge.assert_gradients(case, given, partial=True).absent == [left_out]
    wrong = judge({"output": 2 * case.expected["output"]})
    assert (wrong.verdict, wrong.reason) == ("fail", "")
    small = case._replace(expected={"output": case.expected["output"]})
    assert nl.judge.judge(small, {"output": small.expected["output"]}).verdict == "cannot tell"


def test_every_value_of_a_step_can_be_given() -> None:
    case = drawn("PeepholeLSTM", 0)
    assert {f"{kind}.{k}" for k in computed(case.network.of_cell()) for kind in ("values", "cotangents")} <= set(
        case.expected
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_jax_is_not_failed(dtype: str) -> None:
    """Run where JAX is installed (it is no part of the test extra: 600 MB)."""
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    for seed in range(3):
        case = drawn("LSTM", seed)._replace(dtype=dtype)
        stored = case.names()
        with jax.enable_x64(True):
            given = {k: jnp.asarray(a, dtype) for k, a in case.arrays.items()}
            leaves = {k: a for k, a in given.items() if not k.startswith("d_")}

            def loss(leaves: dict, given: dict = given, stored: tuple = stored) -> tuple:
                def step(state: tuple, x: object) -> tuple:
                    h, c = state
                    W, U, b, b2 = (leaves[k] for k in stored)
                    i, f, g, o = jnp.split(x @ W.T + h @ U.T + b + b2, 4, axis=1)
                    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                    h = jax.nn.sigmoid(o) * jnp.tanh(c)
                    return (h, c), h

                (h, c), out = jax.lax.scan(step, (leaves["h_0"], leaves["c_0"]), leaves["x"])
                total = sum((given[d] * a).sum() for d, a in (("d_output", out), ("d_h_n", h), ("d_c_n", c)))
                return total, {"output": out, "h_n": h, "c_n": c}

            (_, values), gradients = jax.value_and_grad(loss, has_aux=True)(leaves)
            answer = values | {f"d_{k}": a for k, a in gradients.items()}
            judgement = nl.judge.judge(case, {k: np.asarray(a) for k, a in answer.items()})
        assert judgement.verdict == "pass", f"{judgement}"
        assert judgement.dtype == dtype
