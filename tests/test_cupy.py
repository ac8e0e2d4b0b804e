"""Every room on CuPy arrays, by way of a strict stand-in: faults that a GPU would show, seen without one."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import training

import numpy_lstm as nl
import strict_cupy
from analysis.__main__ import parse
from analysis.charlm import updates
from analysis.speed import gpu, peers
from analysis.verify import rooms
from analysis.verify.instruments import EXACT
from numpy_lstm import flow, layouts, train, tree

NAMES = [name for name, _ in rooms.cases(strict_cupy.MODULE)]


@pytest.mark.parametrize("room", NAMES)
def test_every_room_takes_cupy_arrays(cupy: Any, room: str) -> None:
    assert dict(rooms.cases(cupy))[room]() <= EXACT


def test_the_stand_in_is_strict(cupy: Any) -> None:
    a, b = cupy.asarray(np.ones((2, 3))), np.ones((2, 3))
    for wrong in (
        lambda: np.asarray(a),
        lambda: np.array([a, a]),
        lambda: a + b,
        lambda: b + a,
        lambda: b * a,
        lambda: np.add(b, a),
        lambda: cupy.exp(b),
        lambda: cupy.where(b > 0, a, a),
        lambda: np.where(b > 0, a, 0),
        lambda: np.concatenate([a, b]),
        lambda: cupy.matmul(a, a.T, cupy.zeros((2, 2))),
        lambda: np.max(a, initial=0),
        lambda: a[b > 0],
        lambda: a.__setitem__(0, b[0]),
        lambda: b.__setitem__(0, a[0]),
        lambda: range(cupy.asarray(3)),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert not hasattr(a, "mT")
    assert isinstance(a.sum(), cupy.ndarray)
    assert isinstance(a[0, 0], cupy.ndarray)
    assert isinstance(np.exp(a), cupy.ndarray)
    assert isinstance(a.get(), np.ndarray)
    assert float(a[0, 0]) == 1


def test_mixed_libraries_are_told_what_to_do(cupy: Any) -> None:
    params, xs = nl.LSTM.init(3, 4, np.random.default_rng(0)), np.ones((2, 1, 3))
    there = tree.map(cupy.asarray, params)
    for engine in (nl, nl.fast):
        with pytest.raises(TypeError, match=r"^xs is an array of cupy; expected numpy, .*: array.get\(\) fetches it"):
            engine.forward(nl.LSTM, params, cupy.asarray(xs))
        with pytest.raises(
            TypeError, match=r"^xs is an array of numpy; expected cupy, .*: cupy.asarray\(array\) moves"
        ):
            engine.forward(nl.LSTM, there, xs)
    twin = nl.nn.LSTM(3, 4)
    with pytest.raises(TypeError, match=r"^x is a cupy.ndarray; expected a NumPy array \(load .* x.get\(\)\)"):
        twin.forward(cupy.asarray(xs))
    state = twin.state_dict()
    state["bias_hh_l0"] = cupy.asarray(state["bias_hh_l0"])
    with pytest.raises(
        layouts.LayoutError, match=r"is an array of numpy and .* is an array of cupy; expected all of one"
    ):
        twin.load_state_dict(state)
    with pytest.raises(layouts.LayoutError, match="is an array of cupy; expected numpy, the library of"):
        layouts.load("torch", state)
    twin.load_state_dict({k: cupy.asarray(a) for k, a in twin.state_dict().items()})
    with pytest.raises(TypeError, match=r"^x is a numpy.ndarray; expected a CuPy array, as the parameters are"):
        twin.forward(xs)


def test_arrays_on_different_devices_are_refused(cupy: Any) -> None:
    params, xs = nl.LSTM.init(3, 4, np.random.default_rng(0)), cupy.asarray(np.ones((2, 1, 3)))
    xs.device = strict_cupy.Device(1)
    with pytest.raises(
        TypeError, match=r"^xs is on device 1; expected device 0, that of params.W_i \(nothing is moved"
    ):
        nl.forward(nl.LSTM, tree.map(cupy.asarray, params), xs)


def test_lengths_may_be_a_cupy_array(cupy: Any) -> None:
    params, xs = tree.map(cupy.asarray, (nl.LSTM.init(3, 4, np.random.default_rng(0)), np.ones((2, 2, 3))))
    run = nl.forward(nl.LSTM, params, xs, lengths=cupy.asarray([2, 1]))
    assert not run.hs.get()[1, 1].any()


def test_a_twin_drops_out_on_the_device(cupy: Any) -> None:
    here, moved = (nl.nn.LSTM(3, 4, 2, dropout=0.5, rng=np.random.default_rng(0)) for _ in range(2))
    moved.load_state_dict({k: cupy.asarray(a) for k, a in here.state_dict().items()})
    x = np.ones((2, 2, 3))
    np.testing.assert_allclose(moved.forward(cupy.asarray(x)).output.get(), here.forward(x).output, rtol=1e-14)


def test_tables_are_read_on_the_host(cupy: Any) -> None:
    table = flow.Table("title", "step", [0, 1], {"a": cupy.asarray([1.0, 2.0])})
    assert isinstance(table["a"], np.ndarray)


def test_a_run_goes_on_where_it_began(cupy: Any, tmp_path: Any) -> None:
    job, path = training.task(), tmp_path / "run.npz"
    here = train.begin(job)
    there = train.begin(job, params=tree.map(cupy.asarray, here.params))
    train.save(path, job, there)
    assert tree.on_device(train.load(path, job, there).params)
    assert not tree.on_device(train.load_best(path, job.model))
    with pytest.raises(train.TrainingError, match=r"threads was 0; here it is \d+, .*0 on a GPU; begin\(task, params="):
        train.load(path, job, here._replace(threads=1))


def test_the_study_goes_on_after_a_failure(cupy: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda _: {"name": b"stand-in"},
        driverGetVersion=lambda: 1,
        runtimeGetVersion=lambda: 1,
    )
    monkeypatch.setattr(cupy, "cuda", SimpleNamespace(runtime=runtime, Device=strict_cupy.Device), raising=False)
    monkeypatch.setattr(updates, "SHAPES", ((3, 4, 5, 2),))
    monkeypatch.setitem(peers.CELLS, "GRU", None)
    options = ["--out", str(tmp_path), "--no-rooms", "--shapes", "4,2,3,5", "--cells", "GRU", "RNN"]
    failed = gpu.run(tmp_path, parse(["gpu", *options])[1])
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert failed == found["failed"]
    assert [line.split(":")[0] for line in failed] == ["GRU (4, 2, 3, 5) float32", "GRU (4, 2, 3, 5) float64"]
    assert [row["dtype"] for row in found["trained"]] == [row["dtype"] for row in found["timed"]]
    assert max(row["error"] for row in found["trained"]) < 1e-3


def test_a_study_that_hangs_is_ended(tmp_path: Any) -> None:
    code = "import pathlib, threading; from analysis.speed import gpu\n"
    code += "with gpu.limited(0, pathlib.Path('out')): threading.Event().wait()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.startswith("no verdict: gpu: not done in 0 s (--limit)")) == (2, True)
