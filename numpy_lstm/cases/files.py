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
from ..files import quoted, shortened, write
from .case import Case
from .encodings import WRITERS, Document, decode, encode
from .inputs import INTEGERS, STEPS
from .network import Network
from .precision import ROUNDOFF, STORED

CASE, ANSWER = "numpy-lstm/case/1", "numpy-lstm/answer/1"
LARGEST_RUN, MOST_STEPS = 2**21, 10_000  # T * B * H of all layers, and T: reading a case runs it
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


def read_case(path: FilePath, large: bool = False) -> Case:
    """Read a case. Raises CaseError for whatever is not one: every array must be there, and fit the network.

    More than 10 000 steps, or 2^21 for the product of T, B, H and the number of layers and directions, are read only
    if ``large`` asks for them: a small file may hold a run of hours.
    """
    with naming(path, "read"):
        fields, sections = decode(Path(path))
        _check_fields(fields, CASE, {"name": str, "network": dict, "layout": str, "dtype": str, "about": dict})
        given = fields["network"]
        _check_fields(given, None, {k: type(v) for k, v in Network()._asdict().items()})
        if not large:
            _check_size(Network(**given), sections["arrays"])
        arrays = {k: a if k in INTEGERS else a.astype(np.float64) for k, a in sections["arrays"].items()}
        expected = {k: a.astype(np.float64) for k, a in sections["expected"].items()}
        case = Case(
            fields["name"], Network(**given), fields["layout"], fields["dtype"], arrays, expected, fields["about"]
        )
        _check(case)
    return case


def write_answer(path: FilePath, arrays: Mapping[str, Any], dtype: str | None = None) -> Path:
    """Write an answer: arrays by name, NumPy's or any that it can read, torch tensors among them.

    They are stored as ``dtype``; None means float16 or float32 if none is of more precision, else float64. Numbers that
    are not finite are written too: an answer that has them is wrong, and the judge says so.
    """
    if not isinstance(arrays, Mapping):
        raise CaseError(f"the answer is a {type_name(arrays)}; expected arrays by name")
    if absent := [str(k) for k, a in arrays.items() if a is None]:
        raise CaseError(f"{absent[0]} is None; {NO_GRADIENT}")
    given = {k: layouts.as_numpy(a) for k, a in arrays.items()}
    if dtype is None:
        sizes = {a.dtype.itemsize if a.dtype.kind == "f" else 8 for a in given.values()}
        dtype = {2: "float16", 4: "float32"}.get(max(sizes, default=8), "float64")
    with naming(path, "written"):
        _check_dtype(dtype)
        found = {k: a.astype(STORED[dtype]) if a.dtype.kind in "fiu" else a for k, a in given.items()}
    return _write(path, Document({"schema": ANSWER, "dtype": dtype}, {"arrays": found}), finite=False)


def read_answer(path: FilePath) -> Answer:
    """Read an answer, or a file of arrays by name alone. Raises CaseError for whatever is neither."""
    with naming(path, "read"):
        fields, sections = decode(Path(path), finite=False)
        if not fields:
            return Answer(sections["arrays"], None)
        _check_fields(fields, ANSWER, {"dtype": str})
        if surplus := list(sections.get("expected", {})):
            raise CaseError(f"expected/{surplus[0]} stands there; expected arrays only")
        _check_dtype(fields["dtype"])
        with np.errstate(over="ignore"):
            arrays = {k: a.astype(STORED[fields["dtype"]]) for k, a in sections["arrays"].items()}
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
    """Write bytes, whole or not at all."""
    with naming(path, "written"):
        return write(Path(path), lambda temporary: temporary.write_bytes(data))


def _write(path: FilePath, document: Document, finite: bool = True) -> Path:
    with naming(path, "written"):
        sections = {s: {k: layouts.as_numpy(a) for k, a in v.items()} for s, v in document.sections.items()}
        try:
            data = encode(Path(path).suffix, document._replace(sections=sections), finite)
        except (TypeError, ValueError) as error:
            raise error if isinstance(error, CaseError) else CaseError(str(error)) from None
    return write_bytes(path, data)


@contextmanager
def naming(path: FilePath, done: str) -> Iterator[None]:
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
            note = f", the version that this numpy-lstm knows, not {came}" if newer else f"; found {quoted(came)}"
            raise CaseError(f"expected the schema {schema}{note}")
        types = {"schema": str} | types
    if missing := [k for k in types if k not in fields]:
        raise CaseError(f"{', '.join(missing)} missing; expected {', '.join(types)}")
    if surplus := [k for k in fields if k not in types]:
        raise CaseError(f"{', '.join(surplus)} not expected; expected {', '.join(types)}")
    for k, kind in types.items():
        if type(fields[k]) is not kind or (kind is str and not fields[k].isprintable()):
            raise CaseError(f"{k} is {quoted(fields[k])}; expected {_KINDS[kind]}")


_KINDS = {str: "a line of text", dict: "an object", int: "an integer", bool: "true or false"}


def _check_dtype(dtype: str) -> None:
    if dtype not in ROUNDOFF:
        raise CaseError(f"dtype is {dtype!r}; expected {' or '.join(ROUNDOFF)}")


def _check_size(network: Network, arrays: dict[str, Any]) -> None:
    T, B = (*getattr(arrays.get("x"), "shape", ()), 0, 0)[:2]
    widths = [a.shape[-1] for k, a in arrays.items() if k.rpartition(".")[2].startswith("d_") and a.ndim]
    places = min(network.layers * network.ways, len(arrays))
    expect_short(T, T * B * max(widths, default=0) * places, ", unless large cases are asked for: large=True, --large")


def expect_short(T: int, run: int, unless: str = "") -> None:
    """Raise CaseError for a run of more than 10 000 steps, or if ``run``, T * B * H of all layers, is beyond 2^21."""
    if T > MOST_STEPS or run > LARGEST_RUN:
        most = f"at most {MOST_STEPS} and {LARGEST_RUN}"
        raise CaseError(f"has T={T} and T * B * H * layers = {run}; expected {most}{unless}")


def _check(case: Case) -> None:
    """Run the case, so that every name and shape is held against the network."""
    _check_dtype(case.dtype)
    network, arrays = case.network.check(), case.arrays
    longest = max((n for a in arrays.values() for n in a.shape), default=0)
    for name, most in (("layers", len(arrays)), ("projection", longest)):
        if getattr(network, name) > most:
            raise CaseError(f"{name} is {quoted(getattr(network, name))}; the arrays are for at most {most}")
    if "x" not in arrays or arrays["x"].ndim != 3:
        came = f"has shape {arrays['x'].shape}" if "x" in arrays else "is missing"
        raise CaseError(f"x {came}; expected the shape (T, B, D)")
    try:
        known_inputs = case.inputs
        if surplus := [k for k in arrays if k not in known_inputs]:
            raise CaseError(f"{', '.join(surplus)} not expected; this network has {', '.join(known_inputs)}")
        for k, (shape, _) in known_inputs.items():
            if k in arrays and arrays[k].shape != shape:
                raise CaseError(f"{k} has shape {arrays[k].shape}; expected {shape}")
        if (lengths := arrays.get("lengths")) is not None and np.any(lengths != np.floor(lengths)):
            raise CaseError(f"lengths is {lengths.tolist()}; expected integers")
        for k in STEPS:
            if k in arrays and not np.all((arrays[k] == 0) | (arrays[k] == 1)):
                raise CaseError(f"{k} holds other numbers than 0 and 1; expected a mask")
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
