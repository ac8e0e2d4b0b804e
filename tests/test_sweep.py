"""Sweeps: serial, on several processes and on a Dask cluster alike; nothing is lost, nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_tasks

from analysis import networks
from analysis import sweep as module
from analysis.flow import rates
from analysis.sweep import SweepError, sweep

ROOT = Path(__file__).parent.parent
SMALL = {"T": 20, "B": 2, "D": 3, "H": 8}
POINTS = [{"network": n, **SMALL, "seed": [0, k]} for n in ("RNN", "LSTM:uniform:1", "GRU") for k in range(3)]


def slow_points(folder: Path, count: int, seconds: float) -> list[dict[str, Any]]:
    return [{"n": n, "seconds": seconds, "log": str(folder / "log")} for n in range(count)]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return sweep(rates.measure, POINTS, tmp_path_factory.mktemp("serial"))


def test_serial_is_the_task_at_every_point(serial: list[Any]) -> None:
    assert serial == [rates.measure(point) for point in POINTS]
    assert len({str(result) for result in serial}) == len(POINTS)


def test_processes_give_the_same(serial: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    assert sweep(rates.measure, POINTS, tmp_path, jobs=2) == serial
    assert len(list(tmp_path.iterdir())) == len(POINTS)


def test_an_interrupted_sweep_goes_on(tmp_path: Path) -> None:
    points = slow_points(tmp_path, 6, 0.0)
    folder = tmp_path / "sweep"
    for done in (points[:4], points, points):
        found = sweep(sweep_tasks.slow, done, folder)
    assert found == [{"n": n, "square": n**2 / 3} for n in range(6)]
    assert [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()] == list("012345")
    with pytest.raises(ZeroDivisionError, match="point 2"):
        sweep(sweep_tasks.failing, points, folder)
    assert len(list(folder.iterdir())) == 6 + 2, "what came before the failure is kept"


def test_results_of_older_code_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = slow_points(tmp_path, 3, 0.0)
    for code in ("old", "new", "new"):
        monkeypatch.setattr(module, "_code", lambda code=code: code)
        sweep(sweep_tasks.slow, points, tmp_path / "sweep")
    assert len((tmp_path / "log").read_text().splitlines()) == 2 * 3


def damaged(whole: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """What disks, editors and other programs make of a file."""
    n = len(whole)
    yield from (b"", bytes(n), b"null", b'"x"', b"[]", b"NaN", b"{}", b"[" * 5000, b'{"sha256": "", "result": 1}')
    yield from (whole[: rng.integers(1, n - 1)] for _ in range(3))
    for k in rng.integers(0, n - 1, 20):
        yield whole[:k] + bytes([whole[k] ^ 1 << int(rng.integers(8))]) + whole[k + 1 :]
    for k in [k for k in range(n) if whole[k : k + 1].isdigit()][:: n // 20 + 1]:
        yield whole[:k] + b"%d" % ((whole[k] - 47) % 10) + whole[k + 1 :]


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_result_is_computed_again(seed: int, tmp_path: Path) -> None:
    """Whatever its bytes: never taken as a result, unless it still says the same. So is that of another point."""
    points = slow_points(tmp_path, 3, 0.0)
    right = sweep(sweep_tasks.slow, points, tmp_path / "sweep")
    kept = sorted((tmp_path / "sweep").iterdir())
    whole = kept[0].read_bytes()
    for data in (*damaged(whole, np.random.default_rng(seed)), kept[1].read_bytes()):
        kept[0].write_bytes(data)
        assert sweep(sweep_tasks.slow, points, tmp_path / "sweep") == right, data
    assert kept[0].read_bytes() == whole
    for make in (Path.mkdir, os.mkfifo):
        kept[0].unlink()
        make(kept[0])
        with pytest.raises(SweepError, match=f"{kept[0].name}: .*; expected a result, or nothing"):
            sweep(sweep_tasks.slow, points, tmp_path / "sweep")
        kept[0].rmdir() if kept[0].is_dir() else None
        kept[0].touch()


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    points = [{"n": n, "mark": str(tmp_path / "mark")} for n in range(8)]
    assert sweep(sweep_tasks.deadly, points, tmp_path / "sweep", jobs=2) == list(range(8))
    assert (tmp_path / "mark").exists()
    with pytest.raises(SweepError, match="worker processes died 3 times; 8 points are left"):
        sweep(sweep_tasks.always_deadly, points, tmp_path / "sweep", jobs=2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers of their own, on loopback."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONWARNINGS": "ignore"}
    log = (folder / "log").open("wb")

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *arguments]
        return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)

    file = folder / "scheduler.json"
    running = [
        start(
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        )
    ]
    deadline = time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    worker = (
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
        "--host",
        "127.0.0.1",
    )
    running += [start(*worker), start(*worker)]
    from distributed import Client

    with Client(address, timeout="20s", set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield address, running[1:]
    for process in running:
        process.kill()
        process.wait()
    log.close()


def test_a_cluster_gives_the_same(serial: list[Any], cluster: Any, tmp_path: Path) -> None:
    address, _ = cluster
    assert sweep(rates.measure, POINTS, tmp_path, dask=address) == serial


def test_a_killed_worker_of_a_cluster_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    address, workers = cluster
    points, folder = slow_points(tmp_path, 24, 0.1), tmp_path / "sweep"

    def kill() -> None:
        log, deadline = tmp_path / "log", time.monotonic() + 20
        while time.monotonic() < deadline and (not log.exists() or f" {workers[0].pid}\n" not in log.read_text()):
            time.sleep(0.02)
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait(10)

    killer = threading.Thread(target=kill)
    killer.start()
    found = sweep(sweep_tasks.slow, points, folder, dask=address)
    killer.join()
    assert found == [{"n": n, "square": n**2 / 3} for n in range(24)]
    done = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert {int(n) for n, _ in done} == set(range(24))
    assert {int(pid) for _, pid in done} == {worker.pid for worker in workers}, "both took part"
    assert workers[0].poll() == -signal.SIGKILL
    assert workers[1].poll() is None


def test_no_scheduler_is_one_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(SweepError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1"):
        list(module._results(rates.measure, {"x": {}}, 1, "tcp://127.0.0.1:1"))


def test_networks_by_name() -> None:
    assert networks.setting("LSTM") == networks.Setting("LSTM", "uniform", None)
    assert networks.setting("LSTM:orthogonal:chrono").label == "orth. LSTM, chrono"
    for name in (
        "LTSM",
        "RNN:normal",
        "GRU:uniform:1",
        *(f"LSTM:uniform:{k}" for k in ("high", "nan", "-inf", "1e999")),
    ):
        with pytest.raises(ValueError, match=f"network '{name}'"):
            networks.setting(name)
