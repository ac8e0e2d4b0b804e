"""The precisions in which answers are promised: their unit roundoff, and numbers that they hold."""

from typing import Any

import numpy as np

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
STORED = {"float64": "float64", "float32": "float32", "float16": "float16", "bfloat16": "float32"}  # NumPy has no bfloat16


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
