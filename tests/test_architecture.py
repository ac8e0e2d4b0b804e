"""The arrows between rooms, the purity of the pages, and who may import what."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "numpy_lstm"
# Each room may import rooms further up this list, and those of its own line never import one another.
ORDER = [
    "files tables progress",
    "command",
    "arrays doctor",
    "ops products tree shapes",
    "init activations",
    "pages steps sequences",
    "binding",
    "scan",
    "wiring",
    "check layouts",
    "fast each_step",
    "checkpointed weight_files",
    "layers",
    "nn onnx flow",
    "cases",
    "mistakes",
    "judge",
    "train",
    "explain",
    "cli",
    "__main__",
]
LEVEL = {"__version__": -1} | {room: level for level, rooms in enumerate(ORDER) for room in rooms.split()}


@cache
def imported(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports."""
    names = set()
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    "path", [f for f in FILES if f.parent != PACKAGE or f.stem != "__init__"], ids=lambda f: f.stem
)
def test_arrows_between_rooms(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imported(path):
        if name.startswith("numpy_lstm."):
            other = name.split(".")[1]
            assert other == room or LEVEL[other] < LEVEL[room], f"{room} must not import {other}"
        assert name.split(".")[0] not in {"reference", "analysis", "tests"}


COMBINATORS = {"__init__", "page", "describe", "ablations", "projected", "zoneout"}
PAGES = [f for f in FILES if f.parent.name == "pages" and f.stem not in COMBINATORS]


@pytest.mark.parametrize("path", PAGES, ids=lambda f: f.stem)
def test_pages_name_no_array_library_and_no_other_page(path: Path) -> None:
    names = imported(path)
    assert not any(name.split(".")[0] in {"numpy", "cupy", "scipy"} for name in names)
    assert not {n for n in names if n.startswith("numpy_lstm.pages.") and not n.startswith("numpy_lstm.pages.page.")}
    assert not re.search(r"\bif\b(?!.*#)", re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.S))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 150


def test_who_imports_torch_and_matplotlib() -> None:
    python = [f for top in ("numpy_lstm", "reference", "analysis") for f in (ROOT / top).rglob("*.py")]
    importers = {lib: {f for f in python if any(n.split(".")[0] == lib for n in imported(f))} for lib in LIBRARIES}
    assert importers["torch"] == {ROOT / "reference" / f"torch_{name}.py" for name in ("cells", "oracle", "training")}
    assert importers["mpmath"] <= set((ROOT / "reference").rglob("*.py"))
    assert all(f.is_relative_to(ROOT / "analysis") for f in importers["matplotlib"])


LIBRARIES = ["torch", "matplotlib", "mpmath"]


def test_importing_the_package_needs_numpy_and_scipy_only() -> None:
    code = "import sys, numpy_lstm; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    third_party = {"torch", "matplotlib", "mpmath", "flint", "cupy", "jax", "tqdm", "array_api_strict", "onnx"}
    third_party |= {"safetensors", "hypothesis", "pytest"}
    assert not third_party & set(loaded.stdout.split())


def test_nothing_changes_what_all_threads_share() -> None:
    """Filters of warnings and the precision of mpmath are the process's; a library leaves them alone."""
    for path in PACKAGE.rglob("*.py"):
        names = {n.attr for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute)}
        assert not names & {"catch_warnings", "simplefilter", "filterwarnings", "workdps", "seterr"}, path.name


def test_every_page_has_its_derivation() -> None:
    pages = {f.stem for f in PAGES} | {"projected", "zoneout"}
    assert {f.stem for f in (PACKAGE / "pages").glob("*.md")} == pages
    assert {f.stem for f in (ROOT / "reference" / "equations").glob("*.txt")} == pages


@pytest.mark.parametrize("room", ["check", "cases", "mistakes", "judge"])
def test_no_file_outside_a_page_asks_for_a_page_by_its_file_name(room: str) -> None:
    for path in (PACKAGE / room).glob("*.py"):
        strings = {
            n.value for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant)
        }
        assert not strings & {f.stem for f in PAGES}, path.name
        assert ".equations" not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("room", ["check", "cases", "mistakes", "judge"])
def test_names_are_not_read_by_patterns(room: str) -> None:
    assert all("re" not in imported(path) for path in (PACKAGE / room).glob("*.py"))


def test_no_room_is_more_than_a_fifth_of_the_house() -> None:
    house = [f for top in ("numpy_lstm", "reference", "analysis") for f in (ROOT / top).rglob("*.py")]
    lines = {f: len(f.read_text(encoding="utf-8").splitlines()) for f in house}
    for room in {f.parent for f in house} - {PACKAGE, ROOT / "analysis"}:
        assert sum(n for f, n in lines.items() if f.is_relative_to(room)) <= sum(lines.values()) / 5, room
