"""Steps: masks with holes, and rows that start anew, held against rows run by themselves and against torch."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import numpy_lstm as nl
from cases import PAGES, standard
from numpy_lstm import check, tree
from numpy_lstm.steps import Steps, masks

T, B, D, H = 7, 3, 4, 5
rng = np.random.default_rng(0)
READ, RESET, RESTART = rng.random((T, B)) < 0.6, rng.random((T, B)) < 0.25, rng.random((T, B)) < 0.2
READ[:, 0] = [0, 0, 1, 1, 0, 1, 1]  # padding on the left, and a hole
STEPS = Steps(READ, RESET, RESTART)
HERE = Path(nl.__file__).parent


def arguments(cell: nl.Page, D: int = D, H: int = H) -> dict[str, Any]:
    (params, xs, first), (states, last) = check.Problem.random(cell, T, B, D, H, np.random.default_rng(0))[1:3]
    return {"params": params, "xs": xs, "first": first, "dstates": states, "dlast": last}


@pytest.mark.parametrize("cell", [*PAGES, nl.zoneout(nl.LSTM), nl.projected(nl.LSTM, 2)], ids=str)
def test_against_the_complex_step(cell: nl.Page) -> None:
    problem = check.Problem.of(cell, **arguments(cell, D=2, H=3), lengths=STEPS)
    stepped = check.complex_step(problem.loss, problem.point)
    assert check.normwise(problem.gradient(), stepped) <= 4e-15
    assert check.K(problem.gradient(), stepped, problem.absolute_paths()) <= 16


def test_by_every_other_route() -> None:
    problem = check.Problem.of(nl.LSTM, **arguments(nl.LSTM, D=2, H=3), lengths=STEPS)
    rng = np.random.default_rng(1)
    assert check.normwise(problem.gradient(), check.truth.gradient(problem, 30)) <= 1e-15
    point, back = problem.point, problem.passes()[1]
    unit = tree.map(lambda a: a * (rng.random(a.shape) < 0.5), problem.cotangents)
    vjp = lambda w: problem._replace(cotangents=w).gradient()  # noqa: E731
    jvp = lambda v: check.routes.directional(problem.outputs, point, v, 1e-30)  # noqa: E731
    assert check.dot_test(jvp, vjp, point, unit, rng, 20).error <= 1e-15
    assert not any(np.any(a[~READ]) for _, a in tree.leaves(back.cotangents))
    assert check.normwise(problem.gradient(), check.finite_difference(problem.loss, problem.point)) <= 1e-8
    left, right = (tree.random_like(problem.point, rng) for _ in range(2))
    one, other = (check.hessian_vector(problem.gradient, point, v) for v in (left, right))
    assert abs(tree.dot(one, right) - tree.dot(other, left)) <= 1e-13 * tree.norm(one) * tree.norm(right)


def by_torch(weights: Any, x: Any, first: Any, dhs: Any, dlast: Any, order: Any, given: Steps) -> list[Any]:
    """Outputs and gradients of a loop that knows nothing of ours: the masks are those that the loop meets in order."""
    leaves = {k: torch.tensor(a, requires_grad=True) for k, a in ({"x": x} | weights | first._asdict()).items()}
    h, c, outputs, loss = leaves["h"], leaves["c"], [torch.zeros(B, H)] * T, torch.zeros(())
    read, reset, restart = (torch.tensor(a.copy())[..., None] for a in given)
    for t in order:
        h_, c_ = (torch.where(reset[t], torch.zeros_like(a), a) for a in (h, c))
        h_, c_ = (torch.where(restart[t], leaves[k], a) for k, a in (("h", h_), ("c", c_)))
        a = torch.where(read[t], leaves["x"][t], 0.0) @ leaves["weight_ih_l0"].T + h_ @ leaves["weight_hh_l0"].T
        i, f, g, o = (a + leaves["bias_ih_l0"] + leaves["bias_hh_l0"]).chunk(4, 1)
        new_c = torch.sigmoid(f) * c_ + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)
        outputs[t] = torch.where(read[t], new_h, 0.0)
        h, c = torch.where(read[t], new_h, h), torch.where(read[t], new_c, c)
        loss = loss + (torch.tensor(dhs[t]) * outputs[t]).sum()
    loss = loss + (torch.tensor(dlast.h) * h).sum() + (torch.tensor(dlast.c) * c).sum()
    loss.backward()
    return [torch.stack(outputs).detach().numpy(), {k: a.grad.numpy() for k, a in leaves.items()}]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("nan", [False, True])
def test_against_torch(backward: bool, nan: bool) -> None:
    given = arguments(nl.LSTM)
    layer: Any = nl.Recurrent(nl.LSTM)
    seen, order = masks(STEPS, T, B), range(T)
    if backward:  # a cut before step t starts step t-1 anew, or the next below that is read
        layer, order, moved = nl.Reversed(layer), range(T - 1, -1, -1), np.zeros((2, T, B), bool)
        for new, old in zip(moved, (RESET, RESTART), strict=True):
            for t, b in np.argwhere(old):
                below = [s for s in range(t) if READ[s, b]]
                new[below[-1:], b] = True
        seen = Steps(READ, *moved)
    xs = np.where(READ[..., None], given["xs"], np.nan) if nan else given["xs"]
    run = layer.forward(given["params"], xs, given["first"], STEPS)
    dhs = given["dstates"].h
    sent = np.where(READ[..., None], dhs, np.nan) if nan else dhs
    back = layer.backward(given["params"], run, sent, None, given["dlast"])
    weights = nl.layouts.dump("torch", given["params"])
    output, want = by_torch(weights, np.nan_to_num(xs), given["first"], dhs, given["dlast"], order, seen)
    got = {"x": back.dxs} | nl.layouts.dump_gradients("torch", back.dparams) | back.dfirst._asdict()
    assert check.normwise(run.hs, output) <= 1e-15
    assert check.normwise({k: got[k] for k in want}, want) <= 2e-15


@pytest.mark.parametrize("wiring", [nl.Recurrent(nl.GRU), nl.Stack([nl.bidirectional(nl.GRU)] * 2)])
@pytest.mark.parametrize("engine", ["explicit", "fast", "checkpointed"])
def test_a_cut_row_is_two_sequences(wiring: Any, engine: str) -> None:
    """One row with a cut, and padding before, between and behind; against two rows with lengths."""
    layer = nl.wiring.rebuilt(wiring, lambda leaf: nl.Recurrent(leaf.cell, engine))
    rng = np.random.default_rng(2)
    params, xs = layer.init(D, H, rng), rng.standard_normal((9, 1, D))
    dhs = rng.standard_normal((9, 1, layer.width(H)))
    read = np.array([0, 1, 1, 1, 0, 1, 0, 1, 0], bool)[:, None]
    cut = np.arange(9)[:, None] == 4
    run = layer.forward(params, xs, lengths=Steps(read, reset=cut))
    back = layer.backward(params, run, dhs)
    where, lengths = np.array([[1, 5], [2, 7], [3, 0]]), [3, 2]
    two = layer.forward(params, xs[where, 0], lengths=lengths)
    apart = layer.backward(params, two, dhs[where, 0])
    for one, other in ((run.hs, two.hs), (back.dxs, apart.dxs)):
        assert check.normwise(one[[1, 2, 3, 5, 7], 0], other[[0, 1, 2, 0, 1], [0, 0, 0, 1, 1]]) <= 1e-15
        assert not np.any(one[~read[:, 0]])
    assert check.normwise(back.dparams, apart.dparams) <= 2e-15


@pytest.mark.parametrize("engine", ["explicit", "fast", "checkpointed"])
def test_lengths_are_a_special_case(engine: str) -> None:
    given, lengths = arguments(nl.LSTM), [7, 3, 0]
    layer = nl.Reversed(nl.Recurrent(nl.LSTM, engine))
    found = []
    for steps in (lengths, Steps(np.arange(T)[:, None] < lengths)):
        run = layer.forward(given["params"], given["xs"], given["first"], steps)
        back = layer.backward(given["params"], run, given["dstates"].h, None, given["dlast"])
        found.append((run.hs, run.last, back.dxs, back.dfirst, back.dparams))
    assert check.normwise(*found) <= 2e-15


def test_checkpointed_gives_the_same_bits() -> None:
    cell, sizes = nl.PeepholeLSTM, {"T": 70, "B": 2, "D": 3, "H": 4}
    (params, xs, first), (states, last) = standard(cell, **sizes)[1:3]
    steps = Steps(*(np.random.default_rng(0).random((3, 70, 2)) < np.array([0.8, 0.05, 0.05])[:, None, None]))
    backs = []
    for engine in (nl, nl.checkpointed):
        run = engine.forward(cell, params, xs, first, steps)
        backs.append(engine.backward(cell, params, run, dstates=states, dlast=last)._replace(cotangents=None))
    for (name, a), (_, b) in zip(tree.leaves(backs[0]), tree.leaves(backs[1]), strict=True):
        assert np.array_equal(a, b), name


def test_a_twin_takes_them_batch_first() -> None:
    rng = np.random.default_rng(3)
    twin = nl.nn.LSTM(D, H, num_layers=2, bidirectional=True, batch_first=True, rng=rng)
    x, d = rng.standard_normal((B, T, D)), rng.standard_normal((B, T, 2 * H))
    run = twin.forward(x, lengths=Steps(*(a.T for a in STEPS)))
    stack, params = twin.network()
    wanted = stack.forward(params, x.swapaxes(0, 1), lengths=STEPS)
    assert np.array_equal(run.output.swapaxes(0, 1), wanted.hs)
    back = stack.backward(params, wanted, d.swapaxes(0, 1))
    assert np.array_equal(run.backward(d).x.swapaxes(0, 1), back.dxs)


def test_instruments_follow_them() -> None:
    given = arguments(nl.LSTM)
    sent = given["dstates"].h, None, given["dlast"]
    (p,) = nl.flow.passes(nl.LSTM, given["params"], given["xs"], given["first"], STEPS, *sent)
    for signal in "hc":  # split checks the sum of its parts
        parts = nl.flow.split(p, signal)
        assert check.normwise(sum(parts.values()), np.where(READ[..., None], getattr(p.cotangents, signal), 0)) <= 4e-15
    J = nl.flow.step_jacobians(nl.LSTM, given["params"], p.run)
    cuts = masks(STEPS, T, B)
    assert not np.any(J[cuts.reset | cuts.restart])
    assert np.array_equal(J[~READ], np.broadcast_to(np.eye(2 * H), J[~READ].shape))


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (Steps(np.ones((T, B))), TypeError, "lengths.read has dtype float64; expected booleans (T=7, B=3)"),
        (Steps(reset=READ.T), nl.ShapeError, "lengths.reset has shape (3, 7); expected (T=7, B=3)"),
    ],
)
@pytest.mark.parametrize("layer", [nl.Recurrent(nl.RNN), nl.bidirectional(nl.RNN)])
def test_bad_input(layer: Any, steps: Steps, error: Any, message: str) -> None:
    params = layer.init(D, H, rng)
    with pytest.raises(error) as caught:
        layer.forward(params, rng.standard_normal((T, B, D)), lengths=steps)
    assert str(caught.value) == message


def test_the_run_keeps_masks_of_its_own() -> None:
    given, read = arguments(nl.LSTM), READ.copy()
    layer = nl.bidirectional(nl.LSTM)
    params = (given["params"],) * 2
    run = layer.forward(params, given["xs"], lengths=Steps(read))
    dhs = rng.standard_normal((T, B, 2 * H))
    before = layer.backward(params, run, dhs)
    read[...] = True
    assert check.normwise(layer.backward(params, run, dhs), before) == 0


def test_tags_of_the_derivation_are_those_of_the_code() -> None:
    prose = set(re.findall(r"\bS\d′?", (HERE / "steps.md").read_text(encoding="utf-8")))
    code = set(re.findall(r"\((S\d'?)\)", (HERE / "scan.py").read_text(encoding="utf-8")))
    assert code == {tag.replace("′", "'") for tag in prose} == {"S1", "S2", "S1'", "S2'"}


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_zoneout_masks_keep_what_is_not_finite_out(wrong: float) -> None:
    cell, given = nl.zoneout(nl.LSTM), arguments(nl.LSTM)
    kept = np.broadcast_to(1.0 * ~READ[..., None], (T, B, H))
    found = []
    for x in (given["xs"], np.where(READ[..., None], given["xs"], wrong)):
        xs = cell.Input(x=x, keep_h=kept, keep_c=kept)
        run = nl.forward(cell, given["params"], xs, given["first"])
        back = nl.backward(cell, given["params"], run, dstates=given["dstates"], dlast=given["dlast"])
        found.append((run.hs, run.last, back.dparams, back.dfirst, back.dxs.x))
    assert check.normwise(*found) == 0
    partly = xs._replace(keep_c=kept * 0.5)
    with np.errstate(invalid="ignore"):
        assert np.isnan(nl.forward(cell, given["params"], partly, given["first"]).hs).any()
