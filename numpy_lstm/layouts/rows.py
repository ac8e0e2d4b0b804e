"""The words of ``table`` read: which blocks each stored array holds, and the view of every block."""

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .table import TABLE

BLOCK_AXES = {"W": "hd", "U": "hr", "b": "h", "p": "h", "M": "rh"}
NOWHERE = "0"


class Stored(NamedTuple):
    """One stored array: its name, the blocks it holds (W, U, b, b2, p, M), their gates, its axes; see ``table``."""

    name: str
    kinds: tuple[str, ...]
    gates: str
    axes: tuple[str, ...]


def text_of(name: str, cell: Any) -> str:
    """How the layout stores the page of this cell, in the words of ``table``; an empty text if it does not."""
    for pages, text in TABLE[name].items():
        if any(cell.core.values is page.values for page in (pages if isinstance(pages, tuple) else (pages,))):
            return text
    return ""


def stored(name: str, cell: Any) -> tuple[Stored, ...]:
    """What the layout stores of this cell; nothing if it lacks the page or a place for one of its parameters."""
    fields = set(cell.Params._fields)
    rows = tuple(row for row in _parse(text_of(name, cell)) if fields.issuperset(_fields(row, cell)))
    return rows if fields == {field for row in rows for field in _fields(row, cell)} else ()


def words(text: str) -> list[str]:
    """The stored arrays of a text, one by one."""
    return re.split(r"\s{2,}", text.strip()) if text else []


@cache
def _parse(text: str) -> tuple[Stored, ...]:
    rows = []
    for row in words(text):
        name, kinds, gates, axes = re.findall(r"(\S+) = ([^\s\[]+)(?:\[(\w+)\])? (.+)", row)[0]
        whole = Stored(name, tuple(kinds.split(",")), gates, tuple(re.findall(r"\(.+?\)|\S+", axes)))
        before, *spelled = re.split("[{}]", name)
        if spelled:
            spellings = zip(spelled[0].split(","), gates, strict=True)
            rows += [whole._replace(name=before + k + spelled[1], gates=gate) for k, gate in spellings]
        else:
            rows.append(whole)
    return tuple(rows)


def _field(kind: str, gate: str, cell: Any) -> str:
    """``W_i``, or ``W`` without gates. A second bias is the first, unless the page has one of its own: b_hn."""
    if kind == "b2" and f"b_h{gate}" in cell.Params._fields:
        return f"b_h{gate}"
    return f"{kind[0]}_{gate}".rstrip("_")


def _fields(row: Stored, cell: Any) -> list[str]:
    return [_field(kind, gate, cell) for kind in row.kinds for gate in row.gates or [""]]


def held(row: Stored, array: Any, cell: Any, sizes: dict[str, int]) -> Iterator[tuple[str, Any]]:
    """Each field that ``array`` holds, with the view of its block, in the axes of the field."""
    for n, kind in enumerate(row.kinds):
        part, letters = array, ""
        for axis, token in enumerate(row.axes):
            if "+" in token:
                widths = [sizes[k] for k in token.split("+")]
                part, token = np.split(part, np.cumsum(widths)[:-1].tolist(), axis)[n], token.split("+")[n]
            letters += _letters(token)
        counts = {"s": len(row.kinds), "g": len(row.gates)}
        part = part.reshape([counts.get(k) or sizes[k] for k in letters])
        part = part.transpose([letters.index(k) for k in "sg" + BLOCK_AXES[kind[0]] if k in letters])
        part = part[n] if "s" in letters else part
        for gate, block in zip(row.gates or [""], part if "g" in letters else [part], strict=True):
            yield _field(kind, gate, cell), block


@cache
def _letters(token: str) -> str:
    return re.sub("[^a-z]", "", token)


@cache
def lengths(row: Stored) -> list[dict[str, int]]:
    """Each axis as a sum of sizes: ``(g h)`` is {"h": 4}, ``d+r`` is {"d": 1, "r": 1}, ``1`` is {"": 1}."""
    counts = {"s": len(row.kinds), "g": len(row.gates)}

    def length(token: str) -> dict[str, int]:
        count = math.prod(n for k, n in counts.items() if k in token)
        return dict.fromkeys(re.findall("[dhr]", token) or [""], count)

    return [length(token) for token in row.axes]
