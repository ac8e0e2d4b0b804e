"""Named arrays and a few fields as JSON, .npz or .safetensors bytes, and back, whatever the bytes are.

JSON holds one array a line, as its shape and its numbers, row by row, in shortest decimals that read back bit for bit.
The other two hold the fields as JSON text (.npz under the name __numpy_lstm__, .safetensors in its metadata), and
the names of all sections but the first begin with that of the section: ``expected/d_x``.
"""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..check.given import CaseError
from ..files import regular

SECTIONS = ("arrays", "expected")
LARGEST = 2**26  # bytes of a file, also once unpacked
NPZ_KEY, SAFETENSORS_KEY = "__numpy_lstm__", "numpy_lstm"
Arrays = dict[str, Any]


class Document(NamedTuple):
    """What a file says: ``sections`` are arrays by name; ``fields`` all else, empty where a file has only arrays."""

    fields: dict[str, Any]
    sections: dict[str, Arrays]


def encode(suffix: str, document: Document, finite: bool = True) -> bytes:
    """The bytes of a file; the same for the same document. ``finite``: numbers that are not are refused."""
    writer = _known(suffix, WRITERS)
    return bytes(writer(document.fields, {s: _numbers(a, finite) for s, a in document.sections.items()}))


def decode(path: Path, finite: bool = True) -> Document:
    """What the file says. Raises CaseError, without the name of the file, for whatever cannot be read, and OSError."""
    reader = _known(path.suffix, READERS)
    if (size := regular(path).stat().st_size) > LARGEST:
        raise CaseError(f"holds {size} bytes; expected at most {LARGEST}")
    kind = path.suffix[1:]
    try:
        document: Document = reader(path)
    except (CaseError, OSError):
        raise
    except Exception as error:  # the libraries have many ways to dislike bytes
        raise CaseError(f"is no {kind} file, or a damaged one: {' '.join(str(error).split())}") from None
    return document._replace(sections={s: _numbers(a, finite) for s, a in document.sections.items()})


def _known(suffix: str, known: dict[str, Any]) -> Any:
    if suffix not in known:
        raise CaseError(f"has the suffix {suffix!r}; expected one of {', '.join(known)}")
    return known[suffix]


def _numbers(arrays: Arrays, finite: bool) -> Arrays:
    """The arrays in the byte order of this machine, if they hold numbers, and finite ones where that is asked for."""
    found = {}
    for name, a in arrays.items():
        if not (name and name.isprintable()):
            raise CaseError(f"an array is called {_short(name)}; expected letters that can be printed")
        if a.dtype.kind not in "fiu" or a.dtype.itemsize > 8:
            raise CaseError(f"{name} has dtype {a.dtype}; expected float64, float32 or integers")
        if a.size == 0:
            raise CaseError(f"{name} has shape {a.shape}; expected at least one number")
        if finite and (bad := int(np.sum(~np.isfinite(a)))):
            raise CaseError(f"{name} has {bad} numbers that are not finite, of {a.size}")
        found[name] = a.astype(a.dtype.newbyteorder("="))
    return found


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _to_json(fields: dict[str, Any], sections: dict[str, Arrays]) -> bytes:
    lines = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, allow_nan=False)}" for k, v in fields.items()]
    for section, arrays in sections.items():
        rows = [
            f'  {json.dumps(k)}: {{"shape": {[*a.shape]}, "data": {json.dumps(a.ravel().tolist())}}}'
            for k, a in arrays.items()
        ]
        lines.append(f" {json.dumps(section)}: {{\n" + ",\n".join(rows) + "\n }")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _from_json(path: Path) -> Document:
    top = json.loads(path.read_bytes().decode(), object_pairs_hook=_unique)
    if not isinstance(top, dict):
        raise CaseError(f"holds a JSON {type(top).__name__}; expected an object")
    if "schema" not in top:
        return Document({}, {SECTIONS[0]: {k: _array(k, v) for k, v in top.items()}})
    sections = {}
    for section in SECTIONS:
        arrays = top.pop(section, {})
        if not isinstance(arrays, dict):
            raise CaseError(f"{section} is {_short(arrays)}; expected an object of arrays by name")
        sections[section] = {k: _array(k, v) for k, v in arrays.items()}
    for field, value in top.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise CaseError(f"{field} has numbers in it that are not finite") from None
    return Document(top, sections)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise CaseError(f"{_short(key)} stands there twice")
        found[key] = value
    return found


def _no_number(token: str) -> Any:
    raise CaseError(f"{token} stands there; expected finite numbers")


def _array(name: str, given: Any) -> Any:
    """An array from its shape and data, or from nested lists."""
    if not isinstance(given, dict):
        shape, data = _flat(name, given)
    elif given.keys() != {"shape", "data"}:
        raise CaseError(f"{name} has {', '.join(map(_short, given)) or 'nothing'}; expected shape and data")
    else:
        shape, data = given["shape"], given["data"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 8:
        raise CaseError(f"{name} has shape {_short(shape)}; expected a list of lengths")
    if not isinstance(data, list) or len(data) != math.prod(shape):
        came = f"{len(data)} numbers" if isinstance(data, list) else _short(data)
        raise CaseError(f"{name} has {came}; expected {_short(math.prod(shape))}, for its shape is {_short(shape)}")
    for v in data:
        if type(v) not in (int, float):
            raise CaseError(f"{name} has {_short(v)} in it; expected numbers")
    whole = all(type(v) is int and abs(v) <= 2**53 for v in data)
    try:
        return np.array(data, np.int64 if whole else np.float64).reshape(shape)
    except OverflowError:
        raise CaseError(f"{name} has a number beyond float64") from None


def _flat(name: str, given: Any) -> tuple[Any, Any]:
    """Shape and data of nested lists."""
    shape: list[int] = []
    data = [given]
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) and len(part) == len(data[0]) for part in data):
            raise CaseError(f"{name} has rows of different lengths along axis {len(shape)}")
        shape.append(len(data[0]))
        data = [v for part in data for v in part]
    return shape, data


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except ValueError:  # an integer of thousands of digits
        text = "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


# ---- NumPy ----------------------------------------------------------------------------------------------------------


def _to_npz(fields: dict[str, Any], sections: dict[str, Arrays]) -> bytes:
    buffer = io.BytesIO()
    text = {NPZ_KEY: np.array(json.dumps(fields, allow_nan=False))}
    with zipfile.ZipFile(buffer, "w") as file:
        for name, a in (text | _joined(sections)).items():
            with file.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(a, order="C"), allow_pickle=False)
    return buffer.getvalue()


def _from_npz(path: Path) -> Document:
    arrays: Arrays = {}
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
        if (size := sum(member.file_size for member in members)) > LARGEST:
            raise CaseError(f"unpacks to {size} bytes; expected at most {LARGEST}")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays or name == member.filename:
                raise CaseError(f"{_short(member.filename)} stands there; expected each array once, as NAME.npy")
            arrays[name] = _from_npy(name, file.read(member))
    text = arrays.pop(NPZ_KEY, None)
    if text is not None and (text.dtype.kind != "U" or text.size != 1):
        raise CaseError(f"{NPZ_KEY} has shape {text.shape} and dtype {text.dtype}; expected one text")
    if text is not None:  # NumPy would make a string of any numbers
        text = text.astype(text.dtype.newbyteorder("<")).tobytes().decode("utf-32-le").rstrip("\0")
    return _split(text, arrays)


def _from_npy(name: str, data: bytes) -> Any:
    """An array; nothing is allocated that is not in the file, and nothing unpickled."""
    stream = io.BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise CaseError(f"{name} is of .npy version {version}; expected (1, 0) or (2, 0)")
    shape, fortran, dtype = readers[version](stream)
    rest = data[stream.tell() :]
    if dtype.kind not in "fiuU" or dtype.itemsize == 0:
        raise CaseError(f"{name} has dtype {dtype}; expected float64, float32 or integers")
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(rest):
        raise CaseError(f"{name} has {len(rest)} bytes of data, which do not fit its shape {_short(shape)}")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")


# ---- safetensors ----------------------------------------------------------------------------------------------------


def _to_safetensors(fields: dict[str, Any], sections: dict[str, Arrays]) -> bytes:
    library = _safetensors()
    arrays = {k: np.asarray(a, order="C") for k, a in _joined(sections).items()}
    return bytes(library.numpy.save(arrays, {SAFETENSORS_KEY: json.dumps(fields, allow_nan=False)}))


def _from_safetensors(path: Path) -> Document:
    library = _safetensors()
    with library.safe_open(path, "numpy") as file:
        names = list(file.keys())
        return _split((file.metadata() or {}).get(SAFETENSORS_KEY), {k: file.get_tensor(k) for k in names})


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise CaseError("needs the safetensors package: pip install 'numpy-lstm[files]'") from None
    return safetensors


def _joined(sections: dict[str, Arrays]) -> Arrays:
    first = SECTIONS[0]
    return {k if s == first else f"{s}/{k}": a for s, arrays in sections.items() for k, a in arrays.items()}


def _split(text: str | None, arrays: Arrays) -> Document:
    fields = {} if text is None else json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    if not isinstance(fields, dict):
        raise CaseError(f"its metadata are {_short(fields)}; expected an object")
    sections: dict[str, Arrays] = {s: {} for s in SECTIONS}
    for name, a in arrays.items():
        section, slash, rest = name.partition("/")
        known = slash and section in SECTIONS
        sections[section if known else SECTIONS[0]][rest if known else name] = a
    return Document(fields, sections)


WRITERS = {".json": _to_json, ".npz": _to_npz, ".safetensors": _to_safetensors}
READERS = {".json": _from_json, ".npz": _from_npz, ".safetensors": _from_safetensors}
