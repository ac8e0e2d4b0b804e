"""Y1 of ``pages/linear.py`` and back: products of all rows in groups, the bias added in place. The page judges."""

from typing import Any

from .. import arrays
from ..pages.linear import Trace
from ..products import Right, unpacked


def values(F: Any, p: Any, x: Any, prev: Any) -> Trace:
    """The values of all N rows. x (N,D)."""
    y = _product(x, arrays.transpose(p.W))
    y += p.b
    return Trace(x=x, y=y)  # (Y1)


def adjoint(F: Any, p: Any, v: Any, d: Any) -> Trace:
    """The cotangents of all N rows. d.y (N,H)."""
    return Trace(x=_product(d.y, p.W), y=d.y)  # (Y1')


def _product(a: Any, b: Any) -> Any:
    xp: Any = arrays.namespace(a)
    return Right(b, not arrays.is_cupy(a) and unpacked()).product(a, xp.empty_like(a, shape=(len(a), b.shape[1])))
