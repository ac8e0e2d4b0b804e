"""The worked examples run, and what they show is right."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

import numpy_lstm as nl
from analysis import figures
from analysis.examples import own_text, torch_lstm
from numpy_lstm import check, flow, tree


class Model(torch.nn.Module):
    """An LSTM within a larger model."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 8, **options)
        self.out = torch.nn.Linear(8, 1)


def trained() -> Model:
    """Shortly, to add up the first input."""
    torch.manual_seed(0)
    model = Model()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(20):
        x = torch.randn(12, 8, 3)
        loss = ((model.out(model.lstm(x)[0][-1])[:, 0] - x[:, :, 0].sum(0)) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def test_a_trained_torch_lstm_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = {name: tensor.detach().contiguous() for name, tensor in trained().state_dict().items()}
    torch.save(state, tmp_path / "model.pt")
    save_file(state, tmp_path / "model.safetensors")
    np.savez(tmp_path / "model.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((30, 4, 3)))
    one, *others = [torch_lstm.read(tmp_path / f"model.{kind}", "lstm.") for kind in ("pt", "safetensors", "npz")]
    for other in others:
        assert all(np.array_equal(one[name], other[name]) for name in one | other)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "model.pt"), "--prefix", "lstm.", "--inputs", str(tmp_path / "x.npy")]
    assert torch_lstm.main([*arguments, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "l0: dL/dc" in told
    assert "norm of each path's part of dL/dc_t" in told
    with (out / "torch_lstm_l0_norms.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 * 4
    assert all(float(row["c"]) > 0 for row in rows)


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_every_layer_and_direction_has_files_of_its_own(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(figures, "drawn", lambda draw, size, stem: drawn.append(stem.name))
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(3, 4, 2, bidirectional=True)
    np.savez(tmp_path / "m.npz", **{name: tensor.detach().numpy() for name, tensor in module.state_dict().items()})
    assert torch_lstm.main([str(tmp_path / "m.npz"), "--out", str(tmp_path / "out")]) == 0
    names = ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert drawn == [f"torch_lstm_{name}" for name in names]
    kinds = ("norms", "paths", "weights")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {f"torch_lstm_{n}_{k}.csv" for n in names for k in kinds}
    told = capsys.readouterr().out
    assert ("gate   mean" in told) == (kind == "GRU")
    assert "l1_reverse: norm of each path's part of dL/dh_t" in told


def test_a_figures_name_may_have_a_dot(tmp_path: Path) -> None:
    for name in ("layer_1.0", "layer_1.1"):
        figures.save(Figure(figsize=(1, 1)), tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 4


OPTIONS = [
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 5}),
    ("LSTM", {"bias": False}),
    ("GRU", {"bidirectional": True}),
    ("RNN", {"num_layers": 2}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_its_contributions_add_up_to_torchs_gradients(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    module = getattr(torch.nn, kind)(3, 8, **options).double()
    twin = nl.nn.from_state_dict(module.state_dict())
    xs = np.random.default_rng(0).standard_normal((12, 4, 3))
    passes = torch_lstm.look(twin, xs, np.random.default_rng(1))
    directions = 2 if options.get("bidirectional") else 1
    assert len(passes) == directions * options.get("num_layers", 1)
    again = np.random.default_rng(1)
    width = options.get("proj_size", 8)
    v = np.stack([again.standard_normal((4, width)) for _ in range(directions)])
    last = module(torch.from_numpy(xs))[1]
    h_n = last[0] if kind == "LSTM" else last
    (torch.from_numpy(v) * h_n[-directions:]).sum().backward()
    for p in passes:
        total = tree.scale(0, p.params)
        for step in flow.contributions(p):
            total = tree.add(total, step)
        ours = nl.layouts.dump_gradients("torch", total, p.cell)["weight_hh_l0"]
        theirs = getattr(module, f"weight_hh_{p.name}").grad.numpy()
        assert check.normwise(ours, theirs) <= 1e-13, p.name


def test_bad_weights_get_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "model.npz", a=np.ones(3))
    for path, message in (
        (tmp_path / "model.npz", "has no lstm.weight_hh_l0; expected one of its names: a"),
        (tmp_path / "model.bin", "expected a file .safetensors, .npz, .pt or .pth"),
        (tmp_path / "absent.npz", "No such file"),
    ):
        assert torch_lstm.main([str(path), "--prefix", "lstm."]) == 3
        assert message in capsys.readouterr().err


def test_own_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("to be, or not to be: that is the question. " * 9)
    assert own_text.main(["--text", str(path), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert told.count("vanishes") >= 2
    assert "orth. LSTM, chrono: dL/dc keeps. Rate 0.98" in told
    assert "orth. LSTM, b_f=1: dL/dc vanishes" in told
    assert "orth. LSTM, b_f=1: gates" in told
    assert {f.suffix for f in (tmp_path / "out").iterdir()} == {".csv", ".svg", ".png"}
    assert own_text.main(["--text", str(tmp_path / "absent")]) == 3
    assert "cannot read" in capsys.readouterr().err
