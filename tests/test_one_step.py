"""Pages that carry nothing: embedding, linear, dropout, losses. By every route, at any margin, integers and all."""

from typing import Any

import array_api_strict
import mpmath
import numpy as np
import pytest
import torch

import numpy_lstm as nl
from cases import LAYERS, seeds, standard
from numpy_lstm import arrays, check, checkpointed, each_step, ops, scan, tree
from numpy_lstm.check import truth
from numpy_lstm.shapes import apart
from reference import differences, mechanical, regimes, torch_oracle

each_page = pytest.mark.parametrize("page", LAYERS, ids=str)
LENGTHS = [20, 3, 0, 7]
CE = nl.CrossEntropy


def routes_agree(problem: check.Problem, bound: float = 2e-15) -> None:
    """Complex step, truth and dot test, within the bound."""
    ours, rng = problem.gradient(), np.random.default_rng(0)
    jvp = lambda v: check.directional(problem.outputs, problem.point, v)  # noqa: E731
    vjp = lambda w: problem._replace(cotangents=w).gradient()  # noqa: E731
    assert check.normwise(ours, truth.gradient(problem)) <= bound
    if tree.norm(ours) < 1e-200:
        return  # a complex step has no room below
    assert check.normwise(check.complex_step(problem.loss, problem.point, chunk=64), ours) <= bound
    assert check.dot_test(jvp, vjp, problem.point, problem.cotangents, rng, pairs=5).error <= bound


@each_page
def test_every_route(page: nl.Page) -> None:
    problem = standard(page, T=3)
    ours, rng = problem.gradient(), np.random.default_rng(1)
    routes_agree(problem)
    assert check.normwise(check.richardson(problem.loss, problem.point, chunk=64), ours) <= 1e-11
    for route in (mechanical.reverse_mode, mechanical.forward_mode):
        assert check.normwise(route(problem), ours) <= 2e-15
    rows = check.compare(
        ours, truth.gradient(problem), problem.absolute_paths(), textbook_paths=problem.textbook_paths()
    )
    assert rows.verdict == "pass"
    assert check.worst(row.K for row in rows) <= 4
    u, v = (tree.random_like(problem.point, rng) for _ in range(2))
    Hu, Hv = (check.hessian_vector(problem.gradient, problem.point, d) for d in (u, v))
    assert abs(tree.dot(u, Hv) - tree.dot(v, Hu)) <= 2e-15 * tree.norm(u) * max(tree.norm(Hv), 1)
    assert tree.norm(tree.add(Hv, tree.scale(-1, differences.hessian_vector(problem, v)))) <= 2e-15 * (
        1 + tree.norm(Hv)
    )
    expected = (
        "cannot tell" if page is nl.Attention else "pass"
    )  # where differences of a softmax of products are coarse
    assert check.verify(problem.loss, ours, problem.point).verdict in ("pass", expected)
    wrong = tree.scale(1.0001, ours)
    assert check.verify(problem.loss, wrong, problem.point).verdict == "fail"


@each_page
def test_against_torch(page: nl.Page) -> None:
    for seed in seeds(20):
        problem = standard(page, seed, T=5, B=3)
        out, theirs = torch_oracle.one_step(problem)
        assert check.normwise(theirs, problem.gradient()) <= 3e-15
        assert check.normwise(out, problem.outputs(problem.point).states[0]) <= 3e-15


@pytest.mark.parametrize("margin", regimes.MARGINS)
def test_cross_entropy_at_any_margin(margin: int) -> None:
    """Loss and gradient to the last digits, where torch has none left; the formula itself in 60 digits beside it."""
    for seed in seeds(10, 1):
        problem = regimes.softmax_problem(margin, seed)
        routes_agree(problem)
        (ours, _), x, target = problem.passes(), problem.point.xs.x, problem.codes.target
        with mpmath.workdps(400):
            for place in np.ndindex(target.shape):
                e = [mpmath.exp(mpmath.mpf(a)) for a in x[place]]
                loss = -mpmath.log(e[target[place]] / mpmath.fsum(e))
                assert abs(ours.hs[place] - loss) <= 4e-16 * loss
        loss, theirs = torch_oracle.one_step(problem)
        lost = max(check.normwise(loss, ours.hs), check.normwise(theirs, problem.gradient()))
        assert lost <= 3e-15 if margin <= 3 else margin < 10 or lost > 1e-13


@pytest.mark.parametrize("margin", [0, 3, 30, 800])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 2e-15), (np.float32, 6e-7)])
def test_fewer_passes_give_the_same_cross_entropy(margin: int, dtype: Any, bound: float) -> None:
    """Component by component against the page in longdouble, short rows and long, excluded classes too."""
    rng = np.random.default_rng(margin)
    for D in (1, 2, 7, 300):
        x, target = rng.standard_normal((3, 40, D)).astype(dtype), rng.integers(D, size=(3, 40)).astype(np.uint8)
        x[rng.integers(3, size=9), rng.integers(40, size=9), rng.integers(D, size=9)] += margin
        x[0, :5, 1:] = -np.inf
        x[1, :5, 1:] = -1e32
        d, found = rng.random((3, 40)).astype(dtype), []
        for engine, kind in ((each_step, dtype), (scan, np.longdouble)):
            run = engine.forward(CE, CE.Params(), CE.Input(x.astype(kind), target))
            found.append((run.hs, engine.backward(CE, CE.Params(), run, d.astype(kind)).dxs.x))
        for got, want in zip(*found, strict=True):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want.astype(dtype), rtol=bound, atol=np.finfo(dtype).tiny)


def test_each_component_of_a_softmax_keeps_its_digits() -> None:
    problem = regimes.softmax_problem(30, 0)
    ours, exact = (np.array(p.xs.x, float) for p in (problem.gradient(), truth.gradient(problem)))
    np.testing.assert_allclose(ours, exact, rtol=2e-15)


def test_excluded_classes_and_nan() -> None:
    x = np.array([[[0.3, -np.inf, 1.2, -np.inf], [np.nan, 0, 0, 0], [0.3, 1.2, -5, 9]]])
    run = nl.forward(CE, CE.Params(), CE.Input(x, np.array([[0, 1, 3]])), lengths=None)
    back = nl.backward(CE, CE.Params(), run, np.ones((1, 3)))
    two = np.log1p(np.exp(0.9))
    assert run.hs[0, 0] == pytest.approx(two)
    np.testing.assert_allclose(back.dxs.x[0, 0], [np.exp(-two) - 1, 0, 1 - np.exp(-two), 0])
    assert np.isnan(run.hs[0, 1])
    assert np.isnan(back.dxs.x[0, 1]).all()
    assert np.isfinite(back.dxs.x[0, 2]).all()
    assert back.dxs.target is None


@pytest.mark.parametrize("page", [nl.CrossEntropy, nl.SquaredError], ids=str)
def test_a_loss_is_one_number_per_row_and_the_mean_is_a_cotangent(page: nl.Page) -> None:
    """What padding holds, and what arrives there, counts for nothing, and does not enter the n of the mean."""
    problem = standard(page)
    xs, alive = problem.inputs(problem.point), np.arange(20)[:, None] < LENGTHS
    assert problem.outputs(problem.point).states[0].shape == (20, 4)
    dirty = tree.map(
        lambda a: np.where(alive[..., None] if a.ndim == 3 else alive, a, -7 if a.ndim == 2 else np.nan), xs
    )
    found = []
    for engine, given in ((scan, xs), (scan, dirty), (each_step, dirty)):
        run = engine.forward(page, page.Params(), given, None, LENGTHS)
        found.append((run.hs, engine.backward(page, page.Params(), run, np.full((20, 4), 1 / sum(LENGTHS))).dxs.x))
    run = nl.forward(page, page.Params(), tree.map(lambda a: a[alive][None], xs))
    back = nl.backward(page, page.Params(), run, np.full((1, sum(LENGTHS)), 1 / sum(LENGTHS)))
    assert check.normwise(back.dxs.x[0], found[0][1][alive]) <= 1e-15
    for other in found[1:]:
        for (_, a), (_, b) in zip(tree.leaves(found[0]), tree.leaves(other), strict=True):
            assert check.normwise(a, b) <= 1e-15
    assert not found[0][1][~alive].any()


@each_page
def test_all_engines_agree(page: nl.Page) -> None:
    problem = standard(page, T=40)
    xs, given = problem.inputs(problem.point), problem.cotangents.states
    for lengths in (None, [40, 33, 0, 7]):
        run = scan.forward(page, problem.point.params, xs, None, lengths)
        expected = scan.backward(page, problem.point.params, run, dstates=given)
        for engine, bound in ((each_step, 1e-15), (checkpointed, 0), (nl.fast, 0)):
            other = engine.forward(page, problem.point.params, xs, None, lengths)
            back = engine.backward(page, problem.point.params, other, dstates=given)
            assert check.normwise(other.hs, run.hs) <= bound
            assert check.normwise(back[:3], expected[:3]) <= bound
    for engine in (scan, each_step, checkpointed):
        empty = tree.map(lambda a: a[:0], apart(xs)[0]) if len(page.reads) > 1 else xs[:0]
        empty = empty._replace(**apart(xs)[1]) if apart(xs)[1] else empty
        run = engine.forward(page, problem.point.params, empty)
        back = engine.backward(page, problem.point.params, run, dstates=tree.map(lambda a: a[:0], given))
        assert not tree.flatten((back.dparams, apart(back.dxs)[1], np.zeros(1))).any()


@each_page
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble, np.complex128])
def test_every_kind_of_number(page: nl.Page, dtype: Any) -> None:
    problem = standard(page)
    ours = problem.astype(dtype).gradient()
    assert {a.dtype for _, a in tree.leaves(ours)} == {np.dtype(dtype)}
    assert check.normwise(tree.map(np.real, ours), problem.gradient()) <= (1e-6 if dtype is np.float32 else 1e-15)


@each_page
def test_another_library(page: nl.Page) -> None:
    problem = standard(page, T=3)
    params, xs, given = tree.map(
        array_api_strict.asarray, (problem.point.params, problem.inputs(problem.point), problem.cotangents.states)
    )
    run = nl.forward(page, params, xs, lengths=[3, 1, 0, 2])
    there = nl.backward(page, params, run, dstates=given)
    run = nl.forward(page, problem.point.params, problem.inputs(problem.point), lengths=[3, 1, 0, 2])
    here = nl.backward(page, problem.point.params, run, dstates=problem.cotangents.states)
    assert check.normwise(tree.map(np.asarray, there[:3]), here[:3]) <= 1e-16


@each_page
def test_on_cupy(page: nl.Page, cupy: Any) -> None:
    problem = standard(page, T=3)
    moved = problem.mapped(cupy.asarray)
    assert check.normwise(tree.map(arrays.on_host, moved.gradient()), problem.gradient()) <= 2e-15
    assert check.normwise(moved.mapped(arrays.on_host).gradient(), problem.gradient()) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, object])
@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_rows_with_one_code_are_added(dtype: Any, kind: Any) -> None:
    rng = np.random.default_rng(0)
    d, codes = rng.standard_normal((50, 3)).astype(dtype), rng.integers(6, size=50).astype(kind)
    expected = np.zeros((8, 3), dtype)
    np.add.at(expected, codes, d)
    got = ops.scatter_rows(d, codes, 8)
    assert got.dtype == d.dtype
    np.testing.assert_array_equal(got, expected)
    assert not got[6:].any()


def attention(scale: float = 1.0, **sizes: int) -> check.Problem:
    problem = standard(nl.Attention, T=4, **sizes)
    params = problem.point.params
    return problem._replace(point=problem.point._replace(params=params._replace(W_a=scale * params.W_a)))


def test_attention_with_large_scores() -> None:
    problem = attention(10.0)
    routes_agree(problem)
    rows = check.compare(problem.gradient(), truth.gradient(problem), problem.absolute_paths())
    assert check.worst(row.K for row in rows) <= 16


def attend(xs: Any, problem: check.Problem, lengths: Any = None, engine: Any = scan) -> tuple[Any, Any]:
    run = engine.forward(nl.Attention, problem.point.params, xs, lengths=lengths)
    return run.hs, engine.backward(nl.Attention, problem.point.params, run, dstates=problem.cotangents.states)


def test_places_that_are_padding_count_for_nothing() -> None:
    problem = attention(S=5)
    xs = problem.inputs(problem.point)
    short = xs._replace(memory=xs.memory[:, :3], bias=xs.bias[:, :3])
    padded = xs._replace(bias=np.where(np.arange(5) < 3, xs.bias, -np.inf))
    for engine in (scan, each_step):
        (y, back), (y3, back3) = attend(padded, problem, engine=engine), attend(short, problem, engine=engine)
        assert check.normwise(y, y3) <= 1e-15
        assert check.normwise(back.dparams, back3.dparams) <= 2e-15
        assert check.normwise(back.dxs.memory[:, :3], back3.dxs.memory) <= 2e-15
        assert not back.dxs.memory[:, 3:].any()
        assert not back.dxs.bias[:, 3:].any()
        nothing, back = attend(xs._replace(bias=np.full_like(xs.bias, -np.inf)), problem, engine=engine)
        assert np.isfinite(nothing).all()
        assert not back.dxs.memory.any()


def test_attention_as_a_layer_of_all_steps_at_once() -> None:
    alone = attention()
    xs = alone.inputs(alone.point)
    layer = nl.Masked(nl.EachStep(nl.Attention), {"memory": xs.memory, "bias": xs.bias})
    problem = check.Problem.of(layer, alone.point.params, xs.x, dhs=alone.cotangents.states.y)
    ours, exact = problem.gradient(), truth.gradient(problem)
    assert check.normwise(ours, exact) <= 2e-15
    assert check.normwise(ours.params, alone.gradient().params) <= 2e-15
    assert (
        check.compare(ours, exact, problem.absolute_paths(), textbook_paths=problem.textbook_paths()).verdict == "pass"
    )
    _, back = problem.passes()
    assert check.normwise(back.cotangents.memory, alone.gradient().xs.memory) <= 2e-15


def test_the_memory_of_a_row_without_steps_may_be_anything() -> None:
    problem = attention()
    xs = problem.inputs(problem.point)
    dirty = xs._replace(x=np.where(np.arange(4)[:, None, None] < [[2], [4], [0], [3]], xs.x, np.nan))
    dirty.memory[2], dirty.bias[2] = np.nan, np.nan
    for engine in (scan, each_step, checkpointed):
        _, back = attend(xs, problem, [2, 4, 0, 3], scan)
        _, other = attend(dirty, problem, [2, 4, 0, 3], engine)
        assert check.normwise(other[:3], back[:3]) <= 1e-15
        assert not other.dxs.memory[2].any()


@pytest.mark.parametrize("page", [nl.Embedding, nl.Dropout, nl.CrossEntropy, nl.SquaredError], ids=str)
def test_what_is_no_network_is_no_case(page: nl.Page) -> None:
    with pytest.raises(
        check.CaseError, match=f"^{page} is not for a case: that has parameters, no integers, and rows of"
    ):
        nl.cases.Case.random(
            nl.cases.Network(page), "records", {"T": 3, "B": 2, "D": 4, "H": 4}, np.random.default_rng(0)
        )


def test_axes_without_a_size() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match=r"^Attention has axes N too; expected N=..., the size of each$"):
        nl.Attention.init(6, 5, rng)
    with pytest.raises(TypeError, match=r"^Attention has axes N, S too; expected N=..., the size of each$"):
        check.Problem.random(nl.Attention, 3, 2, 4, 5, rng)


def network(rng: np.random.Generator, V: int, T: int, B: int) -> tuple[nl.Stack, Any, Any]:
    """Symbols in, the loss of each step out: embedding, dropout, both directions, readout, cross-entropy."""
    codes, target = rng.integers(V, size=(2, T, B))
    layers = [
        nl.EachStep(nl.Embedding),
        nl.Masked(nl.EachStep(nl.Dropout), {"mask": nl.dropout_mask(rng, (T, B, 3), 0.3, variational=True)}),
        nl.bidirectional(nl.LSTM),
        nl.EachStep(nl.Linear),
        nl.Masked(nl.EachStep(nl.CrossEntropy), {"target": target}),
    ]
    net = nl.Stack(layers)
    return net, net.init(V, (3, 3, 2, V, V), rng), codes


@pytest.mark.parametrize("lengths", [None, (4, 0, 3)])
def test_a_whole_network_with_its_loss(lengths: Any) -> None:
    net, params, codes = network(np.random.default_rng(0), 5, 4, 3)
    codes[3:, 2] = codes[3:, 2] if lengths is None else -7
    problem = check.Problem.of(net, params, codes, dhs=np.full((4, 3), 1 / 12), lengths=lengths)
    ours, exact = problem.gradient(), truth.gradient(problem)
    assert problem.point.xs is None
    v = tree.random_like(problem.point, np.random.default_rng(1))
    slope = check.directional(problem.loss, problem.point, v)
    assert abs(tree.dot(ours, v) - slope) <= 2e-15 * tree.norm(ours) * tree.norm(v)
    assert check.normwise(ours, exact) <= 2e-15
    assert (
        check.compare(ours, exact, problem.absolute_paths(), textbook_paths=problem.textbook_paths()).verdict == "pass"
    )


def test_tied_weights_have_the_sum_of_both_gradients() -> None:
    V, H, T, B = 5, 3, 4, 3
    net, params, codes = network(np.random.default_rng(0), V, T, B)
    tied = nl.Stack([net.layers[0], nl.Recurrent(nl.LSTM), *net.layers[3:]])
    rng = np.random.default_rng(1)
    E, cell, b = params[0].W, nl.LSTM.init(H, H, rng), rng.standard_normal(V)

    def of(E: Any) -> Any:
        return (nl.Embedding.Params(E), cell, nl.Linear.Params(E, b), nl.CrossEntropy.Params())

    problem = check.Problem.of(tied, of(E), codes, dhs=np.ones((T, B)))
    at = lambda E: tree.map(lambda a: a.astype(E.dtype), problem.point._replace(params=of(E)))  # noqa: E731
    dparams = problem.gradient().params
    stepped = check.complex_step(lambda E: problem.loss(at(E)), E)
    assert check.normwise(dparams[0].W + dparams[2].W, stepped) <= 2e-15
    for once in (dparams[0].W, dparams[2].W):
        assert check.normwise(once, stepped) > 0.01


CODES = np.array([[0, 5, 2]])
P = nl.Embedding.Params(np.ones((6, 4)))
X = np.zeros((1, 3, 6))
LAYER = nl.Stack([nl.EachStep(nl.Embedding)])


def embed(xs: Any, **more: Any) -> Any:
    return nl.forward(nl.Embedding, P, xs, **more)


def loss(target: Any, **more: Any) -> Any:
    return nl.forward(CE, CE.Params(), CE.Input(X, target), **more)


def memory(**more: Any) -> Any:
    params = nl.Attention.init(6, 5, np.random.default_rng(0), N=2)
    xs = nl.Attention.Input(X, np.ones((3, 4, 2)), np.zeros((3, 4)))
    return nl.forward(nl.Attention, params, xs._replace(**more))


BELOW_W, BELOW_X = (f"expected integers from 0 to 5, where D=6 was fixed by {k}" for k in ("params.W", "xs.x"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: embed(CODES + 1), ValueError, f"xs holds 6; {BELOW_W}"),
        (lambda: embed(CODES - 1), ValueError, f"xs holds -1; {BELOW_W}"),
        (lambda: embed(CODES - 1, lengths=[1, 1, 1]), ValueError, f"xs holds -1; {BELOW_W}"),
        (lambda: embed(CODES * 1.0), TypeError, f"xs has dtype float64; {BELOW_W}"),
        (lambda: embed(CODES > 1), TypeError, f"xs has dtype bool; {BELOW_W}"),
        (lambda: embed(CODES[0]), nl.ShapeError, "xs has shape (3,); expected (T, B)"),
        (lambda: loss(CODES + 4), ValueError, f"xs.target holds 9; {BELOW_X}"),
        (lambda: loss(CODES[:, :2]), nl.ShapeError, "xs.target has shape (1, 2); expected (T=1, B=3), where "
         "B=3 was fixed by xs.x"),
        (lambda: loss(None), nl.ShapeError, "xs.target is absent; expected (T=1, B=3), where T=1 was fixed by xs.x and "
         "B=3 was fixed by xs.x"),
        (lambda: loss(array_api_strict.asarray(CODES)), TypeError, "xs.target is an array of array_api_strict; "
         "expected numpy, the library of xs.x"),
        (lambda: memory(memory=np.ones((1, 3, 4, 2))), nl.ShapeError, "xs.memory has shape (1, 3, 4, 2); expected "
         "(B=3, S, N=2), where B=3 was fixed by xs.x and N=2 was fixed by params.W_a"),
        (lambda: memory(bias=None), nl.ShapeError, "xs.bias is absent; expected (B=3, S=4), where "
         "B=3 was fixed by xs.x and S=4 was fixed by xs.memory"),
        (lambda: check.Problem.of(nl.Embedding, P, CODES + 1), ValueError, f"xs holds 6; {BELOW_W}"),
        (lambda: LAYER.forward((P,), CODES + 1), ValueError, f"layer 0: xs holds 6; {BELOW_W}"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
    assert type(caught.value) is error


def test_codes_of_padding_may_be_anything() -> None:
    run = embed(np.array([[0, 99, -3]]), lengths=[1, 0, 0])
    np.testing.assert_array_equal(run.hs, [[[1] * 4, [0] * 4, [0] * 4]])


EXTREMES = [  # logits, and the target
    ([0.0, -np.inf, 1.0], 0),
    ([0.0, -np.inf, 1.0], 1),
    ([1e12, -np.inf, 0.0], 0),
    ([3e38, -np.inf, -3e38], 0),
    ([-2e38, 3e38, 0.0], 1),
    ([-2e38, 3e38, 0.0], 0),
    ([-3.4e38, 3.4e38, 3.4e38], 2),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: t.__name__)
@pytest.mark.parametrize(("logits", "target"), EXTREMES, ids=str)
def test_logits_at_the_ends_of_the_range(logits: list[float], target: int, dtype: type) -> None:
    """A masked class has no share beside the largest logit there is: PyTorch's loss and gradient."""
    x, codes = np.array([[logits]], dtype), np.array([[target]])
    with np.errstate(over="ignore"):
        run = nl.forward(nl.CrossEntropy, nl.CrossEntropy.Params(), nl.CrossEntropy.Input(x, codes))
        back = nl.backward(nl.CrossEntropy, nl.CrossEntropy.Params(), run, dhs=np.ones_like(run.hs))
    leaf = torch.tensor(x[0], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(leaf, torch.tensor(codes[0]), reduction="sum")
    loss.backward()
    close = {"rtol": 8 * np.finfo(dtype).eps, "atol": 0}
    np.testing.assert_allclose(run.hs[0, 0], loss.detach().numpy(), **close)
    np.testing.assert_allclose(back.dxs.x[0], leaf.grad.numpy(), **close)
