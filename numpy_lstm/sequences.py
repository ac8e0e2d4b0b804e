"""Records with a time axis in front: one step of them, rows that are alive, and what all steps share."""

from typing import Any

from . import arrays, tree
from .arrays import Array
from .shapes import apart


def where_alive(alive: Array | None, record: Any) -> Any:
    """Zeros on the padding of every field (T,B,...), and in the rows of what all steps share that have no step."""
    if alive is None:
        return record
    record, held = apart(record)

    def one(a: Array) -> Array:
        rows = arrays.reshape(alive, (*a.shape[:2], *(1,) * (a.ndim - 2)))
        return arrays.where(rows, a, arrays.zeros(a.shape, a))

    return with_shared(tree.map(one, record), where_ever(alive, held))


def where_ever(alive: Array | None, held: dict[str, Any]) -> dict[str, Any]:
    """What all steps share, with zeros in the rows of which no step is read."""
    return held if alive is None or not held else where(arrays.any_first(alive)[None, ...], 0, held)


def with_shared(record: Any, held: dict[str, Any] | None) -> Any:
    """The record together with what all steps share."""
    return record._replace(**held) if held else record


def where(rows: Array | None, t: int, new: Any, old: Any = None) -> Any:
    """``new`` on the rows (T,B,1) of step t, all if None; elsewhere ``old`` (zeros if absent)."""
    if rows is None:
        return new

    def choose(a: Array, b: Any) -> Array:
        here = rows[t, ...] if a.ndim == 2 else arrays.reshape(rows[t, ...], (a.shape[0],) + (1,) * (a.ndim - 1))
        return arrays.where(here, a, arrays.zeros(a.shape, a) if b is None else b)

    return tree.map(choose, new, old)


def at(record: Any, t: Any) -> Any:
    """The record at step t, or the steps of a slice, of one with a time axis in front."""
    return tree.map(lambda a: a[t, ...], record)


def stack(traces: list[Any], alive: Array | None = None) -> Any:
    """The records of single steps as one with a time axis in front; zeros on the rows that are not ``alive``."""
    return tree.map(lambda *steps: where_alive(alive, arrays.stack(steps)), *traces)


def folded(trace: Any, start: int = 0, stop: int | None = None) -> Any:
    """The steps from ``start`` to ``stop`` folded into the batch: (T,B,...) becomes (n*B,...)."""
    steps = tree.map(lambda a: a[start:stop, ...], trace)
    return tree.map(lambda a: arrays.reshape(a, (a.shape[0] * a.shape[1], *a.shape[2:])), steps)
