"""The fast path, judged by the explicit one, by 50-digit truth where gates saturate, and by torch through the twins."""

import copy
import gc
import itertools
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

import numpy_lstm as nl
from numpy_lstm import check, fast, products, tree
from numpy_lstm.check import truth
from numpy_lstm.fast import blocks, layout, lstm
from reference import regimes

CELLS = [nl.LSTM, nl.GRU, nl.RNN]
DTYPES = [np.float64, np.float32]
# T, B, D, H: one of everything; one row; few and many rows; both sides of PANEL; several blocks and a rest
SHAPES = [(1, 1, 1, 1), (130, 1, 3, 4), (20, 4, 5, 7), (70, 33, 6, 64), (9, 40, 300, 8), (1, 3, 2, 5), (0, 2, 3, 4)]


def problem(cell: nl.Page, shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0, ragged: bool = False) -> Any:
    """params, xs, first, lengths, and every cotangent."""
    (T, B, D, H), g = shape, np.random.default_rng(seed)

    def like(record: Any) -> Any:
        return tree.random_like(record, g)

    zero = cell.zero_state(B, H, dtype)
    params = tree.map(lambda a: (a / np.sqrt(a.shape[-1])).astype(dtype), like(cell.init(D, H, g, dtype)))
    cotangents = {"dhs": g.standard_normal((T, B, H)).astype(dtype), "dlast": like(zero)}
    if cell is nl.LSTM:
        cotangents["dcs"] = g.standard_normal((T, B, H)).astype(dtype)
    lengths = g.integers(0, T + 1, B).tolist() if ragged else None
    return params, g.standard_normal((T, B, D)).astype(dtype), like(zero), lengths, cotangents


def gradient(engine: Any, cell: nl.Page, params: Any, xs: Any, first: Any, lengths: Any, cotangents: Any) -> Any:
    """hs, last, and all gradients."""
    run = engine.forward(cell, params, xs, first, lengths)
    back = engine.backward(cell, params, run, **cotangents)
    return run.hs, run.last, (back.dxs, back.dfirst, back.dparams)


def assert_close(got: Any, want: Any, dtype: Any) -> None:
    for ours, theirs in zip(got, want, strict=True):
        assert [(k, a.shape, a.dtype) for k, a in tree.leaves(ours)] == [
            (k, a.shape, a.dtype) for k, a in tree.leaves(theirs)
        ]
        if tree.size(ours):
            assert check.normwise(ours, theirs) <= (1e-14 if dtype is np.float64 else 5e-6)


def assert_same_bits(got: Any, want: Any) -> None:
    for (name, a), (_, b) in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name, strict=True)
        np.testing.assert_array_equal(np.signbit(a.real), np.signbit(b.real), err_msg=name)


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_equal_to_the_explicit_path(cell: nl.Page, dtype: Any, shape: Any, ragged: bool) -> None:
    *point, cotangents = problem(cell, shape, dtype, ragged=ragged)
    for given in (["dhs"], ["dlast"], ["dcs"], ["dhs", "dlast"], list(cotangents)):
        some = {k: v for k, v in cotangents.items() if k in given}
        if not some:  # no c
            continue
        params, xs, first, lengths = point
        for state in (first, None):
            arguments = (cell, params, xs, state, lengths, some)
            assert_close(gradient(fast, *arguments), gradient(nl, *arguments), dtype)


# As they are on any machine; as they are where small products are quick; and small enough to be many, in sums of many
GROUPS = {"whole": (False, 256, 10**6), "in groups": (True, 256, 10**6), "in parts": (True, 128, 10**5)}


@pytest.mark.parametrize("shape", [(20, 33, 6, 64), (7, 5, 6, 48), (5, 4, 300, 128)], ids=str)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_products_in_groups_and_whole(
    monkeypatch: pytest.MonkeyPatch, cell: nl.Page, dtype: Any, groups: str, shape: Any
) -> None:
    grouped, widest, unpacked = GROUPS[groups]
    monkeypatch.setattr(fast, "unpacked", lambda: grouped)
    monkeypatch.setattr(products, "NARROW", widest)
    monkeypatch.setattr(products, "UNPACKED", unpacked)
    monkeypatch.setattr(fast, "POOL", blocks.Pool())  # no buffers of another layout
    for ragged in (False, True):
        arguments = (cell, *problem(cell, shape, dtype, ragged=ragged))
        assert_close(gradient(fast, *arguments), gradient(nl, *arguments), dtype)


def test_groups_are_small_and_fill_a_gate() -> None:
    found = set()
    for B, D, H, dtype in itertools.product((1, 2, 50, 700), (3, 64, 500), (8, 32, 48, 50, 128, 200, 512), DTYPES):
        L = layout.Layout(np, np.dtype(dtype), 4, B, D, H, grouped=True)
        N, inner = L.columns, H + L.joined * (D + 1)
        assert not L._replace(grouped=False).columns
        assert not N or (H % N == 0 and B > 1 and N * B * inner <= products.UNPACKED), L
        for gates in (1, 3, 4):
            parts, columns = L.back(gates)
            assert (parts > 0) == (N > 0)
            assert not N or (gates % parts == 0 and columns * B * gates * H <= parts * products.UNPACKED), L
            found.add((N, parts))
    assert {N for N, _ in found} == {0, 24, 32, 40, 48, 64}
    assert {parts for _, parts in found} == {0, 1, 2, 3, 4}


def test_a_cotangent_of_one_part_of_the_last_state_is_enough() -> None:
    params, xs, first, _, cotangents = problem(nl.LSTM, (20, 4, 5, 7))
    for part in ("h", "c"):
        some = {"dlast": nl.LSTM.partial_state(**{part: cotangents["dlast"].h})}
        arguments = (nl.LSTM, params, xs, first, None, some)
        assert_close(gradient(fast, *arguments), gradient(nl, *arguments), np.float64)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_padding_never_changes_a_result_even_nan(cell: nl.Page) -> None:
    params, xs, first, lengths, cotangents = problem(cell, (70, 5, 3, 40), ragged=True)
    lengths[0], lengths[1] = 70, 0
    clean = gradient(fast, cell, params, xs, first, lengths, cotangents)
    past = np.array([[t >= n for n in lengths] for t in range(70)])
    xs[past], cotangents["dhs"][past] = np.nan, np.nan
    if "dcs" in cotangents:
        cotangents["dcs"][past] = np.inf
    assert_same_bits(gradient(fast, cell, params, xs, first, lengths, cotangents), clean)
    assert not clean[0][past].any()
    assert not clean[2][0][past].any()
    for last, before in zip(clean[1], first, strict=True):
        np.testing.assert_array_equal(last[1], before[1])


SATURATED = [(cell, regime) for cell in CELLS for regime in regimes.OF_PAGE[cell.equations]]


@pytest.mark.parametrize(("cell", "regime"), SATURATED, ids=lambda v: getattr(v, "name", v))
def test_accurate_where_gates_saturate(cell: nl.Page, regime: str) -> None:
    p = regimes.problem(cell, regime, seed=1)
    given = {"dhs": p.cotangents.states.h, "dlast": p.cotangents.last}
    if cell is nl.LSTM:
        given["dcs"] = p.cotangents.states.c
    params, xs, first = p.point
    dxs, dfirst, dparams = gradient(fast, cell, params, xs, first, None, given)[2]
    got, exact = check.Point(dparams, dxs, dfirst), truth.gradient(p)
    assert check.normwise(got, exact) <= 2e-15
    assert check.K(got, exact, p.absolute_paths()) <= 16


@pytest.mark.parametrize("size", [1e2, 1e3, 1e5])
@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_gates_driven_beyond_exp_are_finite_and_silent(cell: nl.Page, dtype: Any, size: float) -> None:
    params, xs, first, _, cotangents = problem(cell, (6, 3, 2, 5), dtype)
    arguments = (cell, params, (size * xs).astype(dtype), first, None, cotangents)
    got, want = gradient(fast, *arguments), gradient(nl, *arguments)
    assert all(np.isfinite(a).all() for _, a in tree.leaves(got))
    assert_close(got[:2], want[:2], dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize("cosh", [True, False])
def test_a_gate_beyond_exp_is_exactly_closed(
    monkeypatch: pytest.MonkeyPatch, cosh: bool, cell: nl.Page, dtype: Any
) -> None:
    """Each pre-activation in turn at plus and minus a tenth of the largest number, and infinite; a state as large."""
    monkeypatch.setattr(layout, "COSH", cosh)
    params, xs, first, _, cotangents = problem(cell, (3, 2, 2, 4), dtype)
    large = np.finfo(dtype).max / 10
    with np.errstate(over="ignore", invalid="ignore"):
        for name in (k for k in params._fields if k.startswith("b") and k != "b_hn"):
            for size in (large, -large, np.inf, -np.inf):
                closed = params._replace(**{name: np.full_like(getattr(params, name), size)})
                for state in (first, tree.map(lambda a: np.full_like(a, large / 10), first)):
                    arguments = (cell, closed, xs, state, None, cotangents)
                    got, want = gradient(fast, *arguments), gradient(nl, *arguments)
                    if all(np.isfinite(a).all() for _, a in tree.leaves(want)):
                        assert_close(got, want, dtype)
                        for (_, a), (_, b) in zip(tree.leaves(got), tree.leaves(want), strict=True):
                            np.testing.assert_array_equal(a == 0, b == 0)


def test_the_state_of_a_row_without_steps_has_no_influence() -> None:
    for cell in CELLS:
        params, xs, first, _, cotangents = problem(cell, (20, 3, 2, 40))
        for _, a in tree.leaves(first):
            a[1] = np.nan
        hs, last, (dxs, dfirst, dparams) = gradient(fast, cell, params, xs, first, [20, 0, 7], cotangents)
        assert all(np.isfinite(a).all() for _, a in tree.leaves((hs, dxs, dfirst, dparams)))
        assert all(np.isnan(a[1]).all() and np.isfinite(a[[0, 2]]).all() for _, a in tree.leaves(last))


def test_nan_goes_through_as_in_the_explicit_path() -> None:
    for cell in CELLS:
        params, xs, first, _, cotangents = problem(cell, (6, 3, 2, 5))
        xs[2, 1, 0] = np.nan
        arguments = (cell, params, xs, first, None, cotangents)
        for got, want in zip(gradient(fast, *arguments), gradient(nl, *arguments), strict=True):
            for (_, a), (_, b) in zip(tree.leaves(got), tree.leaves(want), strict=True):
                np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_arguments_are_read_only_and_of_any_strides(cell: nl.Page) -> None:
    params, xs, first, lengths, cotangents = problem(cell, (20, 4, 5, 7), ragged=True)
    want = gradient(fast, cell, params, xs, first, lengths, cotangents)

    def strided(a: np.ndarray) -> np.ndarray:
        wide = np.full([2 * n for n in a.shape], np.nan)[tuple(slice(None, None, -2) for _ in a.shape)]
        wide[...] = a
        wide.flags.writeable = False
        return wide

    again = tree.map(strided, (params, xs, first)), tree.map(strided, cotangents)
    assert_close(gradient(fast, cell, *again[0], lengths, again[1]), want, np.float64)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_results_are_the_callers_own(cell: nl.Page) -> None:
    """A caller may overwrite what he passed in and what he got; neither a kept run nor later calls notice."""
    params, xs, first, _, cotangents = problem(cell, (70, 3, 5, 7))
    run = fast.forward(cell, params, xs, first)
    want = fast.backward(cell, params, run, **cotangents)
    kept = tree.map(np.copy, tuple(want)[:3])
    outputs = tree.map(np.copy, (run.hs, run.last))
    other = problem(cell, (70, 3, 5, 7), seed=1)
    gradient(fast, cell, *other)
    assert_same_bits((run.hs, run.last), outputs)
    for _, a in tree.leaves((run.hs, run.last, xs, first)):
        a[...] = np.nan
    gradient(fast, cell, *other)
    again = fast.backward(cell, params, run, **cotangents)
    assert_same_bits(tuple(again)[:3], kept)
    for _, a in tree.leaves(tuple(again)[:3]):
        a[...] = np.nan
    assert_same_bits(tuple(fast.backward(cell, params, run, **cotangents))[:3], kept)
    assert_same_bits(tuple(want)[:3], kept)


@pytest.mark.parametrize("cell", [*CELLS, nl.PeepholeLSTM], ids=repr)
def test_prepared_weights_give_the_same_bits_and_are_the_callers_affair(cell: nl.Page) -> None:
    params = cell.init(5, 7, np.random.default_rng(0))
    prepared = [fast.prepare(cell, params, B) for B in (1, 3)]
    for B in (1, 3):
        xs, dhs = (np.random.default_rng(k).standard_normal((4, B, N)) for k, N in enumerate((5, 7)))
        want = gradient(fast, cell, params, xs, None, None, {"dhs": dhs})
        for ready in prepared:
            assert_same_bits(gradient(fast, cell, ready, xs, None, None, {"dhs": dhs}), want)
    layer = nl.Stack([nl.Recurrent(cell, "fast")])
    assert_same_bits(layer.forward((prepared[0],), xs).hs, want[0])
    moved = tree.map(lambda a: a + 1, params)
    for (_, a), (_, b) in zip(tree.leaves(params), tree.leaves(moved), strict=True):
        a[...] = b
    assert_same_bits(gradient(fast, cell, prepared[1], xs, None, None, {"dhs": dhs}), want)
    assert (fast.forward(cell, fast.prepare(cell, params), xs).hs != want[0]).any()


def test_prepared_weights_of_another_cell_are_refused() -> None:
    lstm_params, gru_params = (cell.init(3, 4, np.random.default_rng(0)) for cell in (nl.LSTM, nl.GRU))
    xs = np.ones((2, 1, 3))
    assert raised(fast.forward, nl.GRU, fast.prepare(nl.LSTM, lstm_params), xs) == raised(
        nl.forward, nl.GRU, lstm_params, xs
    )
    assert raised(fast.prepare, nl.LSTM, gru_params) == raised(nl.forward, nl.LSTM, gru_params, xs)
    kept = nl.GRUResetBefore.init(3, 4, np.random.default_rng(0))
    assert raised(fast.forward, nl.GRU, fast.prepare(nl.GRUResetBefore, kept), xs)[0] is TypeError


def test_two_calls_and_two_threads_give_the_same_bits() -> None:
    tasks = [(cell, *problem(cell, shape)) for cell in CELLS for shape in ((130, 2, 3, 4), (40, 33, 6, 64))]
    want = [gradient(fast, *task) for task in tasks]
    found: list[Any] = [None, None]

    def work(k: int) -> None:
        found[k] = [[gradient(fast, *task) for task in tasks] for _ in range(4)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results in found:
        for result in results:
            assert_same_bits(result, want)


def test_buffers_return_when_the_run_is_gone() -> None:
    task = (nl.LSTM, *problem(nl.LSTM, (130, 2, 3, 4)))
    gradient(fast, *task)
    gc.collect()
    kept = blocks.POOL.nbytes
    for _ in range(3):
        gradient(fast, *task)
        gc.collect()
    assert blocks.POOL.nbytes == kept
    held = [fast.forward(*task[:4]) for _ in range(2)]
    arrays = [id(block) for run in held for _, _, block in run.values.blocks]
    assert len(set(arrays)) == len(arrays)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_tape_has_one_owner(duplicate: Any) -> None:
    run = fast.forward(nl.LSTM, *problem(nl.LSTM, (6, 2, 3, 4))[:2])
    with pytest.raises(TypeError, match="cannot be copied"):
        duplicate(run.values)


def test_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = blocks.Pool()
    sizes = layout.Layout(np, np.dtype(np.float64), 8, 2, 3, 4)
    monkeypatch.setattr(blocks, "KEEP", 3 * lstm.Block(sizes).nbytes)
    for _ in range(10):
        pool.give(sizes, lstm.Block(sizes))
        assert 0 < pool.nbytes <= blocks.KEEP
    pool.give(sizes, lstm.Block(sizes._replace(K=1000)))
    assert 0 < pool.nbytes <= blocks.KEEP


def test_the_pool_counts_views_too() -> None:
    for cell in CELLS:
        kernel = fast._KERNELS[cell]
        for L in (
            layout.Layout(np, np.dtype(np.float64), 128, 1, 3, 1),
            layout.Layout(np, np.dtype(np.float32), 4, 8, 5, 64),
        ):
            for kind in (kernel.Work, kernel.Block):
                tracemalloc.start()
                buffer = kind(L)
                used = tracemalloc.get_traced_memory()[0]
                tracemalloc.stop()
                assert 0.7 * used <= buffer.nbytes <= 1.5 * used, (kind, L)


def test_an_interrupt_anywhere_is_raised_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    task = (nl.LSTM, *problem(nl.LSTM, (9, 2, 3, 4)))
    want = gradient(fast, *task)
    at = 0

    def interrupt(frame: Any, event: str, _: Any) -> Any:
        nonlocal at
        if frame.f_code.co_filename == blocks.__file__ and (at := at - 1) == 0:
            raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    for k in range(1, 10_000):
        at = k
        sys.settrace(interrupt)
        try:
            assert_same_bits(gradient(fast, *task), want)
        except KeyboardInterrupt:
            continue
        finally:
            sys.settrace(before)
        break
    assert k > 50
    assert at > 0
    assert not lost
    for _ in range(2):
        assert_same_bits(gradient(fast, *task), want)
    gc.collect()
    fast.POOL.collect()
    free = [buffer for buffers in fast.POOL._free.values() for buffer in buffers]
    assert len({id(buffer) for buffer in free}) == len(free)
    assert fast.POOL.nbytes == sum(buffer.nbytes for buffer in free) + sum(
        buffer.nbytes for loan in fast.POOL._lent for buffer in loan.buffers
    )


FORK = """
import os, signal, threading, numpy as np, numpy_lstm as nl
from numpy_lstm.fast import blocks, layout, rnn

inside, done = threading.Event(), threading.Event()

class Slow(layout.Layout):
    def __hash__(self):
        inside.set()
        done.wait()
        return 0

def forward():
    nl.fast.forward(nl.RNN, nl.RNN.init(1, 1, np.random.default_rng(0)), np.ones((1, 1, 1)))

threading.Thread(target=lambda: blocks.POOL.take(rnn.Work, Slow(np, np.dtype(float), 1, 1, 1, 1))).start()
inside.wait()
if (child := os.fork()) == 0:
    signal.alarm(10)
    forward()
    os._exit(0)
status = os.waitpid(child, 0)[1]
done.set()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_in_the_middle_of_another_thread_does_not_hang() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_a_cell_that_was_pickled_or_copied_is_served(cell: nl.Page) -> None:
    params, xs, first, lengths, given = problem(cell, (6, 2, 3, 4))
    run = fast.forward(cell, params, xs, first)
    for again in (pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
        assert fast.serves(again, xs)
        fast.backward(again, params, run, **given)
        assert_same_bits(
            gradient(fast, again, params, xs, first, lengths, given),
            gradient(fast, cell, params, xs, first, lengths, given),
        )


@pytest.mark.parametrize(
    ("cell", "dtype"),
    [
        (nl.PeepholeLSTM, np.float64),
        (nl.ReLURNN, np.float64),
        (nl.projected(nl.LSTM, 3), np.float64),
        (nl.LSTM, np.longdouble),
        (nl.GRU, np.complex128),
    ],
    ids=str,
)
def test_what_it_does_not_serve_goes_the_explicit_way(cell: nl.Page, dtype: Any) -> None:
    params = tree.map(lambda a: a.astype(dtype), cell.init(3, 4, np.random.default_rng(0)))
    xs = np.random.default_rng(1).standard_normal((6, 2, 3)).astype(dtype)
    run, want = fast.forward(cell, params, xs), nl.forward(cell, params, xs)
    assert isinstance(run.values, cell.Trace)
    given = {"dhs": np.ones_like(run.hs)}
    assert_same_bits(tuple(fast.backward(cell, params, run, **given)), tuple(nl.backward(cell, params, want, **given)))


def test_errors_are_those_of_the_explicit_path() -> None:
    params, xs, first, _, _ = problem(nl.LSTM, (6, 2, 3, 4))
    wrong: list[tuple[Any, ...]] = [
        (nl.LSTM, params, xs[..., :2]),
        (nl.LSTM, params, xs.astype(np.float32)),
        (nl.LSTM, params, xs.tolist()),
        (nl.LSTM, params, xs, first._replace(c=first.c[:1])),
        (nl.LSTM, params, xs, first, [7, 1]),
        (nl.LSTM, params, xs, first, [1.5, 1]),
        (nl.GRU, params, xs),
        ("LSTM", params, xs),
    ]
    for arguments in wrong:
        assert raised(fast.forward, *arguments) == raised(nl.forward, *arguments)
    runs = fast.forward(nl.LSTM, params, xs), nl.forward(nl.LSTM, params, xs)
    wrong_cotangents: list[dict[str, Any]] = [
        {"dhs": xs},
        {"dcs": first.c},
        {"dlast": first.h},
        {"dlast": first._replace(h=first.h[:, :1])},
    ]
    for given in wrong_cotangents:
        ours, theirs = (
            raised(e.backward, nl.LSTM, params, run, **given) for e, run in zip((fast, nl), runs, strict=True)
        )
        assert ours == theirs
    gru = nl.GRU.init(3, 4, np.random.default_rng(0))
    assert raised(fast.backward, nl.GRU, gru, runs[0]) == (TypeError, "run was made with LSTM; expected GRU")
    other = nl.LSTM.init(3, 5, np.random.default_rng(0))
    assert raised(fast.backward, nl.LSTM, other, runs[0])[0] is nl.ShapeError


def raised(f: Any, *arguments: Any, **options: Any) -> tuple[type, str]:
    with pytest.raises((TypeError, ValueError)) as caught:
        f(*arguments, **options)
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}]
)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_twins(kind: str, options: dict[str, Any]) -> None:
    theirs = getattr(torch.nn, kind)(5, 9, dtype=torch.float64, **options)
    explicit, quick = (getattr(nl.nn, kind)(5, 9, engine=engine, **options) for engine in ("explicit", "fast"))
    for twin in (explicit, quick):
        twin.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((12, 12, 5))
    leaf = torch.tensor(x, requires_grad=True)
    output = theirs(leaf)[0]
    d = np.random.default_rng(1).standard_normal(tuple(output.shape))
    output.backward(torch.tensor(d))
    grads = quick.forward(x).backward(d)
    assert check.normwise(quick.forward(x).output, output.detach().numpy()) <= 1e-14
    assert check.normwise(grads.x, leaf.grad.numpy()) <= 1e-14
    wanted = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    assert check.normwise(grads.params, wanted) <= 1e-14
    lengths = [int(n) for n in np.random.default_rng(2).integers(0, 13, 12)]
    ours, judge = (twin.forward(x, lengths=lengths) for twin in (quick, explicit))
    assert check.normwise(ours.output, judge.output) <= 1e-14
    for got, want in zip(ours.backward(d), judge.backward(d), strict=True):
        assert got is want is None or check.normwise(got, want) <= 1e-14


def test_a_fast_layer_is_wired_like_any_other() -> None:
    params, xs, first, lengths, _ = problem(nl.LSTM, (20, 4, 5, 7), ragged=True)
    for ours, theirs in (
        (lambda c: nl.Recurrent(c, "fast"), nl.Recurrent),
        (lambda c: nl.Reversed(nl.Recurrent(c, "fast")), lambda c: nl.Reversed(nl.Recurrent(c))),
    ):
        runs = [layer(nl.LSTM).forward(params, xs, first, lengths) for layer in (ours, theirs)]
        backs = [
            layer(nl.LSTM).backward(params, run, np.ones_like(run.hs))
            for layer, run in zip((ours, theirs), runs, strict=True)
        ]
        assert_close([tuple(backs[0])[:3]], [tuple(backs[1])[:3]], np.float64)


def _textbook(L: Any, work: Any, block: Any, n: int) -> None:
    """The local factors from s(1-s) and 1-t^2."""
    original(L, work, block, n)
    o, i, f, g, c_prev = work.S[:n].swapaxes(0, 1)
    y, P = work.Y[:n], block.P[:, :n]
    P[0], P[1], P[2] = y * o * (1 - o), g * i * (1 - i), c_prev * f * (1 - f)
    P[3], P[5] = i * (1 - g * g), o * (1 - y * y)


original = lstm.keep


@pytest.mark.parametrize("regime", ["forget bias +10", "candidate bias +8"])
def test_textbook_derivatives_are_seen(regime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "keep", _textbook)
    with pytest.raises(AssertionError):
        test_accurate_where_gates_saturate(nl.LSTM, regime)


@pytest.mark.parametrize("factor", range(6))
def test_a_wrong_factor_is_seen(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(L: Any, work: Any, block: Any, n: int) -> None:
        original(L, work, block, n)
        block.P[factor, n - 1] *= 1 + 1e-11

    monkeypatch.setattr(lstm, "keep", wrong)
    with pytest.raises(AssertionError):
        test_equal_to_the_explicit_path(nl.LSTM, np.float64, (20, 4, 5, 7), False)


def test_a_leaked_buffer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    early = lambda pool, tape: pool.give(tape.layout, *(block for _, _, block in tape.blocks))  # noqa: E731
    monkeypatch.setattr(blocks.Pool, "lend", early)
    with pytest.raises(AssertionError):
        test_results_are_the_callers_own(nl.LSTM)
