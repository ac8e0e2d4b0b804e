"""A state_dict held against the names and shapes that a twin expects; what does not fit is told in one line."""

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from . import layouts
from .arrays import as_array, library, type_name
from .pages import Page

Shapes = dict[str, tuple[int, ...]]


def read(source: Any, expected: Shapes, dtype: Any, cell: Page, prefix: str = "") -> dict[str, Any]:
    """The arrays of ``source``, a mapping or a ``.safetensors`` file, whose names without ``prefix`` are ``expected``.

    CuPy arrays stay on their device, all else becomes a NumPy array.
    Raises LayoutError if a name is missing or surplus, a shape or dtype does not fit, or the file cannot be read.
    """
    if not isinstance(prefix, str):
        raise layouts.LayoutError(f"prefix is a {type_name(prefix)}; expected a text such as 'encoder.lstm.'")
    if isinstance(source, str | PathLike):
        whole = _read_safetensors(fspath(source))
    else:
        whole = layouts.as_mapping("source", source, ", or the path of a .safetensors file")
    given = {k.removeprefix(prefix): a for k, a in whole.items() if str(k).startswith(prefix)}
    if missing := [name for name in expected if name not in given]:
        raise layouts.LayoutError(_missing(missing, whole, given, expected, prefix, cell))
    if surplus := [str(name) for name in given if name not in expected]:
        raise layouts.LayoutError(f"surplus: {', '.join(surplus)}; expected only {', '.join(expected)}")
    loaded = {}
    for name, shape in expected.items():
        if given[name] is None:
            raise layouts.LayoutError(f"{name} is None; expected an array of shape {shape}")
        try:
            array = as_array(given[name])
        except (TypeError, ValueError) as error:
            raise layouts.LayoutError(f"{name} cannot be read as an array: {error}") from error
        if array.shape != shape:
            raise layouts.LayoutError(f"{name} has shape {array.shape}; expected {shape}{_another_cell(given, cell)}")
        if array.dtype.kind != "f" or not np.can_cast(array.dtype, dtype):
            raise layouts.LayoutError(f"{name} has dtype {array.dtype}; expected {dtype} or a narrower float")
        loaded[name] = array.astype(dtype)
    if len(kinds := {library(a): name for name, a in loaded.items()}) > 1:
        said = " and ".join(f"{name} is an array of {kind}" for kind, name in kinds.items())
        raise layouts.LayoutError(f"{said}; expected all of one library")
    return loaded


def _missing(
    missing: list[str], whole: Mapping[Any, Any], given: Mapping[Any, Any], expected: Shapes, prefix: str, cell: Page
) -> str:
    """What is missing, and where it may be found."""
    names = [str(k) for k in whole]
    first = next(iter(expected))
    found = [k.removesuffix(first) for k in names if k.endswith(first)]
    if behind := [p for p in found if p != prefix and all(p + k in whole for k in expected)]:
        spelled = " or ".join(f"prefix={p!r}" for p in behind)
        return f"{first} is called {' and '.join(p + first for p in behind)}; say {spelled}"
    if prefix and not given:
        return f"no name begins with prefix={prefix!r}; there are {_some(names)}"
    if nested := [str(k) for k, a in whole.items() if isinstance(a, Mapping)]:
        inside = _some([str(k) for k in whole[nested[0]]])
        return f"{nested[0]} is itself a mapping, of {inside}; hand over source[{nested[0]!r}]"
    if {k.removesuffix("_l0") for k in expected} <= given.keys():
        return f"{first} is missing and {first.removesuffix('_l0')} there: of a torch cell? add _l0 to every name"
    if other := layouts.recognised(given):
        return (
            f"{', '.join(map(str, given))} are the names of {other}; expected torch's. Convert: "
            f"layouts.dump('torch', layouts.load({other!r}, arrays, {cell.name}), {cell.name})"
        )
    return f"missing: {', '.join(f'{name} of shape {expected[name]}' for name in missing)}"


def _another_cell(given: Mapping[str, Any], cell: Page) -> str:
    """Whether the rows of the recurrent weights are those of another cell: 3 blocks are a GRU's, 4 an LSTM's."""
    rows, R = (*layouts.as_numpy(given["weight_hh_l0"]).shape, 1, 1)[:2]
    units = layouts.as_numpy(given["weight_hr_l0"]).shape[-1] if "weight_hr_l0" in given else R
    blocks = {1: "an RNN", 3: "a GRU", 4: "an LSTM"}
    mine = len([name for name in cell.Params._fields if name.startswith("W")])
    count = rows // units if units and rows % units == 0 else 0
    if count in (0, mine) or count not in blocks:
        return ""
    came = f"{count} block{'s' * (count > 1)} of {units}, those of {blocks[count]}"
    return f"; {rows} rows are {came}, where {blocks[mine]} has {mine}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") if names else "nothing"


def _read_safetensors(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError:
        start = b""  # told below
    if path.endswith(".npz"):
        raise layouts.LayoutError(f"{path} is an .npz file; expected .safetensors: hand over dict(numpy.load(path))")
    if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80" or path.endswith((".pt", ".pth", ".ckpt", ".bin", ".pkl")):
        raise layouts.LayoutError(
            f"{path} is a pickle of torch, which is not read: hand over torch.load(path, weights_only=True), "
            "or save a .safetensors file"
        )
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ImportError(f"reading {path} needs the safetensors package: pip install 'numpy-lstm[files]'") from error
    try:
        loaded: Mapping[str, Any] = load_file(path)
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: a dtype that NumPy does not have
        raise layouts.LayoutError(f"cannot read {path} as safetensors: {error}") from error
    return loaded
