"""Direction and depth: wirings are identities of the layers they wire."""

from typing import Any

import numpy as np
import pytest

import cases
import numpy_lstm as nl
from numpy_lstm import check, tree, wiring
from reference import torch_oracle

LENGTHS = [6, 2, 1, 0]
SMALL = [3, 1, 0]
CELLS = [nl.LSTM, nl.GRU, nl.projected(nl.LSTM, 2), nl.zoneout(nl.LSTM)]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def same_bits(a: object, b: object) -> bool:
    return all(np.array_equal(x, y) for (_, x), (_, y) in zip(tree.leaves(a), tree.leaves(b), strict=True))


def first_states(layer: Any, B: int, H: int, g: np.random.Generator) -> Any:
    """Random non-zero states in the structure that the layer takes."""
    if isinstance(layer, nl.Recurrent):
        return tree.random_like(layer.cell.zero_state(B, H), g)
    if isinstance(layer, nl.Masked | nl.Reversed):
        return first_states(layer.layer, B, H, g)
    return tuple(first_states(one, B, H, g) for one in layer.layers)


def layers(cell: nl.Page, T: int = 6, B: int = 4, H: int = 4) -> dict[str, Any]:
    one = nl.Recurrent(cell)
    if len(cell.reads) > 1:  # masks of zeros and ones
        g = np.random.default_rng(0)
        one = nl.Masked(one, {k: (g.random((T, B, H)) < 0.4).astype(float) for k in cell.Input._fields if k != "x"})
    both = nl.Parallel((one, nl.Reversed(one)))
    return {
        "recurrent": one,
        "reversed": nl.Reversed(one),
        "bidirectional": both,
        "three wide": nl.Parallel((one, nl.Reversed(one), nl.Recurrent(nl.RNN))),
        "stack": nl.Stack((one, nl.Reversed(one), nl.Recurrent(nl.GRU))),
        "deep bidirectional": nl.Stack((both, both)),
        "reversed stack": nl.Reversed(nl.Stack((one, both))),
    }


def every_cell(layer: Any, run: Any) -> Any:
    """Every c_t of every cell that has one, in the shape of the network: at the step it belongs to, zero on padding."""
    if isinstance(layer, nl.Recurrent):
        return getattr(run.values, "c", None)
    if isinstance(layer, nl.Reversed):
        inner = every_cell(layer.layer, run.parts)
        return None if inner is None else wiring.reverse(inner, run.lengths)
    if isinstance(layer, nl.Masked):
        return every_cell(layer.layer, run)
    return tuple(every_cell(one, part) for one, part in zip(layer.layers, run.parts, strict=True))


EVERY = [(cell, name) for cell in CELLS for name in layers(nl.LSTM)]
SOME = [(cell, name) for cell, name in EVERY if cell is nl.LSTM or name in ("bidirectional", "stack")]


@pytest.mark.parametrize(
    ("cell", "name"), EVERY if cases.THOROUGH else SOME, ids=lambda each: getattr(each, "name", each)
)
@pytest.mark.parametrize("lengths", [None, SMALL], ids=["full", "ragged"])
def test_gradients_by_complex_step(cell: nl.Page, name: str, lengths: Any) -> None:
    """Of a loss on all outputs, every c_t and all last states, with respect to everything."""
    (T, B, D, H), g = (3, 3, 1, 3 if cell.R else 2), rng()  # R is 2
    layer = layers(cell, T, B, H)[name]
    params, xs, first = layer.init(D, H, g), g.standard_normal((T, B, D)), first_states(layer, B, H, g)
    run = layer.forward(params, xs, first, lengths)
    dhs, dlast, dcs = g.standard_normal(run.hs.shape), tree.random_like(run.last, g), every_cell(layer, run)
    dcs = None if dcs is None else tree.random_like(dcs, g)
    back = layer.backward(params, run, dhs, dcs, dlast)

    def loss(point: Any) -> Any:
        run = layer.forward(*point, lengths)
        return tree.dot((dhs, dcs, dlast), (run.hs, every_cell(layer, run), run.last))

    stepped = check.complex_step(loss, (params, xs, first))
    assert check.normwise((back.dparams, back.dxs, back.dfirst), stepped) <= 2e-15
    assert run.hs.shape[-1] == layer.width(H)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_reversal(lengths: Any) -> None:
    """Reversed twice is the layer, bit for bit; once is not; and it is the layer run on the reversed rows."""
    g, layer = rng(), nl.Recurrent(nl.LSTM)
    params, xs = layer.init(3, 4, g), g.standard_normal((6, 4, 3))
    plain = layer.forward(params, xs, None, lengths)
    once = nl.Reversed(layer).forward(params, xs, None, lengths)
    twice = nl.Reversed(nl.Reversed(layer)).forward(params, xs, None, lengths)
    assert same_bits((twice.hs, twice.last), (plain.hs, plain.last))
    assert np.abs(once.hs - plain.hs).max() > 0.01
    for b, n in enumerate(lengths or [6] * 4):
        alone = nl.forward(nl.LSTM, params, xs[:n, b : b + 1][::-1])
        assert check.normwise(once.hs[:n, b : b + 1], alone.hs[::-1]) <= 1e-15 or n == 0
        assert check.normwise(once.last.c[b : b + 1], alone.last.c) <= 1e-15
    assert same_bits(wiring.reverse(wiring.reverse(xs, lengths), lengths), xs)


def test_parallel_layers_are_independent() -> None:
    g, (a, b) = rng(), (nl.Recurrent(nl.LSTM), nl.Recurrent(nl.GRU))
    both = nl.Parallel((a, b))
    params, xs = both.init(3, 4, g), g.standard_normal((6, 4, 3))
    first, dhs = first_states(both, 4, 4, g), g.standard_normal((6, 4, 8))
    run = both.forward(params, xs, first)
    runs = [layer.forward(p, xs, s) for layer, p, s in zip((a, b), params, first, strict=True)]
    assert same_bits(run.hs, np.concatenate([r.hs for r in runs], axis=-1))
    assert same_bits(run.last, tuple(r.last for r in runs))
    back = both.backward(params, run, dhs)
    backs = [
        layer.backward(p, r, d)
        for layer, p, r, d in zip((a, b), params, runs, (dhs[..., :4], dhs[..., 4:]), strict=True)
    ]
    assert same_bits(back.dparams, tuple(one.dparams for one in backs))
    assert same_bits(back.dxs, backs[0].dxs + backs[1].dxs)


def test_a_stack_is_a_composition() -> None:
    g, stack = rng(), nl.Stack((nl.Recurrent(nl.LSTM), nl.Recurrent(nl.GRU)))
    params, xs = stack.init(3, 4, g), g.standard_normal((6, 4, 3))
    mask = nl.dropout_mask(g, (6, 4, 4), 0.3)
    below, above = stack.layers
    dropped = nl.Stack((below, nl.Masked(above, {"x": mask})))
    run = dropped.forward(params, xs)
    below = nl.forward(nl.LSTM, params[0], xs)
    above = nl.forward(nl.GRU, params[1], below.hs * mask)
    assert same_bits(run.hs, above.hs)
    dhs = g.standard_normal(run.hs.shape)
    back = dropped.backward(params, run, dhs)
    up = nl.backward(nl.GRU, params[1], above, dhs)
    down = nl.backward(nl.LSTM, params[0], below, up.dxs * mask)
    assert same_bits((back.dxs, back.dparams), (down.dxs, (down.dparams, up.dparams)))


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_masks(variational: bool) -> None:
    mask = nl.dropout_mask(rng(), (40, 30, 20), 0.25, variational=variational)
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    assert mask.mean() == pytest.approx(1, abs=0.05)
    assert np.all(mask == mask[:1]) == variational
    assert not nl.dropout_mask(rng(), (2, 3, 4), 1.0).any()
    assert np.all(nl.dropout_mask(rng(), (2, 3, 4), 0.0) == 1)
    with pytest.raises(ValueError, match=r"^p is 1.5; expected a probability between 0 and 1$"):
        nl.dropout_mask(rng(), (2, 3, 4), 1.5)


def test_bad_wiring() -> None:
    layer, g = nl.bidirectional(nl.LSTM), rng()
    params, xs = layer.init(3, 4, g), g.standard_normal((6, 4, 3))
    with pytest.raises(TypeError, match=r"^first is a tuple of 1; expected a tuple of 2, one for each layer$"):
        layer.forward(params, xs, (None,))
    state = nl.LSTM.zero_state(4, 4)
    with pytest.raises(TypeError, match=r"^first is a State\(h, c\); expected a tuple of 2"):
        layer.forward(params, xs, state)
    run = layer.forward(params, xs)
    with pytest.raises(nl.ShapeError, match=r"^dhs has shape \(6, 4, 4\); expected \(6, 4, 8\), the shape of hs$"):
        layer.backward(params, run, np.zeros((6, 4, 4)))
    with pytest.raises(TypeError, match=r"^cell is a str; expected a Page such as numpy_lstm.LSTM$"):
        nl.Recurrent("LSTM")


@pytest.mark.parametrize("name", ["reversed", "bidirectional", "stack"])
def test_a_run_keeps_the_lengths_it_was_made_with(name: str) -> None:
    g, layer = rng(), layers(nl.LSTM)[name]
    params, xs, lengths = layer.init(3, 4, g), g.standard_normal((6, 4, 3)), np.array(LENGTHS)
    run = layer.forward(params, xs, None, lengths)
    before = layer.backward(params, run, np.ones_like(run.hs))
    lengths[:] = 6
    assert same_bits(before, layer.backward(params, run, np.ones_like(run.hs)))
    once = layer.forward(params, xs, None, iter(LENGTHS))
    assert same_bits((run.hs, run.last), (once.hs, once.last))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda layer, p, x: layer.forward(p, x, None, [3, 2]), nl.ShapeError, "lengths is [3, 2]; expected B=4 "),
        (
            lambda layer, p, x: layer.forward(p, x, None, 3),
            TypeError,
            "lengths is 3; expected B=4 integers from 0 ",
        ),
        (
            lambda layer, p, x: layer.backward(p, layer.forward(p, x), np.zeros((6, 4, 3))),
            nl.ShapeError,
            "dhs has shape (6, 4, 3); expected (6, 4, 4), the shape of hs",
        ),
        (lambda *_: nl.Stack(()), ValueError, "expected at least one layer"),
        (
            lambda *_: nl.Parallel((nl.LSTM,)),
            TypeError,
            "a layer is a numpy_lstm.pages.page.Page; expected one such as Recurrent(cell)",
        ),
        (
            lambda layer, p, x: nl.Stack((layer, nl.Masked(layer, {"x": np.ones((3, 1))}))).forward((p, p), x),
            nl.ShapeError,
            "layer 1: masks['x'] has shape (3, 1); expected (6, 4, 4) or (1, 4, 4)",
        ),
    ],
)
def test_bad_input_to_layers(call: Any, kind: type[Exception], message: str) -> None:
    layer = nl.Reversed(nl.Recurrent(nl.LSTM))
    with pytest.raises(kind) as caught:
        call(layer, layer.init(3, 4, rng()), rng().standard_normal((6, 4, 3)))
    assert str(caught.value).startswith(message)


def small_network() -> tuple[Any, Any, Any, Any, list[int]]:
    """A ragged two-layer bidirectional stack, its parameters, inputs and first states."""
    g, stack = rng(), nl.Stack((nl.bidirectional(nl.LSTM),) * 2)
    return stack, stack.init(3, 4, g), g.standard_normal((5, 4, 3)), first_states(stack, 4, 4, g), [5, 2, 1, 4]


def test_layers_of_different_sizes_with_a_readout() -> None:
    """Sizes of their own, a page without memory on top: by the complex step; all steps at once as one at a time."""
    g, n = rng(), (2, 4, 3)
    readout = nl.EachStep(nl.Linear)
    stack = nl.Stack((nl.bidirectional(nl.LSTM), nl.Recurrent(nl.GRU), readout))
    params, xs, lengths = stack.init(3, n, g), g.standard_normal((5, 3, 3)), [5, 2, 0]
    assert stack.width(n) == 3
    assert [p.W.shape for _, leaf, p in nl.walk(stack, params) if leaf is readout] == [(3, 4)]
    run = stack.forward(params, xs, None, lengths)
    dys = g.standard_normal(run.hs.shape)
    back = stack.backward(params, run, dys)

    def loss(point: Any) -> Any:
        return tree.dot(dys, stack.forward(*point, None, lengths).hs)

    assert check.normwise((back.dparams, back.dxs), check.complex_step(loss, (params, xs))) <= 2e-15
    stepped = nl.Stack((*stack.layers[:2], nl.Recurrent(nl.Linear)))
    again = stepped.forward(params, xs, None, lengths)
    assert check.normwise(again.hs, run.hs) <= 1e-15
    other = stepped.backward(params, again, dys)
    assert check.normwise((back.dparams, back.dxs), (other.dparams, other.dxs)) <= 1e-15


def test_a_read_only_input_that_changes_later_changes_no_gradient() -> None:
    """Read-only is not constant: through a view made before, or made writeable again by its owner."""
    g, readout = rng(), nl.EachStep(nl.Linear)
    params, xs, dys = readout.init(3, 2, g), g.standard_normal((5, 4, 3)), g.standard_normal((5, 4, 2))
    expected = readout.backward(params, readout.forward(params, xs), dys)
    given, sent = xs.copy(), dys.copy()
    views = given[:], sent[:]
    given.flags.writeable = sent.flags.writeable = False
    run = readout.forward(params, given)
    views[0][:] = np.nan
    back = readout.backward(params, run, sent)
    views[1][:] = np.nan
    assert same_bits(back, expected)


class Handed:
    """A layer of somebody's own, which gives what it reads, or one array again and again."""

    def __init__(self, again: Any = None) -> None:
        self.again = again

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Any:
        if self.again is None:
            return wiring.Run(xs, None, ())
        self.again[:] = xs
        return wiring.Run(self.again, None, ())

    def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Any:
        return nl.scan.Backward(dhs, None, None, None)


def test_a_layer_from_elsewhere_may_use_an_array_again() -> None:
    g, readout = rng(), nl.EachStep(nl.Linear)
    params, xs, dys = readout.init(3, 2, g), g.standard_normal((5, 4, 3)), g.standard_normal((5, 4, 2))
    expected = readout.backward(params, readout.forward(params, xs), dys).dparams
    for own in (Handed(), Handed(np.empty_like(xs))):
        stack, given = nl.Stack((nl.Masked(nl.Stack((own,)), {}), readout)), xs.copy()
        run = stack.forward(((None,), params), given)
        given[:] = 0
        stack.forward(((None,), params), given)
        assert same_bits(stack.backward(((None,), params), run, dys).dparams[1], expected)


def test_walking_through_a_network() -> None:
    stack, params, xs, first, lengths = small_network()
    run = stack.forward(params, xs, first, lengths)
    found = list(nl.walk(stack, params, run, None))
    assert [path for path, *_ in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for (i, k), leaf, p, tape, nothing in found:
        assert leaf == nl.Recurrent(nl.LSTM)
        assert p is params[i][k]
        assert same_bits(tape.last, run.last[i][k])
        assert nothing is None
    fast = wiring.rebuilt(stack, lambda leaf: nl.Recurrent(leaf.cell, "fast"))
    assert check.normwise(fast.forward(params, xs, first, lengths).hs, run.hs) <= 1e-14


@pytest.mark.parametrize("source", ["layers", "twin"])
def test_second_order(source: str) -> None:
    """H v of a ragged two-layer bidirectional network, by the complex step through our gradient, is torch's."""
    stack, params, xs, first, lengths = small_network()
    if source == "twin":
        twin = nl.nn.LSTM(3, 4, num_layers=2, bidirectional=True, rng=rng())
        stack, params = twin.network()
    g, point = rng(), (params, xs, first)
    run = stack.forward(*point, lengths)
    dhs, dlast = g.standard_normal(run.hs.shape), tree.random_like(run.last, g)

    def outputs(run: Any) -> Any:
        """A loss that is not linear in the outputs: half the squared distance from targets."""
        return tree.map(lambda a, target: a - target, (run.hs, run.last), (dhs, dlast))

    def gradient(point: Any) -> Any:
        run = stack.forward(*point, lengths)
        alive = np.arange(5)[:, None, None] < np.array(lengths)[:, None]
        d_hs, d_last = outputs(run)
        back = stack.backward(point[0], run, d_hs * alive, dlast=d_last)
        return back.dparams, back.dxs, back.dfirst

    u, v = (tree.random_like(point, g) for _ in range(2))
    Hu, Hv = (check.hessian_vector(gradient, point, d) for d in (u, v))
    assert abs(tree.dot(u, Hv) - tree.dot(v, Hu)) <= 2e-15 * tree.norm(u) * tree.norm(Hv)
    theirs = torch_oracle.hessian_vector(nl.LSTM, point, lengths, (dhs, dlast), v)
    assert check.normwise(Hv, theirs) <= 1e-13
