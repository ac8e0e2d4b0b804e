"""What the networks of the gallery learnt, as its numbers say: they were measured once, by the command of the page."""

import csv
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from analysis.tasks import command, runs
from analysis.tasks.problems import Copy

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "analysis" / "gallery"


def ends(name: str) -> list[list[Any]]:
    """The committed rows of a study, or of a file, as the command makes them."""
    stem = command.STUDIES[name].stem if name in command.STUDIES else name
    with (GALLERY / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == command.ENDS
    kinds = (str, int, int, int, int, float, float)
    return [[kind(v) for kind, v in zip(kinds, row, strict=True)] for row in rows]


def of(name: str, network: str, delay: int, field: str) -> list[Any]:
    """That field for each of three seeds."""
    found = [row[command.ENDS.index(field)] for row in ends(name) if row[:2] == [network, delay]]
    assert len(found) == 3
    return found


def test_copying_one_symbol() -> None:
    """In the median the RNN has lost it by 50 steps, forget bias 1 by 100; the GRU holds 200."""
    assert all(of("copy", name, 10, "solved") == [1, 1, 1] for name in runs.NETWORKS)
    assert all(median(of("copy", "RNN", T, "right")) < 0.2 for T in (50, 100, 200))
    assert median(of("copy", "LSTM, b_f=1", 50, "right")) >= 0.8
    assert all(median(of("copy", "LSTM, b_f=1", T, "right")) < 0.2 for T in (100, 200))
    assert all(of("copy", "GRU", T, "solved") == [1, 1, 1] for T in (50, 100, 200))
    assert min(of("copy", "GRU", 200, "right")) >= 0.95


def test_copying_five_symbols() -> None:
    floor, losses = Copy(50, 5).floor, {name: of("copy5", name, 50, "loss") for name in runs.NETWORKS}
    for name in ("RNN", "LSTM, b_f=0"):
        assert losses[name] == pytest.approx([floor] * 3, rel=0.03)
    assert max(losses["LSTM, b_f=1"]) < 0.75 * floor
    assert max(losses["LSTM, chrono"]) < floor / 2


def test_the_order_of_cues() -> None:
    assert of("order", "LSTM, b_f=1", 100, "solved") == [1, 1, 1]
    assert max(of("order", "LSTM, b_f=1", 100, "updates")) < 1000
    assert of("order", "LSTM, b_f=0", 100, "solved") == [0, 0, 0]
    assert of("order", "LSTM, b_f=0", 100, "updates") == [2000] * 3


def test_adding() -> None:
    assert of("adding", "LSTM, chrono", 200, "solved") == [1, 1, 1]
    assert max(of("adding", "LSTM, chrono", 200, "loss")) < 0.005
    for name in ("LSTM, b_f=0", "LSTM, b_f=1"):  # every seed; 1000 sequences tell 1/6 to within 8 %
        assert of("adding", name, 200, "loss") == pytest.approx([1 / 6] * 3, rel=0.08)
    assert min(of("adding", "RNN", 100, "loss") + of("adding", "RNN", 200, "loss")) > 0.15


def test_what_a_sum_is_made_of() -> None:
    with (GALLERY / "uses.csv").open(encoding="utf-8") as file:
        found = {(row["network"], row["seed"], row["when"]): row for row in csv.DictReader(file)}
    for seed in "012":
        learnt, fresh = (found["LSTM, chrono", seed, when] for when in ("after", "before"))
        assert float(learnt["marked"]) > 0.9
        assert abs(float(learnt["elsewhere"])) < 0.02
        assert max(abs(float(fresh[k])) for k in ("marked", "elsewhere")) < 0.02
        assert float(learnt["first_step"]) > 10 * float(fresh["first_step"])
        assert abs(float(found["RNN", seed, "after"]["marked"])) < 0.1


@pytest.mark.parametrize("name", command.STUDIES)
def test_the_page_has_the_tables_of_the_gallery(name: str) -> None:
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    study = command.STUDIES[name]
    assert all(str(table) in page for table in command.tables(study, ends(name)))
    assert f"{study.updates} updates" in page
    assert f"](../analysis/gallery/{study.stem}.svg)" in page
