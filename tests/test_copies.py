"""What comes out belongs to the caller and to nobody else: no shared memory, copies that are equal, plain arrays."""

import copy
import io
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_cells import MGU
from test_fast import assert_same_bits

import numpy_lstm as nl
from cases import CELLS, standard
from numpy_lstm import tree
from numpy_lstm.activations import APART, ONE, TANH, clipped

T, B, D, H = 6, 2, 4, 4
LSTM = nl.Recurrent(nl.LSTM)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numpy_lstm.scan.GRAIN", 2)  # so that a checkpointed run has three segments


def layers(engine: str) -> list[Any]:
    """Every combinator, on cells that the engine serves itself, and on some that it hands on."""
    cells = [nl.LSTM, nl.GRU, nl.RNN, nl.PeepholeLSTM, nl.projected(nl.LSTM, 3), MGU]
    one, two = (nl.Recurrent(cell, engine) for cell in (nl.LSTM, nl.GRU))
    mask = np.random.default_rng(0).random((T, B, D))
    keep = dict.fromkeys(nl.zoneout(nl.LSTM).reads[1:], mask)
    return [
        *(nl.Recurrent(cell, engine) for cell in cells),
        nl.Masked(nl.Recurrent(nl.zoneout(nl.LSTM), engine), keep),
        nl.Stack((nl.bidirectional(nl.LSTM, engine), nl.Reversed(one), nl.Masked(two, {"x": mask}))),
        nl.Stack((one, nl.EachStep(nl.Linear))),
    ]


def memory(**trees: Any) -> list[tuple[str, Any]]:
    return [leaf for name, one in trees.items() for leaf in tree.leaves(one, name) if isinstance(leaf[1], np.ndarray)]


def write_nan(*trees: Any) -> None:
    for _, a in memory(all=trees):
        a[...] = np.nan


def given(layer: Any, seed: int) -> tuple[Any, ...]:
    g = np.random.default_rng(seed)
    params, xs = layer.init(D, H, g), g.standard_normal((T, B, D))
    first = tree.random_like(layer.forward(params, xs).last, g)
    return params, xs, first, g.integers(1, T + 1, B), g.standard_normal((T, B, layer.width(H)))


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("engine", ["explicit", "fast", "checkpointed"])
def test_a_run_keeps_nothing_of_the_callers(engine: str, ragged: bool) -> None:
    """All that was given, and all that came out, is overwritten before the way back: the same bits."""
    for layer in layers(engine):
        params, xs, first, lengths, dhs = given(layer, 1)
        arguments = (params, xs, first, lengths if ragged else None)
        want = layer.backward(params, layer.forward(*arguments), dhs, dlast=first)
        want = tuple(want)[:3]
        again = copy.deepcopy(arguments)
        run = layer.forward(*again)
        write_nan(again[1:3], run.hs, run.last)
        again[3] is None or again[3].fill(0)
        for _ in range(2):
            back = layer.backward(params, run, dhs, dlast=first)
            assert_same_bits(tuple(back)[:3], want)
            write_nan(back.dxs, back.dfirst, back.dparams)
        for name, a in memory(cotangents=back.cotangents):
            assert np.isfinite(a).all(), name


def test_the_masks_of_a_layer_are_its_own() -> None:
    mask = np.random.default_rng(0).random((T, B, D))
    layer = nl.Masked(LSTM, {"x": mask})
    params, xs, first, _, dhs = given(layer, 2)
    run = layer.forward(params, xs, first)
    want = layer.backward(params, run, dhs)
    write_nan(mask)
    assert_same_bits(layer.backward(params, run, dhs), want)


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("engine", ["explicit", "fast", "checkpointed", "each step"])
def test_a_run_keeps_no_codes_and_no_memory(engine: str, ragged: bool) -> None:
    """Integers, and what all steps share, which a page of one step reads; the masks of Steps too."""
    g = np.random.default_rng(10)
    x, memory, bias = (g.standard_normal(shape) for shape in ((T, B, D), (B, 5, 3), (B, 5)))
    codes = g.integers(0, D, (T, B))
    reads = {nl.Embedding: codes, nl.CrossEntropy: nl.CrossEntropy.Input(x, codes)}
    reads[nl.Attention] = nl.Attention.Input(x, memory, bias)
    if engine != "each step":
        reads[nl.AdditiveAttentionLSTM] = nl.AdditiveAttentionLSTM.Input(x, memory, g.standard_normal((B, 5, 2)), bias)
    for page, xs in reads.items():
        layer, params = nl.Recurrent(page, engine), page.init(D, H, g, N=3, A=2)
        lengths = nl.Steps(read=g.random((T, B)) < 0.7) if ragged else None
        dhs = g.standard_normal(layer.forward(params, xs, None, lengths).hs.shape)
        want = layer.backward(params, layer.forward(params, xs, None, lengths), dhs)
        xs, lengths = copy.deepcopy((xs, lengths))
        run = layer.forward(params, xs, None, lengths)
        for _, a in tree.leaves((xs, lengths)):
            a[...] = 0
        assert_same_bits(tuple(layer.backward(params, run, dhs))[:3], tuple(want)[:3])


@pytest.mark.parametrize("steps", [0, 1, 6])
@pytest.mark.parametrize("engine", ["explicit", "fast", "checkpointed"])
def test_results_share_no_memory(engine: str, steps: int) -> None:
    g = np.random.default_rng(3)
    for cell in (nl.LSTM, nl.PeepholeLSTM, nl.zoneout(nl.GRU)):
        layer, params = nl.Recurrent(cell, engine), cell.init(D, H, g)
        xs: Any = g.standard_normal((steps, B, D))
        if len(cell.reads) > 1:
            xs = cell.Input(xs, g.random((steps, B, H)))
        first, dlast = (tree.random_like(cell.zero_state(B, H), g) for _ in range(2))
        run = layer.forward(params, xs, first)
        back = layer.backward(params, run, g.random(run.hs.shape), dlast=dlast)
        values = run.values if isinstance(run.values, tuple) else ()
        found = memory(params=params, xs=xs, first=first, dlast=dlast, run=run._replace(values=values), back=back)
        for (name, a), (other, b) in itertools.combinations(found, 2):
            assert not np.shares_memory(a, b), (name, other)


class Subclass(np.ndarray):
    """Whatever is computed from it is one, unless somebody takes care."""


@pytest.mark.parametrize("engine", ["explicit", "fast", "checkpointed"])
@pytest.mark.parametrize("of", ["params", "xs", "all"])
def test_subclasses_of_arrays_do_not_come_out(engine: str, of: str, tmp_path: Path) -> None:
    def special(name: str, one: Any) -> Any:
        return tree.map(lambda a: a.view(Subclass), one) if of in (name, "all") else one

    for layer in layers(engine):
        params, xs, first, _, dhs = given(layer, 4)
        params, dlast = special("params", params), special("dlast", tree.scale(2.0, first))
        for n in (T, 0) if type(layer) is nl.Recurrent else (T,):
            run = layer.forward(params, special("xs", xs[:n]), special("first", first))
            back = layer.backward(params, run, special("dhs", dhs[:n]), dlast=dlast)
            for name, a in memory(run=(run.hs, run.last), back=back):
                assert type(a) is np.ndarray, (layer, name)
    xs.tofile(tmp_path / "xs")
    mapped = np.memmap(tmp_path / "xs", xs.dtype, "r", shape=xs.shape)
    assert_same_bits(layer.forward(params, mapped).hs, layer.forward(params, xs).hs)


def through_joblib(one: Any) -> Any:
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(one, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "deepcopy": copy.deepcopy,
    "joblib": through_joblib,
}
PAGES = [
    *CELLS,
    nl.projected(nl.LSTM, 2),
    nl.zoneout(nl.projected(nl.LSTM, 2)),
    MGU,
    nl.LSTM.having(f=ONE, g=clipped(TANH, 2.0)),
    nl.LayerNormLSTM.having(norm=APART),
    nl.GRU.mapping(lambda f: clipped(f, 3.0)),
]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_page_is_that_page(how: str) -> None:
    """Equal, found again where pages are keys, and served by the same engine, also on runs of the other one."""
    for page in PAGES:
        again = COPIES[how](page)
        assert again == page
        assert {page: 1}[again] == 1
        assert nl.fast.serves(again, np.ones(1)) == nl.fast.serves(page, np.ones(1))
        problem = standard(page, T=3, B=2, D=3, H=4)
        (params, xs, first), dlast = problem.point, problem.cotangents.last
        for engine in (nl.fast, nl.checkpointed):
            run, other = (engine.forward(cell, params, xs, first) for cell in (page, again))
            assert type(other.values) is type(run.values)
            assert_same_bits(
                *(engine.backward(cell, params, r, dlast=dlast)[:3] for cell, r in ((again, run), (page, other)))
            )


def test_a_page_has_one_hash_for_joblib() -> None:
    joblib = pytest.importorskip("joblib")
    page = nl.projected(nl.LSTM, 2)
    before = joblib.hash(page)
    assert str(page), page.State
    assert before == joblib.hash(page) == joblib.hash(copy.deepcopy(page))
    assert before != joblib.hash(nl.projected(nl.LSTM, 3))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("engine", ["explicit", "checkpointed"])
def test_layers_and_runs_survive_copying(engine: str, how: str) -> None:
    for layer in layers(engine):
        params, xs, first, lengths, dhs = given(layer, 6)
        run = layer.forward(params, xs, first, lengths)
        copies = COPIES[how]((layer, params, run))
        assert_same_bits(copies[0].backward(*copies[1:], dhs), layer.backward(params, run, dhs))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("twin", [nl.nn.LSTM, nl.nn.GRU, nl.nn.RNN], ids=lambda t: t.__name__)
def test_twins_survive_copying(twin: Any, how: str) -> None:
    for engine in ("explicit", "fast"):
        g = np.random.default_rng(7)
        one = twin(D, H, num_layers=2, bidirectional=True, dropout=0.5, rng=g, engine=engine)
        x = g.standard_normal((5, B, D))
        again = COPIES[how](one)
        runs = [each.forward(x) for each in (one, again)]
        assert [leaf.engine for _, leaf in nl.walk(again.network()[0])] == [engine] * 4
        d = g.standard_normal(runs[0].output.shape)
        assert_same_bits(*(run.backward(d) for run in runs))


@pytest.mark.parametrize("engine", ["fast", "checkpointed"])
def test_instruments_look_into_layers_of_every_engine(engine: str) -> None:
    """``flow.passes`` of a layer, and of the layers of a twin, is that of the explicit engine, bit for bit."""
    for layer, explicit in zip(layers(engine), layers("explicit"), strict=True):
        params, xs, first, lengths, dhs = given(layer, 8)
        found, want = (nl.flow.passes(each, params, xs, first, lengths, dhs, dlast=first) for each in (layer, explicit))
        assert [p.name for p in found] == [p.name for p in want]
        assert_same_bits([p[2:] for p in found], [p[2:] for p in want])
    g = np.random.default_rng(9)
    for kind in (nl.nn.LSTM, nl.nn.GRU, nl.nn.RNN):
        twin = kind(D, H, num_layers=2, bidirectional=True, rng=g, engine="fast")
        xs, dhs = g.standard_normal((T, B, D)), g.standard_normal((T, B, 2 * H))
        found, want = nl.flow.passes(*twin.network(), xs, dhs=dhs), nl.flow.passes(twin.explicit(), xs, d_output=dhs)
        assert_same_bits([p[2:] for p in found], [p[2:] for p in want])
