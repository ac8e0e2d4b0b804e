"""How large each cotangent is at each step, and what each step adds to the parameter gradients."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import tree
from ..sequences import at
from ..shapes import apart, shared
from .given import check_field, check_pass
from .passes import Pass, every_step
from .table import Table


def norms(p: Pass, fields: Sequence[str] | None = None) -> Table:
    """The Euclidean norm of every cotangent at every step: columns (T,B), one for each field asked for.

    ``fields`` are fields of the cell's Trace; all of them if absent, but what all steps share, which has no step.

    ``h`` is |dL/dh_t|, ``c`` |dL/dc_t|, ``a_f`` that of the forget gate's pre-activation, ``x`` that of the input.
    Nothing underflows or overflows on the way. On padding columns are zero, and the table leaves it out where it prints
    and exports. Raises ValueError for a field that the Trace does not have.
    """
    check_pass(p)
    own = [k for k in p.cell.Trace._fields if k not in shared(p.cell.Trace)]
    chosen = own if fields is None else [fields] if isinstance(fields, str) else fields
    for field in chosen:
        check_field(p.cell, "a field", field, own)
    T, B = p.run.hs.shape[:2]
    columns = {field: norm(np.reshape(getattr(p.cotangents, field), (T, B, -1))) for field in chosen}
    steps = np.arange(T)
    alive: Any = p.run.alive
    counts = None if alive is None else alive[..., 0]
    return Table(f"{p.name}: norm of dL/d(.) at each step", "step", steps, columns, counts)


def contributions(p: Pass) -> Iterator[Any]:
    """For each step, what it adds to the parameter gradients: a Params of dW, dU, db; their sum is ``dparams``.

    Raises TypeError for anything but a Pass.
    """
    check_pass(p)
    return _contributions(p)


def _contributions(p: Pass) -> Iterator[Any]:
    values, cotangents = every_step(p.run), apart(p.cotangents)[0]
    for t in range(p.run.hs.shape[0]):
        v, d = (at(trace, t) for trace in (values, cotangents))
        yield p.cell.gradients(p.cell.functions, p.params, v, d)


def contribution_norms(p: Pass) -> Table:
    """The norm of each step's contribution to each parameter gradient: columns (T,), one for each field of Params.

    Raises TypeError for anything but a Pass.
    """
    check_pass(p)
    fields = p.cell.Params._fields
    rows = [[tree.norm(a) for a in step] for step in contributions(p)]
    columns = dict(zip(fields, np.reshape(rows, (len(rows), len(fields))).T, strict=True))
    return Table(f"{p.name}: norm of each step's contribution", "step", np.arange(len(rows)), columns)


def norm(a: Any) -> Any:
    """The Euclidean norm of a (...,N) over its last axis, (...); it neither underflows nor overflows on the way."""
    largest = np.max(np.abs(a), axis=-1, keepdims=True)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)
    return scale[..., 0] * np.linalg.norm(a / scale, axis=-1)
