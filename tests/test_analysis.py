"""The main job: numbers, files, exit status. Assertions are on numbers, not on pixels."""

import csv
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import numpy_lstm as nl
from analysis import next_symbol, output, text
from analysis.__main__ import main
from analysis.flow import study
from analysis.flow.command import STUDIES
from analysis.verify import accuracy, coverage, routes, softmax, verification
from numpy_lstm import check, tree


@pytest.fixture(scope="module")
def corpus() -> text.Corpus:
    return text.load()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks on text at a size where every route is quick."""
    monkeypatch.setattr(routes, "SIZES", {"T": 8, "B": 3, "D": 4, "H": 5})


@pytest.fixture
def smaller(monkeypatch: pytest.MonkeyPatch, small: None) -> None:
    """The main job with fewer networks, wirings and seeds."""
    some = ("RNN", "LSTM, forget bias 1")
    monkeypatch.setattr(next_symbol, "NETWORKS", {name: next_symbol.NETWORKS[name] for name in some})
    monkeypatch.setattr(coverage, "TWINS", dict(list(coverage.TWINS.items())[:1]))
    monkeypatch.setattr(coverage, "cells", partial(coverage.cells, seeds=1))
    monkeypatch.setattr(verification, "saturated", partial(verification.saturated, seeds=1))
    monkeypatch.setattr(softmax, "measure", partial(softmax.measure, seeds=1))


@pytest.mark.usefixtures("smaller")
def test_the_main_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--seeds", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "", "no progress bar where no terminal is"
    saved = json.loads((tmp_path / "verification.json").read_text(encoding="utf-8"))
    assert {(r["network"], r["route"]) for r in saved["routes"]} == {
        (n, r) for n in next_symbol.NETWORKS for r in routes.ROUTES
    }
    assert all(r["passed"] and r["error"] <= r["bound"] for r in saved["routes"])
    assert max(k["numpy-lstm"] for k in saved["saturated"].values()) <= 16
    assert saved["saturated"]["forget bias +10"]["torch.nn.LSTM"] > 100
    assert max(max(row["numpy-lstm"]) for row in saved["softmax"].values()) <= 2e-15
    assert min(saved["softmax"]["+30"]["torch"]) > 1e-5
    covered = json.loads((tmp_path / "coverage.json").read_text(encoding="utf-8"))
    assert len(covered["cells"]) == len(coverage.CELLS)
    assert set(covered["layouts"]) == set(nl.layouts.names())
    assert max(row["truth"] for row in covered["cells"]) <= 1e-15
    assert len(covered["wirings"]) == 1
    for said in (
        "bound of numpy-lstm: 16",
        "against each oracle: worst normwise error, bound: 1e-14",
        "K against the ",
    ):
        assert said in printed.out
    assert printed.out.count("; bound: 1e-14.\n") == 2, "wirings and layouts"
    last = printed.out.splitlines()[-1]
    assert re.fullmatch(rf"all passed: verify, coverage; done: flow\. Written to {tmp_path} in \d+ s", last)
    assert (tmp_path / "verification.md").read_text(encoding="utf-8") in printed.out
    assert {f.name for f in tmp_path.iterdir()} == {
        *("verification.json", "verification.md", "gradient_flow.csv", "gradient_flow_rates.csv"),
        *("coverage.json", "coverage.md"),
        *("gradient_flow.svg", "gradient_flow.png", "gradient_flow.json"),
    }
    for name in ("gradient_flow.svg", "gradient_flow.png"):
        assert (tmp_path / name).stat().st_size > 20_000


def test_rates_on_text(corpus: text.Corpus, tmp_path: Path) -> None:
    """Close to what is measured on white noise inputs (0.55, 0.62, 0.84, 0.98, 0.98); h and c fall alike."""
    study.run("text", STUDIES["text"], study.Options(tmp_path, 1, 4, corpus=corpus))
    with (tmp_path / "gradient_flow_rates.csv").open() as file:
        rates = {(row["network"], row["signal"]): float(row["rate_per_step"]) for row in csv.DictReader(file)}
    expected = {"RNN": 0.54, "LSTM, forget bias 0": 0.625, "LSTM, forget bias 1": 0.848, "LSTM, forget bias 2": 0.97}
    for network, rate in expected.items():
        assert rates[network, "h"] == pytest.approx(rate, abs=0.03)
        if network != "RNN":
            assert rates[network, "c"] == pytest.approx(rates[network, "h"], abs=0.005)
    assert rates["LSTM, chrono", "c"] == pytest.approx(0.984, abs=0.01)
    with (tmp_path / "gradient_flow.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 * 100
    for row in rows:
        assert 0 < float(row["lower_quartile"]) <= float(row["median"]) <= float(row["upper_quartile"])
    assert all(float(row["median"]) == 1 for row in rows if row["lag"] == "0")


@pytest.mark.parametrize("network", next_symbol.NETWORKS)
def test_the_whole_loss(network: str, corpus: text.Corpus) -> None:
    """Embedding, cell and readout: the gradient by hand is the complex step through the whole loss."""
    rng = np.random.default_rng(0)
    setting = next_symbol.NETWORKS[network]
    cell = setting.page
    codes = text.windows(corpus, 6, 2, rng)
    w = next_symbol.weights(setting, len(corpus.symbols), 2, 3, 4, 10, rng)
    stepped = check.complex_step(lambda v: next_symbol.loss(cell, v, codes), w, chunk=100)
    assert check.normwise(next_symbol.gradient(cell, w, codes), stepped) <= 2e-15
    blind = w._replace(V=0 * w.V)
    assert next_symbol.loss(cell, blind, codes) == pytest.approx(5 * 2 * np.log(len(corpus.symbols)))


@pytest.mark.usefixtures("small")
def test_a_failed_route_fails_the_job(
    corpus: text.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verification, "saturated", lambda seed: {"standard": {"numpy-lstm": float("nan")}})
    monkeypatch.setattr(softmax, "measure", lambda seed: {"+30": {"numpy-lstm": (0.0, float("nan"))}})
    monkeypatch.setattr(
        routes,
        "ROUTES",
        {
            "complex step": (routes.ROUTES["complex step"][0], 1e-30),
            "not a number": (lambda c: (float("nan"), None), 1.0),
        },
    )
    assert main(["verify", "--out", str(tmp_path)]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("FAILED: RNN, complex step: ")
    assert last.endswith(f"and 4 more. Written to {tmp_path} in {last.split()[-2]} s")
    failed = verification.run(corpus, tmp_path, 0)
    assert "LSTM, chrono, not a number: nan, bound 1" in failed
    assert "saturated gates, standard: K nan, bound 16" in failed
    assert failed[-1] == "softmax, target ahead by +30: inf, bound 2e-15"
    assert len(failed) == 12
    saved = json.loads((tmp_path / "verification.json").read_text(encoding="utf-8"))
    assert [r["error"] for r in saved["routes"] if r["route"] == "not a number"] == [None] * 5


@pytest.mark.usefixtures("small")
def test_a_wrong_gradient_fails_every_route_but_torch_free_ones_name_it(corpus: text.Corpus) -> None:
    """Halve one gate's bias gradient: each comparing route sees it."""
    c = routes.subject("LSTM, forget bias 1", corpus, np.random.default_rng(0))
    wrong = c.gradient._replace(params=c.gradient.params._replace(b_g=c.gradient.params.b_g / 2))
    for route in ("50-digit truth", "complex step", "chain rule on rows", "RTRL", "torch.nn", "central difference"):
        compare, bound = routes.ROUTES[route]
        assert compare(c)[0] <= bound < compare(c._replace(gradient=wrong))[0], route


def test_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "REGIMES", accuracy.REGIMES[::9])
    monkeypatch.setattr(accuracy, "measure", partial(accuracy.measure, seeds=1))
    assert accuracy.run(tmp_path, 0) == []
    rows = json.loads((tmp_path / "accuracy.json").read_text(encoding="utf-8"))["rows"]
    assert [row["name"].partition(",")[0] for row in rows] == ["LSTM", "GRU"]
    monkeypatch.setattr(accuracy, "BOUND", 1e-3)
    assert [said.partition(":")[0] for said in accuracy.run(tmp_path, 0)] == [row["name"] for row in rows]


def test_windows(corpus: text.Corpus) -> None:
    assert len(corpus.symbols) > 60
    codes = text.windows(corpus, 50, 3, np.random.default_rng(0))
    assert codes.shape == (50, 3)
    assert "".join(corpus.symbols[k] for k in codes[:, 1]) in "".join(corpus.symbols[k] for k in corpus.codes)
    assert "characters" in str(corpus)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read "),
        (b"", "text.txt has 0 different characters; a next-symbol loss needs at least 2"),
        (b"aaaa", "text.txt has 1 different characters; a next-symbol loss needs at least 2"),
        (b"ab\xff", "is not UTF-8 text: byte 2 is 0xff"),
        (b"abab", "text.txt has 4 characters; a window needs 21"),
    ],
)
def test_bad_text(content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    assert main(["verify", "--text", str(path), "--out", str(tmp_path / "out")]) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_are_whole_or_absent(tmp_path: Path) -> None:
    path = output.write_text(tmp_path / "table.md", "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        output.write(path, fail)
    assert [f.read_text() for f in tmp_path.iterdir()] == ["old"]
    saved = output.write_json(tmp_path / "x.json", {"K": [float("nan"), float("inf"), 1.5]})
    assert json.loads(saved.read_text()) == {"K": [None, None, 1.5]}


def test_the_layer_in_a_case_has_no_zero_to_hide_behind(corpus: text.Corpus) -> None:
    for network in next_symbol.NETWORKS:
        c = routes.subject(network, corpus, np.random.default_rng(0))
        for name, a in tree.leaves((c.problem.point.first, c.problem.cotangents)):
            assert np.all(a != 0), (network, name)
        if c.problem.cell is nl.LSTM:
            assert not np.array_equal(c.problem.point.first.h, c.problem.point.first.c)


def test_a_wrong_layout_fails_the_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "cells", lambda seed: [{"name": "RNN", "truth": 0.0, "K": 1.0}])
    monkeypatch.setattr(coverage, "twins", lambda seed: [{"name": "twin", "complex step": 0.0}])
    some = {key: form for key, form in coverage.frameworks.FORMS.items() if key[0] in ("keras", "onnx")}
    monkeypatch.setattr(coverage.frameworks, "FORMS", some)
    assert coverage.run(tmp_path, seed=0) == []
    swapped = nl.layouts.load

    def wrong(name: str, arrays: object, cell: nl.Page) -> object:
        p = swapped(name, arrays, cell)
        return p._replace(W_i=p.W_f, W_f=p.W_i) if name == "keras" and cell is nl.LSTM else p

    monkeypatch.setattr(nl.layouts, "load", wrong)
    monkeypatch.setattr(coverage, "cells", lambda seed: [{"name": "RNN", "truth": float("nan"), "K": 17.0}])
    errors = ["cells, RNN, truth: nan, bound 1e-14", "cells, RNN, K: 17, bound 16", "layouts, keras, LSTM: "]
    for said, error in zip(coverage.run(tmp_path, seed=0), errors, strict=True):
        assert said.startswith(error)
