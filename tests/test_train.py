"""Training is PyTorch's, update for update; its parts obey their laws."""

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from training import CODES, model, run, same, task

import numpy_lstm as nl
from cases import seeds
from numpy_lstm import check, train, tree
from numpy_lstm.train import loop, optimisers
from reference import torch_training

UPDATES = 200
OPTIMISERS = {
    "adam": (train.adam(), {}),
    "adamw": (train.adamw(weight_decay=0.1), {"weight_decay": 0.1}),
    "sgd": (train.sgd(momentum=0.9), {"momentum": 0.9}),
}


@cache
def near_torch() -> Any:
    """What the near misses are held against."""
    return by_torch(task(), 30, "adam")


def by_torch(job: train.Task, updates: int, name: str, seed: int = 0) -> Any:
    start = train.begin(job, seed)
    batches = [job.batches(seed, step) for step in range(updates)]
    masks = [job.model.masks(np.random.default_rng([seed, k]), b, np.float64) for k, b in enumerate(batches)]
    pairs = zip(batches, masks, strict=True)
    return torch_training.train(start.params, pairs, name, job.clip, lr=1e-3, **OPTIMISERS[name][1])


def distance(progress: train.Progress, found: Any) -> tuple[float, float]:
    """Of the losses, relative, the largest; of the parameters, normwise."""
    losses, params, _ = found
    worst = np.max(np.abs(progress.history.loss / np.array(losses) - 1))
    return float(worst), apart(progress.params, params)


def apart(params: Any, others: Any) -> float:
    """Normwise, of the array where it is largest."""
    pairs = zip(*map(tree.leaves, (params, others)), strict=True)
    return max(check.normwise(a, b) for (_, a), (_, b) in pairs)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_200_updates_are_those_of_torch(name: str) -> None:
    """All three optimisers with --thorough; without, Adam does 200, and the others fewer."""
    optimiser, count = OPTIMISERS[name][0], UPDATES if name == "adam" or len(seeds(3, 1)) > 1 else 50
    for seed in seeds(3, 1):
        job = task(optimiser, clip=float(np.median(run(task(optimiser, clip=None), 10, seed).history.norm)))
        found, progress = by_torch(job, count, name, seed), run(job, count, seed)
        assert 0 < sum(found[2]) < count  # some are clipped, not all
        assert np.array_equal(progress.history.clipped, found[2])
        losses, params = distance(progress, found)
        assert losses <= 1e-13
        assert params <= 1e-12
        assert sum(any(job.batches(seed, step).fresh) for step in range(count)) > 8  # rows begin anew


def near(change: str) -> train.Optimiser:
    """Adam with a mistake."""

    def update(params: Any, grads: Any, state: Any, rate: float) -> Any:
        t, b1, b2, eps = int(state.t) + 1, 0.9, 0.999, 1e-8
        m = tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.m, grads)
        v = tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.v, grads)
        c1, c2 = (1.0, 1.0) if change == "no bias correction" else (1 - b1**t, 1 - b2**t)
        root = {
            "eps inside the root": lambda v: np.sqrt(v / c2 + eps),
            "eps unscaled": lambda v: (np.sqrt(v) + eps) / math.sqrt(c2),
        }.get(change, lambda v: np.sqrt(v / c2) + eps)
        return tree.map(lambda p, m, v: p - rate * (m / c1) / root(v), params, m, v), optimisers.Moments(
            np.asarray(t), m, v
        )

    return train.adam()._replace(update=update)


@pytest.mark.parametrize("mistake", ["none", "eps inside the root", "no bias correction", "eps unscaled", "clip"])
def test_near_misses_are_told_apart(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mistake == "clip":  # without the 1e-6
        monkeypatch.setattr(
            loop.clipping,
            "by_norm",
            lambda g, limit, size: (tree.scale(min(1.0, limit / size), g), float(size > limit)),
        )
    losses, params = distance(run(task(near(mistake)), 30), near_torch())
    assert (losses <= 1e-13 and params <= 1e-12) == (mistake == "none")


def test_the_gradient_of_a_tied_model_with_masks_lengths_and_weights_is_that_of_a_complex_step() -> None:
    rng = np.random.default_rng(0)
    model = train.language_model(6, layers=2, hidden=5, embedding=5, tied=True, dropout=0.4, engine="explicit")
    params = tree.random_like(model.init(rng), rng)
    codes = rng.integers(0, 6, (2, 8, 3))
    batch = train.Batch(*codes, weights=rng.random((8, 3)), lengths=[8, 3, 5])
    carry = tree.random_like(model.zero_carry(params, 3), rng)
    masks = model.masks(rng, batch, np.float64)
    alive = np.arange(8)[:, None] < np.array(batch.lengths)
    weights = batch.weights * alive / np.sum(batch.weights * alive)

    def loss(point: Any) -> Any:
        like = next(a.dtype for _, a in tree.leaves(point))
        first = tree.map(lambda a: a.astype(like), carry)
        return np.sum(weights * model.forward(point, batch, first, masks).losses)

    stepped = {}
    for path, a in tree.leaves(params):
        for place in [tuple(rng.integers(0, n) for n in a.shape) for _ in range(2)]:
            stepped[path, place] = loss(_moved(params, path, place, 1e-30j)).imag / 1e-30
    for parts in (1, 2, 3):
        value, grads, _ = train.gradient(model, params, batch, carry, masks, parts)
        assert abs(value - loss(params)) < 1e-14
        for (path, place), expected in stepped.items():
            found = dict(tree.leaves(grads))[path][place]
            assert abs(found - expected) <= 1e-14 * max(1, abs(found)), path


def _moved(params: Any, path: str, place: Any, step: complex) -> Any:
    names = iter(name for name, _ in tree.leaves(params))

    def one(a: Any) -> Any:
        a = a.astype(complex)
        if next(names) == path:
            a[place] += step
        return a

    return tree.map(one, params)


def test_schedules_are_those_of_torch() -> None:
    def rates(make: Any, seen: Any = None) -> list[float]:
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        schedule, found = make(optimiser), []
        for k in range(12):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step(*([] if seen is None else [seen[k]]))
        return found

    there = torch.optim.lr_scheduler
    cosine = train.cosine(0.3, 9, floor=0.1)
    np.testing.assert_allclose(
        [cosine(k) for k in range(10)], rates(lambda o: there.CosineAnnealingLR(o, 9, 0.1))[:10], rtol=1e-14
    )
    warm = train.warmup(4, train.constant(0.3))
    np.testing.assert_allclose([warm(k) for k in range(12)], rates(lambda o: there.LinearLR(o, 1 / 4, total_iters=3)))
    losses = [3.0, 2.0, 2.0, 2.1, math.nan, 1.9999, 1.5, 1.6, 1.6, 1.6, 1.6, 1.6]
    seen, ours = train.Watch(), []
    for loss in losses:
        ours.append(0.3 * seen.factor)
        seen = train.schedules.watch(train.Plateau(0.5, 2), seen, loss)
    np.testing.assert_allclose(ours, rates(lambda o: there.ReduceLROnPlateau(o, factor=0.5, patience=2), losses))
    assert len(set(ours)) > 2


def test_clipping() -> None:
    grads = (np.array([3.0, -4.0]), np.array([[12.0]]))
    assert train.clipping.norm(grads) == 13
    cut, share = train.clipping.by_value(grads, 3.5)
    assert (cut[0].tolist(), cut[1].tolist(), share) == ([3, -3.5], [[3.5]], 2 / 3)
    assert train.clipping.by_norm(grads, 14)[0] is grads
    whole, _ = train.clipping.by_norm(grads, 6.5)
    assert abs(train.clipping.norm(whole) - 6.5) < 1e-6
    assert math.isclose(train.clipping.norm((np.full(4, 3e38, np.float32),)), 6e38, rel_tol=1e-6)
    assert math.isnan(train.clipping.norm((np.array([1, math.nan]),)))


@pytest.mark.parametrize("scale", [1e-25, 1e-23, 1e-40, 2e37], ids=str)
def test_a_norm_is_found_at_any_scale(scale: float) -> None:
    kind = np.float32
    grads = (np.array([3, 4], kind) * kind(scale), np.array([[12]], kind) * kind(scale))
    expected = np.linalg.norm(np.concatenate([a.ravel().astype(float) for a in grads]))
    assert math.isclose(train.clipping.norm(grads), expected, rel_tol=1e-6)


@pytest.mark.parametrize("number", [np.float64, np.float32, np.longdouble], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda kind: kind.__name__)
def test_numbers_of_numpy_do_what_those_of_python_do(number: Any, dtype: Any) -> None:
    """No dtype changes: a float64 of NumPy would make float64 of all it meets."""

    def told(real: Any, count: Any) -> Any:
        made = train.language_model(count(6), hidden=count(7), embedding=count(5), dropout=real(0.25))
        streams = train.Streams(CODES.tolist(), count(4), count(9))
        cosine = train.warmup(count(3), train.cosine(real(0.125), count(9), real(0.0625)))
        found = []
        for optimiser, schedule in (
            (train.sgd(real(0.5)), cosine),
            (
                train.adamw(real(0.5), real(0.75), real(2**-20), real(0.25)),
                train.Schedule("own", lambda step: real(0.5)),
            ),
        ):
            limits = {"clip": real(0.125), "clip_value": real(0.0625), "parts": count(2), "every": count(1)}
            looks = {"held_out": lambda params: real(1), "plateau": train.Plateau(real(0.5), count(0))}
            job = train.Task(made, streams, optimiser, schedule, count(4), **limits, **looks, patience=count(9))
            *_, (progress, _) = train.train(job, train.begin(job, count(3), dtype))
            assert {a.dtype for _, a in tree.leaves((progress.params, progress.moments[-1]))} == {np.dtype(dtype)}
            found.append((job.described(), progress))
        return found

    for (said, ours), (expected, theirs) in zip(told(number, np.int64), told(float, int), strict=True):
        assert repr(said) == repr(expected)
        assert same(ours, theirs)


def test_an_optimiser_that_changes_the_dtype_is_refused_by_name() -> None:
    own = train.sgd()._replace(name="own", update=lambda p, g, state, rate: (tree.scale(np.float64(1), p), state))
    job = task(own)
    with pytest.raises(train.TrainingError, match=r"^own makes float64 of params\.0\.W, which was float32$"):
        train.advance(job, train.begin(job, dtype=np.float32))


def test_given_parameters_are_copied_and_of_the_dtype_that_is_named() -> None:
    mine = model().init(np.random.default_rng(0))
    for dtype, expected in ((None, np.float64), (np.float32, np.float32)):
        began = train.begin(task(), dtype=dtype, params=mine)
        for (_, a), (_, b) in zip(tree.leaves(mine), tree.leaves(began.params), strict=True):
            assert b.dtype == expected
            assert not np.shares_memory(a, b)


def test_patience_ends_it_and_the_best_is_kept() -> None:
    losses = iter([3.0, 2.0, 2.5, 2.2, 9.0])
    job = replace(task(), every=2, patience=2, held_out=lambda params: next(losses), plateau=train.Plateau(0.5, 0))
    seen = list(train.train(job, train.begin(job)))
    last, report = seen[-1]
    assert (last.step, last.best.loss, last.best.step) == (8, 2.0, 4)
    assert last.best.params is seen[3][0].params
    assert (report.held_out, last.plateau.factor) == (2.2, 0.25)
    assert set(report.gates) == {"1", "2"}
    assert list(report.gates["1"].index) == ["i", "f", "o"]
    assert "held-out 2.200" in str(report)


def test_advance_changes_nothing_and_two_calls_give_the_same_bits() -> None:
    job = task()
    start = run(job, 3)
    before = tree.map(np.copy, start)
    one, two = (train.advance(job, start)[0] for _ in range(2))
    assert same(start, before)
    assert same(one, two)
    assert not same(one, start)


@pytest.mark.parametrize(
    ("options", "change", "says"),
    [
        ({}, {"1.U_f": (2, 3)}, r"params\.1\.U_f\[2, 3\] before the update"),
        ({}, {"3.W": (4,), "3.b": (4,)}, r"y of layer 3 \(Linear\), step \d, row \d, unit 4"),
        ({"cell": nl.ReLURNN}, {"1.U": ()}, r"a of layer 1 \(.*RNN.*\), step 2, row 0, unit 0"),
    ],
)
def test_the_first_array_that_is_not_finite_is_named(options: Any, change: Any, says: str) -> None:
    job = replace(task(), model=model(**options))
    start = train.begin(job)
    params = tree.map(lambda a: np.abs(a) + 1, start.params)
    values = {"1.U_f": math.nan, "3.W": 1e308, "3.b": 1.79e308, "1.U": 1e160}  # an exploding recurrence
    for path, place in change.items():
        dict(tree.leaves(params))[path][place] = values[path]
    with pytest.raises(train.Diverged, match=rf"^update 1: loss .*; first wrong: {says}$"):
        train.advance(job, start._replace(params=params))


def test_a_gradient_that_overflows_on_its_way_back_is_named() -> None:
    layer = nl.EachStep(nl.Linear)
    model = train.Model((layer, layer, layer), (2, 2, 2), 2, nl.SquaredError)
    params = tree.map(lambda a: np.full(a.shape, 1e200 * (a.ndim > 1)), model.init(np.random.default_rng(0)))
    batch = train.Batch(np.zeros((3, 1, 2)), np.ones((3, 1, 2)))
    job = train.Task(model, lambda seed, step: batch, train.sgd(), train.constant(0.1), 5)
    with pytest.raises(
        train.Diverged, match=r"first wrong: the cotangent of x of layer 1 \(Linear\), step 2, row 0, unit 0$"
    ):
        train.advance(job, train.begin(job, params=params))


@pytest.mark.parametrize(
    ("norms", "says"),
    [([0.2, 0.3], ""), ([0.2, 40.0, 0.1], "exploding"), ([1e-6, 1e-5, 0.2], "vanishing"), ([math.nan, 1], "NaN")],
)
def test_the_diagnosis_of_norms(norms: list[float], says: str) -> None:
    found = train.diagnosis.of_norms(np.array(norms))
    assert found.partition(":")[0] == says


def nothing_counts(seed: int, step: int) -> train.Batch:
    return task().batches(seed, step)._replace(lengths=[0] * 4)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: train.constant(0.0), "rate is 0.0; expected a number above 0"),
        (lambda: task(clip=-1.0), "clip is -1.0; expected a number above 0"),
        (lambda: task(clip=math.nan), "clip is nan; expected a number above 0"),
        (lambda: task(parts=0), "parts is 0; expected an integer of at least 1"),
        (lambda: train.adam(b1=1.5), "b1 is 1.5; expected a number of at least 0, at most 1"),
        (lambda: train.constant(np.float64(-1)), "rate is -1.0; expected"),
        (lambda: train.constant(True), "rate is True; expected"),
        (lambda: train.sgd("0.9"), "momentum is '0.9'; expected"),
        (lambda: task(every=np.float64(2)), "every is 2.0; expected an integer"),
        (
            lambda: train.begin(task(), 2**63),
            "seed is 9223372036854775808; expected an integer of at least 0, at most 9",
        ),
        (lambda: train.begin(task(parts=5)), "parts is 5; expected at most 4, the rows of a batch"),
        (
            lambda: train.Streams(CODES * 1.0, 4, 9),
            "codes have shape (700,) and dtype float64; expected a row of integers",
        ),
        (lambda: train.split(CODES, 0, 4, 9), "share is 0; expected a number above 0, at most 0.99"),
        (lambda: train.Streams(CODES, 100, 9), "100 rows of 9 steps need at least 901"),
        (lambda: train.split(CODES, 0.001, 4, 9), "the text has 700 characters; 4 rows of 9 steps"),
        (lambda: train.language_model(6, tied=True), "tied needs embedding = hidden; they are 64 and 128"),
        (lambda: train.encode("aξb", "ab"), "the model knows no 'ξ'"),
        (
            lambda: run(replace(task(), batches=nothing_counts), 1),
            "the weights of the losses add up to 0; expected more",
        ),
    ],
)
def test_what_is_refused(make: Any, says: str) -> None:
    with pytest.raises(train.TrainingError) as refused:
        make()
    assert says in str(refused.value)


def test_streams_go_on_where_they_ended_and_begin_out_of_step() -> None:
    streams = train.Streams(np.arange(703), 4, 9)
    batches = [streams(5, step) for step in range(3 * streams.windows)]
    for row in range(4):
        fresh = [bool(b.fresh[row]) for b in batches]
        begins = np.flatnonzero(fresh[1:]) + 1
        assert np.all(np.diff(begins) == streams.windows)
        for step in range(1, len(batches)):
            if not fresh[step]:
                assert batches[step].xs[0, row] == batches[step - 1].xs[-1, row] + 1
        epoch = np.concatenate([b.xs[:, row] for b in batches[begins[0] : begins[1]]])
        assert np.array_equal(np.diff(epoch), np.ones(len(epoch) - 1))
    assert np.all(batches[0].fresh)
    assert max(sum(b.fresh) for b in batches[1:]) == 1
    assert all(np.array_equal(b.targets, b.xs + 1) for b in batches)


def test_samples_follow_the_probabilities_of_the_model() -> None:
    model = train.language_model(3, hidden=2, embedding=2)
    params = model.init(np.random.default_rng(0))
    params = (*params[:2], params[2]._replace(W=0 * params[2].W, b=np.log([0.5, 0.3, 0.2])))
    text = "".join(train.sample(model, params, "abc", "a", 800, np.random.default_rng(0)))
    assert np.allclose([text.count(c) / 800 for c in "abc"], [0.5, 0.3, 0.2], atol=0.05)
    cold = "".join(train.sample(model, params, "abc", "a", 30, np.random.default_rng(0), temperature=1e-3))
    assert cold == 30 * "a"
    for arguments, says in {
        ("abc", "", 3): "the prompt is empty",
        ("abcd", "a", 3): "the vocabulary has 4 symbols; the saved model has 3",
        ("abc", "x", 3): "the model knows no 'x'",
    }.items():
        with pytest.raises(train.TrainingError, match=says):
            train.sample(model, params, *arguments, np.random.default_rng(0))
    assert "".join(train.sample(model, params, "abc", "b", 3, np.random.default_rng(0), 1e-310)) == "aaa"
    with pytest.raises(train.TrainingError, match="the logits of the model are not finite"):
        list(train.sample(model, tree.scale(math.nan, params), "abc", "a", 3, np.random.default_rng(0)))
    for temperature in (0, -1, math.nan):
        with pytest.raises(train.TrainingError, match="temperature is"):
            train.sample(model, params, "abc", "a", 3, np.random.default_rng(0), temperature)


def test_the_state_is_carried_from_sample_to_sample() -> None:
    model = train.language_model(5, hidden=6, embedding=4)
    rng = np.random.default_rng(0)
    params = tree.random_like(model.init(rng), rng)
    text = "ab" + "".join(train.sample(model, params, "abcde", "ab", 40, np.random.default_rng(0), 1e-4))
    logits, _ = model.outputs(params, train.encode(text, "abcde")[:, None])
    assert text[2:] == "".join("abcde"[k] for k in np.argmax(logits[1:-1, 0], axis=-1))


def test_the_held_out_loss_is_the_mean_over_the_whole_text() -> None:
    model = train.language_model(6, hidden=7, embedding=5, dropout=0.5)
    params = model.init(np.random.default_rng(0))
    codes = CODES[:61]
    whole = model.forward(params, train.Batch(codes[:-1, None], codes[1:, None])).losses
    assert abs(train.held_out_loss(model, codes, 1, 7)(params) - np.mean(whole)) < 1e-14


@pytest.mark.parametrize("cell", nl.PAGES, ids=str)
def test_every_cell_and_engine_trains_alike(cell: nl.Page) -> None:
    found = [
        run(replace(task(), model=model(cell=cell, engine=engine)), 2)
        for engine in ("explicit", "fast", "checkpointed")
    ]
    for other in found[1:]:
        assert apart(found[0].params, other.params) < 1e-12
    gates = train.diagnosis.gates(model(cell=cell), found[0].params, task().batches(0, 0), found[0].carry)
    assert set(gates) == (set() if cell is nl.RNN else {"1", "2"})
