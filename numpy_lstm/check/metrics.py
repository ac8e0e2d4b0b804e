"""How far two trees of arrays are apart, normwise; and what both must have in common."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import tree
from ..arrays import as_numpy

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def worst(values: Iterable[float]) -> float:
    """The largest; NaN, which every comparison would let pass, counts as infinite."""
    return max((np.inf if np.isnan(v) else float(v) for v in values), default=0.0)


def normwise(got: Any, truth: Any) -> float:
    """|got - truth| / |truth| over all components of two trees, at any scale; infinite if either has a NaN.

    The difference is taken in truth's arithmetic, so that 50 digits may be compared with 70. Torch tensors are read,
    CuPy arrays fetched. Raises ValueError for trees of other names or shapes.
    """
    got, truth = arrays_of(got), arrays_of(truth)
    expect_alike(got, truth)
    gap = tree.flatten([difference(a, truth[name]) for name, a in got.items()])
    return ratio(gap, tree.flatten(truth))


def ratio(gap: Any, truth: Any) -> float:
    """|gap| / |truth| of two arrays, at any scale."""
    largest = np.max(np.abs(truth), initial=0)
    if largest == 0:
        return 0.0 if not np.any(gap) else np.inf
    above, below = (np.linalg.norm(np.ravel(a / largest).astype(np.float64)) for a in (gap, truth))
    return worst([float(above / below)])


def difference(got: Any, truth: Any) -> Any:
    """``got - truth`` in the arithmetic of ``truth``."""
    return got.astype(truth.dtype) - truth


def arrays_of(value: Any) -> dict[str, Any]:
    """The leaves by name, as NumPy arrays."""
    return {name: as_numpy(a) for name, a in tree.leaves(value)}


def expect_alike(got: dict[str, Any], truth: dict[str, Any]) -> None:
    """Raise ValueError unless both have the same names, in the same order, and shapes."""
    if list(got) != list(truth):
        found, names = (", ".join(k or "a single one" for k in value) or "none" for value in (got, truth))
        raise ValueError(f"the arrays to be compared are {found}; expected {names}")
    for k, a in got.items():
        if a.shape != truth[k].shape:
            raise ValueError(f"{k or 'the array to be compared'} has shape {a.shape}; expected {truth[k].shape}")
