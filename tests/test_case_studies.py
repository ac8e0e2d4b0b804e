"""The case studies: what needs no package is run and named; what packages answered is judged as it was recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cases
from analysis.__main__ import main
from analysis.shipping import case_studies, judging, page, recordings, studies
from numpy_lstm import check
from numpy_lstm.cases.names import is_gradient
from numpy_lstm.mistakes import CATALOGUE, Workbench

ROOT = Path(__file__).parent.parent
LOCAL = ["course", "hipsternet", "tmva"]
RUN = LOCAL if cases.THOROUGH else LOCAL[2:]
RECORDED = recordings.read()
NAMED = {
    ("tensorflow", "tape"): "gates-exchanged-in-backward[fg]",
    ("tensorflow", "tape, peepholes"): "gates-exchanged-in-backward[fg]",
    ("tensorflow", "tf.function"): "gates-exchanged-in-backward[fg]",
    ("tensorflow", "BlockLSTMGradV2 by hand"): "right",
    ("tensorflow", "BlockLSTM, tape"): "right",
    ("onnxruntime", "gradient graph, peepholes"): "no-peephole-in-cell",
    ("onnxruntime", "nodes by hand, peepholes"): "no-peephole-in-cell",
    ("onnxruntime", "gradient graph, P of zeros"): "right",
    ("onnxruntime", "gradient graph, no P"): "right",
    ("thinc", "NumpyOps"): "first-step-skipped-new-state-added-to-weights",
    ("thinc", "NumpyOps, zero first state"): "first-step-skipped-new-state-added-to-weights",
    ("thinc", "NumpyOps, one row"): "first-step-skipped-new-state-added-to-weights",
    ("course", "revised table"): "right",
    ("course", "table of circulating solutions"): "truncated-windows[1]",
    ("course", "first notebook"): "steps-apart-biases-of-forget-gate",
    ("course", "forum topic 67533"): "first-df-from-new-cell",
    ("course", "forum topic 8480"): "no single mistake",
    ("course", "cell table"): "right",
    ("course", "forum topic 22398, cell"): "no single mistake",
    ("course", "question of May 2023, cell"): "no single mistake",
    ("hipsternet", "values, against the LSTM"): "tanh-of-cell-carried",
    ("hipsternet", "all, against its own recurrence"): "carry-past-tanh-derivative",
    ("hipsternet", "T = 1, d_c_n = 0, against its own recurrence"): "right",
    ("hipsternet", "put right, against its own recurrence"): "right",
    ("hipsternet", "put right, against the LSTM"): "tanh-of-cell-carried",
    ("tmva", "state carried over"): "initial-state-zero-in-backward",
    ("tmva", "zero first state"): "right",
    ("tmva", "put right"): "right",
}


def names(of: list[Any]) -> list[str]:
    return [f"{study.name}: {trial.what}" for study, trial, *_ in of]


def study(name: str) -> studies.CaseStudy:
    return next(s for s in studies.CASE_STUDIES if s.name == name)


def test_every_trial_is_known() -> None:
    assert {(s.name, trial.what): trial.expected for s in studies.CASE_STUDIES for trial in s.trials} == NAMED
    for s in studies.CASE_STUDIES:
        assert bool(s.script) != (s.answer is not None)
        assert s.requirements.exists() == bool(s.script)


def test_what_needs_no_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["case_studies", *RUN, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for (name, what), label in NAMED.items():
        if name in RUN:
            assert f"{name}, {what} [numpy {np.__version__}]: {label}" in said
    assert "FAILED" not in said
    assert [f.name for f in tmp_path.iterdir()] == ["CASE_STUDIES.md"]
    text = (tmp_path / "CASE_STUDIES.md").read_text(encoding="utf-8")
    assert "**thinc**" in text
    assert text.count("not asked for") == 6 - len(RUN)


@pytest.mark.parametrize("one", RECORDED, ids=names(RECORDED))
def test_the_judge_names_what_was_recorded(one: Any) -> None:
    s, trial, case, answer, versions = one
    assert all(a.dtype == np.float32 for a in answer.values())
    assert set(versions) >= {"numpy"}
    finding = judging.judged(s, trial, case, answer, versions)
    assert finding.said == NAMED[s.name, trial.what]
    wrong, total = judging.gradients(finding)
    assert len(wrong) == (0 if finding.said == "right" else total), "every gradient, or none"
    assert all(verdict == "pass" for k, (_, verdict) in finding.rows.items() if not is_gradient(k))


def test_everything_is_recorded() -> None:
    assert {(s.name, trial.what) for s, trial, *_ in RECORDED} == {k for k in NAMED if k[0] not in LOCAL}
    assert recordings.RECORDED.stat().st_size < 60_000


@pytest.mark.parametrize("one", RECORDED, ids=names(RECORDED))
def test_the_mistake_gives_the_recorded_numbers(one: Any) -> None:
    """To float32's rounding, array by array."""
    _, trial, case, answer, _ = one
    bench = Workbench(case)
    name, _, variant = trial.expected.rstrip("]").partition("[")
    made = bench.right if trial.expected == studies.RIGHT else CATALOGUE[name].answer(bench, variant)
    assert max(check.normwise(a.astype(np.float64), made[k]) for k, a in answer.items()) <= 2e-6


def test_a_missing_package_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["case_studies", "thinc", "tensorflow", "--out", str(tmp_path)]) == 2
    *lines, written, last = capsys.readouterr().out.splitlines()
    assert written.startswith("written to ")
    assert last == "no verdict: case_studies: no case study ran"
    assert [line.partition(" (")[0] for line in lines] == [
        "tensorflow: not run: needs requirements-tensorflow.txt",
        "thinc: not run: needs requirements-thinc.txt",
    ]
    text = (tmp_path / "CASE_STUDIES.md").read_text(encoding="utf-8")
    assert "not run: needs requirements-thinc.txt" in text
    assert "first-step-skipped" not in text, "it is not claimed"


@pytest.mark.parametrize(
    ("message", "status", "heard"),
    [
        ("ModuleNotFoundError: No module named 'thinc'", 2, "thinc: not run: needs requirements-thinc.txt"),
        ("RuntimeError: no", 1, "FAILED: thinc: RuntimeError: no. Written to "),
    ],
)
def test_an_environment_without_the_package_and_a_script_that_fails(
    message: str, status: int, heard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "thinc" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "{message}" >&2\nexit 1\n')
    python.chmod(0o755)
    arguments = ["thinc", "--environments", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["case_studies", *arguments]) == status
    assert heard in capsys.readouterr().out
    assert "first-step-skipped" not in (tmp_path / "out" / "CASE_STUDIES.md").read_text(encoding="utf-8")


def test_another_name_than_expected_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = study("tmva")
    trials = (one.trials[0]._replace(expected="doubled[all]"),)
    monkeypatch.setattr(case_studies, "CASE_STUDIES", (one._replace(trials=trials),))
    assert main(["case_studies", "tmva", "--out", str(tmp_path)]) == 1
    assert "expected doubled[all], heard initial-state-zero-in-backward" in capsys.readouterr().out
    assert "Not as expected" in (tmp_path / "CASE_STUDIES.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["keras"], "error: argument NAME: no case study is called 'keras'; known are tensorflow, onnxruntime, thinc"),
        (["tmva", "--seed", "-1"], "error: argument --seed: '-1' is not a natural number"),
        (["tmva", "--seed", "x"], "error: argument --seed: 'x' is not a natural number"),
        (["tmva", "--out", __file__], "error: "),
    ],
)
def test_bad_input(arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: Any = main(["case_studies", "--out", str(tmp_path), *arguments])
    except SystemExit as left:
        status = left.code
    error = capsys.readouterr().err
    assert status == 3
    assert error.startswith(says)
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: Path, text: str, **_: Any) -> None:
        self.write_bytes(text[: len(text) // 2].encode())
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", half)
    assert main(["case_studies", "tmva", "--out", str(tmp_path)]) == 3
    assert not list(tmp_path.iterdir())


def test_recordings_of_another_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recorded.json"
    path.write_text('{"schema": "other/1"}')
    with pytest.raises(ValueError, match="expected the schema numpy-lstm/recorded/1"):
        recordings.read(path)


def test_the_committed_page_claims_what_ran() -> None:
    """Every trial has its row, with the name that is expected."""
    text = (ROOT / "analysis" / "CASE_STUDIES.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| ")]
    said = {(row[1], row[2]): row[7].partition(" (")[0] for row in rows if (row[1], row[2]) in NAMED}
    assert said == NAMED
    assert "Not as expected" not in text
    assert page.COMMAND in text


def test_software_is_not_asked_for_what_it_cannot_take() -> None:
    bad = {"d_c_n": np.ones((2, 3))}
    with pytest.raises(ValueError, match="expected d_c_n = 0"):
        studies.retyped.tmva(bad)
