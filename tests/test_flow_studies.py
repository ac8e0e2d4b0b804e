"""The studies of gradient flow show what they must show; assertions are on numbers, not on pixels."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import cases
import numpy_lstm as nl
from analysis import figures, networks, text
from analysis.__main__ import main
from analysis.flow import command, gates, rates, scalar, signals, spectra, study, ungated
from numpy_lstm import check, flow

TINY = {"T": 20, "B": 2, "D": 3, "H": 6}


def options(folder: Path, **more: Any) -> study.Options:
    return study.Options(folder, **more)


def by_name(found: study.Found, *columns: str) -> dict[Any, list[Any]]:
    """Rows of the summary: the first column, and the named ones as numbers."""
    at = [found.summary_header.index(c) for c in columns]
    return {row[0]: [float(row[k]) for k in at] for row in found.summary}


def test_f1_fitted_rates(tmp_path: Path) -> None:
    """At 20 seeds for the RNN, whose networks differ most, and four for the others."""
    vary = signals.signals(options(tmp_path, networks=("RNN",)))
    settings = [f"LSTM:uniform:{b}" for b in ("0", "1", "2", "5", "chrono")]
    rest = signals.signals(options(tmp_path, seeds=4, networks=tuple(settings)))
    found = {(row[0], row[1]): float(row[2]) for row in (*vary.summary, *rest.summary)}
    expected = {"RNN": 0.55, "LSTM, b_f=0": 0.62, "LSTM, b_f=1": 0.84, "LSTM, b_f=2": 0.98, "LSTM, b_f=5": 1.02}
    for name, rate in expected.items():
        for signal in "hc" if name != "RNN" else "h":
            assert found[name, signal] == pytest.approx(rate, abs=0.02), (name, signal)
    assert found["LSTM, chrono", "c"] == pytest.approx(0.984, abs=0.02)
    assert found["LSTM, chrono", "direct"] == pytest.approx(found["LSTM, chrono", "c"], abs=0.005)
    assert all(row[4] > 0 for row in (*vary.rows, *rest.rows)), "nothing underflows in float64"


def test_f2_the_ladder_is_monotone_and_crosses_one(tmp_path: Path) -> None:
    found = rates.ladder(options(tmp_path, seeds=3, forget_bias=(-1.0, 0.0, 1.0, 2.0, 5.0)))
    rate = [row[1] for row in found.rows]
    assert rate == sorted(rate)
    assert rate[3] < 1 < rate[4]
    np.testing.assert_allclose([row[4] for row in found.rows], 1 / (1 + np.exp([1, 0, -1, -2, -5])), atol=0.01)


def test_f3_the_direct_path_is_a_severe_underestimate(tmp_path: Path) -> None:
    found = spectra.direct_path(options(tmp_path, seeds=2, networks=("LSTM:uniform:1", "LSTM:uniform:chrono")))
    ratio = by_name(found, "lag 60")
    assert ratio["LSTM, b_f=1"][0] > 1000
    assert 0.98 <= ratio["LSTM, chrono"][0] <= 1.05


def test_f4_a_linear_orthogonal_network_has_the_rate_rho(tmp_path: Path) -> None:
    found = ungated.radius(options(tmp_path, seeds=2))
    for kind, rho, rate, least, largest in found.rows:
        for value in (rate, least, largest):
            if kind == "tanh, driven":
                assert value < 0.85 * rho
            else:
                assert np.log(value) == pytest.approx(np.log(rho), abs=1e-6)


def test_f5_the_rate_is_the_largest_lyapunov_exponent(tmp_path: Path) -> None:
    found = spectra.lyapunov(options(tmp_path, seeds=2))
    assert len(found.rows) >= 6
    for name, exponent, rate, *_ in found.rows:
        assert rate == pytest.approx(exponent, abs=0.03), name
    assert found.rows[0][1] < -0.4 < 0.0 < found.rows[-1][1]


def test_f6_below_one_the_exponent_is_the_log_of_the_spectral_radius(tmp_path: Path) -> None:
    found = ungated.gain(options(tmp_path, seeds=1, gains=(0.5, 3.0), sizes={**networks.SIZES, "T": 25}))
    (_, low, *_, log_rho), (_, high, *_, log_gain, _) = found.rows
    assert low == pytest.approx(log_rho, abs=0.01)
    assert 0 < high < log_gain / 2


def test_f7_an_open_gate_keeps_the_cell_half_of_the_spectrum(tmp_path: Path) -> None:
    names = ("LSTM:uniform:0", "LSTM:uniform:chrono", "LSTM:uniform:5")
    share = by_name(spectra.singular_values(options(tmp_path, seeds=2, networks=names)), "share above 0.1")
    assert share["LSTM, b_f=0"][0] == 0
    assert share["LSTM, chrono"][0] == pytest.approx(0.49, abs=0.02)
    assert share["LSTM, b_f=5"][0] == pytest.approx(0.5, abs=0.01)


def test_f8_the_wall() -> None:
    w, b = np.full(35001, 5.0), np.linspace(-4.5, -1.0, 35001)
    error, _, slope = scalar.surface(w, b)
    at = int(np.argmax(np.abs(slope)))
    assert abs(slope[at]) == pytest.approx(870, rel=0.01)
    assert b[at] == pytest.approx(-2.612, abs=1e-3)
    assert np.mean(np.abs(slope) > 1) == pytest.approx(4e-4, rel=0.2)
    assert (error[at - 20], error[at + 20]) == (pytest.approx(0.348, abs=0.01), pytest.approx(0.015, abs=0.01))

    def loss(point: dict[str, Any]) -> Any:
        return scalar.surface(point["w"], point["b"])[0].sum()

    point = {"w": np.array([4.7, 3.0]), "b": np.array([-2.43, -1.5])}
    _, dw, db = scalar.surface(**point)
    assert check.normwise({"w": dw, "b": db}, check.complex_step(loss, point)) <= 1e-12


def test_f9_the_lstm_has_the_broad_band(tmp_path: Path) -> None:
    found = rates.robustness(options(tmp_path, seeds=2, networks=("RNN", "LSTM:uniform:1"), gains=(0.25, 8.0)))
    span = {name: (values[0], values[-1]) for name, *values in found.summary}
    low, high = (float(v) for v in span["LSTM, b_f=1"])
    assert 0.7 < low < high < 1.2
    assert float(span["RNN"][0]) < 0.2
    assert float(span["RNN"][1]) > 1.4


def test_f15_f17_f18_f20(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalar, "MEMORIES", (0.5, 0.9, 0.95))
    v = scalar.step_size(options(tmp_path))
    for T, step, central, *_ in v.rows:
        assert step or central <= 1e-15, T
    assert 1e-11 < min(row[2] for row in v.rows if row[1]) < 1e-9
    for lam, h, h_theory, slope, slope_theory in scalar.curse(options(tmp_path, seeds=4)).rows:
        assert h == pytest.approx(h_theory, rel=0.15), lam
        assert slope == pytest.approx(slope_theory, rel=0.15), lam
    mean = {tuple(row[:2]): float(row[2]) for row in gates.gates(options(tmp_path, seeds=2)).summary}
    assert mean["LSTM, b_f=1", "f"] == pytest.approx(0.73, abs=0.01)
    assert mean["LSTM, chrono", "i"] < 0.1 < 0.9 < mean["LSTM, chrono", "f"]
    reach = by_name(gates.connectivity(options(tmp_path)), "characters above 1 %")
    assert reach["RNN"] < reach["LSTM, b_f=1"] < reach["LSTM, chrono"]


def test_underflow_is_shown_as_a_floor(tmp_path: Path) -> None:
    found = signals.floor(options(tmp_path, seeds=2))
    lost = {(row[0], row[1]): row[3] for row in found.summary}
    assert lost["RNN", "float64"] == lost["LSTM, b_f=0", "float64"] == "never"
    assert 150 < int(lost["RNN", "float32"]) < int(lost["LSTM, b_f=0", "float32"]) < 250
    figure = Figure()
    signals.draw_floor(found.data, figure)
    axes = figure.axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert len(crosses) == 2, "one row of crosses for each float32 curve that reached zero"
    low = axes.get_ylim()[0]
    assert all(np.all(line.get_ydata() > low) for line in axes.lines), "nothing lies below the axis"


def test_every_study_leaves_its_files_and_they_are_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every third one without --thorough."""
    twice = ("text", "connectivity")
    studies = {
        name: one
        for k, (name, one) in enumerate(command.STUDIES.items())
        if cases.THOROUGH or name in twice or k % 3 == 1
    }
    monkeypatch.setitem(scalar.GRID, "points", 21)
    monkeypatch.setattr(scalar, "MEMORIES", (0.5, 0.8))
    monkeypatch.setattr(ungated, "AUTONOMOUS", (0.5, 1.5))
    corpus = text.load()
    for folder, chosen in (("a", studies), ("b", twice)):
        for name in chosen:
            o = options(tmp_path / folder, seeds=2, sizes=TINY, corpus=corpus)
            study.run(name, command.STUDIES[name], o)
    names = {f.name for f in (tmp_path / "a").iterdir()} - {"sweep"}
    stems = {one.stem or name for name, one in studies.items()}
    assert names == {f"{n}.{kind}" for n in stems for kind in ("svg", "png", "csv", "json")} | {
        "gradient_flow_rates.csv"
    }
    again = list((tmp_path / "b").glob("*.*"))
    assert len(again) == 9
    for file in again:
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes(), file.name
    assert capsys.readouterr().err == "", "no progress bar where no terminal is"


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--out", str(tmp_path), "--seeds", "2", "--networks", "RNN", "LSTM:uniform:3"]
    assert main(["flow", "gates", *small[:4], "--networks", "LSTM:uniform:3"]) == 0
    assert "| LSTM, b_f=3 |    f | 0.95" in capsys.readouterr().out
    assert main(["flow", "signal", *small]) == 3
    assert "no flow study 'signal'; expected all or some of text, signals" in capsys.readouterr().err
    assert main(["flow", "signals", *small[:4], "--networks", "LTSM"]) == 3
    assert "network 'LTSM': expected CELL[:INIT[:FORGET]], CELL one of RNN, LSTM" in capsys.readouterr().err
    for line, message in (
        ("text --networks GRU --forget-bias 3", "flow text does not read --networks"),
        ("signals forget-bias --forget-bias 3", "flow signals does not read --forget-bias"),
        ("wall --seeds 3", "flow wall does not read --seeds"),
        ("wall --jobs 2", "flow wall does not read --jobs"),
        ("connectivity --dask tcp://a:1", "flow connectivity does not read --dask"),
        ("lyapunov --gains 1 2", "flow lyapunov does not read --gains"),
        (f"gain --text {__file__}", "flow gain does not read --text"),
        ("gates --networks RNN", "network 'RNN': RNN has no gates"),
        ("all --networks RNN", "network 'RNN': RNN has no direct path: no step multiplies h unit by unit"),
    ):
        assert main(["flow", *line.split(), "--out", str(tmp_path / "refused")]) == 3, line
        said = capsys.readouterr().err.strip()
        assert message in said
        assert "\n" not in said
    assert not list((tmp_path / "refused").glob("*"))
    assert main(["verify", "signals"]) == 3
    assert "unrecognized arguments: signals" in capsys.readouterr().err


def test_help_lists_what_every_study_shows_and_reads() -> None:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    listed = parser.format_help().splitlines()
    for name, one in command.STUDIES.items():
        (line,) = [line for line in listed if line.split()[:1] == [name]]
        assert one.title in line
        assert all(f"--{option.replace('_', '-')}" in line for option in one.reads)


@pytest.mark.parametrize("name", command.STUDIES)
def test_a_study_reads_the_options_that_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other option may be missing altogether."""
    monkeypatch.setitem(scalar.GRID, "points", 21)
    monkeypatch.setattr(ungated, "AUTONOMOUS", (0.5, 1.5))
    corpus = text.load()
    asked: set[str] = set()

    class Watched(study.Options):
        def __getattribute__(self, option: str) -> Any:
            asked.add(option)
            return super().__getattribute__(option)

    o = Watched(tmp_path, seeds=1, sizes=TINY | {"T": 12}, corpus=corpus)
    command.STUDIES[name].compute(o)
    options = {*study.OWN, "corpus"} - {"text"}
    assert {"text" if k == "corpus" else k for k in asked & options} == set(command.STUDIES[name].reads)


def test_the_gallery_has_every_study() -> None:
    gallery = Path(study.__file__).parent.parent / "GALLERY.md"
    told = gallery.read_text(encoding="utf-8")
    for name, one in command.STUDIES.items():
        assert f"`flow {name}`" in told, name
        stem = one.stem or name
        assert f"](gallery/{stem}.svg)" in told
        for kind in ("svg", "csv"):
            assert (gallery.parent / "gallery" / f"{stem}.{kind}").exists(), name


def test_a_table_is_plotted_in_one_line(tmp_path: Path) -> None:
    p = networks.noise_pass({"network": "LSTM:uniform:1", **TINY, "seed": 0})
    figures.plot(flow.norms(p, ["h", "c", "a_f"]), tmp_path / "norms")
    figures.plot(flow.saturation(p), tmp_path / "gates", log=False)
    assert {f.name for f in tmp_path.iterdir()} == {"norms.svg", "norms.png", "gates.svg", "gates.png"}


@pytest.mark.parametrize("init", networks.INITS)
def test_every_cell_has_every_initialisation(init: str) -> None:
    for cell in networks.CELLS:
        p = networks.noise_pass({"network": f"{cell}:{init}", **TINY, "seed": 1, "dtype": "f4"})
        assert p.run.hs.dtype == np.float32
        assert flow.diagnose(p).verdict in {"vanishes", "keeps", "explodes"}
    assert nl.ReLURNN.name in networks.CELLS
