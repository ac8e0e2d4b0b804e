"""The README and the manual do what they say."""

import argparse
import ast
import contextlib
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

import cases
from analysis import next_symbol
from analysis.mistakes import recipes
from analysis.speed import benchmark, peers
from analysis.verify import accuracy, calibration, coverage, routes, softmax
from numpy_lstm.mistakes import CATALOGUE
from reference import frameworks, regimes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in sorted(ROOT.glob("docs/*.md"))}
BOOK = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in sorted(ROOT.glob("docs/book/*.md"))}
PAGES = {"README.md": README} | MANUAL | BOOK
EVERY = [p for p in sorted(ROOT.rglob("*.md")) if not {"out", ".venv"} & set(p.relative_to(ROOT).parts)]
each = pytest.mark.parametrize("page", PAGES)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


@each
def test_its_sessions_run_and_print_what_they_show(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is to be saved as a file is saved as that file first."""
    for name, code in re.findall(r"^Save this as `(\w+\.py)`:\n\n```python\n(.*?)^```$", PAGES[page], re.S | re.M):
        (tmp_path / name).write_text(code, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    failures, attempted = doctest.testfile(str(ROOT / page), module_relative=False)
    assert attempted == len(re.findall(r"^>>> ", PAGES[page], re.M))
    assert (attempted > 0) == ("```python\n>>>" in PAGES[page])
    assert failures == 0


def test_there_are_sessions() -> None:
    assert [page for page in PAGES if ">>> " not in PAGES[page]] == [
        "docs/README.md",
        "docs/gpu.md",
        "docs/mistakes.md",
        *(f"docs/book/{name}.md" for name in ("README", "notation", "other_cells")),
    ]


@each
def test_its_other_python_is_python(page: str) -> None:
    for block in blocks(PAGES[page], "python"):
        if not block.startswith(">>> "):
            ast.parse(block)


@each
def test_its_markdown_is_whole(page: str) -> None:
    """Fences are known and closed, every table row has as many cells as its header, dollars come in pairs."""
    text = PAGES[page]
    fences = re.findall(r"^```(.*)$", text, re.M)
    assert set(fences[::2]) <= {"python", "sh", "math", ""}
    assert set(fences[1::2]) <= {""}
    assert len(fences) % 2 == 0
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    for table in re.findall(r"(?:^\|.*\|$\n?)+", prose, re.M):
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(cells) == 1, table
        assert re.fullmatch(r"\|(?: *:?-+:? *\|)+", table.splitlines()[1]), table
    for paragraph in re.sub(r"`[^`]*`", "", prose).split("\n\n"):
        assert paragraph.count("$") % 2 == 0, paragraph


def test_the_readme_is_short_and_the_manual_lists_every_page() -> None:
    assert len(README.splitlines()) <= 130
    listed = set(re.findall(r"\]\((\w+\.md)", MANUAL["docs/README.md"]))
    assert listed == {Path(page).name for page in MANUAL} - {"README.md"}


def test_the_map_names_every_room() -> None:
    table = README.partition("## Map")[2].partition("##")[0]
    first = "".join(re.findall(r"^\| (.*?) \|", table, re.M))
    named = [Path(path).name for path in re.findall(r"`([\w./]+)`", first)]
    rooms = {p.name for p in (ROOT / "numpy_lstm").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    rooms = {room for room in rooms if not room.startswith("__")}
    assert sorted(named) == sorted(rooms | {"reference", "analysis", "docs"})


def cells_of(table: str, page: str | None = None) -> list[list[str]]:
    """The cells of the table of that name, which stands once in the README or the manual, or in ``page``."""
    found = re.findall(rf"<!-- table: {table} -->\n(.*?)\n<!-- end -->", page or "\n".join(PAGES.values()), re.S)
    assert len(found) == 1, table
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[0].splitlines()]


def test_its_tables_are_all_held() -> None:
    names = set(re.findall(r"<!-- table: (.*?) -->", "\n".join(PAGES.values())))
    assert names == {
        *("calibration", "cells", "fast", "kills", "layouts", "memory", "routes", "saturated", "softmax", "wirings")
    }


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


HELD = [
    ("routes", routes.ROUTES),
    ("saturated", regimes.REGIMES),
    ("softmax", dict.fromkeys(f"{m:+d}" for m in regimes.MARGINS)),
]


@pytest.mark.parametrize(("name", "rows"), HELD)
def test_its_tables_have_the_rows_and_bounds_of_the_main_job(name: str, rows: dict) -> None:
    cells = cells_of(name)
    assert [row[0] for row in cells[2:]] == list(rows)
    assert "FAILED" not in str(cells)
    if name == "routes":
        assert cells[0][1:-2] == list(next_symbol.NETWORKS)
        assert [float(row[-2]) for row in cells[2:]] == [bound for _, bound in rows.values()]
        for row in cells[2:]:
            assert all(float(entry.split("·")[0]) <= float(row[-2]) for entry in row[1:-2]), row[0]
    else:
        bound = 16 if name == "saturated" else softmax.BOUND
        assert all(float(error) <= bound for row in cells[2:] for error in row[1].split("·"))


def test_its_table_of_kills_is_up_to_date() -> None:
    _, _, *rows = cells_of("kills")
    assert [row[0].partition(" ")[2] for row in rows] == [recipe.name for recipe in recipes.recipes()]
    assert f"The judge knows {len(CATALOGUE)} mistakes by name" in MANUAL["docs/mistakes.md"]
    for row in rows:
        caught, partly, missed = map(int, row[1:4])
        assert caught + partly + missed == len(CATALOGUE)
        assert row[0].partition(" ")[2].startswith("ours") == (caught == len(CATALOGUE))


def test_its_table_of_errors_of_the_judge() -> None:
    _, _, *rows = cells_of("calibration")
    assert [row[0].partition(",")[0] for row in rows] == [*calibration.KINDS, "all"]
    assert {(row[2], row[5]) for row in rows} == {("0", "0")}, "failed right answers, passed mistakes"
    assert int(rows[-1][1]) >= 2000
    assert float(rows[1][3].rstrip("%")) <= 100 * calibration.DOUBT


def test_its_timings_are_of_the_shapes_that_are_measured() -> None:
    names = [row[0] for row in cells_of("fast")[2:]]
    assert names == [f"{cell} {','.join(map(str, s))}" for cell in peers.CELLS for s in benchmark.SHAPES]


def test_the_accuracy_of_the_fast_path() -> None:
    page = (ROOT / "numpy_lstm" / "fast" / "fast.md").read_text(encoding="utf-8")
    header, _, *rows = cells_of("accuracy", page)
    assert [row[0] for row in rows] == [f"{cell.name}, {regime}" for cell, regime in accuracy.REGIMES]
    assert header[1] == "K, fast"
    assert all(float(row[1]) <= accuracy.BOUND for row in rows)


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)):
        if ":" not in link:
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def commands(page: str) -> list[list[str]]:
    """Every command of ours that a page shows, in blocks of shell and in backquotes, word by word."""
    lines = [part for block in blocks(page, "sh") for line in block.splitlines() for part in line.split(" && ")]
    lines += re.findall(r"`((?:\.venv/bin/)?(?:numpy-lstm|python -m analysis)\b[^`]*)`", page)
    words = [shlex.split(line, comments=True) for line in lines]
    return [w for w in words if w and Path(w[0]).name in ("numpy-lstm", "python") and w[1:3] != ["-m", "pytest"]]


SHOWN = [(p.relative_to(ROOT).as_posix(), " ".join(w)) for p in EVERY for w in commands(p.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "command"), dict.fromkeys(SHOWN), ids=lambda v: str(v))
def test_a_command_that_is_shown_exists_with_its_options(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *argv = command.split()
    if page in PAGES:
        assert program.startswith(".venv/bin/"), "no activated environment is assumed"
    name = "numpy_lstm.cli"
    if Path(program).name == "python":
        _, name, *argv = argv
        name = "analysis.__main__" if name == "analysis" else name
    parse, parsed = argparse.ArgumentParser.parse_args, []

    def stop(parser: Any, *given: Any) -> Any:
        parsed.append(parse(parser, *given))
        raise SystemExit  # so that nothing is run

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    if name == "numpy_lstm.cli" and len(argv) == 1 and argv[0][0] != "-":  # a command by its name alone
        argv.append("--help")
    if {"--help", "--version"} & set(argv):
        assert importlib.import_module(name).main(argv) == 0
    else:
        with contextlib.suppress(SystemExit):
            importlib.import_module(name).main(argv)
        assert parsed


def test_there_are_commands_to_look_at() -> None:
    assert len({command for page, command in SHOWN if page in PAGES}) >= 18
    assert {page for page, _ in SHOWN} >= {"README.md", "analysis/CASE_STUDIES.md", "docs/judging.md", "docs/gpu.md"}


def test_what_its_set_up_installs_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = re.findall(r"pip install[^`]*?'(?:numpy-lstm|\.)\[([\w,]+)\]'", "\n".join(PAGES.values()))
    assert len(asked) >= 6
    assert {name for names in asked for name in names.split(",")} <= set(extras)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_its_judging_can_be_pasted(tmp_path: Path) -> None:
    """Line by line, in a folder that holds what a clone holds; the C program is wrong, and told."""
    judging = MANUAL["docs/judging.md"]
    (block,) = [b for b in blocks(judging, "sh") if "numpy-lstm judge" in b]
    (tmp_path / "reference").symlink_to(ROOT / "reference")
    ours = {".venv/bin/numpy-lstm": [sys.executable, "-m", "numpy_lstm"]}
    said = []
    for line in block.splitlines():
        first, *rest = shlex.split(line, comments=True)
        if rest[:1] == ["vectors"] and not cases.THOROUGH:
            shutil.copytree(ROOT / "reference" / "vectors" / "lstm", tmp_path / rest[1])  # another test remakes it
            continue
        words = [*ours.get(first, [first]), *rest]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == (1 if " judge " in line else 0), line
        said.append(done.stdout)
    *_, one, whole = said
    told = re.search(r"```\n(first wrong in backward order: .*?)\n```", judging, re.S)[1].splitlines()
    assert len(told) == 2
    assert all(line in one for line in told)
    assert whole.startswith("FAIL: 20 cases, 1 fail, 19 not given\n")


def test_its_commands_are_the_ones_ci_runs() -> None:
    commands = dict(re.findall(r"<!-- command: (.*?) -->\n```sh\n(.*?)\n```", README))
    assert set(commands) == {"main job", "tests"}
    assert commands["main job"].endswith("-m analysis")
    assert commands["tests"].endswith("-m pytest -n auto")
    assert "<!-- command: tests -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
