"""The committed sets of cases, other languages that read them, other sets, and ONNX node tests."""

import json
import re
import shlex
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx as library
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from cases import seeds
from numpy_lstm import cli, judge, onnx
from numpy_lstm.cases import files, inputs, onnx_cases
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.folder import replacing
from numpy_lstm.cases.network import Network
from numpy_lstm.check import CaseError, normwise
from numpy_lstm.mistakes import vectors

HERE = Path(__file__).parent.parent / "reference" / "vectors"
COMMANDS = dict(re.findall(r"^\| `(\w+)` \| `numpy-lstm (vectors .+)` \|$", (HERE / "README.md").read_text(), re.M))
COMMITTED = ["gru", "lstm", "peephole_lstm", "rnn"]
CASES = sorted(HERE.glob("*/[!i]*.json"))
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


# ---- Other languages ------------------------------------------------------------------------------------------------


@cache
def hard() -> Case:
    """Numbers that are hard to print and read, in x."""
    rng = np.random.default_rng(0)
    case = Case.random(Network(), "torch", {"T": 9, "B": 2, "D": 5, "H": 3}, rng, lengths=[2, 9])
    case = case._replace(expected=case.run())
    x = rng.integers(0, 2**64, 90, dtype=np.uint64).view(np.float64)
    x[~np.isfinite(x)] = 0.1
    x[:9] = [
        -0.0,
        5e-324,
        2.0**-1022,
        np.nextafter(2.0**-1022, 0),
        np.finfo(float).max,
        1 / 3,
        9007199254740993,
        1e22,
        1e23,
    ]
    return case._replace(arrays=case.arrays | {"x": x.reshape(9, 2, 5)})


def lines(case: Case) -> list[str]:
    """Every number as its bits, as NumPy has them."""
    return [
        " ".join([section, k, *(struct.pack(">d", v).hex() for v in a.ravel().tolist())])
        for section in ("arrays", "expected")
        for k, a in getattr(case, section).items()
    ]


def compiled(tmp_path: Path, source: str, *options: str) -> Path:
    program = tmp_path / "program"
    command = ["gcc", "-O2", "-std=c11", "-Wall", "-Werror", "-Wno-unused-function", *options]
    subprocess.run([*command, HERE / source, "-o", program, "-lm"], check=True)
    return program


def printed(*command: Any) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@needs_gcc
def test_c_reads_the_same_bits(tmp_path: Path) -> None:
    path = files.write_case(tmp_path / "case.json", hard())
    named = [word for line in lines(hard()) for word in line.split()[:2]]
    assert printed(compiled(tmp_path, "read.c"), path, *named) == lines(hard())
    assert lines(files.read_case(path)) == lines(hard())


@needs_node
def test_node_reads_the_same_bits(tmp_path: Path) -> None:
    path = files.write_case(tmp_path / "case.json", hard())
    assert printed("node", HERE / "read.mjs", path) == lines(hard())


# What is wrong in the C program, and the arrays in which it shows.
BUGS = {
    0: ("", set()),
    1: (
        "cell-carry-dropped",
        {"d_c_0", "d_h_0", "d_x", "d_weight_ih_l0", "d_weight_hh_l0", "d_bias_ih_l0", "d_bias_hh_l0"},
    ),
    2: ("gate-order-of-gradient[figo]", {"d_weight_ih_l0", "d_weight_hh_l0", "d_bias_ih_l0", "d_bias_hh_l0"}),
    3: ("bias-gradient-doubled", {"d_bias_ih_l0", "d_bias_hh_l0"}),
}


@needs_gcc
@pytest.mark.parametrize("bug", BUGS)
def test_an_lstm_in_c(bug: int, tmp_path: Path) -> None:
    label, wrong = BUGS[bug]
    program = compiled(tmp_path, "lstm.c", f"-DBUG={bug}")
    for name in ("plain", "lengths", "saturated", "large", "square"):
        case = files.read_case(HERE / "lstm" / f"{name}.json")
        subprocess.run([program, HERE / "lstm" / f"{name}.json", tmp_path / "answer.json"], check=True)
        answer = files.read_answer(tmp_path / "answer.json").arrays
        assert {k for k in case.expected if k.startswith(("output", "h_", "c_", "d_"))} <= answer.keys()
        off = {k: normwise(a, case.expected[k]) for k, a in answer.items()}
        assert {k for k, error in off.items() if error > 1e-14 and not k.startswith("cotangents.")} == wrong
        assert not label or label in case.about["kills"]
    assert label in (HERE / "lstm.c").read_text()


# ---- Sets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMITTED[-len(seeds(4, 1)) :])
def test_the_committed_set_is_what_the_command_writes(name: str, tmp_path: Path) -> None:
    command = shlex.split(COMMANDS[name].replace(f"reference/vectors/{name}", str(tmp_path)))
    assert cli.main(command) == 0
    written = list(tmp_path.iterdir())
    (description,) = [p for p in written if p.name == "FORMAT.md"]  # beside every new set; the repository keeps one
    assert description.read_text(encoding="utf-8") == files.description()
    written.remove(description)
    assert {p.name for p in written} == {p.name for p in (HERE / name).iterdir()} - {"FORMAT.md"}
    for path in written:
        assert path.read_bytes() == (HERE / name / path.name).read_bytes(), (
            f"{path.name}: see reference/vectors/README.md"
        )


@pytest.mark.parametrize("name", COMMITTED)
def test_no_mistake_survives(name: str) -> None:
    index = json.loads((HERE / name / "index.json").read_text())
    assert index["survivors"] == []
    killed = {k for path in (HERE / name).glob("[!i]*.json") for k in files.read_case(path).about["kills"]}
    assert killed == index["killed"].keys()
    assert len(killed) >= 40
    assert {c["file"] for c in index["cases"]} | {"index.json"} == {p.name for p in (HERE / name).glob("*.json")}


def test_the_committed_sets_are_small() -> None:
    assert sorted(COMMANDS) == COMMITTED == sorted(path.name for path in HERE.iterdir() if path.is_dir())
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 2e6


CORNERS: dict[str, Any] = {
    "zero-state": lambda case: not np.any(case.arrays["h_0"]) and not np.any(case.arrays["c_0"]),
    "no-state": lambda case: not {"h_0", "c_0"} & case.arrays.keys() and "d_h_0" not in case.expected,
    "no-bias": lambda case: not [k for k in (*case.arrays, *case.expected) if "bias" in k],
    "unit": lambda case: case.sizes["D"] == case.sizes["H"] == 1,
    "row": lambda case: case.sizes["B"] == 1,
    "step": lambda case: case.sizes["T"] == 1,
    "batch": lambda case: case.sizes["B"] == case.sizes["T"],
    "cells": lambda case: np.all(case.arrays["d_c"] != 0),
    "dropped": lambda case: {*np.unique(case.arrays["l1.dropout"])} == {0.0, float(np.float32(1 / 0.6))},
    "masked": lambda case: not case.arrays["read"][0].all() and case.arrays["read"][-1].all(),
    "reset": lambda case: 0 < case.arrays["reset"][1:].mean() < 1,
}


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_what_every_case_must_have(path: Path) -> None:
    case = files.read_case(path)
    sizes = case.sizes
    if path.stem in CORNERS:
        assert CORNERS[path.stem](case)
    else:
        assert sizes["T"] >= 3
        assert len(set(sizes.values())) == (3 if "square" in path.stem else 4)
    for k, a in case.arrays.items():
        random = path.stem not in CORNERS or inputs.inputs(case.network, case.layout, **sizes)[k].kind == "parameter"
        assert k == "lengths" or not random or np.all(a != 0), f"{k} has zeros"
        assert k == "lengths" or np.all(a == a.astype(np.float32)), f"{k} is beyond float32"
        assert k == "lengths" or not random or len(np.unique(a)) == a.size, f"{k} repeats a number"
    if "lengths" in case.arrays:
        assert {1, sizes["T"]} < set(case.arrays["lengths"].tolist())
    run = case.run()
    assert {k for k in run if "values." not in k and "cotangents." not in k} <= case.expected.keys()
    assert all(normwise(run[k], a) <= 1e-13 for k, a in case.expected.items())
    assert 1 <= case.about["conditioning"] < 1e6


LOOPED = ("cells", "dropped", "masked", "reset")  # what torch.nn does not do
TORCH = [p for p in CASES if p.parent.name in ("lstm", "gru", "rnn") and p.stem not in ("zoneout", *LOOPED)]


@pytest.mark.parametrize("path", TORCH, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_torch_gives_the_expected_results(path: Path) -> None:
    case = files.read_case(path)
    network, places = case.network, case.network.places()
    given = {k: torch.tensor(a, requires_grad=k != "lengths") for k, a in case.arrays.items()}
    options = {"proj_size": network.projection} if network.projection else {}
    options |= {"bias": f"{places[0]}bias_ih_l0" in given}
    module = getattr(torch.nn, network.cell)(
        case.sizes["D"], case.sizes["H"], network.layers, bidirectional=len(places) > network.layers, **options
    ).double()
    theirs = {k: name_for(k, places) for k in given if "weight" in k or "bias" in k}
    states = [k for k in ("h", "c") if f"{places[0]}d_{k}_n" in given]
    zeros = {f"{place}{k}_0": torch.zeros_like(given[f"{place}d_{k}_n"]) for place in places for k in states}
    first = [torch.stack([(zeros | given)[f"{place}{k}_0"] for place in places]) for k in states]

    xs, lengths = given["x"], given.get("lengths")
    if lengths is not None:
        xs = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
    output, last = torch.func.functional_call(
        module, {v: given[k] for k, v in theirs.items()}, (xs, tuple(first) if states[1:] else first[0])
    )
    if lengths is not None:
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    found = {"output": output}
    for k, each in zip(states, last if states[1:] else [last], strict=True):
        found |= {f"{place}{k}_n": a for place, a in zip(places, each, strict=True)}
    loss = sum(
        torch.sum(given[f"d_{k}" if k == "output" else re.sub("([hc]_n)", r"d_\1", k)] * a) for k, a in found.items()
    )
    inputs = [k for k in given if k != "lengths" and not re.search(r"(^|\.)d_", k)]
    gradients = torch.autograd.grad(loss, [given[k] for k in inputs])
    found |= {re.sub(r"([^.]+)$", r"d_\1", k): a for k, a in zip(inputs, gradients, strict=True)}
    assert {k for k in case.expected if "values." not in k and "cotangents." not in k} == found.keys()
    assert max(normwise(a.detach().numpy(), case.expected[k]) for k, a in found.items()) <= 1e-12


@pytest.mark.parametrize("stem", LOOPED)
def test_a_loop_of_torch_operations_gives_the_expected_results(stem: str) -> None:
    case = files.read_case(HERE / "lstm" / f"{stem}.json")
    given = {k: torch.tensor(a) for k, a in case.arrays.items()}
    leaves = [k for k, a in given.items() if a.dtype == torch.float64 and not re.search(r"(^|\.)d_|dropout", k)]
    T, one, xs = case.sizes["T"], torch.ones(case.sizes["B"]), given["x"]
    for k in leaves:
        given[k].requires_grad_()
    loss: Any = 0.0
    for place in case.network.places():
        w = {k: given[place + k] for k in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")}
        h, c, outputs = given[f"{place}h_0"], given[f"{place}c_0"], []
        for t in range(T):
            read, reset = (given.get(k, [z * one] * T)[t][:, None] > 0 for k, z in (("read", 1), ("reset", 0)))
            h, c = (torch.where(reset, 0.0, s) for s in (h, c))
            a = xs[t] @ w["weight_ih_l0"].T + w["bias_ih_l0"] + h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
            i, f, g, o = a.chunk(4, 1)
            cell = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            new = torch.sigmoid(o) * torch.tanh(cell)
            h, c = torch.where(read, new, h), torch.where(read, cell, c)
            outputs.append(torch.where(read, new, 0.0))
            loss = loss + torch.sum(given.get(f"{place}d_c", [0.0 * c] * T)[t] * c)
        loss = loss + torch.sum(given[f"{place}d_h_n"] * h) + torch.sum(given[f"{place}d_c_n"] * c)
        output = torch.stack(outputs)
        xs = output * given.get("l1.dropout", 1.0)
    loss = loss + torch.sum(given["d_output"] * output)
    gradients = torch.autograd.grad(loss, [given[k] for k in leaves])
    found = {re.sub(r"([^.]+)$", r"d_\1", k): a.numpy() for k, a in zip(leaves, gradients, strict=True)}
    assert set(found) == {k for k in case.expected if re.search(r"(^|\.)d_", k)}
    assert max(normwise(a, case.expected[k]) for k, a in found.items()) <= 1e-13
    assert normwise(output.detach().numpy(), case.expected["output"]) <= 1e-14
    judged = judge.judge(case, found | {"output": output.detach().numpy()}, partial=True)
    assert judged.verdict == "pass"


def name_for(name: str, places: list[str]) -> str:
    """``l1_reverse.bias_ih_l0`` is torch's ``bias_ih_l1_reverse``."""
    place, _, own = name.rpartition(".")
    return own if places == [""] else own.replace("_l0", f"_{place}")


def test_float32_kills_all_but_float32(tmp_path: Path) -> None:
    written = vectors.write_set(tmp_path, "RNN", "keras", "float32", 3, "npz")
    index = json.loads((tmp_path / "index.json").read_text())
    assert {"computed-in-float32", "rounded-to-float32"} >= set(index["survivors"])
    assert files.read_case(written[0]).dtype == "float32"
    (other,) = vectors.cases("RNN", "keras", only=["plain"], mistakes=False)
    assert np.all(files.read_case(written[0]).arrays["x"] != other.arrays["x"])


@pytest.mark.parametrize(
    ("cell", "layout"), [("CoupledLSTM", "records"), ("LSTM", "haiku"), ("LayerNormLSTM", "records")]
)
def test_other_cells_and_layouts(cell: str, layout: str) -> None:
    for case in vectors.cases(cell, layout, only=["saturated"]):
        assert case.expected.keys() <= case.run().keys()
        assert case.about["kills"]


def test_unknown_names(tmp_path: Path) -> None:
    for call, message in (
        (lambda: vectors.cases("LTSM", "torch"), "cell is 'LTSM'; expected one of those known: RNN, LSTM"),
        (lambda: vectors.cases("LSTM", "tensor"), "'tensor' is no layout; known are torch"),
        (lambda: vectors.cases("PeepholeLSTM", "torch"), "torch has no place for the parameters of PeepholeLSTM"),
        (lambda: vectors.cases("LSTM", "torch", only=["plan"]), "'plan' is no recipe; known are plain"),
        (lambda: vectors.write_set(tmp_path, "RNN", format="onnx"), "ONNX expresses no case of RNN in layout torch"),
        (lambda: vectors.write_set(tmp_path, "RNN", format="hdf5"), "'hdf5' is no format; known are json"),
        (lambda: vectors.cases("RNN", "torch", "float8"), "dtype is 'float8'; expected float64 or float32 or float16"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            call()


def killed_while_writing(target: Path, seed: int, files_written: int) -> None:
    """Another process that is killed once so many files of a set stand."""
    code = f"""if True:
        import os, signal
        from numpy_lstm.mistakes import vectors
        write, n = vectors.files.write_case, [0]
        def dies(path, case):
            n[0] += 1
            if n[0] > {files_written}: os.kill(os.getpid(), signal.SIGKILL)
            return write(path, case)
        vectors.files.write_case = dies
        vectors._mistakes = lambda case, known: ([], [])
        vectors.write_set({str(target)!r}, "RNN", seed={seed}, only=["plain", "lengths"])
    """
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE.parent.parent, check=False).returncode == -9


def test_a_set_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_mistakes", lambda case, known: ([], []))
    target, options = tmp_path / "set", {"only": ["plain", "projected"], "seed": 0}
    vectors.write_set(target, "LSTM", **options)
    killed_while_writing(target, 1, 1)
    assert {files.read_case(p).about["seed"] for p in target.glob("[!i]*.json")} == {0}
    assert json.loads((target / "index.json").read_text())["seed"] == 0
    written = vectors.write_set(target, "RNN", **options | {"seed": 2})  # which has fewer cases
    assert sorted(written) == sorted(target.iterdir())
    assert [p.name for p in tmp_path.iterdir()] == ["set"]  # what the killed process left is gone
    target.rename(tmp_path / ".set.old")  # killed between two renames
    with pytest.raises(CaseError, match="'hdf5' is no format"):
        vectors.write_set(target, "RNN", format="hdf5")
    vectors.write_set(target, "RNN", **options)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(CaseError, match=re.escape(f"{target}: holds notes.txt, which is no part of a set")):
        vectors.write_set(target, "RNN", **options)
    assert (target / "notes.txt").read_text() == "mine"


def test_two_processes_do_not_write_one_set(tmp_path: Path) -> None:
    with (
        replacing(tmp_path / "set", set()) as new,
        pytest.raises(CaseError, match="another process is writing there"),
        replacing(tmp_path / "set", set()),
    ):
        pass
    assert not new.exists()


def test_a_set_is_written_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    for text in "ab":
        with replacing(tmp_path / "link", {"index.json"}) as new:
            (new / "index.json").write_text(text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real" / "index.json").read_text() == text
    assert len(list(tmp_path.iterdir())) == 2


def test_options_of_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(vectors, "_mistakes", lambda case, known: ([], []))
    command = ["vectors", str(tmp_path / "set"), "--cell", "RNN", "--format", "npz", "--no-state", "--no-bias"]
    assert cli.main([*command, "--sizes", "3,2,1,4", "--dtype", "bfloat16"]) == 0
    for path in (tmp_path / "set").glob("*.npz"):
        case = files.read_case(path)
        changed = {"square": {"D": 4}, "unit": {"D": 1, "H": 1}, "row": {"B": 1}, "step": {"T": 1}, "batch": {"B": 3}}
        assert case.sizes == {"T": 3, "B": 2, "D": 1, "H": 4} | changed.get(path.stem, {})
        assert not [k for k in case.arrays if "bias" in k or k.endswith("_0")]
        for a in case.arrays.values():  # eight bits each
            assert np.array_equal(a, a.astype(np.float32).view(np.uint32).__and__(0xFFFF0000).view(np.float32))
    for huge, said in (("10001,1,1,1", "T=10001"), ("50,50,3,1000", "= 2500000"), ("1,1,3000000,1", "3000000 numbers")):
        assert cli.main([*command, "--sizes", huge]) == 3
        assert said in capsys.readouterr().err
    assert cli.main([*command, "--sizes", "3,2,1"]) == 3
    assert "'3,2,1' is not T,B,D,H: four numbers of at least 1" in capsys.readouterr().err


def test_the_page_names_what_the_files_have() -> None:
    page = files.description()
    assert all(word in page for word in (files.CASE, files.ANSWER, *files.FORMATS, *Network()._fields))
    assert all(f"about.{k}`" in page for k in ("digits", "conditioning", "kills", "survivors"))
    assert max(map(len, page.splitlines())) <= 180


# ---- ONNX -----------------------------------------------------------------------------------------------------------


@cache
def onnx_set(cell: str, dtype: str = "float64") -> list[Case]:
    return vectors.cases(cell, "onnx", dtype, 0, ["plain", "lengths", "bidirectional"], mistakes=False)


@pytest.mark.parametrize("cell", [page.name for page in onnx_cases.OPERATORS])
def test_node_tests(cell: str, tmp_path: Path) -> None:
    for case in onnx_set(cell):
        paths = onnx_cases.write_onnx(tmp_path / case.name, case)
        model = library.load(paths[0])
        library.checker.check_model(model, full_check=True)
        (node,) = model.graph.node
        loaded: dict[str, Any] = {}
        for kind, infos in (("input", model.graph.input), ("output", model.graph.output)):
            for k, info in enumerate(infos):
                path = tmp_path / case.name / "test_data_set_0" / f"{kind}_{k}.pb"
                assert path in paths
                loaded[info.name] = numpy_helper.to_array(library.load_tensor(path))
        assert loaded["X"].shape[:2] == (6, 3)
        attributes = {a.name: library.helper.get_attribute_value(a) for a in node.attribute}
        inputs = {k: loaded[k] for k in node.input if k}
        ran = onnx.run(node.op_type, inputs, attributes)
        for k in node.output:
            np.testing.assert_allclose(loaded[k], getattr(ran, k), rtol=0, atol=1e-15)

        # The evaluator of onnx 1.22 has one direction, no lengths, no Y_c and no Relu.
        if case.name.endswith("plain") and cell != "ReLURNN":
            del node.output[2:]
            del model.graph.output[2:]
            for k, a in zip(node.output, ReferenceEvaluator(model).run(None, inputs), strict=True):
                np.testing.assert_allclose(a, loaded[k], rtol=0, atol=1e-15)


def test_node_tests_of_float32_and_what_onnx_lacks(tmp_path: Path) -> None:
    (case, *_) = onnx_set("RNN", "float32")
    onnx_cases.write_onnx(tmp_path / "node", case)
    assert numpy_helper.to_array(library.load_tensor(tmp_path / "node/test_data_set_0/output_0.pb")).dtype == np.float32
    for lacking, message in (
        (case._replace(layout="torch"), "is no ONNX node; expected layout onnx"),
        (case._replace(network=case.network._replace(layers=2)), "is no ONNX node"),
        (case._replace(expected={}), "has no expected output"),
    ):
        with pytest.raises(CaseError, match=message):
            onnx_cases.write_onnx(tmp_path / "none", lacking)
    assert not (tmp_path / "none").exists()
    written = vectors.write_set(tmp_path / "set", "RNN", "onnx", format="onnx")
    assert {p.relative_to(tmp_path / "set").parts[0] for p in written} >= {"plain", "lengths", "bidirectional"}
    assert not (tmp_path / "set" / "layers").exists()
