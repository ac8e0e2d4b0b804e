"""The command line: what it prints, what it writes, and its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm import cli, mistakes
from numpy_lstm.cases import files
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.network import Network


@pytest.fixture
def case(tmp_path: Path) -> Path:
    made = Case.random(Network(), "torch", {"T": 5, "B": 3, "D": 4, "H": 6}, np.random.default_rng(0))
    files.write_case(tmp_path / "case.json", nl.cases.truth.fill(made))
    return tmp_path / "case.json"


def answered(case: Path, factor: float, **dtype: str) -> Path:
    """An answer file beside the case, its gradients alone, times a factor."""
    expected = files.read_case(case).expected
    path = case.parent / "answer.npz"
    files.write_answer(path, {k: factor * a for k, a in expected.items() if k.startswith("d_")}, **dtype)
    return path


def test_status(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["judge", str(case), str(answered(case, 1.0))]) == 2
    assert capsys.readouterr().out.startswith("CANNOT TELL (not given)")
    assert cli.main(["judge", str(case), str(answered(case, 1.0)), "--partial"]) == 0
    assert capsys.readouterr().out.startswith("PASS")
    files.write_answer(case.parent / "whole.json", files.read_case(case).expected)
    assert cli.main(["judge", str(case), str(case.parent / "whole.json")]) == 0
    assert cli.main(["judge", str(case), str(answered(case, np.nan))]) == 1
    assert "d_x has 60 numbers that are not finite, of 60" in capsys.readouterr().out
    assert cli.main(["judge", str(case), str(answered(case, 0.5)), "--json", str(case.parent / "out.json")]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("FAIL")
    assert "0.5 times the truth" in printed
    assert json.loads((case.parent / "out.json").read_text(encoding="utf-8"))["schema"] == "numpy-lstm/judgement/1"
    assert cli.main(["judge", str(case), str(answered(case, 0.5)), "--markdown"]) == 1
    assert "| d_x " in capsys.readouterr().out


def test_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chaotic network: what comes out depends on roundings."""
    sizes = {"T": 80, "B": 2, "D": 5, "H": 16}
    chaotic = Case.random(Network("RNN"), "torch", sizes, np.random.default_rng(2), scale=10.0)
    files.write_case(tmp_path / "case.npz", nl.cases.truth.fill(chaotic))
    files.write_answer(tmp_path / "answer.npz", chaotic.run())
    assert cli.main(["judge", str(tmp_path / "case.npz"), str(tmp_path / "answer.npz")]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith("CANNOT TELL")
    assert "forward errors dominate" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["judge", "CASE", "missing.json"],
        ["judge", "missing.json", "CASE"],
        ["judge", "CASE", "CASE"],
        ["judge", "CASE"],
        ["judge", "CASE", "CASE", "--seed", "-1"],
        ["vectors", "CASE", "--cell", "LSTM"],
        ["vectors", "DIR", "--cell", "ABC"],
        ["vectors", "DIR", "--layout", "abc"],
        ["vectors", "DIR", "--cell", "GRU", "--layout", "haiku"],
        ["vectors", "DIR", "--dtype", "int8"],
        ["mistakes", "--cell", "GRU", "--projection", "2"],
        ["mistakes", "--cell", "LSTM", "--layers", "0"],
        ["unheard-of"],
        [],
    ],
)
def test_bad_input(arguments: list[str], case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = {"CASE": str(case), "DIR": str(case.parent / "set")}
    try:
        status = cli.main([places.get(a, a) for a in arguments])
    except SystemExit as left:
        status = left.code
    assert status == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not (case.parent / "set").exists()


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["mistakes"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in mistakes.CATALOGUE)
    assert printed.endswith(f"{len(mistakes.CATALOGUE)} mistakes\n")
    assert cli.main(["mistakes", "--cell", "GRU", "--direction", "bidirectional", "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20
    assert all(float(line.split()[0]) > 0 for line in lines)


def test_a_set_of_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vectors", str(tmp_path / "set"), "--cell", "RNN", "--layout", "keras", "--format", "npz"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert all(path.exists() for path in written)
    cases = [files.read_case(path) for path in written if path.suffix == ".npz"]
    assert len(cases) >= 3
    for made in cases:
        assert nl.judge.judge(made, made.run()).verdict == "pass", "arrays that the file leaves out are judged too"


def test_every_command_has_help_and_a_seed() -> None:
    for name in ("judge", "vectors", "mistakes", "doctor"):
        done = subprocess.run(
            [sys.executable, "-m", "numpy_lstm.cli", name, "--help"], capture_output=True, text=True, check=True
        )
        assert "--seed" in done.stdout
