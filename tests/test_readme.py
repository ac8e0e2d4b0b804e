"""The README does what it says."""

import argparse
import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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


class Parsed(BaseException):
    """Raised where a command line has been parsed, so that nothing of it is run."""


def commands(page: str) -> list[list[str]]:
    """Every command of ours that a page shows, in blocks of shell and in backquotes, word by word."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.S)
    lines = [part for block in blocks for line in block.splitlines() for part in line.split(" && ")]
    lines += re.findall(r"`((?:\.venv/bin/)?(?:numpy-lstm|python -m analysis)\b[^`]*)`", page)
    words = [shlex.split(line, comments=True) for line in lines]
    return [w for w in words if w and Path(w[0]).name in ("numpy-lstm", "python") and w[1:3] != ["-m", "pytest"]]


PAGES = [p for p in sorted(ROOT.rglob("*.md")) if not {"out", ".venv"} & set(p.relative_to(ROOT).parts)]
SHOWN = [(p.relative_to(ROOT), " ".join(w)) for p in PAGES for w in commands(p.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "command"), dict.fromkeys(SHOWN), ids=lambda v: str(v))
def test_a_command_that_is_shown_exists_with_its_options(
    page: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *argv = command.split()
    if page.name == "README.md" and page.parent == Path():
        assert program.startswith(".venv/bin/"), "no activated environment is assumed"
    name = "numpy_lstm.cli"
    if Path(program).name == "python":
        _, name, *argv = argv
        name = "analysis.__main__" if name == "analysis" else name
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: Any, *given: Any) -> Any:
        raise Parsed(parse(parser, *given))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    if name == "numpy_lstm.cli" and len(argv) == 1 and argv[0][0] != "-":  # a command by its name alone
        argv.append("--help")
    if {"--help", "--version"} & set(argv):
        assert importlib.import_module(name).main(argv) == 0
    else:
        with pytest.raises(Parsed):
            importlib.import_module(name).main(argv)


def test_there_are_commands_to_look_at() -> None:
    assert len([command for page, command in SHOWN if page == Path("README.md")]) >= 14
    assert {page.name for page, _ in SHOWN} >= {"README.md", "CASE_STUDIES.md"}


def test_what_its_set_up_installs_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = re.findall(r"pip install[^`]*?'(?:numpy-lstm|\.)\[([\w,]+)\]'", README)
    assert len(asked) >= 3
    assert {name for names in asked for name in names.split(",")} <= set(extras)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_its_judging_can_be_pasted(tmp_path: Path) -> None:
    """Line by line, in a folder that holds what a clone holds; the C program is wrong, and told."""
    (block,) = [b for b in re.findall(r"```sh\n(.*?)```", README, re.S) if "numpy-lstm judge" in b]
    (tmp_path / "reference").symlink_to(ROOT / "reference")
    ours = {".venv/bin/numpy-lstm": [sys.executable, "-m", "numpy_lstm"]}
    said = []
    for line in block.splitlines():
        first, *rest = shlex.split(line, comments=True)
        words = [*ours.get(first, [first]), *rest]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == (1 if " judge " in line else 0), line
        said.append(done.stdout)
    *_, one, whole = said
    told = re.search(r"```\n(first wrong in backward order: .*?)\n```", README, re.S)[1].splitlines()
    assert len(told) == 2
    assert all(line in one for line in told)
    assert whole.startswith("FAIL: 9 cases, 1 fail, 8 not given\n")


def test_its_commands_are_the_ones_ci_runs() -> None:
    commands = dict(re.findall(r"<!-- command: (.*?) -->\n```sh\n(.*?)\n```", README))
    assert set(commands) == {"main job", "tests"}
    assert commands["main job"].endswith("-m analysis")
    assert commands["tests"].endswith("-m pytest -n auto")
    assert "<!-- command: tests -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
