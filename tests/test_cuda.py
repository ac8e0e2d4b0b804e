"""The CUDA kernels: the plans, the source compiled by nvcc, and its arithmetic as C++ against the explicit path."""

import ctypes
import itertools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_fast import assert_close, assert_same_bits, gradient, problem

import numpy_lstm as nl
from analysis.speed import gpu
from emulated import HOPPER, Emulated, build
from numpy_lstm import check, fast, tree
from numpy_lstm.check import truth
from numpy_lstm.fast import cuda, device, plan
from reference import regimes

CELLS = [nl.LSTM, nl.GRU, nl.RNN]
DTYPES = [np.float64, np.float32]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the kernels as C++")
    return build(tmp_path_factory.mktemp("emulated"))


def laid_out(cell: nl.Page, dtype: Any, B: int, H: int, C: int, R: int, cluster: bool) -> plan.Plan:
    found = plan._lay_out(cuda.KINDS[cell.equations], np.dtype(dtype).itemsize, B, H, C, R, cluster, HOPPER)
    assert found is not None
    return found


def on_device(monkeypatch: pytest.MonkeyPatch, emulated: Emulated) -> Any:
    """An engine that takes and gives NumPy arrays, by way of the emulated device."""
    monkeypatch.setattr(device, "_device", lambda _: emulated)
    monkeypatch.setattr(device, "_FOUND", {})

    def there(value: Any) -> Any:
        return tree.map(emulated.cupy.asarray, value)

    def here(value: Any) -> Any:
        return tree.map(lambda a: a.get(), value)

    class Engine:
        @staticmethod
        def forward(cell: Any, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Any:
            run = fast.forward(cell, there(params), there(xs), there(first), lengths)
            assert isinstance(run.values, cuda.Tape)
            return run._replace(hs=here(run.hs), last=here(run.last), alive=run.alive)

        @staticmethod
        def backward(cell: Any, params: Any, run: Any, **cotangents: Any) -> Any:
            back = fast.backward(cell, there(params), run, **there(cotangents))
            return here(back)

    return Engine


# B, H, then C thread blocks in a group, R rows: one of everything; tiles of 1, 2, 4 rows; units and rows left over;
# H no multiple of a pack; several groups; h in chunks (see below); a thread block without units
PLANS = [
    *((1, 1, 1, 1), (3, 8, 1, 1), (5, 7, 1, 2), (6, 12, 1, 4)),
    *((1, 9, 2, 1), (5, 12, 2, 3), (9, 16, 4, 4), (7, 10, 4, 5), (3, 33, 3, 2), (2, 5, 4, 2)),
]


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("layout", PLANS, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_the_recurrence_in_one_launch(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any, cell: nl.Page, layout: Any, ragged: bool
) -> None:
    B, H, C, R = layout
    for dtype, cluster in itertools.product(DTYPES, [False, True] if C in (2, 4) else [False]):
        arguments = (cell, *problem(cell, (5, B, 3, H), dtype, ragged=ragged))
        want = gradient(nl, *arguments)
        emulated = Emulated(library, laid_out(cell, dtype, B, H, C, R, cluster))
        got = gradient(on_device(monkeypatch, emulated), *arguments)
        assert_close(got, want, dtype)
        assert emulated.ran >= {"ahead", "back"}


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_step_by_step(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any, cell: nl.Page, ragged: bool
) -> None:
    for dtype in DTYPES:
        arguments = (cell, *problem(cell, (6, 5, 3, 70), dtype, ragged=ragged))
        emulated = Emulated(library, None)
        got = gradient(on_device(monkeypatch, emulated), *arguments)
        assert_close(got, gradient(nl, *arguments), dtype)
        assert emulated.ran == {"gather", "ahead_one", "back_one"}


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_whatever_order_threads_run_in(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any, cell: nl.Page
) -> None:
    arguments = (cell, *problem(cell, (4, 5, 3, 12), ragged=True))
    for cluster in (False, True):
        layout = laid_out(cell, np.float64, 5, 12, 2, 3, cluster)
        want = gradient(on_device(monkeypatch, Emulated(library, layout)), *arguments)
        for seed in (1, 2, 3):
            assert_same_bits(gradient(on_device(monkeypatch, Emulated(library, layout, seed)), *arguments), want)


def test_h_in_chunks(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    for dtype in DTYPES:
        arguments = (nl.LSTM, *problem(nl.LSTM, (3, 3, 3, 70), dtype))
        layout = laid_out(nl.LSTM, dtype, 3, 70, 4, 3, True)._replace(chunk=32)
        assert_close(
            gradient(on_device(monkeypatch, Emulated(library, layout)), *arguments), gradient(nl, *arguments), dtype
        )


def test_any_cotangent_may_be_absent(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    params, xs, first, _, cotangents = problem(nl.LSTM, (5, 3, 3, 8))
    for layout in (laid_out(nl.LSTM, np.float64, 3, 8, 2, 2, True), None):
        engine = on_device(monkeypatch, Emulated(library, layout))
        for given in ("dhs", "dlast", "dcs"):
            arguments = (nl.LSTM, params, xs, None, None, {given: cotangents[given]})
            assert_close(gradient(engine, *arguments), gradient(nl, *arguments), np.float64)
        states = {"dstates": nl.LSTM.Outputs(h=cotangents["dhs"], c=cotangents["dcs"])}
        arguments = (nl.LSTM, params, xs, first, None, states)
        assert_close(gradient(engine, *arguments), gradient(nl, *arguments), np.float64)
        with pytest.raises(TypeError, match="no cotangent was given"):
            gradient(engine, nl.LSTM, params, xs, first, None, {})


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_padding_never_changes_a_result_even_nan(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any, cell: nl.Page
) -> None:
    params, xs, first, lengths, cotangents = problem(cell, (6, 5, 3, 8), ragged=True)
    lengths[0], lengths[1] = 6, 0
    past = np.array([[t >= n for n in lengths] for t in range(6)])
    for layout in (laid_out(cell, np.float64, 5, 8, 2, 3, True), None):
        engine = on_device(monkeypatch, Emulated(library, layout))
        clean = gradient(engine, cell, params, xs, first, lengths, cotangents)
        xs, cotangents = xs.copy(), cotangents | {"dhs": cotangents["dhs"].copy()}
        xs[past], cotangents["dhs"][past] = np.nan, np.nan
        assert_same_bits(gradient(engine, cell, params, xs, first, lengths, cotangents), clean)
        assert not clean[0][past].any()


SATURATED = [(cell, regime) for cell in CELLS for regime in regimes.OF_PAGE[cell.equations]]


@pytest.mark.parametrize(("cell", "regime"), SATURATED, ids=lambda v: getattr(v, "name", v))
def test_accurate_where_gates_saturate(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any, cell: nl.Page, regime: str
) -> None:
    p = regimes.problem(cell, regime, seed=1)
    given = {"dhs": p.cotangents.states.h, "dlast": p.cotangents.last}
    if cell is nl.LSTM:
        given["dcs"] = p.cotangents.states.c
    params, xs, first = p.point
    layout = laid_out(cell, np.float64, *first.h.shape, 2, 2, True)
    engine = on_device(monkeypatch, Emulated(library, layout))
    dxs, dfirst, dparams = gradient(engine, cell, params, xs, first, None, given)[2]
    got, exact = check.Point(dparams, dxs, dfirst), truth.gradient(p)
    assert check.normwise(got, exact) <= 2e-15
    assert check.K(got, exact, p.absolute_paths()) <= 16


def test_checkpointed_gives_the_same_bits(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    """Blocks of three steps, so that segments are cut between them, and sums continue from one block to the next."""
    monkeypatch.setattr(cuda, "ROWS", 9)
    params, xs, first, lengths, cotangents = problem(nl.GRU, (8, 3, 3, 8), ragged=True)
    for layout in (laid_out(nl.GRU, np.float64, 3, 8, 2, 2, True), None):
        engine = on_device(monkeypatch, Emulated(library, layout))
        whole = gradient(engine, nl.GRU, params, xs, first, lengths, cotangents)
        assert_close(whole, gradient(nl, nl.GRU, params, xs, first, lengths, cotangents), np.float64)
        to = lambda value: tree.map(cupy.asarray, value)  # noqa: E731
        run = nl.checkpointed.forward(nl.GRU, *to((params, xs, first)), lengths, segments=2, engine="fast")
        back = nl.checkpointed.backward(nl.GRU, to(params), run, **to(cotangents))
        assert len(run.values.firsts) == 2
        kept = tree.map(lambda a: a.get(), (run.hs, run.last, tuple(back)[:3]))
        assert_same_bits(kept, whole)


def test_results_are_the_callers_own(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    params, xs, first, _, cotangents = problem(nl.LSTM, (5, 3, 3, 8))
    for layout in (laid_out(nl.LSTM, np.float64, 3, 8, 2, 2, True), None):
        monkeypatch.setattr(device, "_device", lambda _, layout=layout: Emulated(library, layout))
        monkeypatch.setattr(device, "_FOUND", {})
        there = tree.map(cupy.asarray, (params, xs, first, cotangents))
        run = fast.forward(nl.LSTM, *there[:3])
        want = tree.map(lambda a: a.get(), tuple(fast.backward(nl.LSTM, there[0], run, **there[3]))[:3])
        for _, a in tree.leaves((run.hs, run.last, there[1:3])):
            a[...] = np.nan
        for _ in range(2):
            back = tuple(fast.backward(nl.LSTM, there[0], run, **there[3]))[:3]
            assert_same_bits(tree.map(lambda a: a.get(), back), want)
            for _, a in tree.leaves(back):
                a[...] = np.nan


def test_without_kernels_one_warning_says_why(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stand-in has no compiler: results come by the way of NumPy arrays."""
    monkeypatch.setattr(device, "_FOUND", {})
    params, xs, first, lengths, cotangents = problem(nl.LSTM, (5, 3, 3, 8), ragged=True)
    there = tree.map(cupy.asarray, (params, xs, first, cotangents))
    for _ in range(2):
        run = fast.forward(nl.LSTM, *there[:3], lengths)
        assert isinstance(run.values, fast.Tape)
        back = fast.backward(nl.LSTM, there[0], run, **there[3])
    want = gradient(nl, nl.LSTM, params, xs, first, lengths, cotangents)
    assert_close([run.hs.get()], want[:1], np.float64)
    assert_close(tree.map(lambda a: a.get(), (tuple(back)[:3],)), want[2:], np.float64)
    said = [record for record in caplog.records if record.name == "numpy_lstm.fast"]
    assert len(said) == 1
    assert said[0].getMessage().startswith("CuPy arrays go the way of NumPy arrays: no CUDA kernels (")


SHAPES = [(32, 128), (1, 128), (20, 200), (64, 512), (16, 256), (128, 32), (64, 1024), (1, 1), (1000, 64), (3, 700)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_plans_fit(cell: nl.Page, shape: tuple[int, int]) -> None:
    """Every unit and row has one owner, nothing exceeds the device, and what must run at once can."""
    B, H = shape
    small = plan.Limits(multiprocessors=20, shared=64 * 1024, shared_all=64 * 1024, cluster=1, cooperative=True)
    alone = small._replace(shared=48 * 1024, cooperative=False)
    for limits, itemsize in itertools.product((HOPPER, small, alone), (4, 8)):
        for p in plan.plans(cuda.KINDS[cell.equations], itemsize, B, H, limits):
            assert p.C * p.nj >= H > (p.C - 1) * p.nj or p.C <= H
            assert p.groups * p.R >= B > (p.groups - 1) * p.R
            assert max(p.shared) <= limits.shared
            assert p.R * p.nj <= plan.THREADS
            assert p.C == 1 or (p.cluster and limits.cluster >= p.C) or p.groups * p.C <= limits.multiprocessors
            assert p.C == 1 or p.cluster or limits.cooperative
            assert p.cost < plan.stepped(cuda.KINDS[cell.equations], B, H)
    nothing = small._replace(shared=0, shared_all=0)
    assert plan.plans(cuda.KINDS[cell.equations], 8, B, H, nothing) == ()


@pytest.mark.parametrize("cluster", [0, 8], ids=["grid", "cluster"])
def test_nvcc_compiles_the_source(tmp_path: Path, cluster: int) -> None:
    if (nvcc := shutil.which("nvcc")) is None:
        pytest.skip("no nvcc to compile the kernels")
    types = "const T*, const T*, const T*, const int*, const T*, const T*, T*, T*, T*, T*, T*, unsigned*"
    back = "const T*, const T*, const T*, const T*, const int*, const T*, const T*, T*, T*, T*, T*, unsigned*"
    text = f'#include "{device.SOURCE}"\n'
    for kind, T, tile in (("Lstm", "double", 1), ("Gru", "float", 4)):
        for name, kinds in (("ahead", types), ("back", back)):
            arguments = kinds.replace("T*", f"{T}*")
            text += f"template __global__ void {name}<{kind}, {T}, {tile}>({arguments}{', int' * 9});\n"
    source = tmp_path / "all.cu"
    source.write_text(text)
    options = ["-std=c++17", "-arch=sm_90", "-Werror", "all-warnings", "-ptx", "-o", str(tmp_path / "all.ptx")]
    done = subprocess.run(
        [nvcc, *options, *([f"-DCLUSTER={cluster}"] if cluster else []), str(source)], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    assert ("barrier.cluster" in (tmp_path / "all.ptx").read_text()) == bool(cluster)


def test_the_measured_table_is_that_of_the_study() -> None:
    page = device.SOURCE.with_name("cuda.md").read_text(encoding="utf-8")
    _, _, *rows = re.search(r"<!-- table: gpu -->\n(.*?)\n<!-- end -->", page, re.S)[1].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    expected = [(f"LSTM {','.join(map(str, s))}", d) for s in gpu.SHAPES for d in ("float32", "float64")]
    assert [tuple(row[:2]) for row in cells if row[0].startswith("LSTM")] == expected
    for name, dtype, theirs, ours, ratio, _, error, _ in cells:
        assert abs(float(theirs) / float(ours) / float(ratio) - 1) < 0.02, name
        assert float(error) <= gpu.BOUND[dtype]
