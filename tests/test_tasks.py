"""The memory tasks: what is asked, what an answer is worth that has read nothing, and how they are run."""

import argparse
import functools
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from analysis import figures
from analysis.__main__ import main
from analysis.tasks import command, runs
from analysis.tasks.problems import Adding, Copy, Order
from numpy_lstm import check, tree


class Every:
    """Draws every combination once, in the array of that shape; all else at random."""

    def __init__(self, values: int, shape: tuple[int, int]) -> None:
        self.rng, self.shape = np.random.default_rng(0), shape
        self.all = np.array(list(itertools.product(range(values), repeat=shape[0]))).T

    def integers(self, low: int, high: int, shape: Any) -> Any:
        return self.all if shape == self.shape else self.rng.integers(low, high, shape)


def entropy(column: Any) -> float:
    shares = np.array(list(Counter(column.tolist()).values())) / len(column)
    return float(-np.sum(shares * np.log(shares)))


@pytest.mark.parametrize("K", [1, 2])
def test_the_floor_of_copy_is_the_mean_entropy_of_its_answers(K: int) -> None:
    problem = Copy(5, K)
    targets = problem.drawn(Every(8, (K, 8**K)), 8**K).targets
    assert problem.floor == pytest.approx(np.mean([entropy(row) for row in targets]), rel=1e-14)
    assert all(max(Counter(row.tolist()).values()) == 8**K * problem.chance for row in targets[-K:])


def test_the_floors_that_were_published() -> None:
    found = [Copy(T, K).floor for T, K in ((100, 10), (1000, 10), (20, 5), (50, 5))]
    np.testing.assert_allclose(found, [0.1733, 0.0204, 0.3466, 0.1733], atol=5e-5)


def test_the_floor_of_order_is_the_entropy_of_its_answers() -> None:
    targets = Order(10).drawn(Every(2, (2, 4)), 4).targets[0]
    assert sorted(targets) == [0, 1, 2, 3]
    assert Order.floor == pytest.approx(entropy(targets), rel=1e-15)
    assert Order.chance == 1 / len(targets)


def test_the_floor_of_adding_is_the_least_squared_error_of_a_constant() -> None:
    """By a quadrature that is exact for cubic polynomials; the share within 0.1 by counting squares."""
    nodes, weights = np.polynomial.legendre.leggauss(2)
    sums, weights = np.add.outer(nodes / 2 + 0.5, nodes / 2 + 0.5), np.multiply.outer(weights, weights) / 4
    error = [float(np.sum(weights * (sums - guess) ** 2)) for guess in (0.99, 1.0, 1.01)]
    assert Adding.floor == pytest.approx(error[1], rel=1e-14)
    assert error[1] < min(error[0], error[2])
    fine = (np.arange(400) + 0.5) / 400
    assert Adding.chance == pytest.approx(np.mean(np.abs(np.add.outer(fine, fine) - 1) < 0.1), abs=2e-3)


@pytest.mark.parametrize(("T", "K"), [(1, 1), (3, 1), (4, 3)])
def test_what_copy_asks(T: int, K: int) -> None:
    batch = Copy(T, K).drawn(np.random.default_rng(T), 20)
    assert np.all(np.sum(batch.xs, axis=-1) == 1)
    for read, target in zip(np.argmax(batch.xs, axis=-1).T.tolist(), batch.targets.T.tolist(), strict=True):
        symbols = read[:K]
        assert max(symbols) < 8
        assert read == symbols + [8] * (T - 1) + [9] + [8] * K
        assert target == [8] * (T + K) + symbols
    answers = np.eye(9)[batch.targets]
    assert Copy(T, K).right(answers, batch) == 1
    answers[-1, :5] = np.eye(9)[8]
    assert Copy(T, K).right(answers, batch) == pytest.approx(1 - 1 / (4 * K))


@pytest.mark.parametrize("T", [10, 27])
def test_what_order_asks(T: int) -> None:
    batch = Order(T).drawn(np.random.default_rng(T), 400)
    seen = set()
    for row, target in zip(np.argmax(batch.xs, axis=-1).T, batch.targets[0], strict=True):
        (first, second), (a, b) = np.flatnonzero(row < 2), row[row < 2]
        seen |= {(0, int(first)), (1, int(second))}
        assert ["XX", "XY", "YX", "YY"][target] == "XY"[a] + "XY"[b]
    tenths = [range(k * T // 10, (k + 1) * T // 10) for k in (1, 5)]
    assert seen == {(k, t) for k, tenth in enumerate(tenths) for t in tenth}


@pytest.mark.parametrize("T", [2, 7])
def test_what_adding_asks(T: int) -> None:
    batch = Adding(T).drawn(np.random.default_rng(T), 200)
    assert 0 <= np.min(batch.xs[..., 0]) < np.max(batch.xs[..., 0]) < 1
    seen = set()
    for row, target in zip(np.moveaxis(batch.xs, 1, 0), batch.targets[0, :, 0], strict=True):
        first, second = np.flatnonzero(row[:, 1])
        seen |= {(0, int(first)), (1, int(second))}
        assert target == row[first, 0] + row[second, 0]
    assert seen == {(int(t >= T // 2), t) for t in range(T)}
    off = batch.targets + np.where(np.arange(200) < 50, 0.11, -0.09)[None, :, None]
    assert Adding(T).right(off, batch) == 0.75


@pytest.mark.parametrize("problem", [Copy(3, 2), Order(10), Adding(4)], ids=lambda p: p.name)
def test_a_batch_follows_from_seed_and_step(problem: Any) -> None:
    one, again, later, other = (problem(*at) for at in ((1, 2), (1, 2), (1, 3), (2, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(one[:2], again[:2], strict=True))
    assert not any(np.array_equal(one.xs, b.xs) for b in (later, other))
    assert one.xs.dtype == np.float32
    assert one.counts().shape == one.targets.shape[:2]


@pytest.mark.parametrize("problem", [Copy(3, 2), Order(10), Adding(5)], ids=lambda p: p.name)
def test_the_gradient_is_that_of_a_complex_step(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(problem), "hidden", 3)
    model, params = runs.network(problem, "LSTM, chrono", 0)
    model, params = model.having("explicit"), tree.random_like(tree.map(np.float64, params), np.random.default_rng(0))
    batch = problem.drawn(np.random.default_rng(1), 4)

    def forward(p: Any) -> Any:
        like = next(a.dtype for _, a in tree.leaves(p))
        floats = {k: a.astype(like) for k in ("xs", "targets") if (a := getattr(batch, k)).dtype.kind == "f"}
        return model.forward(p, batch._replace(**floats))

    run = forward(params)
    found = model.backward(params, run, np.full(run.losses.shape, 1 / run.losses.size))
    stepped = check.complex_step(lambda p: np.mean(forward(p).losses), params)
    assert check.normwise(found, stepped) <= 1e-14


def test_the_slopes_of_a_sum_are_those_of_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Adding, "hidden", 5)
    model, params = runs.network(Adding(6), "GRU", 0)
    batch = Adding(6).drawn(np.random.default_rng(0), runs.SHOWN)
    found = runs.uses(model, params, batch)
    exact, xs = tree.map(np.float64, params), np.float64(batch.xs)
    for t, b in itertools.product(range(6), range(runs.SHOWN)):
        moved = xs.copy()
        moved[t, b, 0] += 1e-6
        (up, _), (down, _) = (model.having("explicit").outputs(exact, x) for x in (moved, 2 * xs - moved))
        mark, slope = found["shown"][b][t]
        assert mark == batch.xs[t, b, 1]
        assert slope == pytest.approx(float(up[0, b, 0] - down[0, b, 0]) / 2e-6, abs=1e-9)
    shown = [both for row in found["shown"] for both in row]
    assert found["marked"][0] == pytest.approx(np.mean([slope for mark, slope in shown if mark]))
    assert found["elsewhere"][1] == pytest.approx(np.std([slope for mark, slope in shown if not mark]))
    assert found["lags"][0] == 1
    assert len(found["lags"]) == 6


def test_networks_are_what_they_are_called() -> None:
    found = {name: runs.network(Copy(40, 2), name, 0) for name in runs.NETWORKS}
    cells = [model.layers[0].cell for model, _ in found.values()]
    assert cells == [nl.RNN, nl.LSTM, nl.LSTM, nl.LSTM, nl.GRU]
    for bias in (0, 1):
        assert np.all(found[f"LSTM, b_f={bias}"][1][0].b_f == bias)
    chrono = found["LSTM, chrono"][1][0]
    np.testing.assert_array_equal(chrono.b_i, -chrono.b_f)
    assert 40 < np.exp(np.max(chrono.b_f)) < 61, "of 3/2 times the delay, and K"
    for _, (cell, _) in found.values():
        U = next(a for k, a in cell._asdict().items() if k[0] == "U")
        np.testing.assert_allclose(U @ U.T, np.eye(64), atol=1e-5)


def test_a_tiny_delay_is_learnt_and_training_stops() -> None:
    point = {
        "task": "copy",
        "delay": 3,
        "symbols": 1,
        "network": "RNN",
        "updates": 300,
        "every": 20,
        "rate": 0.01,
        "seed": 0,
    }
    found = runs.measure(point)
    assert found["solved"]
    assert found["updates"] == found["looks"][-1][0] < 300
    assert found["right"] > 0.95
    assert found["loss"] < 0.5 * Copy(3).floor
    assert [look[0] for look in found["looks"]] == list(range(0, found["updates"] + 1, 20))
    assert found == runs.measure(point)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, table and figures; a second time nothing is trained but what was damaged, or is another's."""
    trained, measure = [], runs.measure

    @functools.wraps(measure)
    def counted(point: Any) -> Any:
        trained.append(point)
        return measure(point)

    monkeypatch.setattr(runs, "measure", counted)
    monkeypatch.setattr(runs, "NETWORKS", {k: runs.NETWORKS[k] for k in ("RNN", "LSTM, chrono")})
    line = ["tasks", "copy", "adding", "--delays", "12", "10", "--updates", "2", "--seeds", "1", "--out", str(tmp_path)]
    assert main(line) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert len(trained) == 2 * 2 * 2
    assert "| nothing read     | 0.125 | 0.125 |" in said.out
    files = {f"{n}.{kind}" for n in ("copy1", "adding", "uses") for kind in ("svg", "png", "csv")}
    files |= {"copy1_curves.csv", "adding_curves.csv", "uses_traces.csv", "tasks.md"}
    assert {f.name for f in tmp_path.iterdir()} == files | {"sweep"}
    assert (tmp_path / "tasks.md").read_text(encoding="utf-8") in said.out
    before = {f.name: f.read_bytes() for f in tmp_path.glob("*.csv")}
    one, two, *_ = sorted((tmp_path / "sweep" / "tasks").iterdir())
    one.write_bytes(two.read_bytes())
    two.write_bytes(two.read_bytes()[:-40])
    monkeypatch.setattr(figures, "drawn", lambda *_: None)
    assert main(line) == 0
    assert len(trained) == 8 + 2
    assert {f.name: f.read_bytes() for f in tmp_path.glob("*.csv")} == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("juggle", "no task 'juggle'; expected copy, order, adding or all"),
        ("order --symbols 2", "order does not read --symbols; copy does"),
        ("order --delays 9 50", "the delay is 9; order needs at least 10"),
        ("all --delays 1", "the delay is 1; order needs at least 10"),
        ("copy --symbols 0", "argument --symbols: 0 is less than 1"),
        ("copy --rate 0", "rate is 0.0; expected"),
        ("copy --jobs 0", "argument --jobs: '0' is no number of processes"),
    ],
)
def test_bad_options(line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", *line.split(), "--out", str(tmp_path / "out")]) == 3
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert not list((tmp_path / "out").glob("*"))


def test_what_is_planned() -> None:
    def planned(**given: Any) -> list[command.Study]:
        return command.planned(argparse.Namespace(**dict.fromkeys(("names", *command.Study._fields)) | given))

    assert planned() == [command.STUDIES["copy"]]
    assert planned(names=["all"]) == list(command.STUDIES.values())
    assert [s.stem for s in planned(names=["adding", "copy"], symbols=3)] == ["copy3", "adding"]
    assert planned(symbols=3)[0].updates == command.STUDIES["copy5"].updates
    assert planned(symbols=1, updates=7) == [command.STUDIES["copy"]._replace(updates=7, every=7)]
    assert planned(delays=[20, 10, 20], rate=0.5)[0][2:] == ((10, 20), 900, 25, 0.5)
