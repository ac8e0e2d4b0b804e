"""How far two arrays are apart: normwise, in K, in ulps, component by component.

K = |got - truth| / (u S) counts unit roundoffs u of the sum S of absolute path contributions, component by
component. It is dimensionless, does not see the scale of the loss, and stays finite where a component cancels to
zero; a correct careful code has K of a few, whatever the data. (An ulp count only measures cancellation.)
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..arrays import as_numpy


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
    gap = tree.flatten([_difference(a, truth[name]) for name, a in got.items()])
    vector = tree.flatten(truth)
    largest = np.max(np.abs(vector), initial=0)
    if largest == 0:
        return 0.0 if not np.any(gap) else np.inf
    return worst([float(np.linalg.norm((gap / largest).astype(np.float64))) / tree.norm(vector / largest)])


UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}


class Metrics(NamedTuple):
    """How far one array is from the truth.

    ``normwise`` error |got - truth| / |truth|; ``K`` and ``worst``, the index where it is largest, with both values
    there; the largest ``absolute`` and ``relative`` error and that in ``ulp`` of the truth; ``zeros`` and
    ``nonfinite``: how many components are zero where the truth is not, and how many are no numbers.
    """

    normwise: float
    K: float
    worst: tuple[int, ...]
    got: float
    truth: float
    absolute: float
    relative: float
    ulp: float
    zeros: int
    nonfinite: int


def measure(got: Any, truth: Any, paths: Any, unit_roundoff: float) -> Metrics:
    """All of them, of one array; ``paths`` is its S, or None."""
    gap, size = _gap(got, truth), np.abs(truth.astype(np.float64))
    K = _roundings(gap, size, paths, unit_roundoff)
    where = tuple(int(k) for k in np.unravel_index(np.argmax(K), got.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(gap == 0, 0.0, gap / size)
    spacing = np.maximum(2 * unit_roundoff * 2.0 ** np.floor(np.log2(np.where(size > 0, size, 1.0))), 5e-324)
    return Metrics(
        normwise=normwise(got, truth),
        K=float(K[where]),
        worst=where,
        got=float(got[where]),
        truth=float(truth[where]),
        absolute=_largest(gap),
        relative=_largest(relative),
        ulp=_largest(np.where(size > 0, gap / spacing, np.where(gap > 0, np.inf, 0.0))),
        zeros=int(np.sum((got == 0) & (size > 0))),
        nonfinite=int(np.sum(~np.isfinite(got.astype(np.float64)))),
    )


def largest_K(others: Sequence[Any], truth: Any, paths: Any, unit_roundoff: float) -> float:
    """The largest K of several arrays."""
    size = np.abs(truth.astype(np.float64))
    return worst(_largest(_roundings(_gap(a, truth), size, paths, unit_roundoff)) for a in others)


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


def _roundings(gap: Any, size: Any, paths: Any, unit_roundoff: float) -> Any:
    """K of every component; without paths, relative to the largest of the array. NaN counts as infinitely far."""
    paths = np.max(size, initial=0.0) if paths is None else paths
    with np.errstate(divide="ignore", invalid="ignore"):
        roundings = np.where(gap == 0, 0 * paths, gap / (unit_roundoff * paths))
    return np.where(np.isnan(roundings), np.inf, roundings)


def _gap(got: Any, truth: Any) -> Any:
    return np.abs(_difference(got, truth).astype(np.float64))


def _largest(values: Any) -> float:
    return worst([np.max(values, initial=0.0)])


def _difference(got: Any, truth: Any) -> Any:
    return got.astype(truth.dtype) - truth
