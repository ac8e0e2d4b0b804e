"""The character model: trained, resumed, sampled, drawn; n-grams against counting; what is refused."""

import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import own_cells
import pytest
import training

import numpy_lstm as nl
from analysis import __main__ as command_line
from analysis import figures
from analysis.charlm import ngrams, settings, updates
from numpy_lstm import train

SMALL = ["--hidden", "6", "--embedding", "4", "--batch", "4", "--steps", "8", "--every", "10"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    words = np.random.default_rng(0).choice(["the cat", "sat on", "a mat\n", "and, "], 300)
    (tmp_path / "text.txt").write_text(" ".join(words), encoding="utf-8")
    return tmp_path / "text.txt"


def charlm(text: Path, *options: str, name: str = "charlm") -> int:
    where = ["--out", str(text.parent / "out")]
    return command_line.main([name, *where, *(["--text", str(text), *SMALL] if name == "charlm" else []), *options])


def test_trained_resumed_sampled_and_drawn(
    text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert charlm(text, "--updates", "10", "--cell", "GRU", "--dropout", "0.2") == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines() if "held-out" in line] == [
        *("unigram", "bigram", "trigram", "5-gram", "10", "best"),
    ]
    out = text.parent / "out"
    stopped = train.record.read(out / "charlm.json")
    assert charlm(text, "--updates", "20", "--cell", "GRU", "--dropout", "0.2", "--resume") == 0
    resumed = train.record.read(out / "charlm.json")
    assert resumed["looks"][:1] == stopped["looks"]
    assert (
        charlm(text, "--updates", "20", "--cell", "GRU", "--dropout", "0.2", "--file", str(out / "b.safetensors")) == 0
    )
    whole = train.record.read(out / "b.json")
    assert all(0 < a["seconds"] < b["seconds"] for a, b in (whole["looks"], resumed["looks"]))
    for look in [*whole["looks"], *resumed["looks"]]:  # each look's time is inside the seconds, not inside the speed
        assert look.pop("tokens_per_s") > 320 / look.pop("seconds")
    for part in ("curves", "looks", "best", "gate_map"):
        assert whole[part] == resumed[part], part
    assert [look["update"] for look in whole["looks"]] == [10, 20]
    assert set(whole["looks"][0]["gates"]["1"]) == {"r", "z"}
    assert {k: np.shape(a) for k, a in whole["gate_map"]["values"].items()} == {"z": (80, 6), "r": (80, 6)}
    assert len(whole["gate_map"]["text"]) == 80
    capsys.readouterr()
    for file in ("charlm.npz", "b.safetensors"):
        assert charlm(text, "--file", str(out / file), "--sample", "30", "--prompt", "cat", "--temperature", "0.5") == 0
        said = capsys.readouterr().out.split("\n\n")[0]
        assert said.startswith("cat")
        assert len(said) == 33
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, stem: drawn.append((figure, stem)))
    assert charlm(text, name="dashboard") == 0
    ((figure, stem),) = drawn
    assert stem == out / "dashboard"
    assert [a.get_title(loc="left").split(",")[0] for a in figure.axes[:3]] == [
        "loss",
        "perplexity",
        "gradient norm (0% clipped)",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", "0"], "rate is 0.0; expected a number above 0"),
        (["--clip", "-1"], "clip is -1.0; expected a number above 0"),
        (["--dropout", "1.5"], "dropout is 1.5; expected a number of at least 0, at most 1"),
        (["--batch", "900"], "characters; 900 rows of 8 steps, and 10% held out, need"),
        (["--resume", "--hidden", "7"], "hidden was 6; here it is 7"),
        (["--resume", "--seed", "1"], "seed was 0; here it is 1"),
        (["--resume", "--rate", "0.1"], "rate was 0.01; here it is 0.1"),
        (["--resume", "--dtype", "float64"], "dtype was 'float32'; here it is 'float64'"),
        (["--sample", "5", "--prompt", "xylophone"], "the model knows no 'l', 'p', 'x', 'y'"),
        (["--sample", "5", "--prompt", ""], "the prompt is empty"),
        (["--prompt", "ABC"], "the model knows no 'A', 'B', 'C'"),
        (["--sample", "5", "--temperature", "0"], "temperature is 0.0; expected a number above 0"),
        (["--sample", "5", "--file", "none.npz"], "cannot read none.npz as a saved training run: No such file"),
        (["--parts", "9"], "parts is 9; expected at most 4, the rows of a batch"),
        (["--file", "model.txt"], "model.txt ends in .txt; expected .safetensors or .npz"),
        (
            ["--seed", 20 * "9"],
            "seed is 99999999999999999999; expected an integer of at least 0, at most 9223372036854775",
        ),
        (["--tied"], "tied needs embedding = hidden; they are 4 and 6"),
        (["--updates", "5", "--rate", "1e38"], "update 2: loss"),
    ],
)
def test_what_is_refused(options: list[str], says: str, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert charlm(saved, *options) == 3
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert "unexpected" not in error


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("charlm") / "text.txt"
    path.write_text("the cat sat on a mat, and " * 60, encoding="utf-8")
    assert charlm(path, "--updates", "1") == 0
    return path


@pytest.mark.parametrize("rate", ["1e30", "1e38"])
def test_losses_beyond_all_bounds_are_told_and_drawn(
    rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on a mat, and " * 60, encoding="utf-8")
    assert charlm(text, "--updates", "1", "--rate", rate) == 0
    told = capsys.readouterr().out
    assert "perplexity inf" in told or "perplexity nan" in told
    assert (
        "the logits of the model are not finite"
        in train.record.read(tmp_path / "out/charlm.json")["looks"][-1]["sample"]
    )
    figures_drawn: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda figure, stem: figures_drawn.append(figure))
        assert charlm(text, name="dashboard") == 0
    assert len(figures_drawn) == 1


def test_a_model_that_a_script_saved_is_not_sampled_from(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = training.whole()
    file = train.save(saved.parent / "script.npz", job, train.begin(job))
    assert charlm(saved, "--sample", "3", "--file", str(file)) == 3
    assert f"{file} was not saved by charlm: it has no setting cell" in capsys.readouterr().err


def test_a_record_that_is_none_is_refused_by_the_dashboard(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert charlm(saved, str(saved), name="dashboard") == 3
    assert f"{saved} is not JSON" in capsys.readouterr().err


def test_n_grams_are_those_of_counting() -> None:
    rng = np.random.default_rng(0)
    fit, held = (np.minimum(rng.geometric(0.4, n) - 1, 4) for n in (200, 60))

    def p(symbol: int, context: tuple[int, ...], n: int) -> Any:
        if n == 0:
            return 1 / 5
        before = tuple(context[len(context) - n + 1 :])
        lower = p(symbol, context, n - 1)
        counts = Counter(fit[k] for k in range(n - 1, len(fit)) if tuple(fit[k - n + 1 : k]) == before)
        if not counts:
            return lower
        return (counts[symbol] + len(counts) * lower) / (sum(counts.values()) + len(counts))

    text = np.concatenate([fit, held])
    for n, name in ngrams.NAMES.items():
        expected = -np.mean([math.log(p(text[k], tuple(text[:k]), n)) for k in range(201, 260)])
        assert math.isclose(ngrams.losses(fit, held, 5)[name], expected, rel_tol=1e-12), name
        context = tuple(text[:230])
        assert math.isclose(sum(p(s, context, n) for s in range(5)), 1, rel_tol=1e-12)


def test_updates_are_timed_beside_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "SHAPES", ((2, 3, 4, 2),))
    _, _, *rows = updates.measure(1, 0).splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["2,3,4,2"] * 2
    assert all(0 < float(row.split("|")[6].strip(" %")) < 100 for row in rows)


@pytest.mark.parametrize("preset", settings.PRESETS)
def test_a_preset_is_a_task_and_options_stand_above_it(preset: str) -> None:
    corpus = SimpleNamespace(sha256="0", symbols="abc")
    codes = np.random.default_rng(0).integers(0, 3, 6000)
    for more, count, hidden in (
        ([], settings.PRESETS[preset]["updates"], None),
        (["--updates", "7", "--hidden", "9"], 7, 9),
    ):
        _, options = command_line.parse(["charlm", "--preset", preset, *more])
        own = settings.chosen(options, corpus)
        task = settings.task(own, options, codes, codes[:300])
        assert task.updates == count
        assert task.model.sizes[1] == (hidden or settings.PRESETS[preset].get("hidden", 128))
        assert task.described()["hidden"] == task.model.sizes[1]


@pytest.mark.parametrize(
    ("cell", "names"), [(nl.LSTM, "f i o"), (nl.GRU, "z r"), (nl.RNN, "h"), (own_cells.MGU, "kept f")]
)
def test_a_gate_map_has_the_values_of_the_top_cell(cell: nl.Page, names: str) -> None:
    rng = np.random.default_rng(1)
    model, codes = train.language_model(7, cell, layers=2, hidden=5, embedding=3), rng.integers(0, 7, 12)
    params = model.init(rng)
    units, values = train.gate_map(model, params, codes, 3)
    assert " ".join(values) == names
    lower = nl.forward(cell, params[1], params[0].W[codes[:-1], None])
    found = nl.forward(cell, params[2], lower.hs).values
    for name, shown in values.items():
        right = (1 - found.f if name == "kept" else getattr(found, name))[:, 0]
        np.testing.assert_allclose(shown, right[:, units], rtol=1e-12)
        if name == names.split()[0]:
            assert units == np.argsort(-np.var(right, axis=0))[:3].tolist()


def test_the_run_in_the_gallery_is_a_record_and_learned() -> None:
    found = train.record.read(Path(__file__).parent.parent / "analysis" / "gallery" / "charlm.json")
    assert found["curves"]["held_out"][499] < 1.42
    assert found["best"]["held_out"] < found["baselines"]["5-gram"]
    assert found["settings"] | {"text": 0, "symbols": 0} == {k: o.default for k, o in settings.SETTINGS.items()} | {
        "seed": 0,
        "text": 0,
        "symbols": 0,
    }
