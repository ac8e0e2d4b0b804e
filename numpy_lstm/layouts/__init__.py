"""Weights and gradients of other frameworks: arrays by name to a cell's ``Params``, and back.

``table`` says what each framework stores and where every block of ``Params`` lies in it, ``rows`` reads its words,
``sizes`` holds shapes against them; this file knows no framework. A block is a view of the array that stores it: to
load is to read the views, to dump is to write them.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import as_array, as_numpy, is_cupy, library, namespace, type_name
from ..pages import LSTM, PAGES
from .rows import BLOCK_AXES, NOWHERE, Stored, held, stored, text_of, words
from .sizes import LayoutError, Sizes
from .table import FORGET_BIAS, TABLE

__all__ = ["LayoutError", "as_numpy", "blocks", "dump", "dump_gradients", "load", "names", "notation"]


def load(name: str, arrays: Mapping[str, Any], cell: Any = LSTM, dtype: Any = None) -> Any:
    """The ``Params`` of ``cell`` from arrays by name, as the framework ``name`` stores them.

    ``arrays`` holds whatever NumPy can read, torch tensors included, or CuPy arrays; all of one dtype, converted to
    ``dtype`` if that is given. Second biases are summed into the first. The result shares no memory with the arrays.
    Raises LayoutError for an unknown layout or cell, missing or surplus arrays, wrong shapes and mixed dtypes.
    """
    rows = _rows(name, cell)
    arrays = as_mapping("arrays", arrays)
    expected = [row.name for row in rows if row.name != NOWHERE]
    whole = f"{name} stores {cell.name} as {', '.join(expected)}"
    if missing := [k for k in expected if k not in arrays]:
        behind = [k.removesuffix(expected[0]) for k in map(str, arrays) if k.endswith(expected[0])]
        other = " or ".join(recognised(arrays))
        hint = f"; these are the names of {other}" if other else ""
        if behind and all(behind[0] + k in arrays for k in expected):
            hint = f"; the names begin with {behind[0]!r}: take that off"
        raise LayoutError(f"{', '.join(missing)} missing; {whole}{hint}")
    if surplus := [str(k) for k in arrays if k not in expected]:
        more = all(re.search(r"_l[1-9]\d*$|_reverse$", k) for k in surplus)
        hint = "; more layers and directions go into numpy_lstm.nn" if more else ""
        raise LayoutError(f"{', '.join(surplus)} not expected; {whole}{hint}")

    given = _of_one_dtype({k: arrays[k] for k in expected})
    sizes = Sizes(cell)
    try:
        for row in rows:
            if row.name != NOWHERE:
                sizes.bind(row, given[row.name].shape)
    except LayoutError as error:
        fits = " or ".join(c.name for c in PAGES if c is not cell and _fits(name, c, given))
        raise LayoutError(f"{error}{f'; the arrays fit {fits}' if fits else ''}") from None
    target = given[expected[0]].dtype if dtype is None else np.dtype(dtype)
    params: dict[str, Any] = {}
    for row in rows:
        if row.name == NOWHERE:
            array = namespace(given[expected[0]]).zeros(sizes.shape(row), target)
        else:
            array = given[row.name].astype(target)
        for field, block in held(row, array, cell, sizes):
            params[field] = params[field] + block if field in params else block.copy()
    if name in FORGET_BIAS:
        params["b_f"] = params["b_f"] + FORGET_BIAS[name]
    return cell.Params(**params)


def dump(name: str, params: Any, cell: Any = LSTM) -> dict[str, Any]:
    """Arrays by name, as the framework ``name`` stores them; of two biases that are added, the second is zero.

    ``load`` of the result gives ``params`` back bit for bit, except that b_f is rounded where the framework
    adds a forget bias while it runs.
    Raises LayoutError for an unknown layout or cell, wrong shapes, mixed dtypes, and values it has no place for.
    """
    return _dump(name, "params", params, cell)


def dump_gradients(name: str, dparams: Any, cell: Any = LSTM) -> dict[str, Any]:
    """The gradients of the stored arrays: each of two biases that are added gets the whole of db.

    The adjoint of ``load``; names, shapes and errors are those of ``dump``.
    """
    return _dump(name, "dparams", dparams, cell)


def blocks(name: str, arrays: Mapping[str, Any], cell: Any = LSTM) -> dict[str, dict[str, Any]]:
    """Where each field of ``Params`` lies: ``blocks("torch", arrays)["weight_ih_l0"]["W_f"]`` is a view, (H,D).

    ``arrays`` holds all that the layout stores, as for ``load``. Of two fields of one name in the same array, b and a
    second bias, the second is called ``b2_f``. Raises LayoutError as ``load`` does.
    """
    rows = [row for row in _rows(name, cell) if row.name != NOWHERE]
    sizes = Sizes(cell)
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        sizes.bind(row, arrays[row.name].shape)
    for row in rows:
        here = found.setdefault(row.name, {})
        for field, block in held(row, arrays[row.name], cell, sizes):
            here[field.replace("_", "2_", 1) if field in here else field] = block
    return found


def notation(name: str, cell: Any = LSTM) -> str:
    """How the framework stores the cell, in the words of ``table``: ``weight_ih_l0 = W[ifgo] (g h) d; ...``.

    Raises LayoutError for an unknown layout, and for a cell that it has no place for.
    """
    _rows(name, cell)
    return "; ".join(words(text_of(name, cell)))


def names(cell: Any = LSTM) -> tuple[str, ...]:
    """The layouts that have a place for every parameter of ``cell``."""
    return tuple(name for name in TABLE if stored(name, cell))


def recognised(arrays: Mapping[Any, Any]) -> list[str]:
    """The layouts that have exactly these names for some cell."""
    return [name for name in TABLE if any(arrays.keys() == _named(name, cell) != set() for cell in PAGES)]


def as_mapping(name: str, value: Any, or_else: str = "") -> Mapping[str, Any]:
    """``value``, if it is a mapping. Raises LayoutError that says how to make one of it."""
    if isinstance(value, Mapping):
        return value
    hint = ": hand over its .state_dict()" if hasattr(value, "state_dict") else ""
    raise LayoutError(f"{name} is a {type_name(value)}; expected a mapping from names to arrays{or_else}{hint}")


def _dump(name: str, owner: str, record: Any, cell: Any) -> dict[str, Any]:
    rows = _rows(name, cell)
    if not isinstance(record, cell.Params):
        fields = ", ".join(cell.Params._fields)
        raise LayoutError(f"{owner} is a {type(record).__name__}; expected {cell.name}.Params({fields})")
    given = _of_one_dtype({f"{owner}.{k}": a for k, a in record._asdict().items()})
    sizes = Sizes(cell)
    for field, array in given.items():
        sizes.bind(Stored(field, (), "", tuple(BLOCK_AXES[field.split(".")[1][0]])), array.shape)
    values = owner == "params"
    if values and name in FORGET_BIAS:
        given["params.b_f"] = given["params.b_f"] - FORGET_BIAS[name]

    arrays, seen = {}, set()
    for row in rows:
        like = next(iter(given.values()))
        arrays[row.name] = array = namespace(like).zeros(sizes.shape(row), like.dtype)
        for field, block in held(row, array, cell, sizes):
            if not values or field not in seen:
                block[...] = given[f"{owner}.{field}"]
            seen.add(field)
            if values and row.name == NOWHERE and block.any():
                raise LayoutError(f"params.{field} is not zero; {name} has no place for it in {cell.name}")
    arrays.pop(NOWHERE, None)
    return arrays


def _rows(name: str, cell: Any) -> tuple[Stored, ...]:
    if not hasattr(cell, "Params"):
        raise LayoutError(f"cell is a {type(cell).__name__}; expected a Page such as numpy_lstm.LSTM")
    if name not in TABLE:
        raise LayoutError(f"{name!r} is no layout; known are {', '.join(TABLE)}")
    if not (rows := stored(name, cell)):
        known = ", ".join(names(cell)) or "none"
        raise LayoutError(f"{name} has no place for the parameters of {cell.name}; layouts that have: {known}")
    return rows


def _named(name: str, cell: Any) -> set[str]:
    return {row.name for row in stored(name, cell)} - {NOWHERE}


def _fits(name: str, cell: Any, arrays: Mapping[str, Any]) -> bool:
    """Whether arrays of these names and shapes can be those of ``cell``."""
    if arrays.keys() != _named(name, cell):
        return False
    sizes = Sizes(cell)
    try:
        for row in stored(name, cell):
            if row.name != NOWHERE:
                sizes.bind(row, arrays[row.name].shape)
    except LayoutError:
        return False
    return True


def _of_one_dtype(arrays: Mapping[str, Any]) -> dict[str, Any]:
    given = {k: as_array(a) for k, a in arrays.items()}
    first, like = next(iter(given.items()))
    for k, a in given.items():
        if is_cupy(a) != is_cupy(like):
            raise LayoutError(f"{k} is an array of {library(a)}; expected {library(like)}, the library of {first}")
        if a.dtype.kind not in "fcO":
            raise LayoutError(f"{k} has dtype {a.dtype}; expected a real or complex floating-point dtype, or object")
        if a.dtype != like.dtype:
            raise LayoutError(
                f"{k} has dtype {a.dtype}; expected {like.dtype}, the dtype of {first} "
                "(nothing is promoted silently: convert one of them)"
            )
    return given
