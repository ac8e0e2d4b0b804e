"""The kill matrix: our suite misses nothing, no recipe fails what is right, and known blind spots are seen."""

import csv
import json
from pathlib import Path

import pytest

import cases
from analysis.mistakes import homes, kill_matrix, recipes
from numpy_lstm.mistakes import CATALOGUE, Edits, Mistake

RECIPES = {recipe.name: recipe for recipe in recipes.recipes()}
OURS = [name for name in RECIPES if name.startswith("ours")]
RIGHT = Mistake("none", "nothing is wrong", lambda b: True, Edits())


@pytest.mark.parametrize(("n", "name"), [*enumerate(RECIPES)])
def test_no_recipe_fails_the_right_answer(n: int, name: str) -> None:
    """Each in a home, another from recipe to recipe; ours, at loss 1, in every sixth; all with --thorough."""
    every = 1 if cases.THOROUGH else 6 if name == OURS[0] else 16
    for home in homes.HOMES[n % every :: every]:
        assert not RECIPES[name].catches(home, RIGHT, "", 0), home.name


@pytest.mark.parametrize("name", OURS)
def test_our_suite_kills_all(name: str) -> None:
    assert len(OURS) == 3
    every = 1 if cases.THOROUGH or name == OURS[0] else 8
    for mistake in list(CATALOGUE.values())[OURS.index(name) :: every]:
        home, variants = kill_matrix.home_of(mistake, 1, most=100 if cases.THOROUGH else 1)
        for variant in variants:
            assert RECIPES[name].catches(home, mistake, variant, 1), f"{mistake.name}[{variant}]"


SAMPLE = {  # what is known to be missed, by recipe
    "one step from zero": {"cell-carry-dropped", "last-state-cotangent-ignored", "initial-state-zero-in-backward"},
    "parameters only": {"last-state-cotangent-ignored", "input-gradient-zero"},
    "H = 1": {"recurrent-weights-transposed"},
    "B = 1": {"batch-mean"},
    "tolerance 1e-2": {"rounded-to-float16"},
    "gradcheck": {"rounded-to-float32", "reverse-not-reversed"},
    "gradcheck, loss 1e-6": {"cell-carry-dropped", "zero-gradient", "sign-flipped"},
    "ONNX node cases": {"gate-order-of-weights", "cell-carry-dropped"},
    "in the form of TMVA's": {"initial-state-zero-in-backward", "initial-state-gradient-zero"},
}
CAUGHT = {
    "H = 1": "batch-mean",
    "B = 1": "recurrent-weights-transposed",
    "gradcheck": "cell-carry-dropped",
    "gradcheck, fast": "cell-carry-dropped",
    "float32 differences": "zero-gradient",
    "check_grad": "rounded-to-float16",
    "one step from zero": "sign-flipped",
    "in the form of TMVA's": "cell-carry-dropped",
    "ONNX node cases": "output-without-tanh",
}


def test_the_matrix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every second recipe without --thorough."""
    every = 1 if cases.THOROUGH else 2
    sample, caught = (dict(list(known.items())[::every]) for known in (SAMPLE, CAUGHT))
    names = sorted(set().union(*sample.values(), caught.values()))
    assert kill_matrix.run(tmp_path, 0, [CATALOGUE[name] for name in names]) == []
    saved = json.loads((tmp_path / "kill_matrix.json").read_text(encoding="utf-8"))
    rows = {row["mistake"]: row for row in saved["rows"]}
    assert sorted(rows) == names
    for recipe, missed in sample.items():
        assert all(rows[name]["caught"][recipe] == 0 for name in missed), recipe
    for recipe, name in caught.items():
        assert rows[name]["caught"][recipe] == len(rows[name]["variants"]), recipe
    assert all(row["caught"][name] == len(row["variants"]) for row in rows.values() for name in OURS)
    assert all(saved["counts"][name] == {"caught": len(names), "partly": 0, "missed": 0} for name in OURS)
    with (tmp_path / "kill_matrix.csv").open() as file:
        assert [row["mistake"] for row in csv.DictReader(file)] == [row["mistake"] for row in saved["rows"]]
    report = (tmp_path / "kill_matrix.md").read_text(encoding="utf-8")
    assert report in capsys.readouterr().out
    assert f"our suite catches all {len(names)}" in report
    assert {f.suffix for f in tmp_path.iterdir()} == {".md", ".csv", ".json", ".svg", ".png"}


def test_a_survivor_is_told(tmp_path: Path) -> None:
    within = Edits(answer=lambda out: out | {k: 2 * a for k, a in out.items() if k.startswith("cotangents.")})
    failed = kill_matrix.run(tmp_path, 0, [RIGHT._replace(name="cannot-be-seen", edit=within)])
    assert failed == ["our suite misses cannot-be-seen"]
    with pytest.raises(LookupError, match="no network"):
        kill_matrix.home_of(RIGHT._replace(where=lambda b: []), 0)
