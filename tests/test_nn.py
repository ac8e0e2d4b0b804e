"""The twins against torch.nn, argument by argument; weight files; errors where torch has them."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import numpy_lstm as nl
from cases import seeds
from numpy_lstm import check, tree

KINDS = ("LSTM", "GRU", "RNN")
U = 2.0**-53


def configuration(seed: int) -> dict[str, Any]:
    """Arguments drawn at random, all of them reached over the seeds."""
    g = np.random.default_rng(seed)
    kind = KINDS[seed % 3]
    layers = int(g.integers(1, 4))
    options: dict[str, Any] = {
        "input_size": int(g.integers(1, 7)),
        "hidden_size": int(g.integers(2, 8)),
        "num_layers": layers,
        "bias": bool(g.random() < 0.8),
        "batch_first": bool(g.random() < 0.5),
        "dropout": 0.4 if layers > 1 and g.random() < 0.4 else 0.0,
        "bidirectional": bool(g.random() < 0.5),
    }
    if kind == "LSTM" and g.random() < 0.4:
        options["proj_size"] = int(g.integers(1, options["hidden_size"]))
    if kind == "RNN":
        options["nonlinearity"] = str(g.choice(["tanh", "relu"]))
    mode = str(g.choice(["batch", "batch", "unbatched", "lengths"]))
    return {"kind": kind, "options": options, "mode": mode, "state": bool(g.random() < 0.8)}


def torchs_masks(seed: int, shape: tuple[int, ...], n: int, p: float) -> list[np.ndarray]:
    """What torch.nn draws for its dropout from this seed: one mask for each layer but the last, (T,B,N)."""
    torch.manual_seed(seed)
    return [torch.nn.functional.dropout(torch.ones(shape, dtype=torch.float64), p).numpy() for _ in range(n)]


SEEDS = seeds(360, 180)


@pytest.mark.parametrize("seed", SEEDS)
def test_twin(seed: int) -> None:
    c = configuration(seed)
    options, g = c["options"], np.random.default_rng(seed)
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, c["kind"])(**options, dtype=torch.float64)
    ours = getattr(nl.nn, c["kind"])(**options)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())

    T, B = int(g.integers(1, 9)), int(g.integers(1, 5))
    n = options["num_layers"] * (2 if options["bidirectional"] else 1)
    H, R = options["hidden_size"], options.get("proj_size") or options["hidden_size"]
    batch = () if c["mode"] == "unbatched" else (B,)
    x = g.standard_normal((T, *batch, options["input_size"]))
    lengths = sorted(g.integers(1, T + 1, B).tolist(), reverse=True) if c["mode"] == "lengths" else None
    if lengths:
        lengths[0] = T
        g.shuffle(lengths)
    if options["batch_first"] and batch:
        x = np.ascontiguousarray(np.swapaxes(x, 0, 1))
    states = [g.standard_normal((n, *batch, width)) for width in ((R, H) if c["kind"] == "LSTM" else (R,))]
    hx = (tuple(states) if c["kind"] == "LSTM" else states[0]) if c["state"] else None

    leaves = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    torch_hx = (tuple(leaves[1:]) if c["kind"] == "LSTM" else leaves[1]) if c["state"] else None
    masks = None
    if options["dropout"]:
        width = (T, B if batch else 1, R * (2 if options["bidirectional"] else 1))
        if lengths:  # torch drops elements of the packed sequence: another shape, compared without dropout
            theirs.eval()
            ours.eval()
        else:
            masks = torchs_masks(seed, width, options["num_layers"] - 1, options["dropout"])
    torch.manual_seed(seed)
    if lengths:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            leaves[0], torch.tensor(lengths), batch_first=options["batch_first"], enforce_sorted=False
        )
        output, last = theirs(packed, torch_hx)
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=options["batch_first"], total_length=T)
    else:
        output, last = theirs(leaves[0], torch_hx)
    last = last if c["kind"] == "LSTM" else (last,)

    expected = [output, *last]
    cotangents = [g.standard_normal(a.shape) for a in expected]
    sum((torch.tensor(d) * a).sum() for d, a in zip(cotangents, expected, strict=True)).backward()
    named = dict(theirs.named_parameters())
    want = [a.detach() for a in expected] + [leaves[0].grad] + [parameter.grad for parameter in named.values()]
    want += [leaf.grad for leaf in leaves[1:]] if c["state"] else []

    def results(move: Any = lambda a: a) -> list[np.ndarray]:
        """Outputs and gradients of the twin, each number that goes in passed through ``move``."""
        ours.load_state_dict({name: move(parameter.detach().numpy()) for name, parameter in named.items()})
        run = ours.forward(move(x), tree.map(move, hx), lengths, masks)
        grads = run.backward(*cotangents)
        assert list(grads.params) == list(named) == list(ours.state_dict())
        lstm = c["kind"] == "LSTM"
        produced = [run.output, run.h_n, *([run.c_n] if lstm else []), grads.x, *grads.params.values()]
        return produced + ([grads.h_0, *([grads.c_0] if lstm else [])] if c["state"] else [])

    moved = [results(lambda a: a * (1 + g.choice([-U, U], a.shape))) for _ in range(2)]
    for got, right, *near in zip(results(), want, *moved, strict=True):
        assert got.shape == tuple(right.shape)
        conditioning = max(np.linalg.norm(a - got) for a in near)  # what one rounding of the inputs does
        assert np.linalg.norm(got - right.numpy()) <= 16 * (U * np.linalg.norm(got) + conditioning)


def test_configurations_reach_every_argument() -> None:
    drawn = [configuration(seed) for seed in SEEDS]
    for key, values in {
        "num_layers": {1, 2, 3},
        "bias": {True, False},
        "batch_first": {True, False},
        "bidirectional": {True, False},
        "dropout": {0.0, 0.4},
    }.items():
        for kind in KINDS:
            assert {c["options"][key] for c in drawn if c["kind"] == kind} == values
    assert {c["mode"] for c in drawn} == {"batch", "unbatched", "lengths"}
    assert {c["options"].get("nonlinearity") for c in drawn} == {None, "tanh", "relu"}
    both = [c for c in drawn if c["options"].get("proj_size") and c["options"]["bidirectional"]]
    assert len(both) > 10 * len(SEEDS) / 360
    assert sum(bool(c["options"]["dropout"]) and c["mode"] != "lengths" for c in drawn) > 50 * len(SEEDS) / 360


def test_the_call_is_torchs_call() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    lstm, gru = nl.nn.LSTM(3, 4), nl.nn.GRU(3, 4)
    output, (h_n, c_n) = lstm(x)
    assert [a.shape for a in (output, h_n, c_n)] == [(5, 2, 4), (1, 2, 4), (1, 2, 4)]
    output, h_n = gru(x, np.zeros((1, 2, 4)), lengths=[5, 3])
    assert not output[3:, 1].any()


def test_a_new_twin_is_drawn_as_torch_draws() -> None:
    drawn, again = (nl.nn.LSTM(30, 40, 2, rng=np.random.default_rng(3)).state_dict() for _ in range(2))
    for name, a in drawn.items():
        assert 0.9 / np.sqrt(40) < np.abs(a).max() <= 1 / np.sqrt(40)
        np.testing.assert_array_equal(a, again[name])


def test_dropout_is_drawn_in_training_only() -> None:
    g = np.random.default_rng(0)
    x = g.standard_normal((5, 2, 3))
    lstm = nl.nn.LSTM(3, 4, 2, dropout=0.5, rng=g)
    first, second = (lstm(x)[0] for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    lstm.eval()
    first, second = (lstm(x)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert lstm.train().training


def test_a_run_keeps_the_weights_it_was_made_with() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    lstm = nl.nn.LSTM(3, 4)
    run = lstm.forward(x)
    before = run.backward(np.ones_like(run.output))
    lstm.load_state_dict({name: 0 * a for name, a in lstm.state_dict().items()})
    after = run.backward(np.ones_like(run.output))
    for name, a in before.params.items():
        np.testing.assert_array_equal(a, after.params[name])


def test_a_run_keeps_the_lengths_and_masks_it_was_made_with() -> None:
    g = np.random.default_rng(0)
    x, lengths, masks = g.standard_normal((5, 3, 3)), np.array([5, 2, 0]), [nl.dropout_mask(g, (1, 3, 8), 0.5)]
    run = nl.nn.LSTM(3, 4, 2, bidirectional=True).forward(x, None, lengths, masks)
    before = run.backward(np.ones_like(run.output))
    lengths[:], masks[0][:], x[:] = 5, 0, 0
    after = run.backward(np.ones_like(run.output))
    assert check.normwise([after.x, after.params], [before.x, before.params]) == 0
    assert not before.x[2:, 1].any()
    assert not before.x[:, 2].any()


def test_bfloat16_is_widened_exactly() -> None:
    theirs = torch.nn.LSTM(3, 4, dtype=torch.bfloat16)
    ours = nl.nn.LSTM(3, 4)
    ours.load_state_dict(theirs.state_dict())
    for name, a in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], a.double().numpy())


def test_float32() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    lstm = nl.nn.LSTM(3, 4, dtype=np.float32)
    run = lstm.forward(x)
    grads = run.backward(np.ones_like(run.output))
    for a in (run.output, run.h_n, run.c_n, grads.x, grads.h_0, grads.c_0, *grads.params.values()):
        assert a.dtype == np.float32


def test_safetensors(tmp_path: Path) -> None:
    ours, other = nl.nn.LSTM(3, 4, 2, proj_size=2), nl.nn.LSTM(3, 4, 2, proj_size=2)
    save_file(ours.state_dict(), tmp_path / "w.safetensors")
    for path in (tmp_path / "w.safetensors", str(tmp_path / "w.safetensors")):
        other.load_state_dict(path)
    for name, a in ours.state_dict().items():
        np.testing.assert_array_equal(a, other.state_dict()[name])
    single = {name: a.astype(np.float32) for name, a in ours.state_dict().items()}
    other.load_state_dict(single)  # widened, exactly
    assert other.state_dict()["weight_ih_l0"].dtype == np.float64


def broken_files(tmp_path: Path) -> dict[str, Path]:
    whole = tmp_path / "whole.safetensors"
    save_file(nl.nn.LSTM(3, 4).state_dict(), whole)
    raw = whole.read_bytes()
    contents = {
        "truncated": raw[:-40],
        "header only": raw[:8],
        "empty": b"",
        "corrupt header": struct.pack("<Q", 20) + b"x" * 20,
        "absurd header length": struct.pack("<Q", 2**60) + raw[8:],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in [*contents, "absent"]}


def test_broken_weights_load_nothing(tmp_path: Path) -> None:
    lstm = nl.nn.LSTM(3, 4)
    good = lstm.state_dict()
    cases: list[tuple[Any, str]] = [
        (path, rf"^cannot read {path} as safetensors: ") for path in broken_files(tmp_path).values()
    ]
    cases += [
        ({k: v for k, v in good.items() if k != "bias_hh_l0"}, r"^missing: bias_hh_l0 of shape \(16,\)$"),
        (good | {"weight_ih_l1": good["weight_ih_l0"]}, r"^surplus: weight_ih_l1; expected only weight_ih_l0, "),
        (good | {"weight_hh_l0": np.ones((15, 4))}, r"^weight_hh_l0 has shape \(15, 4\); expected \(16, 4\)$"),
        (
            good | {"bias_ih_l0": np.ones(16, int)},
            r"^bias_ih_l0 has dtype int64; expected float64 or a narrower float$",
        ),
    ]
    for source, message in cases:
        with pytest.raises(nl.layouts.LayoutError, match=message):
            lstm.load_state_dict(source)
        for name, a in good.items():
            np.testing.assert_array_equal(lstm.state_dict()[name], a)
    with pytest.raises(nl.layouts.LayoutError, match="weight_ih_l0 has dtype float64; expected float32 or a narrower"):
        nl.nn.LSTM(3, 4, dtype=np.float32).load_state_dict(good)


X = np.zeros((5, 2, 3))
ERRORS = {
    "projected GRU": (
        lambda: nl.nn.GRU(3, 4, proj_size=2),
        ValueError,
        "proj_size is 2; only an LSTM can be projected",
    ),
    "projected RNN": (
        lambda: nl.nn.RNN(3, 4, proj_size=2),
        ValueError,
        "proj_size is 2; only an LSTM can be projected",
    ),
    "wide projection": (
        lambda: nl.nn.LSTM(3, 4, proj_size=4),
        ValueError,
        "proj_size is 4; expected 0 (none) or less than hidden_size=4",
    ),
    "nonlinearity": (
        lambda: nl.nn.RNN(3, 4, nonlinearity="elu"),
        ValueError,
        "nonlinearity is 'elu'; expected 'tanh' or 'relu'",
    ),
    "dropout": (
        lambda: nl.nn.LSTM(3, 4, 2, dropout=1.5),
        ValueError,
        "dropout is 1.5; expected a probability between 0 and 1",
    ),
    "no units": (lambda: nl.nn.LSTM(3, 0), ValueError, "hidden_size is 0; expected a positive integer"),
    "no layers": (lambda: nl.nn.LSTM(3, 4, 0), ValueError, "num_layers is 0; expected a positive integer"),
    "dtype": (
        lambda: nl.nn.LSTM(3, 4, dtype=int),
        ValueError,
        "dtype is int64; expected a floating one: float32, float64 or longdouble",
    ),
    "half precision": (
        lambda: nl.nn.LSTM(3, 4, dtype=np.float16),
        ValueError,
        "dtype is float16; expected a floating one: float32, float64 or longdouble",
    ),
    "no steps": (
        lambda: nl.nn.LSTM(3, 4)(X[:0]),
        nl.ShapeError,
        "x has shape (0, 2, 3); expected at least one step and one row",
    ),
    "size as text": (
        lambda: nl.nn.LSTM(3, "4"),
        ValueError,
        "hidden_size is '4' and proj_size is 0; expected integers",
    ),
    "engine": (lambda: nl.nn.LSTM(3, 4, engine="cuda"), ValueError, "engine is 'cuda'; expected 'explicit' or 'fast'"),
    "width of x": (
        lambda: nl.nn.LSTM(3, 4)(X[..., :2]),
        nl.ShapeError,
        "x has shape (5, 2, 2); expected (T, B, D=3) or (T, D=3)",
    ),
    "axes of x": (
        lambda: nl.nn.LSTM(3, 4, batch_first=True)(X[0, 0]),
        nl.ShapeError,
        "x has shape (3,); expected (B, T, D=3) or (T, D=3)",
    ),
    "shape of h_0": (
        lambda: nl.nn.GRU(3, 4, 2)(X, np.zeros((1, 2, 4))),
        nl.ShapeError,
        "h_0 has shape (1, 2, 4); expected (2, 2, 4)",
    ),
    "batch_first does not touch states": (
        lambda: nl.nn.GRU(3, 4, batch_first=True)(X, np.zeros((2, 1, 4))),
        nl.ShapeError,
        "h_0 has shape (2, 1, 4); expected (1, 5, 4)",
    ),
    "states of an unbatched x": (
        lambda: nl.nn.GRU(3, 4)(X[:, 0], np.zeros((1, 1, 4))),
        nl.ShapeError,
        "h_0 has shape (1, 1, 4); expected (1, 4)",
    ),
    "one state of an LSTM": (
        lambda: nl.nn.LSTM(3, 4)(X, np.zeros((1, 2, 4))),
        TypeError,
        "hx is a ndarray; expected the pair (h_0, c_0)",
    ),
    "dtype of x": (
        lambda: nl.nn.LSTM(3, 4)(X.astype(np.float32)),
        TypeError,
        "x has dtype float32; expected float64, the dtype of the parameters",
    ),
    "torch tensor": (
        lambda: nl.nn.LSTM(3, 4)(torch.zeros(5, 2, 3)),
        TypeError,
        "x is a torch.Tensor; expected a NumPy array: .detach().numpy() makes one",
    ),
    "lengths of an unbatched x": (
        lambda: nl.nn.LSTM(3, 4)(X[:, 0], lengths=[3]),
        nl.ShapeError,
        "lengths was given; an unbatched x has only one length",
    ),
    "cotangent of a cell that is not there": (
        lambda: nl.nn.GRU(3, 4).forward(X).backward(d_c_n=np.zeros((1, 2, 4))),
        TypeError,
        "d_c_n was given; GRU has no c_n",
    ),
    "cotangent of another shape": (
        lambda: nl.nn.GRU(3, 4).forward(X).backward(np.zeros((5, 2, 3))),
        nl.ShapeError,
        "d_output has shape (5, 2, 3); expected (5, 2, 4)",
    ),
    "masks": (
        lambda: nl.nn.LSTM(3, 4, 2).forward(X, dropout_masks=[np.ones((5, 2, 3))]),
        nl.ShapeError,
        "dropout_masks[0] has shape (5, 2, 3); expected (5, 2, 4)",
    ),
    "number of masks": (
        lambda: nl.nn.LSTM(3, 4, 2).forward(X, dropout_masks=[]),
        nl.ShapeError,
        "dropout_masks has 0 entries; expected 1",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    call, kind, message = ERRORS[case]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_dropout_with_one_layer_only_warns() -> None:
    with pytest.warns(UserWarning, match="dropout acts between layers, and there is only one"):
        nl.nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_cotangents(kind: str) -> None:
    twin = getattr(nl.nn, kind)(3, 4, 2, bidirectional=True)
    run = twin.forward(np.random.default_rng(0).standard_normal((5, 2, 3)))
    zero = [None if a is None else np.zeros_like(a) for a in (run.output, run.h_n, run.c_n)]
    ones = np.ones_like(run.h_n)
    absent, dense = run.backward(d_h_n=ones), run.backward(zero[0], ones, zero[2])
    for name, a in absent.params.items():
        np.testing.assert_array_equal(a, dense.params[name])
    assert not any(a.any() for a in run.backward(zero[0]).params.values())


@pytest.mark.parametrize(("engine", "batched"), [("explicit", True), ("fast", False)])
def test_cotangents_of_every_cell(engine: str, batched: bool) -> None:
    rng = np.random.default_rng(0)
    twin = nl.nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=batched, rng=rng, engine=engine)
    x = rng.standard_normal((2, 5, 3) if batched else (5, 3))
    d_c = rng.standard_normal((4, 2, 5, 4) if batched else (4, 5, 4))
    run = twin.forward(x)
    grads = run.backward(d_c=d_c)
    stack, params = twin.explicit().network()
    xs, dcs = (x.swapaxes(0, 1), d_c.swapaxes(1, 2)) if batched else (x[:, None], d_c[:, :, None])
    problem = nl.check.Problem.of(stack, params, xs, dcs=((dcs[0], dcs[1]), (dcs[2], dcs[3])))
    stepped = nl.check.complex_step(problem.loss, problem.point)
    got = grads.x.swapaxes(0, 1) if batched else grads.x[:, None]
    assert nl.check.normwise(got, stepped.xs) <= 4e-15
    assert nl.check.normwise(grads.params["weight_hh_l0"][:4], stepped.params[0][0].U_i) <= 4e-15
    with pytest.raises(nl.ShapeError, match=r"d_c has shape \(3, .*; expected \(4, "):
        run.backward(d_c=d_c[:3])
    with pytest.raises(TypeError, match="d_c was given; GRU has no c_n"):
        nl.nn.GRU(3, 4, rng=rng).forward(rng.standard_normal((5, 2, 3))).backward(d_c=d_c)


@pytest.mark.parametrize("layout", [0, 1])
def test_onnx_takes_cotangents_of_every_cell(layout: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 5, 3) if layout else (5, 2, 3))
    given = {"X": X, "W": rng.standard_normal((2, 16, 3)), "R": rng.standard_normal((2, 16, 4))}
    run = nl.onnx.run("LSTM", given, {"direction": "bidirectional", "layout": layout})
    dC = rng.standard_normal(run.Y.shape)
    both = nl.bidirectional(nl.LSTM)
    params = tuple(
        nl.layouts.load("onnx", {"W": given["W"][k : k + 1], "R": given["R"][k : k + 1], "B": np.zeros((1, 32))})
        for k in range(2)
    )
    xs, dcs = (X.swapaxes(0, 1), dC.transpose(2, 1, 0, 3)) if layout else (X, dC.swapaxes(0, 1))
    problem = nl.check.Problem.of(both, params, xs, dcs=(dcs[0], dcs[1]))
    stepped = nl.check.complex_step(problem.loss, problem.point).xs
    got = run.backward(dC=dC)["X"]
    assert nl.check.normwise(got.swapaxes(0, 1) if layout else got, stepped) <= 4e-15
