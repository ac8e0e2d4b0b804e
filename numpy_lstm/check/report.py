"""How far two gradients are apart: normwise, and in K.

K = |got - truth| / (u S) counts unit roundoffs u of the sum S of absolute path contributions, component by
component. It is dimensionless, does not see the scale of the loss, and stays finite where a component cancels to
zero; a correct careful code has K of a few, whatever the data. (An ulp count only measures cancellation.)
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import tree


class Row(NamedTuple):
    """One array of a comparison: ``normwise`` error |got - truth| / |truth|, ``K`` and where it is worst."""

    name: str
    shape: tuple[int, ...]
    normwise: float
    K: float
    worst: tuple[int, ...]
    got: float
    truth: float


def worst(values: Iterable[float]) -> float:
    """The largest; NaN, which every comparison would let pass, counts as infinite."""
    return max((np.inf if np.isnan(v) else float(v) for v in values), default=0.0)


def normwise(got: Any, truth: Any) -> float:
    """|got - truth| / |truth| over all components of two trees, at any scale; infinite if either has a NaN.

    The difference is taken in truth's arithmetic, so that 50 digits may be compared with 70.
    """
    gap = tree.flatten(tree.map(_difference, got, truth))
    vector = tree.flatten(truth)
    largest = np.max(np.abs(vector), initial=0)
    if largest == 0:
        return 0.0 if not np.any(gap) else np.inf
    return worst([float(np.linalg.norm((gap / largest).astype(np.float64))) / tree.norm(vector / largest)])


def K(got: Any, truth: Any, paths: Any, unit_roundoff: float = 2.0**-53) -> float:
    """The largest K of all components; ``paths`` is S, from ``Problem.absolute_paths``."""
    return worst(row.K for row in compare(got, truth, paths, unit_roundoff))


def compare(got: Any, truth: Any, paths: Any, unit_roundoff: float = 2.0**-53) -> list[Row]:
    """One row for each array of ``got``, a tree like ``truth`` and ``paths``. NaN counts as infinitely far."""
    rows = []
    for (name, g), (_, t), (_, s) in zip(tree.leaves(got), tree.leaves(truth), tree.leaves(paths), strict=True):
        gap = np.abs(_difference(g, t).astype(np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            roundings = np.where(gap == 0, 0 * s, gap / (unit_roundoff * s))
        roundings = np.where(np.isnan(roundings), np.inf, roundings)
        where = tuple(int(k) for k in np.unravel_index(np.argmax(roundings), g.shape))
        values = (float(array[where]) for array in (g, t))
        rows.append(Row(name, g.shape, normwise(g, t), float(roundings[where]), where, *values))
    return rows


def _difference(got: Any, truth: Any) -> Any:
    return got.astype(truth.dtype) - truth
