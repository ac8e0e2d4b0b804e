"""The measuring studies: every peer computes the same gradient, tables and figure are made, files are whole."""

import json
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cases
from analysis.__main__ import main
from analysis.speed import benchmark, gpu, memory, peers
from numpy_lstm import check


@pytest.mark.parametrize("name", peers.CELLS)
def test_every_peer_computes_the_same_gradient(name: str) -> None:
    problem = peers.problem(name, (5, 3, 4, 6), np.float64, 0)
    want = peers.PEERS["explicit"](problem)()
    for peer in peers.installed():
        if peer == "floor":
            continue
        got: Any = peers.PEERS[peer](problem)()
        if peer == "torch":
            found = [got[0].numpy(), *(a.numpy()[0] for a in got[1 : 1 + len(problem.point.first)])]
        elif peer in {"jax", "autograd"}:
            found = [np.asarray(a) for a in (got[1], *got[2])]
        else:
            found = [got.dxs, *got.dfirst]
        assert check.normwise(found, [want.dxs, *want.dfirst]) <= 1e-14, peer


def test_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(benchmark, "BUDGET", 0.01)
    monkeypatch.setattr(benchmark, "SCALING", {"T": (2, 4, 8)})
    monkeypatch.setattr(benchmark, "BASE", {"T": 3, "B": 3, "D": 2, "H": 3})
    monkeypatch.setattr(peers, "installed", lambda: ["fast", "explicit", "floor", "torch"])
    arguments = ["--out", str(tmp_path), "--shapes", "4,2,3,5", "--threads", "1", "--cells", "LSTM", "GRU"]
    drawn = {"scaling.svg", "scaling.png"} if cases.THOROUGH else set()
    assert main(["benchmark", *arguments, *([] if drawn else ["--no-scaling"])]) == 0
    saved = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert {f.name for f in tmp_path.iterdir()} == {"benchmark.json", "benchmark.md"} | drawn
    assert saved["measured"][0]["threads"] == 1
    assert {(r["cell"], r["dtype"]) for r in saved["measured"][0]["rows"]} == {
        (c, d) for c in ("LSTM", "GRU") for d in ("float64", "float32")
    }
    for r in saved["measured"][0]["rows"]:
        assert r["shape"] == [4, 2, 3, 5]
        assert set(r["seconds"]) == {"fast", "floor", "torch"}
        assert all(len(v) >= benchmark.ROUNDS[0] and min(v) > 0 for v in r["seconds"].values())
    curves = {("T", p) for p in ("fast", "explicit", "floor", "torch")} if drawn else set()
    assert {(c["axis"], c["peer"]) for c in saved.get("scaling", [])} == curves
    printed = capsys.readouterr().out
    assert "torch / fast | torch / floor | fast / floor" in printed
    assert "processors; " in printed


def test_the_gain_of_threads_is_that_of_the_quickest_rounds() -> None:
    row = {"cell": "LSTM", "shape": [4, 2, 3, 5], "dtype": "float64"}
    one = {"threads": 1, "rows": [row | {"seconds": {"fast": [3.0, 9.0], "floor": [1.0]}}]}
    two = {"threads": 2, "rows": [row | {"seconds": {"fast": [7.0, 2.0], "floor": [1.0]}}]}
    assert benchmark.gain(one, two).splitlines()[-1].split() == [
        "|",
        "LSTM",
        "4,2,3,5",
        "|",
        "float64",
        "|",
        "1.50",
        "|",
    ]


def test_a_failing_measurement_says_why() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'nonsense'"):
        benchmark.in_process(1, None, cells=["nonsense"], shapes=[(1, 1, 1, 1)], dtypes=["float64"], seed=0)


def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(memory, "SHAPE", (1000, 8, 4, 32))
    monkeypatch.setattr(memory, "CODES", memory.CODES[2 if cases.THOROUGH else 3 :])
    monkeypatch.setattr(memory, "LONG", (3000, 1, 4, 8))
    status = main(["memory", "--out", str(tmp_path)])
    if "not measured" in capsys.readouterr().out:
        assert status == 2
        pytest.skip("needs Linux")
    assert status == 0
    found = json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))["found"]
    results = 8 * 1000 * 8 * (32 + 4)
    assert all(peak >= results for peak, _ in found.values())
    assert found["explicit, checkpointed"][0] - results < 0.25 * (found["explicit"][0] - results)


def test_without_a_gpu_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if util.find_spec("cupy") is None:
        assert main(["gpu", "--out", str(tmp_path)]) == 3
        assert capsys.readouterr().err == "error: cupy is not installed; pip install 'numpy-lstm[gpu]'\n"
    elif gpu.unavailable() is None:
        pytest.skip("there is a GPU")
    else:
        assert main(["gpu", "--out", str(tmp_path)]) == 2
        assert "no verdict: gpu: no GPU was available: CuPy finds no GPU" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,0", "a,b,c,d"])
def test_bad_shapes(text: str) -> None:
    assert main(["benchmark", "--shapes", text]) == 3
