"""The README does what it says."""

import doctest
import re
from pathlib import Path

import pytest

from analysis import next_symbol, routes
from reference import regimes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_sessions_run_and_print_what_they_show() -> None:
    failures, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert attempted > 10
    assert failures == 0


@pytest.mark.parametrize(("name", "rows"), [("routes", routes.ROUTES), ("saturated", regimes.REGIMES)])
def test_its_tables_are_those_of_the_main_job(name: str, rows: dict) -> None:
    block = re.search(rf"<!-- table: {name} -->\n(.*?)\n<!-- end -->", README, re.S)[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in block]
    assert [row[0] for row in cells[2:]] == list(rows)
    assert "FAILED" not in "".join(block)
    if name == "routes":
        assert cells[0][1:-2] == list(next_symbol.NETWORKS)
        assert [float(row[-2]) for row in cells[2:]] == [bound for _, bound in rows.values()]


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_its_commands_are_the_ones_ci_runs() -> None:
    commands = dict(re.findall(r"<!-- command: (.*?) -->\n```sh\n(.*?)\n```", README))
    assert set(commands) == {"main job", "tests"}
    assert commands["main job"].endswith("-m analysis")
    assert commands["tests"].endswith("-m pytest")
    assert "<!-- command: tests -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
