"""Named columns over one index: what the instruments return, what prints, and what a spreadsheet reads."""

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import arrays, files

SHOWN = 12  # rows printed at most


@dataclass(frozen=True)
class Table:
    """``columns`` maps names to arrays (N,) or (N,B), one entry for each of the N values of ``index``.

    ``title`` says what was measured and ``unit`` what the index counts. Printing shows at most 12 rows, and the median
    over the batch. ``table["c"]`` is the column c. ``alive`` (N,B), if given, is False on padding: there columns (N,B)
    have no entry, in no median and no export.
    """

    title: str
    unit: str
    index: Any
    columns: dict[str, Any]
    alive: Any = None

    def __post_init__(self) -> None:
        here = {name: arrays.on_host(column) for name, column in self.columns.items()}  # a table is to be read
        object.__setattr__(self, "columns", here)
        object.__setattr__(self, "alive", arrays.on_host(self.alive))

    def __getitem__(self, name: str) -> Any:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; expected one of {', '.join(self.columns)}")
        return self.columns[name]

    def to_dict(self) -> dict[str, Any]:
        """Lists and strings only, fit for JSON: title, unit, index, columns; None on padding."""
        columns = {name: self._entries(column).tolist() for name, column in self.columns.items()}
        return {"title": self.title, "unit": self.unit, "index": np.asarray(self.index).tolist(), "columns": columns}

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The table as CSV text, written to ``path`` too (whole, or not at all) if one is given.

        One line for each index; for columns (N,B) one line for each index and batch row, the latter in column ``row``,
        but none for padding.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        batch = max((np.shape(column)[1] for column in self.columns.values() if np.ndim(column) == 2), default=0)
        writer.writerow([self.unit, *(["row"] if batch else []), *self.columns])
        for n, at in enumerate(np.asarray(self.index).tolist()):
            for b in range(batch or 1):
                if batch and self.alive is not None and not self.alive[n, b]:
                    continue
                entries = [column[n, b] if np.ndim(column) == 2 else column[n] for column in self.columns.values()]
                writer.writerow([at, *([b] if batch else []), *(np.asarray(entry).item() for entry in entries)])
        if path is not None:
            files.write_bytes(Path(path), buffer.getvalue().encode())
        return buffer.getvalue()

    def __str__(self) -> str:
        N = len(self.index)
        rows = range(N) if N <= SHOWN else np.unique(np.linspace(0, N - 1, SHOWN).round().astype(int))
        medians = [self.quantiles(column, 0.5) for column in self.columns.values()]
        cells = [[self.unit, *self.columns]]
        cells += [[_entry(np.asarray(self.index)[n]), *(_entry(column[n]) for column in medians)] for n in rows]
        widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
        lines = ["  ".join(entry.rjust(width) for entry, width in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([self.title, *lines])

    __repr__ = __str__

    def quantiles(self, column: Any, q: Any) -> Any:
        """Quantiles over the rows of a column (N,B) that are no padding, (N,) or (len(q),N); NaN where none is.

        A column (N,) is its own.
        """
        if np.ndim(column) != 2:
            return np.broadcast_to(column, (*np.shape(q), *np.shape(column)))
        each = column if self.alive is None else [a[here] for a, here in zip(column, self.alive, strict=True)]
        return np.stack([np.quantile(a, q) if len(a) else np.full(np.shape(q), np.nan) for a in each], axis=-1)

    def _entries(self, column: Any) -> Any:
        column = np.asarray(column)
        if self.alive is None or column.ndim != 2:
            return column
        return np.where(self.alive, column.astype(object), None)


def _entry(value: Any) -> str:
    return f"{value:.3g}" if np.asarray(value).dtype.kind == "f" else str(value)
