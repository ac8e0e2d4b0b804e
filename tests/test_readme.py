"""The README does what it says."""

import doctest
import re
from pathlib import Path

import pytest

from analysis import accuracy, coverage, next_symbol, recipes, routes
from numpy_lstm.check.mistakes import CATALOGUE
from reference import frameworks, regimes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_sessions_run_and_print_what_they_show() -> None:
    failures, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert attempted > 10
    assert failures == 0


def cells_of(table: str, page: str = README) -> list[list[str]]:
    block = re.search(rf"<!-- table: {table} -->\n(.*?)\n<!-- end -->", page, re.S)[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("cells", [cell.name for cell in coverage.CELLS]),
        ("wirings", list(coverage.TWINS)),
        ("layouts", list(dict.fromkeys(name for name, _ in frameworks.FORMS))),
    ],
)
def test_its_coverage_tables_are_within_bounds(table: str, names: list[str]) -> None:
    header, _, *rows = cells_of(table)
    assert [row[0] for row in rows] == names
    for row in rows:
        for column, entry in zip(header[1:], row[1:], strict=True):
            assert not entry or float(entry) <= (16 if column == "K" else coverage.BOUND), row


@pytest.mark.parametrize(("name", "rows"), [("routes", routes.ROUTES), ("saturated", regimes.REGIMES)])
def test_its_tables_have_the_rows_and_bounds_of_the_main_job(name: str, rows: dict) -> None:
    block = re.search(rf"<!-- table: {name} -->\n(.*?)\n<!-- end -->", README, re.S)[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in block]
    assert [row[0] for row in cells[2:]] == list(rows)
    assert "FAILED" not in "".join(block)
    if name == "routes":
        assert cells[0][1:-2] == list(next_symbol.NETWORKS)
        assert [float(row[-2]) for row in cells[2:]] == [bound for _, bound in rows.values()]
        for row in cells[2:]:
            assert all(float(entry.split("·")[0]) <= float(row[-2]) for entry in row[1:-2]), row[0]
    else:
        assert all(float(row[1]) <= 16 for row in cells[2:])


def test_its_table_of_kills_is_up_to_date() -> None:
    _, _, *rows = cells_of("kills")
    assert [row[0].partition(" ")[2] for row in rows] == [recipe.name for recipe in recipes.recipes()]
    assert f"The judge knows {len(CATALOGUE)} mistakes by name" in README
    for row in rows:
        caught, partly, missed = map(int, row[1:4])
        assert caught + partly + missed == len(CATALOGUE)
        assert row[0].partition(" ")[2].startswith("ours") == (caught == len(CATALOGUE))


def test_the_accuracy_of_the_fast_path() -> None:
    page = (ROOT / "numpy_lstm" / "fast" / "fast.md").read_text(encoding="utf-8")
    header, _, *rows = cells_of("accuracy", page)
    assert [row[0] for row in rows] == [f"{cell.name}, {regime}" for cell, regime in accuracy.REGIMES]
    assert header[1] == "K, fast"
    assert all(float(row[1]) <= accuracy.BOUND for row in rows)


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_its_commands_are_the_ones_ci_runs() -> None:
    commands = dict(re.findall(r"<!-- command: (.*?) -->\n```sh\n(.*?)\n```", README))
    assert set(commands) == {"main job", "tests"}
    assert commands["main job"].endswith("-m analysis")
    assert commands["tests"].endswith("-m pytest -n auto")
    assert "<!-- command: tests -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
