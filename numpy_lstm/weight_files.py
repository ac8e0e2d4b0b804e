"""Files of weights as arrays by name: ``.safetensors``, ``.npz``, and Keras' ``.weights.h5``.

The names are those of the file; in an .h5 they are the paths of its data sets, ``layers/lstm/cell/vars/0``. Nothing is
unpickled. bfloat16, which NumPy lacks, becomes float32, exactly.
"""

import json
import math
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .files import regular, shortened, unpacked
from .layouts import LayoutError

Entries = dict[str, Callable[[], Any]]
SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"}
SAFETENSORS |= {f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}
UNPICKLED = "which is not read: hand over torch.load(path, weights_only=True), or save a .safetensors file"
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")


class Arrays(Mapping[str, Any]):
    """The arrays of a file by name. Each is read when it is first asked for, and shares no memory with the file.

    Raises LayoutError for what cannot be read, and where the file has changed since its names were read.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path, self._known, start = fspath(path), dict[str, Any](), b""
        suffix = Path(path).suffix
        self._kind, names = READERS.get(suffix, ("weights", _refuse))
        try:
            self._stamp = _stamp(regular(Path(self._path)))
            with open(self._path, "rb") as file:
                start = file.read(4)
            self._entries = names(self._path)
        except ImportError:
            raise
        except Exception as error:  # there are many ways to be damaged
            pickled = suffix in PICKLES or start == b"PK\x03\x04" or start[:1] == b"\x80"
            if pickled and self._kind in ("safetensors", "weights") and not isinstance(error, OSError):
                raise LayoutError(f"{self._path} is a pickle of torch, {UNPICKLED}") from None
            raise self._failed(error) from None

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            entry = self._entries[name]
            try:
                array = entry()
                if _stamp(Path(self._path)) != self._stamp:
                    raise ValueError("it has changed while it was read")
            except Exception as error:
                raise self._failed(error, f"{name}: ") from None
            self._known[name] = array
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _failed(self, error: Exception, where: str = "") -> LayoutError:
        said = where + (getattr(error, "strerror", None) or " ".join(str(error).split()))
        return LayoutError(f"cannot read {self._path} as {self._kind}: {shortened(said)}")


def read(path: str | PathLike[str]) -> Arrays:
    """The arrays of a file, by name; without one of the suffixes above it is safetensors.

    Raises LayoutError for what cannot be read, ImportError without h5py for an .h5.
    """
    return Arrays(path)


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _from_safetensors(path: str) -> Entries:
    """Eight bytes that give the length of a header in JSON, the header, and the numbers: all that the format is."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little") if size >= 8 else size
        if length > size - 8:
            raise ValueError(f"its header would end at byte {8 + length} of {size}")
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    entries: Entries = {}
    end = 0
    spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    for name, (start, stop) in sorted(spans.items(), key=lambda item: item[1]):
        kind, shape = header[name]["dtype"], tuple(header[name]["shape"])
        told = f"{name} of shape {shape} and dtype {kind} is said to lie in bytes {start} to {stop}"
        known = kind in SAFETENSORS
        whole = all(type(n) is int and n >= 0 for n in (start, stop, *shape))
        if not (whole and start <= stop <= size - 8 - length):
            raise ValueError(told)
        if known and math.prod(shape) * np.dtype(SAFETENSORS[kind]).itemsize != stop - start:
            raise ValueError(told)
        if start < end:
            raise ValueError(f"{told}; those before {end} are another's")
        entries[name] = partial(_part, path, 8 + length + start, shape, kind) if known else partial(Unread, kind)
        end = stop
    return {name: entries[name] for name in spans}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{Counter(name for name, _ in pairs).most_common(1)[0][0]} stands there twice")
    return found


def _part(path: str, at: int, shape: tuple[int, ...], kind: str) -> Any:
    array = np.fromfile(path, SAFETENSORS[kind], math.prod(shape), offset=at).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array


class Unread:
    """In the place of an array whose numbers mean nothing without more: F8, F4 and the like need scales."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.shape = dtype, ()

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        expected = ", ".join(k for k in SAFETENSORS if "F" in k)
        raise ValueError(f"it is stored as {self.dtype}, which needs scales; expected {expected}")


def _from_npz(path: str) -> Entries:
    with zipfile.ZipFile(path) as file:
        members = [(member.filename.removesuffix(".npy"), member) for member in file.infolist()]
    most = unpacked(os.stat(path).st_size)

    def array(member: zipfile.ZipInfo) -> Any:
        _expect(member.file_size, most)
        with zipfile.ZipFile(path) as file, file.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    return _unique([(name, partial(array, member)) for name, member in members])


def _from_h5(path: str) -> Entries:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading Keras weights needs the h5py package: pip install 'numpy-lstm[keras]'") from error
    names: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, found: names.append(name) if isinstance(found, h5py.Dataset) else None)
    most = unpacked(os.stat(path).st_size)

    def array(name: str) -> Any:
        with h5py.File(path, "r") as file:
            _expect(file[name].nbytes, most)
            return file[name][()]

    return {name: partial(array, name) for name in names}


def _expect(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"it unpacks to {size} bytes; expected at most {most}")


def _refuse(path: str) -> NoReturn:
    raise ValueError(f"expected {', '.join(filter(None, READERS))}")


READERS: dict[str, tuple[str, Callable[[str], Entries]]] = {
    "": ("safetensors", _from_safetensors),
    ".safetensors": ("safetensors", _from_safetensors),
    ".npz": ("npz", _from_npz),
    ".h5": ("HDF5", _from_h5),
}
