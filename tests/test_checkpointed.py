"""Checkpointed runs: bit for bit the full pass of the same engine, in little memory."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from test_fast import assert_same_bits, problem, raised

import cases
import numpy_lstm as nl
from numpy_lstm import checkpointed, tree

ENGINES = {"explicit": nl, "fast": nl.fast}


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", [nl.LSTM, nl.GRU, nl.RNN, nl.PeepholeLSTM, nl.LayerNormLSTM], ids=repr)
def test_bit_for_bit_for_any_number_of_segments(cell: nl.Page, engine: str, ragged: bool) -> None:
    served = cell.equations in ("lstm", "gru", "rnn")
    sizes = [(700, 2, 3, 4), (100, 70, 4, 12)] if engine == "fast" and served else [(100, 2, 3, 4)]  # blocks and a part
    for T, B, D, H in [*sizes, (1, 1, 1, 1), (0, 2, 3, 4)]:
        params, xs, first, lengths, given = problem(cell, (T, B, D, H), ragged=ragged)
        run = ENGINES[engine].forward(cell, params, xs, first, lengths)
        back = ENGINES[engine].backward(cell, params, run, **given)
        for segments in (None, 1, 2, 3, 5, 8, T + 1) if cases.THOROUGH else (None, 1, 3, T + 1):
            again = checkpointed.forward(cell, params, xs, first, lengths, segments, engine)
            assert_same_bits((again.hs, again.last, again.alive), (run.hs, run.last, run.alive))
            assert_same_bits(tuple(checkpointed.backward(cell, params, again, **given))[:3], tuple(back)[:3])
            assert len(again.values.firsts) <= (segments or T)


def test_zoneout_reads_more_than_x() -> None:
    cell = nl.zoneout(nl.LSTM)
    g = np.random.default_rng(0)
    xs = cell.Input(*(g.random((100, 2, n)) for n in (3, 4, 4)))
    params = cell.init(3, 4, g)
    run, again = nl.forward(cell, params, xs), checkpointed.forward(cell, params, xs)
    back, want = (e.backward(cell, params, r, dhs=np.ones((100, 2, 4))) for e, r in ((checkpointed, again), (nl, run)))
    assert_same_bits(tuple(back)[:3], tuple(want)[:3])


def test_absent_cotangents_and_states() -> None:
    params, xs, _, _, given = problem(nl.LSTM, (100, 2, 3, 4))
    for some in ({"dhs": given["dhs"]}, {"dlast": nl.LSTM.partial_state(c=given["dlast"].c)}):
        want = nl.fast.backward(nl.LSTM, params, nl.fast.forward(nl.LSTM, params, xs), **some)
        run = checkpointed.forward(nl.LSTM, params, xs, engine="fast")
        assert_same_bits(tuple(checkpointed.backward(nl.LSTM, params, run, **some))[:3], tuple(want)[:3])


def test_errors() -> None:
    params, xs, *_ = problem(nl.LSTM, (6, 2, 3, 4))
    assert raised(checkpointed.forward, nl.LSTM, params, xs[0]) == raised(nl.forward, nl.LSTM, params, xs[0])
    for segments in (0, 1.5, True):
        message = f"segments is {segments!r}; expected an integer of at least 1"
        assert raised(checkpointed.forward, nl.LSTM, params, xs, segments=segments) == (ValueError, message)
    assert "engine is 'slow'" in raised(checkpointed.forward, nl.LSTM, params, xs, engine="slow")[1]
    run = checkpointed.forward(nl.LSTM, params, xs)
    assert raised(checkpointed.backward, nl.LSTM, params, run, dhs=xs)[0] is nl.ShapeError
    for engine in (nl.backward, nl.fast.backward):
        assert "call numpy_lstm.checkpointed.backward, not" in raised(engine, nl.LSTM, params, run, dhs=run.hs)[1]


def peak(work: Any) -> int:
    """Bytes above what stood before and what the work returns."""
    tracemalloc.start()
    try:
        kept = work()
        return tracemalloc.get_traced_memory()[1] - sum(a.nbytes for _, a in tree.leaves(kept))
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_beside_the_results_is_a_small_part_of_the_tape(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numpy_lstm.fast.blocks.KEEP", 0)
    params, xs, first, _, given = problem(nl.LSTM, (6000 if engine == "fast" else 600, 4, 3, 16))

    def full() -> Any:
        run = ENGINES[engine].forward(nl.LSTM, params, xs, first)
        return run.hs, tuple(ENGINES[engine].backward(nl.LSTM, params, run, **given))[:3]

    def bounded() -> Any:
        run = checkpointed.forward(nl.LSTM, params, xs, first, engine=engine)
        return run.hs, tuple(checkpointed.backward(nl.LSTM, params, run, **given))[:3]

    assert peak(bounded) < 0.15 * peak(full)


def test_a_segment_that_cuts_a_block_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointed, "_bounds", lambda T, grain, segments: (0, 5, T) if T > 5 else (0, T))
    with pytest.raises(AssertionError):
        test_bit_for_bit_for_any_number_of_segments(nl.LSTM, "fast", False)
