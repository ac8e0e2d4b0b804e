"""Cases and answers in files: ``.json``, ``.npz`` or ``.safetensors``, by suffix; FORMAT.md beside this file.

A file is read whole or refused, with one line that says which file, what came and what was expected; it is written
whole or not at all.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import layouts
from ..arrays import type_name
from ..check.given import NO_GRADIENT, CaseError
from ..files import shortened, write
from ..shapes import axes
from .case import Case
from .encodings import WRITERS, Document, decode, encode
from .network import Network

CASE, ANSWER = "numpy-lstm/case/1", "numpy-lstm/answer/1"
DTYPES = ("float64", "float32")
FORMATS = tuple(suffix[1:] for suffix in WRITERS)
FilePath = str | PathLike[str]


class Answer(NamedTuple):
    """Arrays by name, and the precision in which they were computed: None where the file does not say."""

    arrays: dict[str, Any]
    dtype: str | None


def write_case(path: FilePath, case: Case) -> Path:
    """Write a case. Raises CaseError for numbers that are not finite, and where the file cannot be written."""
    fields = {
        "schema": CASE,
        "name": case.name,
        "network": case.network.named(),
        "layout": case.layout,
        "dtype": case.dtype,
        "about": case.about,
    }
    return _write(path, Document(fields, {"arrays": case.arrays, "expected": case.expected}))


def read_case(path: FilePath) -> Case:
    """Read a case. Raises CaseError for whatever is not one: every array must be there, and fit the network."""
    with _naming(path, "read"):
        fields, sections = decode(Path(path))
        _check_fields(fields, CASE, {"name": str, "network": dict, "layout": str, "dtype": str, "about": dict})
        given = fields["network"]
        _check_fields(given, None, {k: type(v) for k, v in Network()._asdict().items()})
        arrays = {k: a if k == "lengths" else a.astype(np.float64) for k, a in sections["arrays"].items()}
        expected = {k: a.astype(np.float64) for k, a in sections["expected"].items()}
        case = Case(
            fields["name"], Network(**given), fields["layout"], fields["dtype"], arrays, expected, fields["about"]
        )
        _check(case)
    return case


def write_answer(path: FilePath, arrays: Mapping[str, Any], dtype: str | None = None) -> Path:
    """Write an answer: arrays by name, NumPy's or any that it can read, torch tensors among them.

    They are stored as ``dtype``; None means float32 if all are of at most that precision, else float64. Numbers that
    are not finite are written too: an answer that has them is wrong, and the judge says so.
    """
    if not isinstance(arrays, Mapping):
        raise CaseError(f"the answer is a {type_name(arrays)}; expected arrays by name")
    if absent := [str(k) for k, a in arrays.items() if a is None]:
        raise CaseError(f"{absent[0]} is None; {NO_GRADIENT}")
    given = {k: layouts.as_numpy(a) for k, a in arrays.items()}
    if dtype is None:
        small = all(a.dtype.kind == "f" and a.dtype.itemsize <= 4 for a in given.values())
        dtype = "float32" if small and given else "float64"
    with _naming(path, "written"):
        _check_dtype(dtype)
        found = {k: a.astype(dtype) if a.dtype.kind in "fiu" else a for k, a in given.items()}
    return _write(path, Document({"schema": ANSWER, "dtype": dtype}, {"arrays": found}), finite=False)


def read_answer(path: FilePath) -> Answer:
    """Read an answer, or a file of arrays by name alone. Raises CaseError for whatever is neither."""
    with _naming(path, "read"):
        fields, sections = decode(Path(path), finite=False)
        if not fields:
            return Answer(sections["arrays"], None)
        _check_fields(fields, ANSWER, {"dtype": str})
        if surplus := list(sections.get("expected", {})):
            raise CaseError(f"expected/{surplus[0]} stands there; expected arrays only")
        _check_dtype(fields["dtype"])
        with np.errstate(over="ignore"):
            arrays = {k: a.astype(fields["dtype"]) for k, a in sections["arrays"].items()}
        for name, a in arrays.items():
            if np.any(np.isinf(a) & np.isfinite(sections["arrays"][name])):
                raise CaseError(f"{name} has a number beyond {fields['dtype']}")
        return Answer(arrays, fields["dtype"])


def description() -> str:
    """The page that describes the format."""
    return (resources.files(__package__) / "FORMAT.md").read_text(encoding="utf-8")


def write_text(path: FilePath, text: str) -> Path:
    """Write a UTF-8 text file, whole or not at all."""
    return write_bytes(path, text.encode())


def write_bytes(path: FilePath, data: bytes) -> Path:
    """The same of bytes."""
    with _naming(path, "written"):
        return write(Path(path), lambda temporary: temporary.write_bytes(data))


def _write(path: FilePath, document: Document, finite: bool = True) -> Path:
    with _naming(path, "written"):
        sections = {s: {k: layouts.as_numpy(a) for k, a in v.items()} for s, v in document.sections.items()}
        try:
            data = encode(Path(path).suffix, document._replace(sections=sections), finite)
        except (TypeError, ValueError) as error:
            raise error if isinstance(error, CaseError) else CaseError(str(error)) from None
    return write_bytes(path, data)


@contextmanager
def _naming(path: FilePath, done: str) -> Iterator[None]:
    """Let errors begin with the name of the file."""
    try:
        yield
    except CaseError as error:
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shortened(str(error)))
        raise CaseError(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        reason = getattr(error, "strerror", None) or error
        raise CaseError(f"{path}: cannot be {done}: {reason}") from None


def _check_fields(fields: dict[str, Any], schema: str | None, types: dict[str, type]) -> None:
    """Hold the schema, the names and the types of fields against what a file must have."""
    if schema is not None:
        came = fields.get("schema")
        if came != schema:
            stem = schema.rpartition("/")[0]
            newer = isinstance(came, str) and came.rpartition("/")[0] == stem
            note = f", the version that this numpy-lstm knows, not {came}" if newer else f"; found {_said(came)}"
            raise CaseError(f"expected the schema {schema}{note}")
        types = {"schema": str} | types
    if missing := [k for k in types if k not in fields]:
        raise CaseError(f"{', '.join(missing)} missing; expected {', '.join(types)}")
    if surplus := [k for k in fields if k not in types]:
        raise CaseError(f"{', '.join(surplus)} not expected; expected {', '.join(types)}")
    for k, kind in types.items():
        if type(fields[k]) is not kind or (kind is str and not fields[k].isprintable()):
            raise CaseError(f"{k} is {_said(fields[k])}; expected {_KINDS[kind]}")


_KINDS = {str: "a line of text", dict: "an object", int: "an integer", bool: "true or false"}


def _said(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise CaseError(f"dtype is {dtype!r}; expected {' or '.join(DTYPES)}")


def _check(case: Case) -> None:
    """Run the case, so that every name and shape is held against the network."""
    _check_dtype(case.dtype)
    network, arrays = case.network.check(), case.arrays
    longest = max((n for a in arrays.values() for n in a.shape), default=0)
    for name, most in (("layers", len(arrays)), ("projection", longest)):
        if getattr(network, name) > most:
            raise CaseError(f"{name} is {_said(getattr(network, name))}; the arrays are for at most {most}")
    if "x" not in arrays or arrays["x"].ndim != 3:
        came = f"has shape {arrays['x'].shape}" if "x" in arrays else "is missing"
        raise CaseError(f"x {came}; expected the shape (T, B, D)")
    try:
        shapes = _shapes(case)
        if surplus := [k for k in arrays if k not in shapes]:
            raise CaseError(f"{', '.join(surplus)} not expected; this network has {', '.join(shapes)}")
        for k, shape in shapes.items():
            if shape is not None and k in arrays and arrays[k].shape != shape:
                raise CaseError(f"{k} has shape {arrays[k].shape}; expected {shape}")
        if (lengths := arrays.get("lengths")) is not None and np.any(lengths != np.floor(lengths)):
            raise CaseError(f"lengths is {lengths.tolist()}; expected integers")
        with np.errstate(all="ignore"):
            results = case.run()
        if beyond := [k for k, a in results.items() if not np.all(np.isfinite(a))]:
            raise CaseError(f"the numbers of this case overflow: {beyond[0]} is not finite")
        known = {k: a.shape for k, a in results.items()}
    except CaseError:
        raise
    except (ValueError, TypeError, LookupError) as error:
        raise CaseError(str(error)) from None
    for k, a in case.expected.items():
        if known.get(k) != a.shape:
            came = f"expected/{k} has shape {a.shape}"
            raise CaseError(f"{came}; expected {known[k] if k in known else 'one of ' + ', '.join(known)}")


def _shapes(case: Case) -> dict[str, tuple[int, ...] | None]:
    """Every array that the case may have, with its shape; None for parameters, which their layout has checked."""
    (T, B, D, H), cell, network = (case.sizes[k] for k in "TBDH"), case.network.of_cell(), case.network
    step = cell.sizes(H, B=B, D=D)
    shapes: dict[str, tuple[int, ...] | None] = {"x": (T, B, D), "lengths": (B,)}
    shapes["d_output"] = (T, B, network.layer().width(H))
    for k, letters in axes(cell.Input).items():
        shapes[k] = (T, *(step[n] for n in letters))
    for place in network.places():
        for k, letters in axes(cell.State).items():
            shapes |= dict.fromkeys((f"{place}{k}_0", f"{place}d_{k}_n"), tuple(step[n] for n in letters))
        shapes |= dict.fromkeys(place + k for k in case.names())
    return shapes
