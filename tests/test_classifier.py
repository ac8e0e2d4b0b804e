"""The classifier of ragged rows: its gradients, its laws, and the mistakes of pooling, which the laws see."""

from functools import reduce
from typing import Any

import numpy as np
import pytest
from training import same

import numpy_lstm as nl
from numpy_lstm import check, train, tree
from numpy_lstm.train import classifier as module
from reference import torch_training

POOLINGS = list(module.POOLINGS)
LENGTHS = (5, 1, 7, 3)
each = pytest.mark.parametrize("pooling", POOLINGS)


def rows(seed: int = 0) -> train.Ragged:
    rng = np.random.default_rng(seed)
    return train.Ragged.of([rng.integers(0, 4, n) for n in LENGTHS], rng.permutation([0, 2, 1, 1]))


def model(pooling: str, **options: Any) -> train.Classifier:
    return train.sequence_classifier(
        4, 3, **{"hidden": 3, "embedding": 2, "pooling": pooling, "engine": "explicit"} | options
    )


def params_of(model: train.Classifier, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return tree.random_like(model.init(rng), rng)


def batch() -> train.Labelled:
    return rows().batch(np.arange(4))


def gradient(model: train.Classifier, batch: train.Labelled, masks: Any = None) -> tuple[float, Any]:
    loss, grads, last = train.gradient(model, params_of(model), batch, None, masks)
    assert last is None
    return loss, grads


@each
def test_the_gradient_is_that_of_a_complex_step_through_the_whole_loss(pooling: str) -> None:
    """With dropout masks, others for each layer; the last state of a projected cell, the mean of both directions."""
    more = {"last": {"cell": nl.projected(nl.LSTM, 2)}, "mean": {"bidirectional": True}, "both": {"cell": nl.GRU}}
    it = model(pooling, dropout=0.4, hidden=3 if pooling == "last" else 2, **more[pooling])
    masks = it.masks(np.random.default_rng(3), batch(), np.float64)
    assert [None if m is None else m.shape[0] for m in masks] == [None, 7, 1]
    stepped = check.complex_step(lambda p: np.mean(it.forward(p, batch(), None, masks).losses), params_of(it))
    assert check.normwise(gradient(it, batch(), masks)[1], stepped) <= 3e-15


@pytest.mark.parametrize("layers", [1, 3])
@each
def test_loss_and_gradient_are_those_of_torch_on_packed_sequences(pooling: str, layers: int) -> None:
    it = model(pooling, layers=layers, hidden=6, engine="fast")
    loss, grads = torch_training.classified(params_of(it), batch(), pooling)
    ours = gradient(it, batch())
    assert abs(ours[0] - loss) <= 1e-15 * loss
    assert check.normwise(ours[1], grads) <= 3e-15


def apart(it: train.Classifier, dropped: bool = False) -> tuple[float, float]:
    """Loss and gradient of the batch from those of its rows one by one."""
    masks = it.masks(np.random.default_rng(3), batch(), np.float64) if dropped else None
    alone = []
    for b, n in enumerate(LENGTHS):
        own = tree.map(lambda m, b=b, n=n: m[:n, b : b + 1], masks)
        alone.append(gradient(it, rows().batch(np.array([b])), own))
    loss, grads = gradient(it, batch(), masks)
    mean = tree.scale(1 / len(LENGTHS), reduce(tree.add, [g for _, g in alone]))
    return abs(loss - np.mean([value for value, _ in alone])), check.normwise(grads, mean)


@pytest.mark.parametrize("engine", ["explicit", "fast"])
@each
def test_a_ragged_batch_is_its_rows_one_by_one(pooling: str, engine: str) -> None:
    it = model(pooling, layers=2, dropout=0.3, engine=engine)
    assert max(apart(it, dropped=True)) <= 1e-14
    predicted = train.predict(it, params_of(it), rows(), 3)
    logits = [it.outputs(params_of(it), *rows().batch(np.array([b]))[::2]) for b in range(4)]
    assert predicted.tolist() == [int(np.argmax(row)) for row in logits]
    error = train.held_out_error(it, rows())(params_of(it))
    assert error == np.mean(predicted != rows().targets)
    table = train.confusion(rows().targets, predicted, 3)
    assert np.trace(table) == 4 * (1 - error)
    assert table.sum(axis=1).tolist() == [1, 2, 1]


@each
def test_the_fast_path_is_the_explicit_one(pooling: str) -> None:
    it = model(pooling, layers=2)
    (loss, grads), (other, found) = gradient(it, batch()), gradient(it.having("fast"), batch())
    assert abs(loss - other) <= 1e-15
    assert check.normwise(found, grads) <= 3e-15


@pytest.mark.parametrize("engine", ["explicit", "fast"])
@each
def test_padding_has_no_influence(pooling: str, engine: str) -> None:
    """Codes that do not exist, and NaN in what every layer above the embedding reads and hands down."""
    it, plain = model(pooling, layers=2, dropout=0.3, engine=engine), batch()
    masks = it.masks(np.random.default_rng(3), plain, np.float64)
    padding = np.arange(7)[:, None] >= np.array(LENGTHS)
    spoilt = plain._replace(xs=np.where(padding, 10**9, plain.xs))
    nan = tuple(None if m is None else np.where(padding[:, :, None] & (len(m) > 1), np.nan, m) for m in masks[:-1])
    loss, grads = gradient(it, plain, masks)
    other, found = gradient(it, spoilt, (*nan, masks[-1]))
    assert loss == other
    assert check.normwise(found, grads) == 0
    assert not np.array_equal(spoilt.xs, plain.xs)


def of_padding(self: Any, run: Any) -> Any:
    return run.hs[-1:]


def of_all_steps(run: Any) -> Any:
    return np.full((*run.hs.shape[:2], 1), 1 / len(run.hs))


@pytest.mark.parametrize(
    ("pooling", "where", "name", "mistake"),
    [
        ("last", train.Classifier, "_pooled", of_padding),
        ("both", train.Classifier, "_pooled", of_padding),
        ("mean", module, "_shares", of_all_steps),
    ],
    ids=POOLINGS,
)  # fmt: skip
def test_the_known_mistakes_of_pooling_break_the_law_of_ragged_rows(
    pooling: str, where: Any, name: str, mistake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of the batch for the last of each row, and the mean over the steps of the batch."""
    monkeypatch.setattr(where, name, mistake)
    assert apart(model(pooling))[0] > 1e-3


def test_the_last_output_is_not_the_last_state_of_the_direction_that_reads_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has read one symbol. Rows one by one do the same, so that law cannot see it; PyTorch does."""

    def at_the_end(self: Any, run: Any) -> Any:
        return run.hs[np.array(run.lengths) - 1, range(len(run.lengths))][None]

    monkeypatch.setattr(train.Classifier, "_pooled", at_the_end)
    it = model("both")
    loss, _ = gradient(it, batch())
    assert apart(it)[0] <= 1e-14
    assert abs(loss - torch_training.classified(params_of(it), batch(), "both")[0]) > 1e-3


@pytest.mark.parametrize("wrong", ["last, to every step", "mean, not divided"])
def test_a_wrong_cotangent_of_the_pooled_vector_is_seen(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pooling, right = wrong.split(",")[0], train.Classifier._spread
    it = model(pooling)
    loss, expected = gradient(it, batch())

    def spread(self: Any, dpooled: Any, run: Any) -> Any:
        if pooling == "mean":
            return right(self, dpooled * 4, run)
        return np.broadcast_to(dpooled, run.hs.shape), None

    monkeypatch.setattr(train.Classifier, "_spread", spread)
    same, found = gradient(it, batch())
    assert loss == same
    assert check.normwise(found, expected) > 1e-3


def test_batches_follow_from_seed_and_step_and_have_little_padding() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 40, 203)
    data = train.Ragged.of([np.full(n, k) for k, n in enumerate(lengths)], np.arange(203))
    buckets = train.Buckets(data, 10)
    for epoch in (0, 1):
        drawn = [buckets(7, 20 * epoch + k) for k in range(20)]
        seen = np.concatenate([b.targets for b in drawn])
        assert len(set(seen)) == 200, "no row twice in an epoch"
        assert sum(b.xs.size for b in drawn) < 1.15 * sum(b.lengths.sum() for b in drawn)
        for b in drawn:
            assert all(set(b.xs[:n, k]) == {b.targets[k]} for k, n in enumerate(b.lengths)), "codes of its own row"
        assert np.all(np.diff([b.lengths.max() for b in drawn]) >= 0) == 0, "not from short to long"
    assert np.array_equal(buckets(7, 23).xs, train.Buckets(data, 10)(7, 23).xs)
    assert not np.array_equal(buckets(7, 3).targets, buckets(8, 3).targets)
    assert sorted(np.concatenate(list(data.in_turn(50)))) == list(range(203))


def test_it_is_trained_saved_and_resumed_as_any_model(tmp_path: Any) -> None:
    it = model("both", engine="fast", dropout=0.2)
    task = train.Task(it, train.Buckets(rows(), 2), train.adam(), train.constant(0.05), 9, clip=1.0, parts=2, every=3,
                      held_out=train.held_out_error(it, rows()))  # fmt: skip
    *_, (whole, report) = train.train(task, train.begin(task))
    assert "f" in report.gates["1.0"].index
    half = train.begin(task)
    for _ in range(4):
        half, _report = train.advance(task, half)
    file = train.save(tmp_path / "run.npz", task, half)
    *_, (resumed, _) = train.train(task, train.load(file, task))
    assert same(whole, resumed)
    bad = half._replace(params=tree.map(lambda a: a * np.inf, half.params))
    with pytest.raises(train.Diverged, match="first wrong: params"):
        train.advance(task, bad)


@each
def test_it_is_trained_where_its_parameters_are(pooling: str, cupy: Any) -> None:
    it = model(pooling, engine="fast", dropout=0.2)
    task = train.Task(it, train.Buckets(rows(), 2), train.adam(), train.constant(0.05), 2, clip=1.0, every=1,
                      held_out=train.held_out_error(it, rows()))  # fmt: skip
    *_, (here, _) = train.train(task, train.begin(task))
    *_, (there, _) = train.train(task, train.begin(task, params=tree.map(cupy.asarray, train.begin(task).params)))
    assert tree.on_device(there.params)
    assert check.normwise(tree.on_host(there.params), here.params) <= 1e-13
    assert np.array_equal(there.history.held_out, here.history.held_out)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: model("first"), "pooling is 'first'; expected last, mean, both"),
        (lambda: model("last", bidirectional=True), "pooling 'last' needs bidirectional=False; it is True"),
        (lambda: model("both", bidirectional=False), "pooling 'both' needs bidirectional=True; it is False"),
        (lambda: model("last", layers=0), "layers is 0; expected an integer of at least 1"),
        (lambda: train.Ragged.of([np.arange(2), np.arange(0)], np.zeros(2, int)), "row 2 has 0 symbols"),
        (lambda: train.Ragged(np.arange(3), np.array([2]), np.array([0])), "lengths are 1 and add up to 2; expected 1"),
        (lambda: train.Ragged(np.ones(3), np.array([3]), np.array([0])), "codes have shape (3,) and dtype float64"),
        (lambda: train.Buckets(rows(), 5), "there are 4 rows to train on; expected at least 5, the rows of a batch"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, says: str) -> None:
    with pytest.raises(train.TrainingError) as error:
        make()
    assert says in str(error.value)
