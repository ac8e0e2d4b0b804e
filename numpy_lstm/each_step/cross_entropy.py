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
    """Down the page. x.x (N,D), x.target (N,)."""
    xp: Any = arrays.namespace(x.x)
    top = _places(x.x, xp.argmax(x.x, axis=1))
    x_top = xp.take(x.x, top)
    m = x_top - xp.take(x.x, _places(x.x, x.target))  # (X1)
    e, s = _exponentials(xp, x.x, top, x_top[:, None])  # (X2) (X3)
    return Trace(x=x.x, target=x.target, m=m, e=e, s=s, loss=m + xp.log1p(s))  # (X4)


def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
    """Up the page. d.loss (N,)."""
    ds = d.loss / (1 + v.s)  # (X4')
    dx = ds[:, None] * v.e  # (X3') (X2')
    target = _places(v.x, v.target)
    dx.reshape(-1)[target] = 0
    dx.reshape(-1)[target] = -_sums(dx)  # (X1')
    return v._replace(x=dx, target=None, m=d.loss, e=None, s=ds, loss=d.loss)


def _exponentials(xp: Any, x: Any, top: Any, x_top: Any) -> tuple[Any, Any]:
    """e, and the sum of each row but for the largest."""
    e: Any
    if x.dtype == np.float64:
        e = ops.exp_difference(x, x_top)
        kept = e.reshape(-1)[top]
        e.reshape(-1)[top] = 0
        s = _sums(e)
        e.reshape(-1)[top] = kept
        return e, s
    e, s, base = xp.empty_like(x), xp.empty_like(x, shape=len(x)), xp.where(x_top < -3e38, xp.zeros_like(x_top), x_top)
    rows = max(1, BLOCK // max(1, x.shape[1])) if xp is np else max(1, len(x))
    for k in range(0, len(x), rows):
        here = slice(k, k + rows)
        wide = x[here].astype(np.float64)
        wide -= base[here]
        e[here] = xp.exp(wide, out=wide)
        wide.reshape(-1)[top[here] - k * x.shape[1]] = 0
        s[here] = _sums(wide)
    return e, s


def _places(x: Any, codes: Any) -> Any:
    """Where in all of x (N,D), row after row, the number stands that the code of each row names."""
    N, D = x.shape
    return arrays.namespace(x).arange(N) * D + codes.astype(np.int64)


def _sums(a: Any) -> Any:
    """Of each row."""
    if isinstance(a, np.ndarray) and a.shape[1] <= SHORT:
        return np.einsum("nd->n", a)
    return a.sum(axis=1)
