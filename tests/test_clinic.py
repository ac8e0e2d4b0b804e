"""The debugging clinic: each symptom is named where it is, and no healthy run is called sick."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.clinic import command, runs
from cases import seeds
from numpy_lstm import flow, train
from numpy_lstm.train import clinic


@pytest.mark.parametrize("name", [k for k in runs.SICK if k != "vanishing"])
def test_each_symptom_is_named_where_it_shows(name: str) -> None:
    for seed in seeds(20, 1):
        ran = {name: runs.SICK[name](seed)}
        named = {s.name for s in ran[name].symptoms}
        assert name in named, seed
        assert ("vanishing" in named) == (name == "plateau"), seed


@pytest.mark.parametrize("cell", range(3), ids=[cell.name for cell in runs.CELLS])
def test_no_healthy_run_is_called_sick(cell: int) -> None:
    """All of them learn more than what counting characters tells; 20 seeds of each cell with --thorough."""
    for seed in seeds(20, 1):
        ran = runs.healthy(3 * seed + cell)
        assert ran.symptoms == (), seed
        assert np.median(ran.history.loss[-20:]) < 0.5 * ran.more["floor"]


def history(n: int = 100, **curves: Any) -> train.History:
    """A run that learns well, with some of its curves replaced."""
    falls = 3 * np.exp(-np.arange(n) / 30) + 0.5
    healthy = {"loss": falls, "norm": np.full(n, 0.2), "clipped": np.zeros(n), "rate": np.full(n, 0.01)}
    return train.History(**healthy | {"held_out": np.where(np.arange(n) % 10 == 9, falls + 0.05, np.nan)} | curves)


def gates(**means: tuple[float, float, float]) -> dict[str, flow.Table]:
    columns = dict(zip(("mean", "open", "shut"), np.transpose(list(means.values())), strict=True))
    return {"1": flow.Table("gates", "gate", list(means), columns)}


STILL = np.full(100, 2.1)
LOOKS = np.where(np.arange(100) % 10 == 9, np.arange(100) / 100 + 1, np.nan)
GAINED = np.concatenate([[3.0], np.full(99, 2.1)])


@pytest.mark.parametrize(
    ("given", "more", "names"),
    [
        ({}, {}, []),
        ({"loss": [*STILL[1:], math.nan]}, {}, ["divergence"]),
        ({"loss": [*STILL[1:], None]}, {}, ["divergence"]),
        ({"norm": [*STILL[1:], math.inf]}, {}, ["divergence"]),
        ({"loss": STILL[::-1] + np.arange(100) / 100}, {}, ["divergence"]),
        ({"loss": 2 + np.arange(100) / 50 + np.arange(100) % 2}, {}, ["divergence", "oscillation"]),
        ({"loss": STILL}, {}, ["flat"]),
        ({"loss": GAINED}, {}, []),  # all in one update
        ({"loss": [*np.full(10, 3.0), *STILL[10:]]}, {}, []),  # done, or stuck: without a floor nobody can tell
        ({"loss": [*np.full(10, 3.0), *STILL[10:]]}, {"floor": 2.1}, ["plateau"]),
        ({"loss": [*np.full(10, 3.0), *STILL[10:]]}, {"floor": 2.5}, []),
        ({"loss": 3 - np.arange(100) / 100}, {"floor": 2.0}, []),  # it is still going down
        ({"loss": 3 - np.arange(100) % 2}, {}, ["oscillation"]),
        ({"norm": [*STILL[1:], 11.0]}, {}, ["exploding"]),
        ({"norm": np.full(100, 5e-5)}, {}, ["vanishing"]),
        ({"norm": np.full(100, 5e-5), "loss": np.geomspace(2, 1e-9, 100)}, {}, []),  # it has learned all there is
        ({"held_out": LOOKS}, {}, ["overfitting"]),
        ({"held_out": LOOKS, "loss": STILL}, {}, ["flat"]),
        ({"held_out": LOOKS[::-1]}, {}, []),
        ({"clipped": np.arange(100) > 50}, {}, ["clipped"]),
        ({"clipped": np.arange(100) < 90}, {}, []),
        ({}, {"memory": 1e8 + 1e6 * np.arange(100)}, ["memory"]),
        ({}, {"memory": 1e8 + 1e4 * np.arange(100)}, []),
        ({}, {"memory": [1e8, 2e8, 2e8, 2e8, 2e8, 2e8]}, []),  # once, and then no more
        ({}, {"gates": gates(i=(1e-4, 0, 1), f=(0.5, 0, 0))}, ["dead gates"]),
        ({}, {"gates": gates(i=(0.5, 0.5, 0.49), f=(0.9, 0.99, 0))}, ["dead gates"]),
        ({}, {"gates": gates(i=(0.02, 0, 0.99), f=(0.98, 0.99, 0), o=(0.5, 0.1, 0.1))}, []),  # chrono
        ({}, {"error": train.Diverged("update 7: loss nan")}, ["divergence"]),
    ],
)
def test_what_is_named(given: Any, more: Any, names: list[str]) -> None:
    assert [s.name for s in train.symptoms(history(**given), **more)] == names


def test_a_run_of_few_updates_has_no_course() -> None:
    few = {k: a[:19] for k, a in history(loss=STILL)._asdict().items()}
    assert train.symptoms(train.History(**few)) == ()
    assert train.symptoms(train.History(*([] for _ in few))) == ()


def test_a_symptom_says_what_was_seen_why_and_what_to_do() -> None:
    (found,) = train.symptoms(history(loss=STILL))
    assert str(found).startswith(
        "flat: of a loss of 2.100 nats, 0.000 has been learned in 100 updates. Cause: the rate"
    )
    assert found[2:] == clinic.KNOWN["flat"]
    assert set(runs.SICK) == set(clinic.KNOWN)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([1.0, 2.0], "history is a list; expected a History, such as progress.history"),
        (history(norm=[0.1]), r"history\.norm has shape \(1,\); expected \(100,\), one number an update"),
        (history(loss=3.0), r"history\.loss has shape \(\); expected \(1,\)"),
    ],
)
def test_what_is_refused(given: Any, says: str) -> None:
    with pytest.raises(train.TrainingError, match=says):
        train.symptoms(given)


def test_the_manual_lists_every_symptom() -> None:
    page = (Path(__file__).parent.parent / "docs" / "debugging.md").read_text(encoding="utf-8")
    table = page.partition("## Symptoms")[2].partition("## ")[0]
    listed = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert listed[2:] == list(clinic.KNOWN)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It fails where a symptom is not named, or a healthy run is called sick."""
    sick = runs.Ran(history(loss=STILL), {})
    monkeypatch.setattr(command, "SICK", {"flat": lambda seed: sick, "plateau": lambda seed: sick})
    monkeypatch.setattr(command, "healthy", lambda seed: sick if seed % 3 else runs.Ran(history(), {}))
    monkeypatch.setattr(command.figures, "drawn", lambda draw, size, stem: None)
    assert command.run(tmp_path, 0) == [
        *("plateau was not named", "vanishing was not named", "healthy 2 is called flat", "healthy 3 is called flat"),
    ]
    assert (tmp_path / "clinic.md").read_text(encoding="utf-8") in capsys.readouterr().out
    assert {f.name for f in tmp_path.iterdir()} == {"clinic.md", "clinic.json", "clinic.csv"}
