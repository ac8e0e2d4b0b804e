"""Files of weights as arrays by name: ``.safetensors``, ``.npz``, and Keras' ``.weights.h5``.

The names are those of the file; in an .h5 they are the paths of its data sets, ``layers/lstm/cell/vars/0``. Nothing is
unpickled. bfloat16, which NumPy lacks, becomes float32, exactly.
"""

import json
import math
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .files import regular
from .layouts import LayoutError

Arrays = dict[str, Any]
SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"}
SAFETENSORS |= {f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}
UNPICKLED = "which is not read: hand over torch.load(path, weights_only=True), or save a .safetensors file"
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")


def read(path: str | PathLike[str]) -> Arrays:
    """The arrays of a file, by name; without one of the suffixes above it is safetensors.

    Raises LayoutError for what cannot be read, ImportError without h5py for an .h5.
    """
    name, suffix, start = fspath(path), Path(path).suffix, b""
    kind, reader = READERS.get(suffix, ("weights", _refuse))
    try:
        regular(Path(name))
        with open(name, "rb") as file:
            start = file.read(4)
        return reader(name)
    except ImportError:
        raise
    except Exception as error:  # there are many ways to be damaged
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        pickled = suffix in PICKLES or start == b"PK\x03\x04" or start[:1] == b"\x80"
        if pickled and kind in ("safetensors", "weights") and not isinstance(error, OSError):
            raise LayoutError(f"{name} is a pickle of torch, {UNPICKLED}") from None
        raise LayoutError(f"cannot read {name} as {kind}: {said}") from None


def _from_safetensors(path: str) -> Arrays:
    """Eight bytes that give the length of a header in JSON, the header, and the numbers: all that the format is."""
    data = np.memmap(path, np.uint8, "r") if Path(path).stat().st_size else np.zeros(0, np.uint8)
    length = int(data[:8].view("<u8")[0]) if data.size >= 8 else data.size
    if length > data.size - 8:
        raise ValueError(f"its header would end at byte {8 + length} of {data.size}")
    header = json.loads(data[8 : 8 + length].tobytes().decode())
    arrays: Arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if kind not in SAFETENSORS:
            arrays[name] = Unread(kind)
            continue
        part, dtype = data[8 + length :][start:stop], np.dtype(SAFETENSORS[kind])
        if not 0 <= start <= stop or len(part) != stop - start or len(part) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} of shape {shape} and dtype {kind} is said to lie in bytes {start} to {stop}")
        array = np.asarray(part).view(dtype).reshape(shape)  # of the mapped file: only what is used is read
        arrays[name] = (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array
    return arrays


class Unread:
    """In the place of an array whose numbers mean nothing without more: F8, F4 and the like need scales."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.shape = dtype, ()

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        expected = ", ".join(k for k in SAFETENSORS if "F" in k)
        raise ValueError(f"it is stored as {self.dtype}, which needs scales; expected {expected}")


def _from_npz(path: str) -> Arrays:
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        return dict(file)


def _from_h5(path: str) -> Arrays:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading Keras weights needs the h5py package: pip install 'numpy-lstm[keras]'") from error
    arrays: Arrays = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, found: arrays.update({name: found[()]}) if isinstance(found, h5py.Dataset) else None
        )
    return arrays


def _refuse(path: str) -> NoReturn:
    raise ValueError(f"expected {', '.join(filter(None, READERS))}")


READERS: dict[str, tuple[str, Callable[[str], Arrays]]] = {
    "": ("safetensors", _from_safetensors),
    ".safetensors": ("safetensors", _from_safetensors),
    ".npz": ("npz", _from_npz),
    ".h5": ("HDF5", _from_h5),
}
