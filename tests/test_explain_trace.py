"""A trace says what it says: every printed line is computed again from what is printed."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm import cli
from numpy_lstm.cases import Case, Network, files
from numpy_lstm.explain.trace import Trace, only

ROOT = Path(__file__).parent.parent
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.(\d+))?(?:e([+-]\d+))?")


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def norm(place: float, values: list[float], eps: float) -> float:
    v = np.array(values)
    return (v[int(place) - 1] - v.mean()) / math.sqrt(v.var() + eps)


def norm_back(place: float, d: list[float], values: list[float], eps: float) -> float:
    v, k, N = np.array(values), int(place) - 1, len(values)
    s = math.sqrt(v.var() + eps)
    n = (v - v.mean()) / s
    return float(np.array(d) @ ((np.arange(N) == k) - 1 / N - n * n[k] / N) / s)


KNOWN = {
    "s": sigmoid,
    "ds": lambda a: sigmoid(a) * sigmoid(-a),
    "tanh": math.tanh,
    "dtanh": lambda a: 1 / math.cosh(a) ** 2,
}
KNOWN |= {"norm": norm, "dnorm": norm_back}


def holds(numbers: str, result: str, digits: int) -> bool:
    """Whether the result follows, within half a unit of the last digit of every number, carried through."""
    text = re.sub(r"norm(')?\((\d+); ", r"\1norm(\2, [", numbers).replace("'norm", "dnorm")
    text = re.sub(r"; ([\de.-]+)\)", r"], \1)", text).replace("; ", "], [")
    text = text.replace("σ'", "ds").replace("σ", "s").replace("tanh'", "dtanh").replace("·", "*")
    found = list(NUMBER.finditer(text))
    values = [float(m[0]) for m in found]
    names = iter(range(len(found)))
    code = compile(NUMBER.sub(lambda _: f"z[{next(names)}]", text), "line", "eval")

    def half(m: Any) -> float:  # fewer decimals are all that there are
        return 0.5 * 10.0 ** (int(m[2] or 0) - digits) if len(m[1] or "") == digits else 0.0

    def at(z: list[float]) -> float:
        return float(eval(code, KNOWN | {"z": z}))

    value, last = at(values), NUMBER.search(result)
    carried = sum(abs(at([*values[:k], values[k] + half(m), *values[k + 1 :]]) - value) for k, m in enumerate(found))
    gap = abs(value - float(result.strip("()")))
    return gap <= 1.05 * carried + half(last) + 1e-12 * max(1, abs(value))


def arithmetic(text: str) -> list[tuple[str, str]]:
    """The numbers and the result of every line that has both."""
    found = []
    for line in text.splitlines():
        bare = re.split(r"\s{4}(?=moved|≠|d \S+ = \[|\S+ = \[)", line)[0] if " from " not in line[:14] else line
        parts = [part.strip() for part in bare.split(" = ")]
        if " from " in line[:14] and len(parts) > 1:
            found.append((parts[-1], parts[0].split()[-1]))
        elif len(parts) > 1 and re.fullmatch(r"-?[\d.]+(e-\d+)?", parts[-1]) and re.search(r"^[^\[]*\d", parts[-2]):
            found.append((parts[-2], parts[-1]))
    return found


ZONED = Network("PeepholeLSTM", projection=2, zoneout=True)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    made = Case.random(ZONED, "records", {"T": 4, "B": 3, "D": 2, "H": 3}, rng, lengths=[2, 4, 3], cells=True)
    return files.write_case(tmp_path / "case.json", nl.cases.truth.fill(made))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["trace", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        ([], 90),
        (["--example", "gomez", "--digits", "3"], 90),
        (["--example", "course", "--unit", "3", "--digits", "9"], 40),
        (["--cell", "LayerNormLSTM", "--unit", "2"], 70),
        (["--cell", "GRU", "--sizes", "3,2,4", "--seed", "7"], 100),
        (["--case", "CASE", "--row", "2"], 150),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_every_line_follows_from_what_it_shows(
    arguments: list[str], least: int, case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, *[str(case) if a == "CASE" else a for a in arguments])
    digits = int(arguments[arguments.index("--digits") + 1]) if "--digits" in arguments else 6
    lines = arithmetic(text)
    assert len(lines) >= least
    for numbers, result in lines:
        assert holds(numbers, result, digits), f"{numbers} = {result}"
    for numbers, result in lines[::20]:  # and would not with another last digit but one
        value = float(result.strip("()"))
        if "+" in numbers and len(result) > 6 and "norm" not in numbers:
            assert not holds(numbers, f"{value + 50 * 10.0**-digits:.{digits}f}", digits), numbers


def test_its_numbers_are_those_of_the_passes(case: Path) -> None:
    whole = files.read_case(case)
    for row, T in enumerate([2, 4, 3]):
        trace, answer = Trace(whole, row), only(whole, row).run()
        assert trace.T == T
        for t in range(T):
            for v in trace.values(t):
                np.testing.assert_allclose(v.array, answer[f"values.{v.field}"][t, 0], rtol=1e-12)
            for q in trace.cotangents(t):
                np.testing.assert_allclose(sum(p.array for p in q.parts), q.array, rtol=0, atol=1e-14)
                if (name := f"cotangents.{q.field}") in answer:
                    np.testing.assert_allclose(q.array, answer[name][t, 0], rtol=1e-12, atol=1e-15)
        for q in trace.gradients():
            np.testing.assert_allclose(q.array, answer[f"d_{q.field}"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("cell", ["LSTM", "CoupledLSTM", "FullGateLSTM"])
def test_each_number_moved_by_itself_agrees(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--cell", cell, "--sizes", "2,2,2", "--check", "--digits", "12", "--unit", "2")
    pairs = re.findall(r" = ([-\d.e]+)    moved: ([-\d.e]+)", text)
    assert len(pairs) >= 35
    assert all(math.isclose(float(a), float(b), rel_tol=1e-11, abs_tol=1e-13) for a, b in pairs)


def test_a_mistake_stands_beside_what_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--mistake", "cell-carry-dropped")
    (shown,) = re.findall(r"```\n(  JOIN.*?)\n```", (ROOT / "docs" / "explain.md").read_text(encoding="utf-8"), re.S)
    assert all(line in text for line in shown.splitlines())
    assert "JOIN d c      = (-0.115295) + (-0.110479) = -0.225774    ≠ wrong: -0.110479" in text
    assert "mistake: cell-carry-dropped: dL/dc_t is not handed to step t-1 (L9')" in text
    last = text.partition("step 2 of 2, backward")[2].partition("step 1 of 2, backward")[0]
    assert "≠" not in last.partition("d c₋₁")[0]
    assert "| ≠ -0.110479 " in printed(capsys, "--mistake", "cell-carry-dropped", "--format", "markdown")
    assert r"\quad\neq -0.110479" in printed(capsys, "--mistake", "cell-carry-dropped", "--format", "latex")
    assert "sigmoid-derivative-missing[o]" in printed(
        capsys, "--mistake", "sigmoid-derivative-missing[o]", "--step", "1"
    )


@pytest.mark.parametrize("format", ["markdown", "latex"])
def test_other_formats_hold_the_same_numbers(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, other = printed(capsys), printed(capsys, "--format", format)
    numbers = {result.strip("()") for _, result in arithmetic(text)}
    assert len(numbers) > 60
    assert all(number in other for number in numbers)
    if format == "latex":
        assert other.count(r"\begin{align}") == other.count(r"\end{align}") == 7
        assert other.count("{") == other.count("}")
    else:
        assert {len(re.findall(r"\|", line)) for line in other.splitlines() if line.startswith("|")} == {7}


def test_judge_takes_its_json(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "answer.json"
    assert printed(capsys, "--case", str(case), "--format", "json", "--out", str(path)) == ""
    assert cli.main(["judge", str(case), str(path)]) == 0
    capsys.readouterr()
    name = "hidden-carry-dropped"
    path.write_text(printed(capsys, "--case", str(case), "--format", "json", "--mistake", name), encoding="utf-8")
    wrong = nl.mistakes.CATALOGUE[name].answer(nl.mistakes.Workbench(files.read_case(case)))
    found = files.read_answer(path).arrays
    assert found.keys() == wrong.keys()
    assert all(np.array_equal(found[k], a) for k, a in wrong.items())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cell", "LSTN"], "'LSTN' is no known cell"),
        (["--cell", "Linear"], "Linear carries nothing; expected a cell"),
        (["--format", "json", "--check"], "holds every number in full; it takes no --unit"),
        (["--example", "chalk"], "invalid choice: 'chalk'"),
        (["--example", "gomez", "--cell", "GRU"], "gomez is an example of the LSTM"),
        (["--mistake", "typo"], "'typo' is no known mistake"),
        (["--mistake", "gru-update-sign"], "changes no number of case pen"),
        (["--mistake", "sigmoid-derivative-missing[z]"], "expected one of sigmoid-derivative-missing[i]"),
        (["--case", "BROKEN"], "is no json file"),
        (["--case", "TWO"], "has 2 layers, forward; expected one, forward"),
        (["--case", "CASE", "--row", "4"], "has 3 rows; there is no row 4"),
        (["--case", "CASE", "--cell", "GRU"], "a case says its cell"),
        (["--case", "CASE", "--sizes", "2,2,2"], "expected one of them"),
        (["--sizes", "2,2"], "is not T,D,H"),
        (["--unit", "9"], "there is no unit 9; the widest row of LSTM has 2 here"),
        (["--step", "3"], "there is no step 3; case pen has 2 here"),
        (["--digits", "0"], "0 is less than 1"),
        (["--out", "/dev/null/there"], "cannot be written"),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_bad_input(
    arguments: list[str], says: str, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"CASE": case, "BROKEN": tmp_path / "broken.json", "TWO": tmp_path / "two.json"}
    paths["BROKEN"].write_text("{", encoding="utf-8")
    two = Case.random(Network("LSTM", layers=2), "torch", {"T": 2, "B": 1, "D": 2, "H": 2}, np.random.default_rng(0))
    files.write_case(paths["TWO"], two)
    before = sorted(tmp_path.iterdir())
    assert cli.main(["trace", *[str(paths.get(a, a)) for a in arguments]]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert told.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_case_on_a_gpu_is_fetched(cupy: Any) -> None:
    here = Case.random(Network("GRU"), "records", {"T": 3, "B": 2, "D": 2, "H": 3}, np.random.default_rng(0))
    there = here._replace(arrays={k: cupy.asarray(a) for k, a in here.arrays.items()})
    for t in range(3):
        for a, b in zip(*(Trace(case, 1).cotangents(t) for case in (here, there)), strict=True):
            assert type(b.array) is np.ndarray
            np.testing.assert_array_equal(a.array, b.array)
