"""A state_dict held against the names and shapes that a twin expects; what does not fit is told in one line."""

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np

from .. import layouts, weight_files
from ..arrays import as_array, library, type_name
from ..pages import Page

Shapes = dict[str, tuple[int, ...]]


def read(source: Any, expected: Shapes, dtype: Any, cell: Page, prefix: str = "") -> dict[str, Any]:
    """The arrays of ``source``, a mapping or a file of weights, whose names without ``prefix`` are ``expected``.

    A single layer read forward may have the names of a torch cell, without ``_l0``. CuPy arrays stay on their device,
    all else becomes a NumPy array.
    Raises LayoutError if a name is missing or surplus, a shape or dtype does not fit, or the file cannot be read.
    """
    whole = mapping(source)
    given = Part(whole, prefix)
    single = all(name.endswith("_l0") for name in expected)
    spelled = {name: name.removesuffix("_l0") if single and is_cell(given) else name for name in expected}
    if missing := [name for name, spelling in spelled.items() if spelling not in given]:
        raise layouts.LayoutError(_missing(missing, whole, given, expected, prefix, cell))
    if surplus := [str(name) for name in given if name not in spelled.values()]:
        raise layouts.LayoutError(f"surplus: {', '.join(surplus)}; expected only {', '.join(spelled.values())}")
    loaded = {}
    for name, shape in expected.items():
        called, array = prefix + spelled[name], given[spelled[name]]
        if array is None:
            raise layouts.LayoutError(f"{called} is None; expected an array of shape {shape}")
        try:
            array = as_array(array)
        except (TypeError, ValueError) as error:
            raise layouts.LayoutError(f"{called} cannot be read as an array: {error}") from error
        if array.shape != shape:
            hint = _another_cell({name: given[k] for name, k in spelled.items()}, cell)
            raise layouts.LayoutError(f"{called} has shape {array.shape}; expected {shape}{hint}")
        if array.dtype.kind != "f" or not np.can_cast(array.dtype, dtype):
            raise layouts.LayoutError(f"{called} has dtype {array.dtype}; expected {dtype} or a narrower float")
        loaded[name] = array.astype(dtype)
    if len(kinds := {library(a): name for name, a in loaded.items()}) > 1:
        said = " and ".join(f"{name} is an array of {kind}" for kind, name in kinds.items())
        raise layouts.LayoutError(f"{said}; expected all of one library")
    return loaded


def mapping(source: Any) -> Mapping[Any, Any]:
    """The arrays of a file of weights, if ``source`` is the path of one; else ``source``, if it is a mapping."""
    if isinstance(source, str | PathLike):
        return weight_files.read(source)
    return layouts.as_mapping("source", source, ", or the path of a .safetensors or .npz file")


class Part(Mapping[Any, Any]):
    """What begins with ``prefix``, without it. No array is read before it is asked for."""

    def __init__(self, whole: Mapping[Any, Any], prefix: str) -> None:
        if not isinstance(prefix, str):
            raise layouts.LayoutError(f"prefix is a {type_name(prefix)}; expected a text such as 'encoder.lstm.'")
        self._whole = whole
        self._names = {k.removeprefix(prefix) if prefix else k: k for k in whole if str(k).startswith(prefix)}

    def __getitem__(self, name: Any) -> Any:
        return self._whole[self._names[name]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def is_cell(given: Mapping[str, Any]) -> bool:
    """Whether these are the names of torch.nn.LSTMCell, GRUCell or RNNCell."""
    return "weight_hh_l0" not in given and {"weight_ih", "weight_hh"} <= given.keys()


def _missing(
    missing: list[str], whole: Mapping[Any, Any], given: Mapping[Any, Any], expected: Shapes, prefix: str, cell: Page
) -> str:
    """What is missing, and where it may be found."""
    names = [str(k) for k in whole]
    first = next(iter(expected))
    for wanted in (list(expected), [name.removesuffix("_l0") for name in expected]):
        found = [k.removesuffix(wanted[0]) for k in names if k.endswith(wanted[0])]
        if behind := [p for p in found if p != prefix and all(p + k in whole for k in wanted)]:
            spelled = " or ".join(f"prefix={p!r}" for p in behind)
            return f"{first} is called {' and '.join(p + wanted[0] for p in behind)}; say {spelled}"
    if prefix and not given:
        return f"no name begins with prefix={prefix!r}; there are {_some(names)}"
    entries = whole.items() if isinstance(whole, dict) else ()  # other mappings may have to read or compute each
    if nested := [str(k) for k, a in entries if isinstance(a, Mapping)]:
        inside = _some([str(k) for k in whole[nested[0]]])
        return f"{nested[0]} is itself a mapping, of {inside}; hand over source[{nested[0]!r}]"
    if is_cell(given):
        return f"{first} is missing and {prefix}weight_ih there, as in a torch cell; expected {len(expected)} arrays"
    if other := layouts.recognised(given):
        return (
            f"{', '.join(map(str, given))} are the names of {' or '.join(other)}; expected torch's. Convert: "
            f"layouts.dump('torch', layouts.load({other[0]!r}, arrays, {cell.name}), {cell.name})"
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
