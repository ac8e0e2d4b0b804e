"""X1 to X4 of ``pages/cross_entropy.py`` and back in fewer passes over (N,D). The page judges.

Where the page copies an array to replace one number of each row, here that number is replaced. float32 numbers are
taken as float64 in blocks that stay in a core's own cache, and summed there. The cotangent of e is not kept.
"""

from typing import Any

import numpy as np

from .. import arrays, ops
from ..pages.cross_entropy import Trace

BLOCK = 32768  # numbers
SHORT = 256  # numbers of a row up to which a plain sum is as good as one by halves, and much quicker


def values(F: Any, p: Any, x: Any, prev: Any) -> Trace:
    """The values of all N rows: x.x (N,D), x.target (N,)."""
    xp: Any = arrays.namespace(x.x)
    top = _places(x.x, xp.argmax(x.x, axis=1))
    x_top = xp.take(x.x, top)
    m = x_top - xp.take(x.x, _places(x.x, x.target))  # (X1)
    e, s = _exponentials(xp, x.x, top, x_top[:, None])  # (X2) (X3)
    return Trace(x=x.x, target=x.target, m=m, e=e, s=s, loss=m + xp.log1p(s))  # (X4)


def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
    """The cotangents of all N rows: d.loss (N,)."""
    ds = d.loss / (1 + v.s)  # (X4')
    dx = ds[:, None] * v.e  # (X3') (X2')
    target = _places(v.x, v.target)
    dx.reshape(-1)[target] = 0
    dx.reshape(-1)[target] = -_sums(dx)  # (X1')
    return v._replace(x=dx, target=None, m=d.loss, e=None, s=ds, loss=d.loss)


def _exponentials(xp: Any, x: Any, top: Any, x_top: Any) -> tuple[Any, Any]:
    """e, and the sum of each row but for the largest."""
    (N, D), e, s = x.shape, xp.empty_like(x), xp.empty_like(x, shape=len(x))
    rows = max(1, BLOCK // max(1, D)) if xp is np else max(1, N)
    for k in range(0, N, rows):
        here = slice(k, k + rows)
        found = _exp_difference(xp, x[here], x_top[here])
        e[here] = found
        found.reshape(-1)[top[here] - k * D] = 0
        s[here] = _sums(found)
    return e, s


def _exp_difference(xp: Any, a: Any, b: Any) -> Any:
    """``ops.exp_difference``; of float32 numbers in float64. The result is an array made here."""
    if a.dtype == np.float32:
        d = a.astype(np.float64)
        d -= xp.where(b < -3e38, xp.zeros_like(b), b)
        return xp.exp(d, out=d)
    if xp is not np:
        return ops.exp_difference(a, b)
    with np.errstate(over="ignore", invalid="ignore"):
        d = a - b
    if not np.min(d, initial=0) > -1e30:
        return ops.exp_difference(a, b)
    back = d - a
    lost = d - back
    np.subtract(a, lost, out=lost)
    back += b
    lost -= back  # (a - (d - back)) - (b + back)
    lost += 1
    np.exp(d, out=d)
    d *= lost
    return d


def _places(x: Any, codes: Any) -> Any:
    """Where in all of x (N,D), row after row, the number stands that the code of each row names."""
    N, D = x.shape
    return arrays.namespace(x).arange(N) * D + codes.astype(np.int64)


def _sums(a: Any) -> Any:
    """The sum of each row."""
    if isinstance(a, np.ndarray) and a.shape[1] <= SHORT:
        return np.einsum("nd->n", a)
    return a.sum(axis=1)
