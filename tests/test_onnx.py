"""ONNX nodes: the conformance data, why they prove little, and an evaluator written from the operator text.

The evaluator walks step by step and row by row through the text of LSTM, GRU and RNN (opset 22). It is made of
operations that NumPy and torch share, so that complex step and autograd both run through it.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import util
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import onnx as library
import pytest
import torch
from onnx import numpy_helper

from numpy_lstm import check, onnx
from numpy_lstm.onnx import OnnxError
from numpy_lstm.onnx.operators import CHOICES, OPERATORS

Arrays = dict[str, Any]
NODES = Path(util.find_spec("onnx").origin).parent / "backend" / "test" / "data" / "node"
CASES = [
    *(f"test_gru_{name}" for name in ("batchwise", "defaults", "seq_length", "with_initial_bias")),
    *(f"test_lstm_{name}" for name in ("batchwise", "defaults", "with_initial_bias", "with_peepholes")),
    "test_rnn_seq_length",
    *(f"test_simple_rnn_{name}" for name in ("batchwise", "defaults", "with_initial_bias")),
]
INPUTS = {"LSTM": ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]}
INPUTS |= dict.fromkeys(("GRU", "RNN"), INPUTS["LSTM"][:6])
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DEFAULT = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}

# ---- The conformance data of onnx 1.22 ------------------------------------------------------------------------------


def case(name: str) -> tuple[str, Arrays, Arrays, Arrays]:
    """Operator, inputs, attributes and the expected outputs of a folder."""
    graph = library.load(NODES / name / "model.onnx").graph
    (node,) = graph.node

    def tensors(kind: str, infos: Any) -> Arrays:
        paths = [NODES / name / "test_data_set_0" / f"{kind}_{k}.pb" for k in range(len(infos))]
        return {
            info.name: numpy_helper.to_array(library.load_tensor(path)) for info, path in zip(infos, paths, strict=True)
        }

    stored, outputs = tensors("input", graph.input), tensors("output", graph.output)
    inputs = {k: stored[v] for k, v in zip(INPUTS[node.op_type], node.input, strict=False) if v}
    expected = {k: outputs[v] for k, v in zip(("Y", "Y_h", "Y_c"), node.output, strict=False) if v}
    attributes = {a.name: library.helper.get_attribute_value(a) for a in node.attribute}
    return node.op_type, inputs, attributes, expected


def assert_conforms(op_type: str, inputs: Arrays, attributes: Arrays, expected: Arrays) -> None:
    ran = onnx.run(op_type, inputs, attributes)
    assert expected
    for name, value in expected.items():
        assert getattr(ran, name).dtype == value.dtype
        np.testing.assert_allclose(getattr(ran, name), value, rtol=1e-3, atol=1e-7)


def test_these_are_all_cases() -> None:
    found = [path.name for kind in ("lstm", "gru", "rnn", "simple_rnn") for path in NODES.glob(f"test_{kind}_*")]
    assert sorted(found) == CASES


@pytest.mark.parametrize("name", CASES)
def test_conformance(name: str) -> None:
    assert_conforms(*case(name))


@pytest.mark.parametrize("name", [name for name in CASES if "lstm" in name])
def test_the_conformance_data_do_not_see_the_order_of_the_gates(name: str) -> None:
    op_type, inputs, attributes, expected = case(name)
    for order in permutations(range(4)):
        assert_conforms(op_type, inputs | blocks(inputs, order), attributes, expected)


def test_nor_do_they_see_the_recurrent_weights() -> None:
    for name in (name for name in CASES if "lstm" in name):
        op_type, inputs, attributes, expected = case(name)
        assert_conforms(op_type, inputs | {"R": 0 * inputs["R"]}, attributes, expected)


def blocks(inputs: Arrays, order: Any) -> Arrays:
    """W, R and both halves of B with the blocks of the gates in another order."""

    def moved(a: Any, halves: int) -> Any:
        parts = np.split(a, 4 * halves, axis=1)
        return np.concatenate([parts[4 * half + k] for half in range(halves) for k in order], axis=1)

    return {k: moved(inputs[k], 2 if k == "B" else 1) for k in ("W", "R", "B") if k in inputs}


# ---- The operator text, step by step and row by row -----------------------------------------------------------------


def true_clip(xp: Any, x: Any, limit: float) -> Any:
    x = xp.where(x.real > limit, limit + 0 * x, x)
    return xp.where(x.real < -limit, -limit + 0 * x, x)


def straight_through_clip(xp: Any, x: Any, limit: float) -> Any:
    return x + (xp.clamp(x, -limit, limit) - x).detach()


TEXT: dict[str, Callable[..., Any]] = {
    "relu": lambda xp, x: xp.where(x.real > 0, x, 0 * x),
    "tanh": lambda xp, x: xp.tanh(x),
    "sigmoid": lambda xp, x: 1 / (1 + xp.exp(-x)),
    "affine": lambda xp, x, alpha=1.0, beta=0.0: alpha * x + beta,
    "leakyrelu": lambda xp, x, alpha=0.01: xp.where(x.real >= 0, x, alpha * x),
    "thresholdedrelu": lambda xp, x, alpha=1.0: xp.where(x.real >= alpha, x, 0 * x),
    "scaledtanh": lambda xp, x, alpha=1.0, beta=1.0: alpha * xp.tanh(beta * x),
    "hardsigmoid": lambda xp, x, alpha=0.2, beta=0.5: hard_sigmoid(xp, alpha * x + beta),
    "elu": lambda xp, x, alpha=1.0: xp.where(x.real >= 0, x, alpha * (xp.exp(xp.where(x.real < 0, x, 0 * x)) - 1)),
    "softsign": lambda xp, x: x / (1 + xp.where(x.real < 0, -x, x)),
    "softplus": lambda xp, x: xp.where(x.real > 0, x, 0 * x) + xp.log(1 + xp.exp(xp.where(x.real > 0, -x, x))),
}
TAKES = {"affine": 2, "leakyrelu": 1, "thresholdedrelu": 1, "scaledtanh": 2, "hardsigmoid": 2, "elu": 1}


def hard_sigmoid(xp: Any, line: Any) -> Any:
    return xp.where(line.real > 1, 1 + 0 * line, xp.where(line.real < 0, 0 * line, line))


def lower(name: str | bytes) -> str:
    return (name.decode() if isinstance(name, bytes) else name).lower()


def walk(
    op_type: str, attributes: Arrays, xs: Any, p: Arrays, h: Any, c: Any, act: Any, of_cell: Any, output_peephole: str
) -> Iterator[tuple[Any, Any]]:
    """The states of one row in one direction after each of ``xs``; blocks of W, R, B, P in the order of the text."""
    W, R, H, blocks = p["W"], p["R"], p["R"].shape[-1], GATES[op_type]

    def block(name: str, k: int) -> Any:
        return 0 if p[name] is None else p[name][..., k * H : (k + 1) * H]

    def product(M: Any, v: Any, k: int) -> Any:
        return (M[..., k * H : (k + 1) * H, :] @ v[..., None])[..., 0]

    def a(k: int, x: Any, h: Any) -> Any:
        return product(W, x, k) + product(R, h, k) + block("B", k) + block("B", blocks + k)

    for x in xs:
        if op_type == "RNN":
            (f,) = act
            h = f(a(0, x, h))
        elif op_type == "GRU":
            f, g = act
            z, r = f(a(0, x, h)), f(a(1, x, h))
            if attributes["linear_before_reset"]:
                new = g(product(W, x, 2) + r * (product(R, h, 2) + block("B", 5)) + block("B", 2))
            else:
                new = g(product(W, x, 2) + product(R, r * h, 2) + block("B", 5) + block("B", 2))
            h = (1 - z) * new + z * h
        else:
            f, g, _ = act
            i = f(a(0, x, h) + block("P", 0) * c)
            forget = 1 - i if attributes["input_forget"] else f(a(2, x, h) + block("P", 2) * c)
            old, c = c, forget * c + i * g(a(3, x, h))
            o = f(a(1, x, h) + block("P", 1) * (c if output_peephole == "new" else old))
            h = o * of_cell(c)
        yield h, c


def evaluate(
    op_type: str,
    inputs: Arrays,
    attributes: Arrays,
    clip_cell: bool = True,
    output_peephole: str = "new",
    xp: Any = np,
    clip: Callable[..., Any] = true_clip,
) -> Arrays:
    """Y, Y_h, Y_c. Every array but sequence_lens may have further axes in front, the same for all."""
    attributes = {"direction": "forward", "layout": 0, "linear_before_reset": 0, "input_forget": 0} | attributes
    X, R = inputs["X"], inputs["R"]
    batch_first, limit = attributes["layout"], attributes.get("clip")
    N, T = X.shape[-3:-1] if batch_first else X.shape[-3:-1][::-1]
    dirs, count = R.shape[-3], len(DEFAULT[op_type])
    zero = 0 * R[..., 0, 0, :]

    values = {key: list(attributes.get(f"activation_{key}", [])) for key in ("alpha", "beta")}
    functions: list[Callable[[Any], Any]] = []
    for spelled in attributes.get("activations", DEFAULT[op_type] * dirs):
        name = lower(spelled)
        own = {key: values[key].pop(0) for key in ("alpha", "beta")[: TAKES.get(name, 0)] if values[key]}
        functions.append(partial(TEXT[name], xp, **own))

    hidden: dict[tuple[int, int, int], Any] = {}
    last: dict[tuple[str, int, int], Any] = {}
    for d, n in product(range(dirs), range(N)):
        own = {k: inputs[k][..., d, :, :] for k in "WR"}
        own |= {k: None if inputs.get(k) is None else inputs[k][..., d, :] for k in "BP"}
        act = functions[d * count : (d + 1) * count]
        bounded = [f if limit is None else (lambda x, f=f: f(clip(xp, x, limit))) for f in act]
        h, c = (
            zero if s is None else s[..., n, d, :] if batch_first else s[..., d, n, :]
            for s in (inputs.get("initial_h"), inputs.get("initial_c"))
        )
        steps = range(int(inputs["sequence_lens"][n]) if "sequence_lens" in inputs else T)
        steps = steps[::-1] if attributes["direction"] == "reverse" or d == 1 else steps
        xs = [X[..., n, t, :] if batch_first else X[..., t, n, :] for t in steps]
        of_cell = bounded[-1] if clip_cell else act[-1]
        states = [(h, c), *walk(op_type, attributes, xs, own, h, c, bounded, of_cell, output_peephole)]
        hidden |= {(t, d, n): after for t, (after, _) in zip(steps, states[1:], strict=True)}
        last["Y_h", d, n], last["Y_c", d, n] = states[-1]

    def grid(at: Callable[..., Any], *sizes: int) -> Any:
        """Stacked over the indices, the first of them outermost."""
        return xp.stack([grid(partial(at, j), *sizes[1:]) for j in range(sizes[0])], -1 - len(sizes)) if sizes else at()

    def state(name: str) -> Any:
        if batch_first:
            return grid(lambda n, d: last[name, d, n], N, dirs)
        return grid(lambda d, n: last[name, d, n], dirs, N)

    if batch_first:
        Y = grid(lambda n, t, d: hidden.get((t, d, n), zero), N, T, dirs)
    else:
        Y = grid(lambda t, d, n: hidden.get((t, d, n), zero), T, dirs, N)
    return {"Y": Y, "Y_h": state("Y_h")} | ({"Y_c": state("Y_c")} if op_type == "LSTM" else {})


# ---- Random nodes ---------------------------------------------------------------------------------------------------


class Node:
    """A random node: B, D, H of 2 to 5, all different, T of 4 or 5, lengths of 1, T and between, nothing zero."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)

        def likely(chance: float) -> bool:
            return bool(rng.random() < chance)

        def uniform(*shape: int) -> Any:
            return rng.uniform(-0.4, 0.4, shape)

        self.op_type = op_type = ("LSTM", "GRU", "LSTM", "RNN")[seed % 4]
        direction, layout = ("forward", "reverse", "bidirectional")[seed // 4 % 3], seed // 12 % 2
        dirs = 2 if direction == "bidirectional" else 1
        (D, H, N), T = (int(n) for n in rng.permutation([2, 3, 4, 5])[:3]), 6 - dirs
        self.attributes: Arrays = {"direction": direction, "layout": layout}
        if likely(0.5):
            self.attributes["hidden_size"] = H
        if likely(0.5):
            self.attributes["clip"] = rng.uniform(0.3, 1.2)
        if op_type != "RNN" and likely(0.7):
            name = {"GRU": "linear_before_reset", "LSTM": "input_forget"}[op_type]
            self.attributes[name] = int(rng.integers(2))
        if likely(0.7):
            names = [str(name) for name in rng.choice(list(onnx.ACTIVATIONS), len(DEFAULT[op_type]) * dirs)]
            spell = (str, str.lower, str.encode)
            self.attributes["activations"] = [spell[rng.integers(3)](name) for name in names]
            for k, key in enumerate(("activation_alpha", "activation_beta")):
                if likely(0.8):
                    taking = sum(TAKES.get(name.lower(), 0) > k for name in names)
                    self.attributes[key] = rng.uniform(0.2, 0.9, taking if likely(0.7) else taking // 2).tolist()

        X, state = ((N, T, D), (N, dirs, H)) if layout else ((T, N, D), (dirs, N, H))
        self.inputs: Arrays = {"X": rng.standard_normal(X)}
        self.inputs |= {"W": uniform(dirs, GATES[op_type] * H, D), "R": uniform(dirs, GATES[op_type] * H, H)}
        if likely(0.8):
            self.inputs["B"] = uniform(dirs, 2 * GATES[op_type] * H)
        if likely(0.7):
            lens = [T, 1, *rng.integers(2, T, 3)][:N]
            self.inputs["sequence_lens"] = rng.permutation(lens).astype(np.int32)
        if likely(0.8):
            self.inputs["initial_h"] = rng.standard_normal(state)
        if op_type == "LSTM" and likely(0.8):
            self.inputs["initial_c"] = rng.standard_normal(state)
        if op_type == "LSTM" and likely(0.7):
            self.inputs["P"] = uniform(dirs, 3 * H)
        self.options: Arrays = {"clip_cell": likely(0.5), "output_peephole": ("new", "old")[rng.integers(2)]}
        self.expected = self.evaluate(self.inputs)
        self.cotangents = {name: rng.standard_normal(a.shape) for name, a in self.expected.items()}

    def evaluate(self, inputs: Arrays, **how: Any) -> Arrays:
        return evaluate(self.op_type, inputs, self.attributes, **self.options, **how)

    def run(self, **options: Any) -> onnx.Run:
        return onnx.run(self.op_type, self.inputs, self.attributes, **self.options, **options)

    def gradients(self, **options: Any) -> Arrays:
        return self.run(**options).backward(**{f"d{name}": d for name, d in self.cotangents.items()})

    def floats(self) -> Arrays:
        return {name: a for name, a in self.inputs.items() if name != "sequence_lens"}

    def complex_step(self) -> Arrays:
        """All gradients in one call: one entry of the leading axis for each component of the inputs."""
        floats, start = self.floats(), 0
        total = sum(a.size for a in floats.values())
        moved, rows = dict(self.inputs), {}
        for name, a in floats.items():
            rows[name] = slice(start, start + a.size)
            tangent = np.zeros((total, a.size))
            tangent[rows[name]] = np.eye(a.size)
            moved[name] = a + 1e-100j * tangent.reshape(total, *a.shape)
            start += a.size
        out = self.evaluate(moved)
        tangents = [(d * out[name]).imag.reshape(total, -1) / 1e-100 for name, d in self.cotangents.items()]
        loss = np.sum(np.concatenate(tangents, axis=1), axis=1)
        return {name: loss[rows[name]].reshape(a.shape) for name, a in floats.items()}

    def autograd(self, clip: Callable[..., Any]) -> Arrays:
        """Through the same text in torch."""
        floats = {name: torch.tensor(a, requires_grad=True) for name, a in self.floats().items()}
        out = self.evaluate(self.inputs | floats, xp=torch, clip=clip)
        sum((torch.tensor(d) * out[name]).sum() for name, d in self.cotangents.items()).backward()
        return {k: np.zeros(a.shape) if a.grad is None else a.grad.numpy() for k, a in floats.items()}


def worst(got: Arrays, truth: Arrays) -> float:
    """The largest normwise error of all arrays."""
    assert {k: a.shape for k, a in got.items()} == {k: a.shape for k, a in truth.items()}
    return check.report.worst(check.normwise(got[name], truth[name]) for name in truth)


def outputs(ran: onnx.Run) -> Arrays:
    return {name: getattr(ran, name) for name in ("Y", "Y_h", "Y_c") if getattr(ran, name) is not None}


node = cache(Node)
SEEDS = range(240)


def test_the_random_nodes_reach_everything() -> None:
    nodes = [node(seed) for seed in SEEDS]
    seen = {(n.op_type, name, str(value)) for n in nodes for name, value in n.attributes.items()}
    for op_type, operator in OPERATORS.items():
        for name in CHOICES.keys() & operator.attributes.keys():
            assert all((op_type, name, str(choice)) in seen for choice in CHOICES[name])
    assert {lower(name) for n in nodes for name in n.attributes.get("activations", [])} == set(TEXT)
    clipped = [n for n in nodes if worst(n.gradients(), n.gradients(clip_gradient="straight_through")) > 1e-3]
    assert {n.op_type for n in clipped} == {"LSTM", "GRU", "RNN"}
    assert len(clipped) > 60


@pytest.mark.parametrize("seed", SEEDS)
def test_outputs_and_gradients_are_those_of_the_text(seed: int) -> None:
    assert worst(outputs(node(seed).run()), node(seed).expected) <= 1e-14
    gradients, truth = node(seed).gradients(), node(seed).complex_step()
    assert list(gradients) == [k for k in ("X", "W", "R", "B", "initial_h", "initial_c", "P") if k in truth]
    assert worst(gradients, truth) <= 1e-13


@pytest.mark.parametrize("seed", SEEDS[::5])
def test_straight_through_is_autograd_through_a_clip_that_passes_everything_on(seed: int) -> None:
    gradients = node(seed).gradients(clip_gradient="straight_through")
    assert worst(gradients, node(seed).autograd(straight_through_clip)) <= 1e-13


def test_the_random_nodes_see_the_order_of_the_gates() -> None:
    inputs, attributes = plain("LSTM")
    expected = outputs(onnx.run("LSTM", inputs, attributes))
    for order in list(permutations(range(4)))[1:]:
        assert worst(outputs(onnx.run("LSTM", inputs | blocks(inputs, order), attributes)), expected) > 1e-2


# ---- Options and choices --------------------------------------------------------------------------------------------

T, B, D, H = 4, 3, 2, 5


def plain(op_type: str, dirs: int = 1, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Every input of an operator but sequence_lens, in layout 0, and an attribute or two."""
    rng, G = np.random.default_rng(seed), GATES[op_type]
    shapes = {"X": (T, B, D), "W": (dirs, G * H, D), "R": (dirs, G * H, H), "B": (dirs, 2 * G * H)}
    shapes |= {"initial_h": (dirs, B, H), "initial_c": (dirs, B, H), "P": (dirs, 3 * H)}
    inputs = {k: rng.standard_normal(shapes[k]) for k in INPUTS[op_type] if k in shapes}
    return inputs, {"hidden_size": H, "direction": "bidirectional" if dirs == 2 else "forward"}


def cotangents(ran: onnx.Run, seed: int = 1) -> Arrays:
    rng = np.random.default_rng(seed)
    return {f"d{k}": rng.standard_normal(a.shape).astype(a.dtype) for k, a in outputs(ran).items()}


def gradients_of(op_type: str, inputs: Arrays, attributes: Arrays, **options: Any) -> Arrays:
    ran = onnx.run(op_type, inputs, attributes, **options)
    return ran.backward(**cotangents(ran))


@pytest.mark.parametrize("op_type", INPUTS)
def test_straight_through_matters_only_where_something_clips(op_type: str) -> None:
    inputs, attributes = plain(op_type)
    plainly = gradients_of(op_type, inputs, attributes)
    for limit, same in ((1e3, True), (0.5, False)):
        true, straight = (
            gradients_of(op_type, inputs, attributes | {"clip": limit}, clip_gradient=name)
            for name in ("true", "straight_through")
        )
        assert (worst(straight, true) == 0) == same
        assert (worst(true, plainly) == 0) == same


def test_the_options_change_what_they_name_and_nothing_else() -> None:
    inputs, attributes = plain("LSTM")
    attributes["clip"] = 0.5
    ran = onnx.run("LSTM", inputs, attributes)
    for option in ({"clip_cell": False}, {"output_peephole": "old"}):
        other = onnx.run("LSTM", inputs, attributes, **option)
        assert check.normwise(other.Y, ran.Y) > 1e-2
        one_step = {**inputs, "X": inputs["X"][:1]}
        np.testing.assert_array_equal(
            onnx.run("LSTM", one_step, attributes, **option).Y_c, onnx.run("LSTM", one_step, attributes).Y_c
        )
    assert np.max(np.abs(ran.Y_c)) > attributes["clip"], "what is carried on is not clipped"
    inputs["P"][:, H : 2 * H] = 0
    for output_peephole in ("new", "old"):
        same = onnx.run("LSTM", inputs, attributes, output_peephole=output_peephole)
        assert worst(outputs(same), outputs(onnx.run("LSTM", inputs, attributes))) <= 1e-15


def test_coupled_gates_leave_the_forget_blocks_unused() -> None:
    inputs, attributes = plain("LSTM", dirs=2)
    attributes["input_forget"] = 1
    expected = onnx.run("LSTM", inputs, attributes)
    forget = {"W": [slice(2 * H, 3 * H)], "B": [slice(2 * H, 3 * H), slice(6 * H, 7 * H)], "P": [slice(2 * H, 3 * H)]}
    forget["R"] = forget["W"]
    gradients = expected.backward(**cotangents(expected))
    for name, slices in forget.items():
        for part in slices:
            inputs[name][:, part] = np.nan
            assert not gradients[name][:, part].any()
    assert worst(outputs(onnx.run("LSTM", inputs, attributes)), outputs(expected)) == 0


@pytest.mark.parametrize("op_type", INPUTS)
def test_padding_has_no_influence_and_an_empty_row_ends_in_its_initial_state(op_type: str) -> None:
    inputs, attributes = plain(op_type, dirs=2)
    inputs["sequence_lens"] = np.array([2, 0, T])
    inputs["X"][2:, 0] = inputs["X"][:, 1] = np.nan
    ran = onnx.run(op_type, inputs, attributes)
    assert not ran.Y[2:, :, 0].any()
    assert not ran.Y[:, :, 1].any()
    np.testing.assert_array_equal(ran.Y_h[:, 1], inputs["initial_h"][:, 1])
    d = cotangents(ran)
    gradients = ran.backward(**d)
    assert all(np.isfinite(a).all() for a in gradients.values())
    np.testing.assert_array_equal(gradients["initial_h"][:, 1], d["dY_h"][:, 1])
    assert not gradients["X"][2:, 0].any()


@pytest.mark.parametrize("op_type", INPUTS)
def test_float32_stays_float32_and_inputs_stay_as_they_are(op_type: str) -> None:
    inputs, attributes = plain(op_type, dirs=2)
    attributes |= {"clip": np.float64(0.7), "activations": ["HardSigmoid"] * 2 * len(DEFAULT[op_type])}
    attributes |= {"activation_alpha": np.array([0.3]), "activation_beta": np.array([0.4])}
    exact = gradients_of(op_type, inputs, attributes)
    inputs = {k: a.astype(np.float32) for k, a in inputs.items()}
    for a in inputs.values():
        a.flags.writeable = False
    ran = onnx.run(op_type, inputs, attributes)
    gradients = gradients_of(op_type, inputs, attributes)
    assert {a.dtype for a in (*outputs(ran).values(), *gradients.values())} == {np.dtype(np.float32)}
    assert worst(gradients, exact) < 1e-5


def test_absent_cotangents_count_as_zero() -> None:
    ran = onnx.run("LSTM", *plain("LSTM", dirs=2))
    d = cotangents(ran)
    parts = [ran.backward(**{name: a}) for name, a in d.items()]
    whole = ran.backward(**d)
    assert worst({name: sum(part[name] for part in parts) for name in whole}, whole) <= 1e-14
    assert not any(a.any() for a in ran.backward(0 * d["dY"]).values())


def test_only_what_was_given_has_a_gradient() -> None:
    inputs, attributes = plain("LSTM")
    few = {name: inputs[name] for name in "XWR"} | {"B": None}
    assert list(gradients_of("LSTM", few, attributes)) == ["X", "W", "R"]
    zeros = {name: 0 * a for name, a in inputs.items()} | few | {"B": 0 * inputs["B"]}
    assert worst(outputs(onnx.run("LSTM", few)), outputs(onnx.run("LSTM", zeros))) == 0


def test_defaults_of_alpha_and_beta() -> None:
    inputs, _ = plain("RNN")
    usual = {"Affine": (1, 0), "LeakyRelu": (0.01,), "ThresholdedRelu": (1,), "ScaledTanh": (1, 1)}
    for name, values in (usual | {"HardSigmoid": (0.2, 0.5), "Elu": (1,)}).items():
        given = {f"activation_{key}": [v] for key, v in zip(("alpha", "beta"), values, strict=False)}
        with_values = onnx.run("RNN", inputs, given | {"activations": [name]})
        assert worst(outputs(onnx.run("RNN", inputs, {"activations": [name]})), outputs(with_values)) == 0


def test_values_go_in_order_to_the_activations_that_take_one() -> None:
    inputs, _ = plain("LSTM")
    names = ["Tanh", "LeakyRelu", "HardSigmoid"]
    swapped = {"activations": names, "activation_alpha": [0.1, 0.3], "activation_beta": [0.4]}
    expected = evaluate("LSTM", inputs, swapped)
    assert worst(outputs(onnx.run("LSTM", inputs, swapped)), expected) <= 1e-14
    assert worst(outputs(onnx.run("LSTM", inputs, swapped | {"activation_alpha": [0.3, 0.1]})), expected) > 1e-2


def test_thresholded_relu_lets_its_threshold_pass() -> None:
    inputs = {"X": np.full((1, 1, 1), 3.0), "W": np.ones((1, 1, 1)), "R": np.ones((1, 1, 1))}
    ran = onnx.run("RNN", inputs, {"activations": ["ThresholdedRelu"], "activation_alpha": [1.0], "clip": 1.0})
    assert ran.Y.item() == 1


def test_the_default_of_the_rnn_schema_has_two_names() -> None:
    inputs, attributes = plain("RNN")
    named = onnx.run("RNN", inputs, attributes | {"activations": ["Tanh", "Tanh"]})
    assert worst(outputs(named), outputs(onnx.run("RNN", inputs))) == 0


# ---- Errors ---------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[str, Arrays, Arrays]] = {
    "op_type is 'Gru'; expected 'LSTM' or 'GRU' or 'RNN'": ("Gru", {}, {}),
    "input_forget is no attribute of RNN; expected hidden_size, direction, layout, clip, activations, "
    "activation_alpha, activation_beta": ("RNN", {}, {"input_forget": 1}),
    "direction is 'back'; expected 'forward' or 'reverse' or 'bidirectional'": ("LSTM", {}, {"direction": b"back"}),
    "layout is 2; expected 0 or 1": ("LSTM", {}, {"layout": 2}),
    "clip is -1; expected a threshold of at least 0, or no clip": ("LSTM", {}, {"clip": -1.0}),
    "activations are Swish; Swish is none of Relu, Tanh, Sigmoid, Affine, LeakyRelu, ThresholdedRelu, ScaledTanh, "
    "HardSigmoid, Elu, Softsign, Softplus": ("RNN", {}, {"activations": ["Swish"]}),
    "activations are Sigmoid, Tanh; expected 3, 3 for each direction": (
        "LSTM",
        {},
        {"activations": ["Sigmoid", "Tanh"]},
    ),
    "activation_alpha has 2 values more than Elu, Tanh take": (
        "GRU",
        {},
        {"activations": ["Elu", "Tanh"], "activation_alpha": [1.0, 2.0, 3.0]},
    ),
    "C is no input of LSTM; expected X, W, R, B, sequence_lens, initial_h, initial_c, P": (
        "LSTM",
        {"C": np.zeros(1)},
        {},
    ),
    "P is no input of GRU; expected X, W, R, B, sequence_lens, initial_h": ("GRU", {"P": np.zeros(1)}, {}),
    "X, R missing; LSTM needs X, W, R": ("LSTM", {"X": None, "R": None}, {}),
    "hidden_size is 4; expected 5, as R has shape (1, 20, 5)": ("LSTM", {}, {"hidden_size": 4}),
    "X has shape (4, 3); expected 3 axes": ("LSTM", {"X": np.zeros((T, B))}, {}),
    "sequence_lens is [4, 5, 1]; expected batch_size=3 integers from 0 to seq_length=4": (
        "LSTM",
        {"sequence_lens": np.array([4, 5, 1])},
        {},
    ),
    "sequence_lens is [4.0, 2.0, 1.0]; expected batch_size=3 integers from 0 to seq_length=4": (
        "RNN",
        {"sequence_lens": np.array([4.0, 2.0, 1.0])},
        {},
    ),
    "W has shape (1, 20, 3); expected (num_directions=1, 4*hidden_size=20, input_size=2)": (
        "LSTM",
        {"W": np.zeros((1, 20, 3))},
        {},
    ),
    "W has shape (1, 20, 2); expected (num_directions=2, 4*hidden_size=20, input_size=2)": (
        "LSTM",
        {},
        {"direction": "bidirectional"},
    ),
    "R has shape (1, 4, 5); expected (num_directions=1, hidden_size=5, hidden_size=5)": (
        "RNN",
        {"R": np.zeros((1, 4, 5))},
        {},
    ),
    "B has shape (1, 15); expected (num_directions=1, 6*hidden_size=30)": ("GRU", {"B": np.zeros((1, 15))}, {}),
    "initial_h has shape (1, 3, 5); expected (batch_size=3, num_directions=1, hidden_size=5)": (
        "GRU",
        {"X": np.zeros((B, T, D)), "initial_h": np.zeros((1, B, H))},
        {"layout": 1},
    ),
    "initial_c has dtype float32; expected float64, the dtype of X": (
        "LSTM",
        {"initial_c": np.zeros((1, B, H), np.float32)},
        {},
    ),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors(message: str) -> None:
    op_type, inputs, attributes = ERRORS[message]
    usual = plain(op_type)[0] if op_type in INPUTS else {}
    with pytest.raises(OnnxError) as caught:
        onnx.run(op_type, usual | inputs, attributes)
    assert str(caught.value) == message


def test_errors_of_options_and_cotangents() -> None:
    inputs, attributes = plain("GRU")
    for option, message in (
        ({"clip_gradient": "none"}, "clip_gradient is 'none'; expected 'true' or 'straight_through'"),
        ({"output_peephole": 1}, "output_peephole is 1; expected 'new' or 'old'"),
    ):
        with pytest.raises(OnnxError) as caught:
            onnx.run("GRU", inputs, attributes, **option)
        assert str(caught.value) == message
    ran = onnx.run("GRU", inputs, attributes)
    for given, message in (
        ({"dY_c": ran.Y_h}, "dY_c was given; GRU has no Y_c"),
        (
            {"dY": ran.Y[0]},
            "dY has shape (1, 3, 5); expected (seq_length=4, num_directions=1, batch_size=3, hidden_size=5)",
        ),
        ({"dY_h": ran.Y_h.astype(np.float32)}, "dY_h has dtype float32; expected float64, the dtype of X"),
    ):
        with pytest.raises(OnnxError) as caught:
            ran.backward(**given)
        assert str(caught.value) == message


JUNK = (
    None,
    b"\xff",
    "forward",
    "",
    -1,
    2.5,
    float("nan"),
    [1],
    [[1.0]],
    ["Tanh"],
    [None],
    {},
    object(),
    np.array([1, 2]),
)


@pytest.mark.parametrize("op_type", INPUTS)
def test_whatever_an_attribute_or_input_is_the_node_runs_or_says_what_is_wrong(op_type: str) -> None:
    inputs, refused = plain(op_type)[0], 0
    for name, value in product(OPERATORS[op_type].attributes, JUNK):
        with contextlib.suppress(OnnxError):
            onnx.run(op_type, inputs, {name: value})
            refused -= 1
        refused += 1
    for name, value in product(INPUTS[op_type], JUNK[1:]):
        with pytest.raises(OnnxError):
            onnx.run(op_type, inputs | {name: value})
    assert refused > 80
    assert onnx.run(op_type.encode(), inputs).Y.shape == onnx.run(op_type, inputs).Y.shape  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"clip": "forward"}, "clip is 'forward'; expected a number"),
        ({"direction": b"\xff"}, "direction is '\\\\xff'; expected 'forward' or 'reverse' or 'bidirectional'"),
        ({"activations": [1, 2, 3]}, "activations is [1, 2, 3]; expected a list of names"),
        ({"activation_alpha": 1.5}, "activation_alpha is 1.5; expected a list of numbers"),
        ({"hidden_size": np.array([1, 2])}, "hidden_size is [1, 2]; expected an integer"),
    ],
)
def test_attributes_of_another_kind(attributes: Arrays, message: str) -> None:
    with pytest.raises(OnnxError) as caught:
        onnx.run("LSTM", plain("LSTM")[0], attributes)
    assert str(caught.value) == message


def test_half_precision_is_named_as_the_input_that_it_is() -> None:
    inputs = {name: a.astype(np.float16) for name, a in plain("LSTM")[0].items()}
    with pytest.raises(OnnxError, match=r"^X has dtype float16; expected float32 or float64 "):
        onnx.run("LSTM", inputs)


def test_integers_have_no_gradient() -> None:
    inputs = {name: np.ones(a.shape, int) for name, a in plain("RNN")[0].items()}
    with pytest.raises(OnnxError, match=r"X has dtype int64; expected float32 or float64 \(widen the inputs first\)"):
        onnx.run("RNN", inputs)
