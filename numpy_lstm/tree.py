"""Records as vectors. A tree is an array, or a NamedTuple, tuple, list or dict of trees; None is an absent leaf.

``map`` and ``leaves`` serve arrays of every library. ``flatten`` and what stands on it (``dot``, ``norm``,
``random_like``) are for the checks and work on arrays of NumPy and CuPy.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import numpy as np

from . import arrays

Tree = TypeVar("Tree")
BRANCHES = (tuple, list, dict)  # all else is a leaf


def map(f: Callable[..., Any], tree: Tree, *others: Any) -> Tree:
    """``f`` applied leaf by leaf. Where ``tree`` has no leaf, neither has the result; others pass None there."""
    if not isinstance(tree, BRANCHES):
        return cast(Tree, None if tree is None else f(tree, *others))
    if isinstance(tree, dict):
        return cast(Tree, {k: map(f, tree[k], *(None if o is None else o[k] for o in others)) for k in tree})
    columns = [(None,) * len(tree) if o is None else o for o in others]
    children = [  # a leaf costs no call of its own
        map(f, *each) if each[0] is None or isinstance(each[0], BRANCHES) else f(*each)
        for each in zip(tree, *columns, strict=True)
    ]
    return type(tree)(*children) if hasattr(tree, "_fields") else cast(Tree, type(tree)(children))


def leaves(tree: Any, name: str = "", absent: bool = False) -> Iterator[tuple[str, Any]]:
    """Each leaf with its path: ``("params.W_i", array)``; ``absent`` ones, which are None, if asked for."""
    if tree is None:
        if absent:
            yield name, None
        return
    if isinstance(tree, dict):
        items = [(str(k), v) for k, v in tree.items()]
    elif isinstance(tree, tuple | list):
        items = [(str(k), v) for k, v in zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True)]
    else:
        yield name, tree
        return
    for key, child in items:
        yield from leaves(child, f"{name}.{key}" if name else key, absent)


def every(tree: Any) -> list[Any]:
    """Each leaf, without its path, which takes longer to make than to find it."""
    if tree is None:
        return []
    if not isinstance(tree, BRANCHES):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in every(child)]


def holding(found: Iterable[Any], like: Tree) -> Tree:
    """The inverse of ``every``: a tree of the shape of ``like`` with these leaves."""
    left = iter(found)
    return map(lambda _: next(left), like)


def add(tree: Tree, other: Any) -> Tree:
    """``tree + other``; what is absent in ``other`` counts as zero."""
    return map(lambda a, b: a if b is None else a + b, tree, other)


def scale(factor: Any, tree: Tree) -> Tree:
    return map(lambda a: factor * a, tree)


def plain(tree: Tree) -> Tree:
    """``tree`` in the same memory without subclasses of ``numpy.ndarray``: results of a memmap would be memmaps too."""
    return map(lambda a: a.view(np.ndarray) if isinstance(a, np.ndarray) and type(a) is not np.ndarray else a, tree)


def beside(tree: Tree, other: Any) -> Tree:
    """``tree`` with NumPy arrays moved to where the first leaf of ``other`` is: to its device if that is CuPy's."""
    first = next(iter(every(other)), None)
    return map(lambda a: arrays.like(a, first), tree) if arrays.is_cupy(first) else tree


def on_device(tree: Any) -> bool:
    """Whether CuPy holds one of the leaves."""
    return any(arrays.is_cupy(a) for a in every(tree))


def on_host(tree: Tree) -> Tree:
    """``tree`` with what CuPy holds fetched."""
    return map(arrays.on_host, tree)


def size(tree: Any) -> int:
    """The number of components."""
    return sum(math.prod(a.shape) for a in every(tree))


def flatten(tree: Any, lead: int = 0) -> Any:
    """All components in one axis, behind the first ``lead`` axes, which every leaf shares: (..., size)."""
    parts = [a.reshape((*a.shape[:lead], math.prod(a.shape[lead:]))) for a in every(tree)]
    return np.concatenate(parts, axis=-1)


def unflatten(vector: Any, like: Tree) -> Tree:
    """The inverse of ``flatten``: (..., size) becomes a tree with the shapes of ``like`` behind the same axes."""
    start = 0

    def take(a: Any) -> Any:
        nonlocal start
        start += (n := math.prod(a.shape))
        return vector[..., start - n : start].reshape((*vector.shape[:-1], *a.shape))

    return map(take, like)


def dot(tree: Any, other: Any) -> Any:
    """The sum of products of components (no conjugation)."""
    return np.sum(flatten(tree) * flatten(other))


def norm(tree: Any) -> float:
    """The Euclidean norm of all components, at any scale: nothing underflows or overflows on the way."""
    vector = arrays.on_host(flatten(tree))
    largest = np.max(np.abs(vector), initial=0)
    if not 0 < largest < math.inf:
        return float(largest)  # zero, infinite, or NaN
    return float(largest * np.linalg.norm((vector / largest).astype(np.float64)))


def random_like(tree: Tree, rng: np.random.Generator) -> Tree:
    """Standard normal components in the shapes and dtypes of ``tree``."""
    return map(lambda a: arrays.like(rng.standard_normal(a.shape).astype(a.dtype), a), tree)
