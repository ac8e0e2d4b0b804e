"""What is shipped: the source archive and the wheel, built from it, each tried in an environment of its own."""

import email
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import bare
import pytest

import cases
import numpy_lstm as nl

ROOT = Path(__file__).parent.parent
ROOMS = ("numpy_lstm", "reference", "analysis", "docs", "tests")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
STRANGERS = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "out")


class Built(NamedTuple):
    """The unpacked source archive, and the wheel that was built in it."""

    source: Path
    wheel: Path


def build(kind: str, folder: Path, out: Path) -> Path:
    done = subprocess.run([sys.executable, "-c", BUILD, kind, str(out)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=STRANGERS)
    for name in (".ci", ".pre-commit-config.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    archive = build("build_sdist", tree, folder)
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    return Built(source, build("build_wheel", source, folder))


def files(folder: Path) -> set[Path]:
    found = {path.relative_to(folder) for room in ROOMS for path in (folder / room).rglob("*") if path.is_file()}
    return {path for path in found if "__pycache__" not in path.parts}


def test_the_archive_holds_the_tree(built: Built) -> None:
    assert files(built.source) == files(ROOT)
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".ci/run"):
        assert (built.source / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {Path(name) for name in wheel.namelist()}
        (about,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
        told = email.message_from_bytes(wheel.read(about))
    package = {path for path in files(ROOT) if path.parts[0] == "numpy_lstm"}
    assert {path for path in names if not path.parts[0].endswith(".dist-info")} == package
    kinds = [".LICENSE", ".css", ".csv", ".cu", ".js", ".json", ".md", ".py", ".typed", ".woff2"]
    assert {path.suffix for path in package} == {*kinds}
    assert told["Version"] == nl.__version__
    needed = {line.partition(">")[0] for line in told.get_all("Requires-Dist") if "extra ==" not in line}
    assert needed == {"numpy", "scipy"}


def test_the_wheel_in_a_clean_environment(built: Built, tmp_path: Path) -> None:
    bare.environment(tmp_path / "env")
    python = bare.python(tmp_path / "env")
    pip = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", built.wheel]
    subprocess.run([sys.executable, *pip], check=True, cwd=tmp_path)

    def said(*command: object) -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert said(python.with_name("numpy-lstm"), "--version") == f"numpy-lstm {nl.__version__}\n"
    assert said(python, "-m", "numpy_lstm", "mistakes").endswith(" mistakes\n")
    assert "# Cases and answers" in said(python, "-c", "from numpy_lstm.cases import files; print(files.description())")
    first = (ROOT / "README.md").read_text(encoding="utf-8").partition("```\n")[0].partition("```python\n")[2]
    (tmp_path / "first.txt").write_text(first, encoding="utf-8")
    run = "import doctest, numpy_lstm; print(numpy_lstm.__file__, doctest.testfile('first.txt', False))"
    where, _, results = said(python, "-c", run).partition(" ")
    assert Path(where).is_relative_to(tmp_path / "env")
    assert "failed=0, attempted=1" in results, "eleven examples or so"


def test_the_tests_of_the_archive_run(built: Built, tmp_path: Path) -> None:
    """One of them, on the archive's own package; with --thorough all are collected. Packages come from here."""
    site = bare.environment(tmp_path / "env")
    others = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "others.pth").write_text("\n".join(others), encoding="utf-8")  # whose own .pth files do not count
    python = bare.python(tmp_path / "env")
    show = "import numpy_lstm; print(numpy_lstm.__file__)"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-k", "test_the_map_names_every_room"]
    options += [] if cases.THOROUGH else ["tests/test_readme.py"]
    for command, says in (
        (["-c", show], str(built.source)),
        (["-m", "pytest", *options], "1 passed"),
    ):
        done = subprocess.run([python, *command], cwd=built.source, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert says in done.stdout
