"""Files are written under a temporary name and renamed: whole, or not at all."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy_lstm import tree


def write(path: Path, save: Callable[[Path], None]) -> Path:
    """Let ``save`` write a temporary file beside ``path``, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        save(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """A UTF-8 text file."""
    return write(path, lambda temporary: temporary.write_text(text, encoding="utf-8") and None)


def write_json(path: Path, value: Any) -> Path:
    """A JSON file, indented. Numbers that are not finite become null: JSON has no word for them."""
    finite = tree.map(lambda v: None if isinstance(v, float) and not math.isfinite(v) else v, value)
    return write_text(path, json.dumps(finite, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    """A CSV file; floats with all their digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[repr(float(v)) if isinstance(v, float) else v for v in row] for row in rows])
    return write_text(path, buffer.getvalue())


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns: text to the left, the other columns to the right."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = "| " + " | ".join("-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)) + " |"
    return "\n".join([line(header), rule, *map(line, rows)])
