"""Case and answer files: written and read back bit for bit, or refused with one line, whatever the bytes."""

import io
import json
import os
import re
import stat
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_lstm import flow
from numpy_lstm.cases import files
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.network import Network
from numpy_lstm.check import CaseError


def small(network: Network = Network(), lengths: Any = None, **sizes: int) -> Case:  # noqa: B008
    sizes = {"T": 3, "B": 2, "D": 1, "H": 3} | sizes
    case = Case.random(network, "torch", sizes, np.random.default_rng(0), lengths=lengths)
    return case._replace(expected=case.run(), about={"said": "Grüße"})


def bits(arrays: dict[str, Any]) -> dict[str, Any]:
    return {k: (a.shape, a.dtype, a.tobytes()) for k, a in arrays.items()}


# ---- There and back -------------------------------------------------------------------------------------------------

NETWORKS = {
    "plain": (Network(), None),
    "bidirectional": (Network("GRU", direction="bidirectional"), [3, 1]),
    "layers": (Network(projection=2, layers=2), [1, 3]),
    "zoneout": (Network(zoneout=True), None),
}


@pytest.mark.parametrize("suffix", files.FORMATS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_case_comes_back_bit_for_bit(kind: str, suffix: str, tmp_path: Path) -> None:
    case = small(*NETWORKS[kind])
    path = files.write_case(tmp_path / f"case.{suffix}", case)
    first = path.read_bytes()
    read = files.read_case(path)
    assert read._replace(arrays={}, expected={}) == case._replace(arrays={}, expected={})
    assert bits(read.arrays) == bits(case.arrays)
    assert bits(read.expected) == bits(case.expected)
    assert files.write_case(path, read).read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", files.FORMATS)
def test_an_answer_comes_back_in_its_dtype(suffix: str, tmp_path: Path) -> None:
    wide = small().expected
    narrow = {k: np.asfortranarray(a.astype(np.float32)) for k, a in wide.items()}
    path = tmp_path / "new" / f"answer.{suffix}"
    for arrays, asked, dtype in ((wide, None, "float64"), (narrow, None, "float32"), (wide, "float32", "float32")):
        read = files.read_answer(files.write_answer(path, arrays, asked))
        assert read.dtype == dtype
        assert bits(read.arrays) == bits({k: a.astype(dtype) for k, a in wide.items()})


def test_answers_without_a_schema(tmp_path: Path) -> None:
    arrays = {"d_x": np.arange(6.0).reshape(1, 2, 3), "d_h_0": np.array([[0.5, -0.0]]), "one": np.array(2.5)}
    (tmp_path / "a.json").write_text(json.dumps({k: a.tolist() for k, a in arrays.items()}))
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    save_file(arrays, tmp_path / "a.safetensors")
    for suffix in files.FORMATS:
        answer = files.read_answer(tmp_path / f"a.{suffix}")
        assert answer.dtype is None
        assert bits(answer.arrays) == bits(arrays)
    np.savez(tmp_path / "b.npz", d_x=np.arange(3, dtype=">f4"))
    assert files.read_answer(tmp_path / "b.npz").arrays["d_x"].dtype == np.float32


def save_file(arrays: dict[str, Any], path: Path) -> None:
    from safetensors import numpy

    numpy.save_file(arrays, path)


def test_a_file_reaches_the_disk_before_its_name_and_then_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, rename = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        flush(handle)

    def replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    files.write_case(tmp_path / "case.json", small())
    assert done == ["file", "rename", "directory"]
    table = flow.table.Table("c", "t", np.arange(2), {"c": np.ones(2)})
    table.to_csv(tmp_path / "c.csv")
    assert done == 2 * ["file", "rename", "directory"]
    assert (tmp_path / "c.csv").read_text() == "t,c\n0,1.0\n1,1.0\n"


# ---- Bad input ------------------------------------------------------------------------------------------------------


def edited(**changes: Any) -> dict[str, Any]:
    """A case as JSON has it, with some fields changed or, where None, taken out."""
    return {k: v for k, v in (plain_json() | changes).items() if v is not None}


@cache
def text() -> str:
    case = small(Network("RNN"), T=2, B=1, H=2)
    return files.encode(".json", files.Document(*_parts(case))).decode()


def _parts(case: Case) -> Any:
    fields = {"schema": files.CASE, "name": case.name, "network": case.network._asdict()}
    fields |= {"layout": case.layout, "dtype": case.dtype, "about": case.about}
    return fields, {"arrays": case.arrays, "expected": case.expected}


def plain_json() -> dict[str, Any]:
    return dict(json.loads(text()))


def arrays(**changes: Any) -> dict[str, Any]:
    given = plain_json()["arrays"] | changes
    return edited(arrays={k: v for k, v in given.items() if v is not None})


def network(**changes: Any) -> dict[str, Any]:
    return edited(network=plain_json()["network"] | changes)


ONE = {"shape": [1], "data": [1]}
BAD_CASES: dict[str, Any] = {
    "is no json file, or a damaged one: Expecting value: line 1 column 1 (char 0)": "",
    "is no json file, or a damaged one: Unterminated string starting at: line 2 column 2 (char 3)": text()[:7],
    "holds a JSON list; expected an object": [],
    "expected the schema numpy-lstm/case/1; found 'numpy-lstm/answer/1'": edited(schema="numpy-lstm/answer/1"),
    "expected the schema numpy-lstm/case/1, the version that this numpy-lstm knows, not numpy-lstm/case/2": edited(
        schema="numpy-lstm/case/2"
    ),
    "expected the schema numpy-lstm/case/1; found None": {"x": [[[1.0]]]},
    "layout, about missing; expected schema, name, network, layout, dtype, about": edited(layout=None, about=None),
    "mood not expected; expected schema, name, network, layout, dtype, about": edited(mood="good"),
    "name is 3; expected a line of text": edited(name=3),
    "name is 'two\\nlines'; expected a line of text": edited(name="two\nlines"),
    "dtype is 'int8'; expected float64 or float32 or float16 or bfloat16": edited(dtype="int8"),
    "has T=2 and T * B * H * layers = 4194304; expected at most 10000 and 2097152, unless large cases": arrays(
        d_h_n={"shape": [1, 2**21], "data": [1.0] * 2**21}
    ),
    "lengths and read are given; expected": arrays(lengths=[1], read=[[1], [1]]),
    "read holds other numbers than 0 and 1": arrays(read=[[2], [1]]),
    "reset has shape (1, 2); expected (2, 1)": arrays(reset=[[0, 1]]),
    "'tensor' is no layout; known are": edited(layout="tensor"),
    "layers is True; expected an integer": network(layers=True),
    "layers is 1000000000; the arrays are for at most": network(layers=10**9),
    "layers is 0; expected an integer of at least 1": network(layers=0),
    "projection is 1000000000; the arrays are for at most 2": network(projection=10**9),
    "cell is 'LTSM'; expected one of those known: RNN, LSTM": network(cell="LTSM"),
    "zoneout is for one layer read forward": network(zoneout=True, layers=2),
    "GRU cannot be projected": network(cell="GRU", projection=1),
    "case random has no array d_h_n": arrays(d_h_n=None),
    "case random has no array bias_hh_l0": arrays(bias_hh_l0=None),
    "extra not expected; this network has": arrays(extra=ONE),
    "x has shape (1,); expected the shape (T, B, D)": arrays(x=ONE),
    "x is missing; expected the shape (T, B, D)": arrays(x=None),
    "d_h_n has shape (1,); expected (1, 2)": arrays(d_h_n=ONE),
    "bias_ih_l0 has shape (1,); expected (H=2), where H=2 was fixed by weight_ih_l0": arrays(bias_ih_l0=ONE),
    "lengths is [7]; expected B=1 integers from 0 to T=2": arrays(lengths={"shape": [1], "data": [7]}),
    "lengths has shape (2,); expected (1,)": arrays(lengths={"shape": [2], "data": [1, 2]}),
    "x has 2 numbers; expected 3, for its shape is [3]": arrays(x={"shape": [3], "data": [1, 2]}),
    "x has shape [-1, -2]; expected a list of lengths": arrays(x={"shape": [-1, -2], "data": [1, 2]}),
    "x has shape [1.0]; expected a list of lengths": arrays(x={"shape": [1.0], "data": [1]}),
    "x has 1 numbers; expected 1000000000000000000": arrays(x={"shape": [10**9, 10**9], "data": [1]}),
    "x has shape (1000000000, 0); expected at least one number": arrays(x={"shape": [10**9, 0], "data": []}),
    'x has "1.5" in it; expected numbers': arrays(x={"shape": [1], "data": ["1.5"]}),
    "x has true in it; expected numbers": arrays(x={"shape": [1], "data": [True]}),
    'x has "shape"; expected shape and data': arrays(x={"shape": [1]}),
    "x has a number beyond float64": arrays(x={"shape": [1], "data": [10**400]}),
    "x has rows of different lengths along axis 1": arrays(x=[[1], [2, 3]]),
    "arrays is 7; expected an object of arrays by name": edited(arrays=7),
    "x has 2 numbers that are not finite, of 2": arrays(x={"shape": [2, 1, 1], "data": [np.nan, -np.inf]}),
    "about has numbers in it that are not finite": edited(about={"K": [np.inf]}),
    "x has 1 numbers that are not finite, of 1": text()
    .replace("{", '{"x": 0, ', 1)
    .replace('"x": {', '"x": [1e999], "z": {'),
    '"name" stands there twice': text().replace("{", '{"name": "", ', 1),
    "expected/d_x has shape (1,); expected (2, 1, 1)": edited(expected={"d_x": ONE}),
    "expected/dx has shape (1,); expected one of output, h_n": edited(expected={"dx": ONE}),
    "is no json file, or a damaged one: maximum recursion depth": "[" * 10**5,
    "is no json file, or a damaged one: 'utf-8' codec can't decode": b'{"\xff": 1}',
}


@pytest.mark.parametrize("message", BAD_CASES)
def test_bad_cases(message: str, tmp_path: Path) -> None:
    content = BAD_CASES[message]
    path = tmp_path / "bad.json"
    content = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CaseError) as caught:
        files.read_case(path)
    assert str(caught.value).startswith(f"{path}: {message}")


BAD_ANSWERS: dict[str, Any] = {
    "expected the schema numpy-lstm/answer/1; found 'numpy-lstm/case/1'": edited(),
    "dtype missing": {"schema": files.ANSWER, "arrays": {}},
    "d_x has a number beyond float32": {"schema": files.ANSWER, "dtype": "float32", "arrays": {"d_x": [1e300]}},
    'd_x has "a" in it; expected numbers': {"d_x": "a"},
    "d_x has null in it; expected numbers": {"d_x": [None]},
    "d_x has shape (0,); expected at least one number": {"d_x": []},
    'an array is called "a\\nb"; expected letters that can be printed': {"a\nb": 1},
    "expected/x stands there": {"schema": files.ANSWER, "dtype": "float32", "arrays": {}, "expected": {"x": [1]}},
}


@pytest.mark.parametrize("message", BAD_ANSWERS)
def test_bad_answers(message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(BAD_ANSWERS[message]))
    with pytest.raises(CaseError) as caught:
        files.read_answer(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def npy(a: Any, header: bytes | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(a))
    return (
        buffer.getvalue()
        if header is None
        else re.sub(rb"\{.*\} *", lambda found: header.ljust(len(found[0])), buffer.getvalue(), flags=re.S)
    )


HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}"
BAD_ARRAYS: dict[str, dict[str, bytes]] = {
    "d_x has dtype object; expected float64, float32 or integers": {"d_x.npy": npy(np.array([None]))},
    "d_x has dtype complex128; expected float64, float32 or integers": {"d_x.npy": npy(1j)},
    "d_x has dtype bool; expected float64, float32 or integers": {"d_x.npy": npy(True)},
    "d_x has dtype <U1; expected float64, float32 or integers": {"d_x.npy": npy("a")},
    "d_x has 8 bytes of data, which do not fit its shape [999999999999]": {"d_x.npy": npy([1.0], HUGE)},
    "is no npz file, or a damaged one: ": {"d_x.npy": b"nothing"},
    '"notes.txt" stands there; expected each array once, as NAME.npy': {"notes.txt": b""},
    "__numpy_lstm__ has shape (1,) and dtype float64; expected one text": {"__numpy_lstm__.npy": npy([1.0])},
    "its metadata are 3; expected an object": {"__numpy_lstm__.npy": npy("3")},
    "unpacks to 67108865 bytes; expected at most 67108864": {"d_x.npy": bytes(2**26 + 1)},
}


@pytest.mark.parametrize("message", BAD_ARRAYS)
def test_bad_npz(message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in BAD_ARRAYS[message].items():
            file.writestr(name, data)
    with pytest.raises(CaseError) as caught:
        files.read_answer(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "empty.npz").touch()
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "large.json").write_bytes(bytes(2**26 + 1))
    for name, message in {
        "none.json": "cannot be read: No such file or directory",
        "none.npz": "cannot be read: No such file or directory",
        "none.safetensors": "cannot be read: No such file or directory",
        "folder.json": "cannot be read: Is a directory",
        "empty.npz": "is no npz file",
        "empty.safetensors": "is no safetensors file",
        "large.json": "holds 67108865 bytes; expected at most 67108864",
        "case.txt": "has the suffix '.txt'; expected one of .json, .npz, .safetensors",
        "zero\0.json": "embedded null byte",
    }.items():
        for read in (files.read_case, files.read_answer):
            with pytest.raises(CaseError, match=re.escape(message)) as caught:
                read(tmp_path / name)
            assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(CaseError, match=r"case.safetensors: needs the safetensors package: pip install"):
        files.write_case(tmp_path / "case.safetensors", small())


def test_nothing_half_written(tmp_path: Path) -> None:
    case = small()
    for suffix in files.FORMATS:
        path = files.write_case(tmp_path / f"case.{suffix}", case)
        before = path.read_bytes()
        for wrong in (np.full(3, np.nan), np.full(3, None), np.zeros(2, np.longdouble), np.zeros(3, complex), "text"):
            with pytest.raises(CaseError, match=rf"case.{suffix}: x has "):
                files.write_case(path, case._replace(arrays=case.arrays | {"x": wrong}))
        with pytest.raises(CaseError, match=r"not JSON|JSON"):
            files.write_case(path, case._replace(about={"worst": np.inf}))
        with pytest.raises(CaseError, match="dtype is 'half'; expected float64 or float32"):
            files.write_answer(path, {"x": 1.0}, "half")
        assert path.read_bytes() == before
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(CaseError, match=r"folder.json: cannot be written: Is a directory"):
        files.write_case(tmp_path / "folder.json", case)
    assert {p.name for p in tmp_path.iterdir()} == {"folder.json", *(f"case.{suffix}" for suffix in files.FORMATS)}


@cache
def encoded(suffix: str) -> bytes:
    return files.encode(f".{suffix}", files.Document(*_parts(small(Network("RNN"), T=2, B=1, H=1))))


def fuzz(test: Callable[..., None], **strategies: Any) -> None:
    """The test with 200 drawings of each strategy. Hypothesis is imported here: that takes a second."""
    from hypothesis import HealthCheck, given, settings

    checks = list(HealthCheck)
    settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=checks)(
        given(**strategies)(test)
    )()


def test_damaged_files(tmp_path: Path) -> None:
    from hypothesis import strategies as st

    edit = st.tuples(st.integers(0, 10**6), st.integers(0, 30), st.binary(max_size=12))

    def damaged(suffix: str, edits: list[tuple[int, int, bytes]]) -> None:
        data = encoded(suffix)
        for at, length, new in edits:
            at %= len(data) + 1
            data = data[:at] + new + data[at + length :]
        refused_or_read(tmp_path / f"fuzz.{suffix}", data)

    for suffix in files.FORMATS:
        fuzz(damaged, suffix=st.just(suffix), edits=st.lists(edit, min_size=1, max_size=4))


def test_strange_contents(tmp_path: Path) -> None:
    from hypothesis import strategies as st

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.integers(10**20, 10**400) | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["shape", "data", "x"]), inner),
        max_leaves=6,
    )

    def strange(at: list[int], value: Any) -> None:
        whole: Any = {"": json.loads(encoded("json"))}
        place, key = whole, ""
        for k in at:
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner:
                break
            place, key = inner, (list(inner) if isinstance(inner, dict) else range(len(inner)))[k % len(inner)]
        place[key] = value
        refused_or_read(tmp_path / "fuzz.json", json.dumps(whole[""]).encode())

    fuzz(strange, at=st.lists(st.integers(0, 50), max_size=5), value=values)


def refused_or_read(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for read in (files.read_case, files.read_answer):
        said = f"{path}: read"
        try:
            read(path)
        except CaseError as error:
            said = str(error)
        assert said.startswith(f"{path}: ")
        assert len(said.splitlines()) == 1
