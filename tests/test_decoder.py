"""A cell that asks a memory at each step: the question is the state before, the answer feeds the gates."""

from typing import Any

import array_api_strict
import numpy as np
import pytest

import numpy_lstm as nl
from cases import seeds, standard
from numpy_lstm import arrays, check, checkpointed, scan, tree
from numpy_lstm.check import truth
from reference import mechanical, torch_oracle

PAGE = nl.AdditiveAttentionLSTM
LENGTHS = [6, 2, 0, 5]


def problem(scale: float = 1.0, seed: int = 0, **sizes: int) -> check.Problem:
    """Six steps; the scores times ``scale``."""
    made = standard(PAGE, seed, **{"T": 6} | sizes)
    params = made.point.params
    return made._replace(point=made.point._replace(params=params._replace(v=scale * params.v)))


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_every_route(scale: float) -> None:
    one, rng = problem(scale), np.random.default_rng(1)
    ours, exact = one.gradient(), truth.gradient(one)
    assert check.normwise(ours, exact) <= 2e-15
    assert check.normwise(check.complex_step(one.loss, one.point, chunk=64), ours) <= 2e-15
    for route in (mechanical.reverse_mode, mechanical.forward_mode):
        assert check.normwise(route(one), ours) <= 2e-15
    jvp = lambda v: check.directional(one.outputs, one.point, v)  # noqa: E731
    vjp = lambda w: one._replace(cotangents=w).gradient()  # noqa: E731
    assert check.dot_test(jvp, vjp, one.point, one.cotangents, rng, pairs=5).error <= 2e-15
    rows = check.compare(ours, exact, one.absolute_paths(), textbook_paths=one.textbook_paths())
    assert rows.verdict == "pass"
    assert check.worst(row.K for row in rows) <= 16
    u, v = (tree.random_like(one.point, rng) for _ in range(2))
    Hu, Hv = (check.hessian_vector(one.gradient, one.point, d) for d in (u, v))
    assert abs(tree.dot(u, Hv) - tree.dot(v, Hu)) <= 2e-15 * tree.norm(u) * tree.norm(Hv)


def test_against_torch() -> None:
    for seed in seeds(20):
        one = problem(seed=seed)
        assert check.normwise(torch_oracle.tensor_cell(one), one.gradient()) <= 3e-15


def passes(xs: Any, one: check.Problem, lengths: Any = None, engine: Any = scan) -> tuple[Any, Any]:
    (params, _, first), (dstates, dlast) = one.point, one.cotangents
    run = engine.forward(PAGE, params, xs, first, lengths)
    return run, engine.backward(PAGE, params, run, dlast=dlast, dstates=dstates)


def test_places_that_are_padding_count_for_nothing() -> None:
    one = problem(S=5)
    xs = one.inputs(one.point)
    short = xs._replace(memory=xs.memory[:, :3], keys=xs.keys[:, :3], bias=xs.bias[:, :3])
    (run, back), (run3, back3) = (
        passes(xs._replace(bias=np.where(np.arange(5) < 3, xs.bias, -np.inf)), one),
        passes(short, one),
    )
    assert check.normwise([run.hs, *run.last], [run3.hs, *run3.last]) <= 1e-15
    assert check.normwise([back.dparams, back.dfirst], [back3.dparams, back3.dfirst]) <= 2e-15
    for k in ("memory", "keys", "bias"):
        got = getattr(back.dxs, k)
        assert check.normwise(got[:, :3], getattr(back3.dxs, k)) <= 2e-15
        assert not got[:, 3:].any()


def test_a_batch_is_its_rows_and_padding_may_hold_anything() -> None:
    one = problem()
    xs, shared = one.inputs(one.point), ("memory", "keys", "bias")
    dirty = xs._replace(x=np.where(np.arange(6)[:, None, None] < np.array(LENGTHS)[:, None], xs.x, np.nan))
    for k in shared:
        getattr(dirty, k)[2] = np.nan
    run, back = passes(xs, one, LENGTHS)
    for engine in (scan, checkpointed):
        other, same = passes(dirty, one, LENGTHS, engine)
        assert check.normwise([other.hs, *other.last, *same[:3]], [run.hs, *run.last, *back[:3]]) == 0
    sums = None
    for b, n in enumerate(LENGTHS):
        row = slice(b, b + 1)
        own = xs._replace(x=xs.x[:n, row], **{k: getattr(xs, k)[row] for k in shared})
        first, (dstates, dlast) = tree.map(lambda a, w=row: a[w], one.point.first), one.cotangents
        alone = scan.forward(PAGE, one.point.params, own, first)
        given = {"dstates": tree.map(lambda a, w=row, n=n: a[:n, w], dstates)}
        found = scan.backward(PAGE, one.point.params, alone, dlast=tree.map(lambda a, w=row: a[w], dlast), **given)
        sums = found.dparams if sums is None else tree.add(sums, found.dparams)
        assert check.normwise(run.hs[:n, row], alone.hs) <= 1e-14
        for k in shared:
            assert check.normwise(getattr(back.dxs, k)[row], getattr(found.dxs, k)) <= 1e-14
    assert check.normwise(back.dparams, sums) <= 1e-14


def test_a_cut_sequence_is_the_whole() -> None:
    """Values and gradients: the last state and its cotangent are handed on, what is shared adds up."""
    one = problem()
    (params, _, first), (dstates, dlast), xs = one.point, one.cotangents, one.inputs(one.point)
    run, back = passes(xs, one)
    parts = [slice(0, 2), slice(2, 6)]
    early = scan.forward(PAGE, params, xs._replace(x=xs.x[parts[0]]), first)
    late = scan.forward(PAGE, params, xs._replace(x=xs.x[parts[1]]), early.last)
    assert check.normwise(list(late.last), list(run.last)) == 0
    given = [tree.map(lambda a, w=w: a[w], dstates) for w in parts]
    second = scan.backward(PAGE, params, late, dlast=dlast, dstates=given[1])
    begin = scan.backward(PAGE, params, early, dlast=second.dfirst, dstates=given[0])
    assert check.normwise(list(begin.dfirst), list(back.dfirst)) <= 1e-15
    for k in ("memory", "keys", "bias"):
        assert check.normwise(getattr(begin.dxs, k) + getattr(second.dxs, k), getattr(back.dxs, k)) <= 1e-15
    assert check.normwise(tree.add(begin.dparams, second.dparams), back.dparams) <= 1e-15


def test_as_a_layer_with_keys_of_its_own() -> None:
    """An encoder's outputs, mapped to keys by a linear page: both uses of the memory add, held to differences."""
    one, rng = problem(), np.random.default_rng(3)
    xs, W = one.inputs(one.point), nl.Linear.init(6, 4, rng)

    def loss(memory: Any) -> Any:
        to, (params, read, first) = tree.map(lambda a: a.astype(complex), (W, (one.point.params, xs, one.point.first)))
        read = read._replace(memory=memory, keys=nl.forward(nl.Linear, to, memory).hs)
        run = scan.forward(PAGE, params, read, first)
        return np.sum(one.cotangents.states.h * run.hs)

    mapped = nl.forward(nl.Linear, W, xs.memory)
    masks = {"memory": xs.memory, "keys": mapped.hs, "bias": xs.bias}
    layer = nl.Masked(nl.Recurrent(PAGE), masks)
    run = layer.forward(one.point.params, xs.x, one.point.first)
    back = layer.backward(one.point.params, run, one.cotangents.states.h).cotangents
    ours = back.memory + nl.backward(nl.Linear, W, mapped, back.keys).dxs
    for _ in range(3):
        direction = rng.standard_normal(xs.memory.shape)
        slope = loss(xs.memory + 1e-30j * direction).imag / 1e-30
        assert np.sum(ours * direction) == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble, np.complex128])
def test_every_kind_of_number(dtype: Any) -> None:
    ours = problem().astype(dtype).gradient()
    assert {a.dtype for _, a in tree.leaves(ours)} == {np.dtype(dtype)}
    assert check.normwise(tree.map(np.real, ours), problem().gradient()) <= (1e-6 if dtype is np.float32 else 1e-15)


def test_other_libraries(cupy: Any) -> None:
    one = problem(T=3)
    params, xs, first, dlast, dstates = tree.map(
        array_api_strict.asarray, (*one.point, one.cotangents.last, one.cotangents.states)
    )
    run = nl.forward(PAGE, params, xs, first)
    there = nl.backward(PAGE, params, run, dlast=dlast, dstates=dstates)
    _, back = passes(one.inputs(one.point), one)
    assert check.normwise(tree.map(np.asarray, there[:3]), back[:3]) <= 1e-15
    moved = one.mapped(cupy.asarray)
    assert check.normwise(tree.map(arrays.on_host, moved.gradient()), one.gradient()) <= 2e-15


def test_what_does_not_fit_is_named() -> None:
    one = problem()
    xs, params = one.inputs(one.point), one.point.params
    with pytest.raises(nl.ShapeError, match=r"xs\.keys has shape \(4, 2, 4\); expected \(B=4, S=3, A=4\)"):
        nl.forward(PAGE, params, xs._replace(keys=xs.keys[:, :2]))
    with pytest.raises(TypeError, match=r"^AdditiveAttentionLSTM has axes A, N too; expected A=..., the size of each$"):
        PAGE.init(5, 7, np.random.default_rng(0))
