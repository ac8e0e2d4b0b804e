"""The precisions in which answers are promised: their unit roundoff, and numbers that they hold."""

from typing import Any

import numpy as np

from ..check.metrics import UNIT_ROUNDOFF as ROUNDOFF

__all__ = ["ROUNDOFF", "held", "moved", "narrower", "rounded", "wider"]
HALVES = ("float16", "bfloat16")
STORED = {
    "float64": "float64",
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "float32",
}  # NumPy has no bfloat16


def rounded(a: Any, dtype: str) -> Any:
    """``a`` in NumPy's type of this precision; what the halves hold as float32, in which their sums are taken."""
    return held(a, dtype).astype(np.float32) if dtype in HALVES else np.asarray(a).astype(dtype)


def moved(a: Any, dtype: str, rng: np.random.Generator) -> Any:
    """``rounded``, with every number moved by one unit roundoff up or down."""
    near = rounded(a, dtype)
    factor = 1 + rng.choice([-1.0, 1.0], near.shape) * 2 * ROUNDOFF[dtype]
    return rounded(near * factor.astype(near.dtype), dtype)


def held(a: Any, dtype: str) -> Any:
    """The numbers nearest to ``a`` that float32 and ``dtype`` hold, as float64."""
    single = np.asarray(a, np.float32)
    if dtype == "bfloat16":
        bits = single.view(np.uint32)
        single = ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    elif dtype == "float16":
        single = single.astype(np.float16)
    return single.astype(np.float64)


def narrower(one: str, other: str) -> str:
    """Of two precisions the one that holds fewer digits."""
    return max(one, other, key=lambda dtype: ROUNDOFF[dtype])


def wider(one: str, other: str) -> str:
    """Of two precisions the one that holds more digits."""
    return min(one, other, key=lambda dtype: ROUNDOFF[dtype])
