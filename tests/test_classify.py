"""The study of classification: data, naive Bayes against counting, runs, comparisons, and what is refused."""

import csv
import json
import unicodedata
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import __main__ as command_line
from analysis import figures
from analysis.classify import bayes, command, data, runs
from cases import THOROUGH
from numpy_lstm import train

FINE = b"text,label\n" + b"fine,a\nbad,b\n" * 15
SMALL = ["--hidden", "3", "--embedding", "2", "--batch", "4", "--updates", "4"]


def written(path: Path, rows: int = 60, header: str = "text,label") -> Path:
    rng, words = np.random.default_rng(0), {"a": ["one", "two", "six"], "b": ["red", "two", "tan"]}
    lines = [f'"{" ".join(rng.choice(words[c], rng.integers(1, 6)))}, {k}",{c}' for k, c in enumerate("ab" * rows)]
    path.write_text("\n".join([header, *lines[:rows]]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return written(tmp_path / "rows.csv")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "save", lambda figure, stem: drawn.append(figure))
    return drawn


def classify(table: Path, *options: str, small: bool = True) -> int:
    where = ["--csv", str(table), "--out", str(table.parent / "out")]
    return command_line.main(["classify", *where, *SMALL * small, *options])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("symbols", "orders"), [("words", (1,)), ("words", (1, 2)), ("characters", (2, 3))])
def test_naive_bayes_is_that_of_counting(table: Path, symbols: str, orders: tuple[int, ...]) -> None:
    found = data.parts(data.table(str(table), "text", "label"), symbols, 200, 3)

    def rows(part: train.Ragged) -> list[tuple[list[int], int]]:
        cut = np.split(part.codes, np.cumsum(part.lengths)[:-1])
        return [(list(row), int(target)) for row, target in zip(cut, part.targets, strict=True)]

    def grams(row: list[int]) -> list[tuple[int, ...]]:
        return [tuple(row[k : k + n]) for n in orders for k in range(len(row) - n + 1)]

    counts = [Counter(g for row, target in rows(found.fit) if target == c for g in grams(row)) for c in (0, 1)]
    kinds = set(counts[0]) | set(counts[1])
    expected = []
    for row, _ in rows(found.test):
        scores = []
        for c in (0, 1):
            whole = sum(counts[c].values()) + len(kinds)
            told = [np.log((counts[c][g] + 1) / whole) for g in grams(row) if g in kinds]
            scores.append(np.log(np.mean(found.fit.targets == c)) + sum(told))
        expected.append(int(np.argmax(scores)))
    assert bayes.predicted(found, orders).tolist() == expected
    assert len(set(expected)) == 2
    assert bayes.baselines(found, symbols)["most frequent class"] == np.mean(
        found.test.targets == np.argmax(np.bincount(found.fit.targets))
    )


def test_the_names_of_characters_are_rows_of_nine_classes() -> None:
    """What ships with Python changes with its version: the bounds have slack."""
    texts = data.names()
    found = data.parts(texts, "characters", 200, 0)
    assert len(texts.texts) > 20_000
    assert f"unicodedata {unicodedata.unidata_version} of Python" in texts.name
    assert (len(found.classes), found.symbols[:2]) == (9, [data.UNKNOWN, " "])
    parts = found[:3]
    assert sum(len(part.lengths) for part in parts) == len(texts.texts)
    k = int(np.flatnonzero(np.array(texts.texts) == "LATIN SMALL LETTER A")[0])
    assert texts.labels[k] == "Ll"
    lines = bayes.baselines(found, "characters")
    majority, bag, grams = lines.values()
    assert 0.3 < majority < 0.5 < bag < 0.7 < 0.86 < grams < 0.94
    row = np.array([found.symbols.index(c) for c in "LATIN SMALL LETTER A"])
    cut = [np.split(part.codes, np.cumsum(part.lengths)[:-1]) for part in parts]
    assert sum(np.array_equal(row, one) for rows in cut for one in rows) == 1


@pytest.mark.skipif(not THOROUGH, reason="20 s: --thorough")
@pytest.mark.parametrize("pooling", ["last", "mean", "both"])
def test_the_names_are_told_apart_better_than_by_counting(pooling: str) -> None:
    _, options = command_line.parse(["classify", "--pooling", pooling])
    (point,) = command.asked(options, data.names().sha256)
    found = runs.run(point)
    assert point["updates"] == 2000
    assert found["right"] / found["rows"] >= 0.93
    assert max(found["baselines"].values()) < 0.92


def test_one_run_is_resumed_and_several_are_compared(
    table: Path, undrawn: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = table.parent / "out"
    assert classify(table) == 0
    told = capsys.readouterr().out
    assert "60 rows (48 to train on, 6 to choose by, 6 to judge by)" in told
    assert "naive Bayes, 1 and 2-grams of words: accuracy" in told
    single = read(out / "classify.csv")
    saved = (out / "classify.npz").read_bytes()
    assert classify(table, "--resume") == 0
    assert (out / "classify.npz").read_bytes() == saved
    options = ["--layers", "1", "2", "--pooling", "last", "mean", "both", "--seeds", "2"]
    assert classify(table, *options) == 0
    rows = read(out / "classify.csv")
    assert [row["model"] for row in rows[::2]] == ["1 layer, last", "2 layers, last", "1 layer, mean", "1 layer, both"]
    assert [row["seed"] for row in rows] == ["0", "1"] * 4
    timed = {"processor_seconds": "0"}
    assert rows[0] | timed == single[0] | timed, "alone or among others"
    for row in rows:
        assert float(row["low"]) <= float(row["accuracy"]) <= float(row["high"])
        assert float(row["accuracy"]) == int(row["right"]) / int(row["rows"])
    curves = read(out / "classify_curves.csv")
    assert [row["update"] for row in curves] == ["1", "2", "3", "4"] * 8
    counts = [[int(v) for v in list(row.values())[1:]] for row in read(out / "classify_confusion.csv")]
    assert sum(map(sum, counts)) == 12
    assert sum(counts[k][k] for k in range(2)) == int(rows[0]["right"]) + int(rows[1]["right"])
    curve, test, matrix = undrawn[-1].axes
    assert [line.get_label() for line in curve.lines[:4]] == [row["model"] for row in rows[::2]]
    assert [t.get_text() for t in test.get_yticklabels()] == [row["model"] for row in rows[::2]]
    assert [t.get_text() for t in matrix.texts] == [str(n) for row in counts for n in row if n]


def test_an_interval_holds_the_shares_that_it_should() -> None:
    """Of shares drawn with a probability, 95 % of the intervals hold it; 20 of 20 right do not say that all are."""
    rng, held = np.random.default_rng(0), []
    for right in rng.binomial(40, 0.9, 2000):
        _, low, high = command.wilson([{"right": int(right), "rows": 40}])
        held.append(low <= 0.9 <= high)
    assert 0.92 < np.mean(held) < 0.975
    assert command.wilson([{"right": 8, "rows": 9}, {"right": 12, "rows": 11}])[1] < 0.85


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"review,stars\nfine,5\n", [], "has no column 'text'; it has review, stars"),
        (b"text,label\nfine,5\n", ["--label", "stars"], "has no column 'stars'; it has text, label"),
        (b"", [], "has no column 'text'; it has none"),
        (b"text,label\n", [], "has no rows; expected at least 2 classes"),
        (b"text,label\nfine,a\n\nok,a\n", [], "has one class only, 'a'; expected at least 2 classes"),
        (b"text,label\nfine,a\nbad,b\n", [], "has 2 rows; expected at least 20"),
        (b"text,label\nfine,a\n  ,b\n", [], "rows.csv, row 2: text is empty"),
        (b"text,label\nfine,a\nbad\n", [], "rows.csv, row 2: label is empty"),
        (b"text,label\n" + b"fine,a\n" * 30 + b"bad,b\n", ["--seed", "6"], "row 31: label 'b' is not among"),
        (b'text,label\n"fine"x,a\n', [], "is no CSV file: "),
        (b"\x89PNG\r\n\xff", [], "is not UTF-8 text: byte 0 is 0x89"),
        (b"text,label\nfine\x00,a\n", [], "is no CSV file: a byte of it is 0"),
        (None, [], "cannot read "),
        (FINE, ["--batch", "40"], "there are 24 rows to train on; expected at least"),
        (FINE, ["--resume"], "as a saved training run: No such file"),
        (FINE, ["--dropout", "2"], "dropout is 2.0; expected a number of at least 0"),
    ],
)  # fmt: skip
def test_bad_rows_are_told_in_one_line(
    content: bytes | None, options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "rows.csv").write_bytes(content)
    assert classify(tmp_path / "rows.csv", *options) == 3
    error = capsys.readouterr().err
    assert says in error
    assert "unexpected" not in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*")), "nothing half-written"


def test_a_saved_run_of_other_settings_or_rows_is_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert classify(table) == 0
    saved = {p.name: p.read_bytes() for p in (table.parent / "out").iterdir()}
    for options, says in (
        (["--hidden", "4"], "hidden was 3; here it is 4"),
        (["--updates", "9"], "updates was 4; here it is 9"),
        (["--pooling", "mean"], "pooling was 'last'; here it is 'mean'"),
        (["--seed", "1"], "seed was 0; here it is 1"),
    ):
        assert classify(table, "--resume", *options) == 3
        assert says in capsys.readouterr().err
    written(table, 62)
    assert classify(table, "--resume") == 3
    assert "sha256 was" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in (table.parent / "out").iterdir()} == saved
    (point,) = command.asked(command_line.parse(["classify", "--csv", str(table)])[1], "other")
    with pytest.raises(data.InputError, match=r"rows.csv has changed since the comparison began"):
        runs.trained(json.loads(json.dumps(point)))


def test_the_comparison_in_the_gallery_is_above_counting() -> None:
    rows = read(Path(command.__file__).parent.parent / "gallery" / "classify.csv")
    assert [k for k, _ in groupby(rows, lambda row: row["model"])] == [
        *("1 layer, last", "2 layers, last", "3 layers, last", "1 layer, mean", "1 layer, both"),
    ]
    for row in rows:
        assert float(row["accuracy"]) >= (0.93 if row["model"].startswith("1") else 0.92)
        assert float(row["low"]) > float(row["naive Bayes, 2 and 3-grams of characters"]) > 0.89
