"""What studies write: text, JSON, CSV and Markdown tables, each file whole or not at all."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from numpy_lstm import tree
from numpy_lstm.files import write as write
from numpy_lstm.tables import table as table


def write_text(path: Path, text: str) -> Path:
    """A UTF-8 text file."""
    return write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


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
