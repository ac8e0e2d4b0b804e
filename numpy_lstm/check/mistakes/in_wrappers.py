"""Mistakes around a page: projection and zoneout."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ... import scan
from ...layers import Recurrent
from ..network import Parts
from .workbench import Mistake, Workbench, once


def _projection_shifted(b: Workbench, _: str) -> dict[str, Any]:
    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        M = np.einsum("tbr,tbh->rh", back.cotangents.h[1:], run.values.m[:-1])
        return back._replace(dparams=back.dparams._replace(M=M))

    return b.wrong_scan(backward)


def _projection_outer(b: Workbench, _: str) -> dict[str, Any]:
    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        back = scan.backward(cell, params, run, dhs, dlast=dlast)
        given = dhs if run.alive is None else np.where(run.alive, dhs, 0.0)
        return back._replace(dparams=back.dparams._replace(M=np.einsum("tbr,tbh->rh", given, run.values.m)))

    return b.wrong_scan(backward)


PROJECTION = [
    Mistake(
        "projection-gradient-from-outputs-only",
        "dM from the cotangents given for the outputs, without what comes back through the recurrent products",
        "derived",
        lambda b: once(bool(b.case.network.projection)),
        _projection_outer,
    ),
    Mistake(
        "projection-gradient-from-previous-step",
        "dM from m_{t-1} in place of m_t",
        "derived",
        lambda b: once(bool(b.case.network.projection)),
        _projection_shifted,
    ),
]


def _masks(change: Callable[[Any], Any]) -> Callable[[Workbench, str], dict[str, Any]]:
    """The backward pass reads other masks."""

    def backward(cell: Any, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
        masks = {k: change(a) for k, a in run.values._asdict().items() if k.startswith("keep_")}
        return scan.backward(cell, params, run._replace(values=run.values._replace(**masks)), dhs, dlast=dlast)

    return lambda b, _: b.wrong_scan(backward)


def _not_kept(b: Workbench, field: str) -> dict[str, Any]:
    """The backward pass forgets the path from the old state past the cell."""

    def forgetful(cell: Any) -> Any:
        def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
            back = cell.adjoint(F, p, v, d)
            kept = getattr(d, field) * getattr(v, f"keep_{field}")
            return back._replace(**{f"{field}_prev": getattr(back, f"{field}_prev") - kept})

        return Recurrent(replace(cell, adjoint=adjoint))

    return b.wrong_backward(Parts(recurrent=forgetful))


def _zoned(b: Workbench) -> bool:
    return b.case.network.zoneout


ZONEOUT = [
    Mistake(
        "first-mask-at-every-step",
        "the backward pass uses the zoneout mask of the first step for all steps",
        "lmnt-com/haste 43",
        lambda b: once(_zoned(b) and b.sizes["T"] > 1),
        _masks(lambda a: np.broadcast_to(a[:1], a.shape)),
    ),
    Mistake(
        "mask-inverted",
        "the backward pass keeps where the forward pass renews",
        "derived",
        lambda b: once(_zoned(b)),
        _masks(lambda a: 1 - a),
    ),
    Mistake(
        "kept-path-forgotten",
        "the cotangent of the old state past the cell, ds keep, is left out",
        "derived",
        lambda b: list(b.states) if _zoned(b) else [],
        _not_kept,
    ),
]

MISTAKES = [*PROJECTION, *ZONEOUT]
