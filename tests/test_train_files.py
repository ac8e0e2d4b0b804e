"""A saved run: resumed as if it had not stopped, refused by name where it does not fit, whole whenever it is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training import model, run, same, whole

import numpy_lstm as nl
from cases import THOROUGH, seeds
from numpy_lstm import doctor, train, tree

ROOT = Path(__file__).parent.parent
KINDS = ["npz", "safetensors"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(kind: str, tmp_path: Path) -> None:
    job = whole()
    saved = train.save(tmp_path / f"run.{kind}", job, run(job, 5))
    loaded = train.load(saved, job)
    assert same(loaded, run(job, 5))
    assert type(loaded) is train.Progress
    for _ in range(4):
        loaded, _report = train.advance(job, loaded)
    assert same(loaded, run(job, 9))
    best = train.load_best(saved, job.model)
    assert same(best, run(job, 5).best.params)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clip": 0.5}, "clip was 0.14; here it is 0.5"),
        ({"optimiser": train.sgd()}, "optimiser was 'adam(b1=0.9, b2=0.999, eps=1e-08)'; here it is 'sgd(momentum=0)'"),
        ({"schedule": train.constant(2e-3)}, "schedule was 'constant(0.001)'; here it is 'constant(0.002)'"),
        ({"settings": {"text": "b"}}, "text was 'a'; here it is 'b'"),
        (
            {"model": model(hidden=8)},
            "of sizes (5, 7, 7, 6), CrossEntropy, dropout (0.0, 0.3, 0.3, 0.3)'; here it is '6 inp",
        ),
        (
            {"model": model(engine="explicit")},
            "model was '6 inputs, Embedding (each step), LSTM (fast), LSTM (fast), Lin",
        ),
        ({"model": model(dropout=0.2)}, "dropout (0.0, 0.2, 0.2, 0.2)'"),
    ],
)
def test_another_setting_or_model_is_refused_by_name(change: Any, says: str, tmp_path: Path) -> None:
    job = replace(whole(), settings={"text": "a"})
    saved = train.save(tmp_path / "run.npz", job, run(job, 2))
    with pytest.raises(train.TrainingError) as refused:
        train.load(saved, replace(job, **change))
    assert str(refused.value).startswith(str(saved))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (model(hidden=8), "of another model: best.params.1.W_i was (7, 5); here it is (8, 5)"),
        (model(layers=3), "of another model: it has no best.params.3.W_i"),
        (model(cell=nl.GRU), "of another model: it has no best.params.1.W_r"),
    ],
)
def test_the_parameters_of_another_model_are_refused_by_name(other: Any, says: str, tmp_path: Path) -> None:
    saved = train.save(tmp_path / "run.npz", whole(), train.begin(whole()))
    with pytest.raises(train.TrainingError) as refused:
        train.load_best(saved, other)
    assert str(refused.value) == f"{saved} is {says}"


def test_another_dtype_or_number_of_threads_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = whole()
    saved = train.save(tmp_path / "run.npz", job, run(job, 2))
    with pytest.raises(train.TrainingError, match=r"params\.0\.W was float64; here it is float32"):
        train.load(saved, job, train.begin(job, dtype=np.float32))
    monkeypatch.setattr(doctor, "blas", lambda: doctor.Blas("", None, 7))
    with pytest.raises(train.TrainingError, match=r"threads was \d; here it is 7"):
        train.load(saved, job)


def test_without_a_progress_a_run_is_loaded_in_its_own_dtype(tmp_path: Path) -> None:
    job = replace(whole(), settings={"rate": np.float32(0.5), "rows": np.int64(4)})
    began = train.begin(job, dtype=np.float32)
    assert same(train.load(train.save(tmp_path / "run.npz", job, began), job), began)


def test_what_a_run_would_not_have_written_is_refused(tmp_path: Path) -> None:
    job, path = whole(), tmp_path / "run.npz"
    began = train.begin(job)
    with pytest.raises(train.TrainingError, match="seed is no array of plain numbers"):
        train.save(path, job, began._replace(seed=10**30))
    with pytest.raises(train.TrainingError, match="settings hold a set; expected plain values"):
        train.save(path, replace(job, settings={"a": {1}}), began)
    assert not path.exists()
    bad = began._replace(params=tree.scale(float("nan"), began.params))
    with pytest.raises(train.TrainingError, match=r"params\.0\.W is not finite"):
        train.load(train.save(path, job, bad), job)
    with np.load(train.save(path, job, began)) as file:
        np.savez_compressed(path, **file)
    with pytest.raises(train.TrainingError, match="it is compressed; a saved run is not"):
        train.load(path, job)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_saved_run_is_refused(kind: str, tmp_path: Path) -> None:
    job, path = whole(), tmp_path / f"run.{kind}"
    data = train.save(path, job, run(job, 1)).read_bytes()
    for broken in (b"", b"nonsense", data[: len(data) // 2], data[:100] + data[200:]):
        path.write_bytes(broken)
        with pytest.raises(train.TrainingError, match="cannot read"):
            train.load(path, job)
    path.unlink()
    with pytest.raises(train.TrainingError, match="cannot read"):
        train.load(path, job)
    with pytest.raises(train.TrainingError, match=r"ends in \.pt; expected"):
        train.save(tmp_path / "run.pt", job, run(job, 1))


def test_an_npz_without_our_header_or_with_a_pickle_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    np.savez(tmp_path / "b.npz", **{"numpy_lstm.train": np.array([{}], object)})  # a pickle within
    np.savez(tmp_path / "c.npz", **{"numpy_lstm.train": np.frombuffer(b'{"format": 99}', np.uint8)})
    for name, says in {"a": "cannot read", "b": "cannot read", "c": "no saved training run of format 1"}.items():
        with pytest.raises(train.TrainingError, match=says):
            train.read(tmp_path / f"{name}.npz")


CHILD = """
import sys
from pathlib import Path
from training import whole
from numpy_lstm import train
job, path = whole(), Path(sys.argv[1])
train.sweep(path)
now = train.load(path, job) if path.exists() else train.begin(job)
while True:
    now, _ = train.advance(job, now)
    train.save(path, job, now)
    print("saved", flush=True)
"""


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    """kill -9 as often as asked; the last saved run loads, and after all it is the one that nobody interrupted."""
    path, draw = tmp_path / "run.npz", random.Random(0)
    threads = str(doctor.blas().threads or 1)  # as many as here, for the same bits
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OPENBLAS_NUM_THREADS": threads}
    for _ in seeds(50, 2):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, env=environment, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "saved\n"
            time.sleep(draw.uniform(0.005, 0.25))
            child.send_signal(signal.SIGKILL)
    train.sweep(path)
    assert [f.name for f in tmp_path.iterdir()] == ["run.npz"]
    job = whole()
    loaded = train.load(path, job)
    assert loaded.step > 1
    assert same(loaded, run(job, loaded.step))


def test_what_a_killed_run_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = {"run.npz", ".run.npz", "other.npz", ".run.npz-2.npz-a1b2c3d4.npz", ".hidden"}
    for name in {*kept, ".run.npz-a1b2c3d4.npz", ".run.npz-00000000.npz"}:
        (tmp_path / name).touch()
    assert len(train.sweep(tmp_path / "run.npz")) == 2
    assert {f.name for f in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("updates", [2000] if THOROUGH else [])
def test_memory_does_not_grow(updates: int) -> None:
    code = f"""
import resource
import numpy as np
from numpy_lstm import train
codes = np.random.default_rng(0).integers(0, 50, 20000)
model = train.language_model(50, hidden=64, embedding=32)
job = train.Task(model, train.Streams(codes, 20, 30), train.adam(), train.constant(1e-3), 10**6, every=50,
                 held_out=train.held_out_loss(model, codes[:2000], 20, 30))
now = train.begin(job, dtype=np.float32)
for step in range({updates}):
    now, _ = train.advance(job, now)
    if step + 1 in (200, {updates}):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    print(before, after)
    assert after < 1.01 * before


def record(**changes: Any) -> dict[str, Any]:
    look = {"update": 2, "sample": "ab", "gates": {"1": {"f": {"mean": 0.5}}}, "seconds": 1.5, "tokens_per_s": 64.0}
    curves = {"loss": [3.0, 2.0], "norm": [0.25, 0.5], "clipped": [0.0, 0.0], "rate": [0.125, 0.125]}
    return {
        "settings": {"hidden": 3},
        "text": {"name": "t", "sha256": "0", "characters": 9, "symbols": "ab", "held_out": 2},
        "baselines": {"unigram": 1.0},
        "curves": curves | {"held_out": [float("nan"), 1.25]},
        "looks": [look],
        "gate_map": {"text": "ab", "units": [1], "values": {"f": [[0.5], [0.25]], "o": [[0.125], [1.0]]}},
        "best": {"held_out": 1.0, "update": 2},
        "environment": {},
    } | changes


def test_a_run_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = train.record.write(tmp_path / "run.json", record())
    found = train.record.read(path)
    assert found["curves"]["held_out"] == [None, 1.25]
    assert {k: v for k, v in found.items() if k not in ("schema", "version", "curves")} == {
        k: v for k, v in record().items() if k != "curves"
    }
    path.write_text(json.dumps(found | {"version": 1}))
    with pytest.raises(train.TrainingError, match=r"run\.json is no run record: schema is .* version 1; expected"):
        train.record.read(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"looks": [{"update": 2, "sample": "a"}]}, r"record\.looks\[0\]\.gates is missing"),
        ({"best": {"held_out": "low", "update": 1}}, r"record\.best\.held_out is a str; expected a number"),
        ({"best": {"held_out": 1.0, "update": True}}, r"record\.best\.update is a bool"),
        ({"gate_map": []}, r"record\.gate_map is a list; expected a dict"),
        (
            {"gate_map": record()["gate_map"] | {"values": [[0.5]]}},
            r"record\.gate_map\.values is a list; expected a dict",
        ),
    ],
)
def test_what_is_no_run_record_is_refused(changes: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(train.TrainingError, match=says):
        train.record.write(tmp_path / "run.json", record(**changes))
