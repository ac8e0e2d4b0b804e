"""A run record: what a training run was and did, as one JSON file of a versioned schema, for figures and pages."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files, tree
from .errors import TrainingError

SCHEMA, VERSION = "numpy-lstm run record", 2
NUMBERS = [float]  # null where there is none
CURVES = ("loss", "norm", "clipped", "rate", "held_out")
# What stands where. A type for one value, a list of one form for a list of such, {str: form} for any names.
FORM: dict[str, Any] = {
    "schema": str,
    "version": int,
    "settings": {str: object},
    "text": {"name": str, "sha256": str, "characters": int, "symbols": str, "held_out": int},
    "baselines": {str: float},  # held-out loss of each in nats per symbol
    "curves": dict.fromkeys(CURVES, NUMBERS),  # one number for each update
    "looks": [
        {
            "update": int,
            "sample": str,
            "gates": {str: {str: {str: float}}},  # by layer, gate and statistic
            "seconds": float,  # spent so far
            "tokens_per_s": float,  # of the updates since the look before
        }
    ],
    "gate_map": {"text": str, "units": [int], "values": {str: [NUMBERS]}},  # by name (characters, units)
    "best": {"held_out": float, "update": int},
    "environment": {str: object},
}


def write(path: Path, record: Mapping[str, Any]) -> Path:
    """Write a record, whole or not at all; ``schema`` and ``version`` are added. Raises TrainingError if it is none."""
    whole = {"schema": SCHEMA, "version": VERSION, **record}
    finite = tree.map(lambda v: None if isinstance(v, float) and not math.isfinite(v) else v, whole)
    check(finite)
    text = json.dumps(finite, ensure_ascii=False, allow_nan=False, indent=None, separators=(",", ":")) + "\n"
    return files.write_bytes(Path(path), text.encode("utf-8"))


def read(path: Path) -> dict[str, Any]:
    """The record at ``path``. Raises TrainingError, which says where, for what is no record of this version."""
    try:
        found = json.loads(files.regular(Path(path)).read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is not JSON: {error}") from error
    try:
        check(found)
    except TrainingError as error:
        raise TrainingError(f"{path} is no run record: {files.shortened(str(error))}") from None
    record: dict[str, Any] = found
    return record


def check(record: Any) -> None:
    """Raise TrainingError, which names the place, for what is no record of this version."""
    if isinstance(record, dict) and (record.get("schema"), record.get("version")) != (SCHEMA, VERSION):
        came = f"{record.get('schema')!r}, version {record.get('version')!r}"
        raise TrainingError(f"schema is {came}; expected {SCHEMA!r}, version {VERSION}")
    _check(record, FORM, "record")


def _check(value: Any, form: Any, name: str) -> None:
    if isinstance(form, dict):
        _expect(value, dict, name)
        for key, one in form.items():
            names = list(value) if key is str else [key]
            for k in names:
                if k not in value:
                    raise TrainingError(f"{name}.{k} is missing")
                _check(value[k], one, f"{name}.{k}")
    elif isinstance(form, list):
        _expect(value, list, name)
        for k, one in enumerate(value):
            _check(one, form[0], f"{name}[{k}]")
    elif form is float:
        if value is not None:
            _expect(value, int | float, name)
    else:
        _expect(value, form, name)


def _expect(value: Any, kind: Any, name: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not object):
        expected = getattr(kind, "__name__", "number")
        raise TrainingError(f"{name} is a {type(value).__name__}; expected a {expected}")
