"""Looking inside a trained model: every number against one found another way, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from analysis import __main__ as command_line
from analysis import figures
from analysis.charlm import command as charlm
from analysis.inside import command, flowing, forgetting, opened, units
from numpy_lstm import flow

SMALL = ["--hidden", "6", "--embedding", "4", "--batch", "4", "--steps", "8", "--every", "5", "--updates"]
SIZES = {opened: {"WARM": 4, "WINDOW": 9}, flowing: {"STEPS": 12, "WINDOWS": 4, "SKIP": 2, "CHARACTERS": 8}}
SIZES |= {forgetting: {"WARM": 4, "LINE": 10, "RARE": 2}, units: {"WARM": 4, "TRACED": 20}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three cells on a small text."""
    out = tmp_path_factory.mktemp("inside")
    words = np.random.default_rng(0).choice(["the cat", "sat (on", "a mat\n", "and):\n\n"], 300)
    (out / "text.txt").write_text(" ".join(words), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charlm, "_sample", lambda *_: iter("a sample"))  # of 600 characters, which takes its time
        for cell, updates in (("LSTM", "10"), ("GRU", "1"), ("RNN", "1")):
            where = ["--text", str(out / "text.txt"), "--out", str(out), "--file", str(out / f"{cell}.npz")]
            assert command_line.main(["charlm", *where, *SMALL, updates, "--cell", cell]) == 0
    return out


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, sizes in SIZES.items():
        for name, size in sizes.items():
            monkeypatch.setattr(module, name, size)


def look(folder: Path, cell: str = "LSTM") -> opened.Opened:
    return opened.opened(folder / f"{cell}.npz", str(folder / "text.txt"))


def inside(folder: Path, *options: str) -> int:
    return command_line.main(["inside", *options, "--out", str(folder / "seen"), "--characters", "200"])


def test_what_is_read_in_windows_is_what_one_long_run_does(folder: Path) -> None:
    run = look(folder)
    at = opened.places(run, 200)
    assert at.shape == (25, 8)
    (seen,) = opened.read(run, run.after, at)
    xs = run.after[0].W[run.held[at]]
    whole = nl.forward(nl.LSTM, run.after[1], xs)
    for name, found in {"f": seen.kept, "c": seen.state, **seen.gates}.items():
        np.testing.assert_allclose(found, getattr(whole.values, name)[4:], rtol=1e-5, atol=1e-6)
    assert (seen.layer, seen.field, set(seen.gates)) == ("1", "c", {"i", "f", "o"})


def test_what_is_kept_after_each_character_is_counted_one_by_one(folder: Path) -> None:
    run = look(folder)
    at = opened.places(run, 200)
    (seen,) = opened.read(run, run.after, at)
    by_character: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    for t in range(len(seen.kept)):
        for b in range(8):
            before, here = (forgetting.named(run.symbols[run.held[at[k, b]]]) for k in (t + 3, t + 4))
            by_character.setdefault(here, []).append(float(np.mean(seen.kept[t, b])))
            if t:
                after.setdefault(before, []).append(float(np.mean(seen.kept[t, b])))
    found = forgetting.forgetting(run, 200)
    assert {row[1]: row[2] for row in found.rows} == {c: len(v) for c, v in by_character.items()}
    ranked = {c: np.mean(v) for c, v in by_character.items() if len(v) >= forgetting.RARE}
    for _, name, _, *numbers in found.rows:
        expected = [np.mean(by_character[name]), np.std(by_character[name]), np.mean(after[name])]
        np.testing.assert_allclose(numbers, expected, atol=1e-6)
    assert [row[0] for row in found.summary[:3]] == [c for c, _ in sorted(ranked.items(), key=lambda one: one[1])][:3]


def test_shares_of_time_are_counted_and_before_is_before(folder: Path) -> None:
    run = look(folder)
    model = run.model.init(np.random.default_rng(0), np.float32)
    assert all(np.array_equal(a, b) for a, b in zip(run.before[1], model[1], strict=True))
    run = run._replace(after=(run.after[0], nl.tree.scale(9, run.after[1]), run.after[2]))
    (seen,) = opened.read(run, run.after, opened.places(run, 200))
    rows = {tuple(row[1:4]): row[4:] for row in forgetting.saturation(run, 200).rows}
    for gate, values in seen.gates.items():
        for k in range(6):
            shares = [np.mean(values[..., k] > 0.9), np.mean(values[..., k] < 0.1)]
            np.testing.assert_allclose(rows["trained", gate, k], shares, atol=1e-12)
    assert max(row[0] for row in rows.values()) > 0.1


def by_hand(run: opened.Opened, steps: int, windows: int) -> Any:
    """Embedding, cell and softmax written out: the pass of the surprise at the last character."""
    (embedding, cell, readout), batch = opened.exact(run.after), opened.stretch(run, steps, windows)
    xs = embedding.W[batch.xs]
    logits = nl.forward(nl.LSTM, cell, xs).hs[-1] @ readout.W.T + readout.b
    p = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    dh = (p - np.eye(p.shape[1])[batch.targets[-1]]) @ readout.W
    return flow.passes(nl.LSTM, cell, xs, dlast=nl.LSTM.partial_state(h=dh))[0]


def test_the_surprise_at_the_last_character_is_that_by_hand(folder: Path) -> None:
    run = look(folder)
    (seen,), expected = flowing.last_surprise(run, run.after, 12, 4), by_hand(run, 12, 4)
    assert nl.check.normwise(seen.cotangents.c, expected.cotangents.c) < 1e-13
    last = flowing.reach(run, 0).summary[-1]
    assert float(last[4]) == pytest.approx(flow.diagnose(expected).half_life, abs=0.05)


def test_the_connectivity_map_is_a_difference_quotient(folder: Path) -> None:
    run = look(folder)
    batch = opened.stretch(run, 6, 1)
    found = flowing.sensitivity(run, run.after, batch)
    embedding, cell, readout = opened.exact(run.after)
    xs, step = embedding.W[batch.xs], 1e-5

    def logit(xs: Any, s: int) -> Any:
        return (nl.forward(nl.LSTM, cell, xs).hs[s] @ readout.W.T + readout.b)[:, batch.targets[s, 0]]

    for s, t in ((5, 0), (3, 3), (4, 2)):
        moves = step * np.eye(xs.shape[2])
        both = [
            np.repeat(xs, len(moves), axis=1) + sign * (np.arange(6) == t)[:, None, None] * moves for sign in (1, -1)
        ]
        slope = (logit(both[0], s) - logit(both[1], s)) / (2 * step)
        assert found[s, t] == pytest.approx(np.linalg.norm(slope), rel=1e-6)
    assert np.all(np.triu(found, 1) == 0)


def test_the_updates_done_again_are_those_of_the_run(folder: Path) -> None:
    """To the last bit, on one machine: their last parameters are the best ones, which the run saved."""
    run = look(folder)
    assert run.record["best"]["update"] == 10
    found = flowing.lyapunov(run, 10)
    assert "differ by 0 nats" in found.caption
    assert [row[1] for row in found.rows] == [0, 1, 3, 10, 10]
    assert found.rows[-1] == found.rows[-2] != found.rows[0]
    assert [row[1] for row in flowing.lyapunov(run, 0).rows] == [0, 10]


def test_the_share_of_clipped_updates(folder: Path) -> None:
    run = look(folder)
    run.record["curves"]["clipped"] = [1.0, 0.0, 0.5, 0.0]
    run.record["curves"]["norm"] = [3.0, 1.0, 2.0, 0.5]
    found = flowing.norms(run, 0)
    assert [row[1:] for row in found.rows] == [
        [3.0, True, 1.0],
        [1.0, False, 0.5],
        [2.0, True, 2 / 3],
        [0.5, False, 0.5],
    ]
    assert found.summary[-1] == ["all", "1.5", "3", "50.0%"]


SOME = ["forgetting", "passage", "saturation", "lyapunov"]


@pytest.mark.parametrize(("cell", "parts"), [("LSTM", [*command.PARTS]), ("GRU", SOME), ("RNN", SOME)])
def test_the_command(
    cell: str, parts: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(figures, "save", lambda figure, stem: drawn.append(stem.name))
    capsys.readouterr()
    only = [] if cell == "LSTM" else ["--only", *parts]
    text = ["--text", str(folder / "text.txt"), "--replay", "1"]
    assert inside(folder, str(folder / f"{cell}.npz"), *text, *only) == 0
    without = SOME[:3] if cell == "RNN" else []
    assert drawn == [f"inside-{name}" for name in parts if name not in without]
    told = capsys.readouterr().out
    assert told.count("RNN has no ") == len(without)
    for name in drawn:
        numbers = json.loads((folder / "seen" / f"{name}.json").read_text(encoding="utf-8"))
        assert numbers["numbers"]
        assert (folder / "seen" / f"{name}.csv").exists()


def broken(folder: Path, kind: str) -> list[str]:
    """The arguments of a run of which something is wrong."""
    model, record = folder / f"{kind}.npz", folder / f"{kind}.json"
    model.write_bytes((folder / "LSTM.npz").read_bytes())
    found = json.loads((folder / "LSTM.json").read_text(encoding="utf-8"))
    if kind != "lonely":
        settings = found["settings"] | ({"hidden": 7} if kind == "other" else {})
        record.write_text(
            json.dumps(found | {"settings": settings, "version": nl.train.record.VERSION + (kind == "newer")}),
            encoding="utf-8",
        )
    if kind == "text":
        (folder / "other.txt").write_text("the cat sat on another mat", encoding="utf-8")
    text = "other.txt" if kind == "text" else "text.txt"
    return [str(record if kind == "record" else model), "--text", str(folder / text)]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("lonely", "lonely.json: No such file or directory"),
        ("newer", "newer.json is no run record: schema is 'numpy-lstm run record', version "),
        ("other", "other.json is of another run than"),
        ("text", "text.npz was trained on text.txt, sha256"),
        ("record", "record.json ends in .json; expected .safetensors or .npz"),
    ],
)
def test_what_is_refused(kind: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(folder.rglob("*"))
    arguments = broken(folder, kind)
    given = set(folder.rglob("*")) - before
    capsys.readouterr()
    assert inside(folder, *arguments, "--out", str(folder / "none")) == 3
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert "unexpected" not in error
    assert not [f for f in set(folder.rglob("*")) - before - given if f.is_file()]


def test_the_gallery_shows_every_part() -> None:
    gallery = Path(figures.__file__).parent / "GALLERY.md"
    told = gallery.read_text(encoding="utf-8")
    for name in command.PARTS:
        assert f"](gallery/inside-{name}.svg)" in told, name
        assert all((gallery.parent / "gallery" / f"inside-{name}.{kind}").exists() for kind in ("svg", "csv")), name
