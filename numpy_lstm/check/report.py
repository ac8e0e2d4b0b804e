"""How far two gradients are apart: normwise, and in K.

K = |got - truth| / (u S) counts unit roundoffs u of the sum S of absolute path contributions, component by
component. It is dimensionless, does not see the scale of the loss, and stays finite where a component cancels to
zero; a correct careful code has K of a few, whatever the data. (An ulp count only measures cancellation.)
"""

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


def normwise(got: Any, truth: Any) -> float:
    """|got - truth| / |truth| over all components of two trees; the difference is taken in truth's arithmetic."""
    scale = tree.norm(truth)
    gap = tree.norm(tree.map(_difference, got, truth))
    return gap / scale if scale > 0 else (0.0 if gap == 0 else np.inf)


def K(got: Any, truth: Any, paths: Any, unit_roundoff: float = 2.0**-53) -> float:
    """The largest K of all components; ``paths`` is S, from ``Problem.absolute_paths``."""
    return max(row.K for row in compare(got, truth, paths, unit_roundoff))


def compare(got: Any, truth: Any, paths: Any, unit_roundoff: float = 2.0**-53) -> list[Row]:
    """One row for each array of ``got``, a tree like ``truth`` and ``paths``. NaN counts as infinitely far."""
    rows = []
    for (name, g), (_, t), (_, s) in zip(tree.leaves(got), tree.leaves(truth), tree.leaves(paths), strict=True):
        gap = np.nan_to_num(np.abs(_difference(g, t).astype(np.float64)), nan=np.inf, posinf=np.inf)
        roundings = np.where(gap == 0, 0, gap / np.where(s == 0, np.finfo(np.float64).tiny, unit_roundoff * s))
        worst = tuple(int(k) for k in np.unravel_index(np.argmax(roundings), g.shape))
        rows.append(
            Row(name, g.shape, normwise(g, t), float(roundings[worst]), worst, float(g[worst]), float(t[worst]))
        )
    return rows


def _difference(got: Any, truth: Any) -> Any:
    return got.astype(truth.dtype) - truth
