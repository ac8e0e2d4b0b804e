"""Files of weights: every number type, names of torch cells, prefixes, and what no file of weights is."""

import contextlib
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx as library
import pytest
import torch
from safetensors.torch import save_file

import numpy_lstm as nl
from numpy_lstm import weight_files
from numpy_lstm.layouts import LayoutError

RNG = np.random.default_rng(0)
KINDS = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell, "RNN": torch.nn.RNNCell}


def safetensors(path: Path, entries: dict[str, tuple[str, tuple[int, ...], bytes]], pad: int = 0) -> Path:
    """A file written by hand, with dtypes that libraries refuse, and a header of any length."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (pad - len(text))
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_safetensors_as_torch_writes_them(tmp_path: Path, dtype: torch.dtype) -> None:
    theirs = {"a.b": (4 * torch.randn(3, 5, dtype=torch.float64)).to(dtype), "empty": torch.zeros(0, 2, dtype=dtype)}
    save_file(theirs, tmp_path / "w.safetensors", {"format": "pt"})
    read = weight_files.read(tmp_path / "w.safetensors")
    assert read.keys() == theirs.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(read[name], nl.arrays.as_numpy(tensor), strict=True)


@pytest.mark.parametrize("pad", [128, 384, 80])  # lengths whose first byte is that of a pickle, or of a zip
def test_no_length_of_a_header_is_taken_for_another_format(tmp_path: Path, pad: int) -> None:
    entries = {"a": ("F32", (2,), np.array([1, 2], np.float32).tobytes())}
    assert weight_files.read(safetensors(tmp_path / "w.safetensors", entries, pad))["a"].tolist() == [1, 2]


@pytest.mark.parametrize(("dtype", "bits"), [("F8_E4M3", 8), ("F8_E5M2", 8), ("F4", 4), ("F8_E8M0", 8), ("NEW", 16)])
def test_numbers_that_need_scales_are_told_by_their_name(tmp_path: Path, dtype: str, bits: int) -> None:
    twin = nl.nn.LSTM(2, 2)
    entries = {k: (dtype, a.shape, bytes(a.size * bits // 8)) for k, a in twin.state_dict().items()}
    path = safetensors(tmp_path / "w.safetensors", entries)
    with pytest.raises(LayoutError) as caught:
        twin.load_state_dict(path)
    said = f"weight_ih_l0 cannot be read as an array: it is stored as {dtype}, which needs scales; expected F64, F32, "
    assert str(caught.value) == said + "F16, BF16"


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2]},
        {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]},
        {"dtype": [], "shape": [2], "data_offsets": [0, 8]},
        [],
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, entry: Any) -> None:
    text = json.dumps({"a": entry}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(LayoutError, match=r"^cannot read .* as safetensors: "):
        weight_files.read(path)


def zipped(path: Path, members: list[tuple[str, Any]], zeros: int = 0) -> Path:
    """An .npz of these arrays, each with so many zeros behind it, whose headers say that they are longer by these."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, a in members:
            with file.open(f"{name}.npy", "w") as member:
                fields = {"descr": "<f8", "fortran_order": False, "shape": (a.size + zeros,)}
                np.lib.format.write_array_header_1_0(member, fields)
                member.write(a.tobytes() + bytes(8 * zeros))
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_and_bytes_of_two_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    entry = '{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'
    for second, said in (("a", "a stands there twice"), ("b", "those before 8 are another's")):
        text = f'{{"a": {entry}, "{second}": {entry}}}'.encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
        with pytest.raises(LayoutError, match=said):
            weight_files.read(path)
    with pytest.raises(LayoutError, match=r"w\.npz as npz: a stands there twice"):
        weight_files.read(zipped(tmp_path / "w.npz", [("a", RNG.random(2)), ("a", RNG.random(2))]))


def test_an_array_is_unpacked_when_it_is_asked_for_and_if_it_is_no_bomb(tmp_path: Path) -> None:
    path = zipped(tmp_path / "w.npz", [("a", RNG.random(2))], zeros=2**23)
    read = weight_files.read(path)
    assert [*read] == ["a"]
    with pytest.raises(LayoutError, match=r"npz: a: it unpacks to 67109008 bytes; expected at most 67108864$"):
        read["a"]


def test_arrays_are_copies_and_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    entries = {k: ("F64", (2,), np.full(2, 1.0).tobytes()) for k in "ab"}
    for change in (lambda path: safetensors(path, entries), lambda path: os.truncate(path, 200)):
        read = weight_files.read(path := safetensors(tmp_path / "w.safetensors", entries))
        first = read["a"]
        os.utime(path, ns=(0, 0))
        change(path)
        assert first.tolist() == [1, 1]
        with pytest.raises(LayoutError, match=r"w\.safetensors as safetensors: b: "):
            read["b"]


def mutated(raw: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes replaced, and perhaps an end cut off."""
    data = bytearray(raw)
    for at in rng.integers(0, len(raw), rng.integers(1, 8)):
        data[at] = rng.integers(256)
    return bytes(data[: rng.integers(len(raw))] if rng.random() < 0.2 else data)


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    rng, read = np.random.default_rng(1), 0
    tensors = {k: torch.tensor(a) for k, a in nl.nn.GRU(2, 3, rng=rng).state_dict().items()}
    save_file(tensors, tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", **{k: a.numpy() for k, a in tensors.items()})
    node = library.helper.make_node("GRU", ["X", "weight_ih_l0", "weight_hh_l0"], ["Y"], hidden_size=3)
    ends = [[library.helper.make_empty_tensor_value_info(k)] for k in "XY"]
    initial = [library.numpy_helper.from_array(a.numpy()[None], k) for k, a in tensors.items()]
    graph = library.helper.make_graph([node], "g", *ends, initial)
    library.save(library.helper.make_model(graph), tmp_path / "w.onnx")
    weights = lambda path: dict(weight_files.read(path))  # noqa: E731
    for name, reader in (("safetensors", weights), ("npz", weights), ("onnx", nl.onnx.read)):
        raw = (tmp_path / f"w.{name}").read_bytes()
        for _ in range(60):
            (tmp_path / f"bad.{name}").write_bytes(mutated(raw, rng))
            with contextlib.suppress(LayoutError, nl.onnx.OnnxError):
                reader(tmp_path / f"bad.{name}")
                read += 1
    assert 20 < read < 160


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.safetensors")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    (tmp_path / "folder.h5").mkdir()
    for path in tmp_path.iterdir():
        with pytest.raises(LayoutError, match=r"(expected a regular file|Is a directory)$"):
            weight_files.read(path)
        with pytest.raises(nl.onnx.OnnxError, match=r"(expected a regular file|Is a directory)$"):
            nl.onnx.read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_a_torch_cell(tmp_path: Path, kind: str) -> None:
    cell = KINDS[kind](3, 4, dtype=torch.float64)
    whole = {f"encoder.{k}": a for k, a in cell.state_dict().items()} | {"head.weight": torch.ones(2, 4)}
    save_file(whole, tmp_path / "w.safetensors")
    twin = getattr(nl.nn, kind)(3, 4)
    twin.load_state_dict(tmp_path / "w.safetensors", prefix="encoder.")
    made = nl.nn.from_state_dict(tmp_path / "w.safetensors", prefix="encoder.")
    assert type(made) is type(twin)
    page = {"LSTM": nl.LSTM, "GRU": nl.GRU, "RNN": nl.RNN}[kind]
    params = nl.layouts.load("torch_cell", cell.state_dict(), page)
    x, h = RNG.standard_normal((2, 3)), torch.zeros(2, 4, dtype=torch.float64)
    stepped = cell(torch.tensor(x), (h, h) if kind == "LSTM" else h)
    expected = (stepped[0] if kind == "LSTM" else stepped).detach().numpy()
    assert nl.check.normwise(nl.forward(page, params, x[None]).hs[0], expected) < 1e-15
    for each in (twin, made):
        assert nl.check.normwise(each.forward(x[None]).output[0], expected) < 1e-15
    with pytest.raises(LayoutError, match=r"expected the names of one torch layer: prefix='encoder\.'$"):
        nl.nn.from_state_dict(whole)
    with pytest.raises(LayoutError, match=r"weight_ih_l0 is called encoder.weight_ih; say prefix='encoder.'$"):
        twin.load_state_dict(whole)
    with pytest.raises(LayoutError, match=r"^encoder\.bias_hh has shape \(2,\); expected"):
        twin.load_state_dict(whole | {"encoder.bias_hh": torch.zeros(2)}, prefix="encoder.")


def test_npz_and_the_names_in_it(tmp_path: Path) -> None:
    twin = nl.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2, rng=RNG)
    np.savez(tmp_path / "w.npz", **{f"enc.{k}": a for k, a in twin.state_dict().items()})
    made = nl.nn.from_state_dict(tmp_path / "w.npz", prefix="enc.")
    assert made.num_layers == 2
    for name, a in twin.state_dict().items():
        np.testing.assert_array_equal(made.state_dict()[name], a)
    np.savez(tmp_path / "bad.npz", **{k: np.array([{}], object) for k in made.state_dict()})
    with pytest.raises(LayoutError, match=r"bad\.npz as npz: weight_ih_l0: Object arrays cannot be loaded"):
        made.load_state_dict(tmp_path / "bad.npz")
