"""Cotangents that remember the terms of the sum they are: what a page's own ``adjoint`` states, term by term.

A page is run on them as on any other arrays. ``a + b`` keeps both terms; any other linear operation makes one term,
which knows the cotangent it came from and the parameter that it went through. No derivative is taken here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

SUMS = {"add", "subtract", "concatenate", "stack", "hstack", "vstack", "where"}  # linear in all that they are given
PRODUCTS = {"multiply", "divide", "true_divide", "matmul", "dot", "inner", "einsum", "tensordot"}  # in one of them
ALONE = {"negative", "positive", "sum", "mean", "reshape", "transpose", "matrix_transpose", "swapaxes", "moveaxis"}
ALONE |= {"squeeze", "expand_dims", "broadcast_to", "flip", "split", "getitem", "copy", "take_along_axis"}
OF_SHAPE = {"zeros_like", "ones_like", "empty_like", "full_like", "shape", "ndim", "size", "result_type"}


KEPT = "a mask"  # the label of every Mask; no parameter is called so


class Term(NamedTuple):
    """``apply(source)``: linear in one cotangent, through the parameter ``label``, through a mask, or neither.

    ``apply(x, size=True)`` does the same with the absolute value of all that is not x.
    """

    source: "Cotangent"
    apply: Callable[..., Any]
    label: str | None


class Labelled(np.ndarray):
    """A parameter, or what is computed of it: ``label`` is its field."""

    label: str

    def __array_finalize__(self, made_of: Any) -> None:
        if isinstance(made_of, Labelled):
            self.label = made_of.label

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        found = super().__array_function__(function, types, args, options)
        plain = isinstance(found, np.ndarray) and not isinstance(found, Labelled)
        return labelled(found, self.label) if plain and not isinstance(self, Mask) else found


class Mask(Labelled):
    """An input of the step other than x. What is computed of it, 1 - keep for example, is an array like any other."""

    def __array_wrap__(self, array: Any, *_: Any) -> Any:
        return np.asarray(array)


def labelled(array: Any, label: str, kind: type[Labelled] = Labelled) -> Any:
    """A view of ``array`` with that label."""
    view = np.asarray(array).view(kind)
    view.label = label
    return view


def _method(function: Callable[..., Any], together: bool = False) -> Callable[..., Any]:
    """A function as a method of its first argument; ``together``, numbers that follow may stand as one tuple or not."""

    def method(self: "Cotangent", *args: Any, **options: Any) -> Any:
        if together and len(args) > 1:
            args = (args,)
        return function(self, *args, **options)

    return method


class Cotangent(NDArrayOperatorsMixin):
    """A NumPy array ``value`` with the ``terms`` whose sum it is; none, if it came from outside."""

    def __init__(self, value: Any, terms: tuple[Term, ...] = ()) -> None:
        self.value = np.asarray(value)
        self.terms = terms

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.swapaxes(self, -1, -2))  # noqa: N815

    def __array_namespace__(self) -> Any:
        return np

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a cotangent is copied into a plain array; expected arithmetic, so that its terms are known")

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Any:
        return _linear("getitem", lambda a: a[key], (self,), {})

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, out: Any = None, **options: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"np.{ufunc.__name__}.{method} of a cotangent; expected one linear operation at a time")
        return _linear(ufunc.__name__, ufunc, args, options)  # a += b gives a new sum, and Python names it a

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return _linear(function.__name__, function, args, options)

    def astype(self, *_: Any, **__: Any) -> "Cotangent":
        """Itself: there is one dtype."""
        return self

    def copy(self) -> "Cotangent":
        """Itself: nothing is ever written to it."""
        return self

    sum, mean, swapaxes = (_method(f) for f in (np.sum, np.mean, np.swapaxes))
    reshape, transpose = (_method(f, together=True) for f in (np.reshape, np.transpose))


def _linear(name: str, function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    """What ``function`` gives, with its terms. Raises TypeError where it is not linear in the cotangents."""
    if name in OF_SHAPE:
        return function(*_each(args, lambda a: a.value), **options)
    sources = list({id(a): a for a in _flat(args) if isinstance(a, Cotangent)}.values())
    others = [a for a in _flat(args) if isinstance(a, np.ndarray)]
    divisor = name.endswith("divide") and isinstance(args[1], Cotangent)
    added = {"add": args, "subtract": args, "where": args[1:]}.get(name, args[:1]) if name in SUMS else ()
    constant = any(np.any(a) for a in _flat(added) if not isinstance(a, Cotangent))
    if name not in SUMS | PRODUCTS | ALONE or (name in PRODUCTS and len(sources) > 1) or divisor or constant:
        raise TypeError(f"np.{name} of a cotangent is not linear here; an adjoint is, in all that it is given")
    value = function(*_each(args, lambda a: a.value), **options)
    label = next((a.label for a in others if isinstance(a, Labelled)), None)

    def term(source: Cotangent, part: int | None = None) -> Term:
        def apply(x: Any, size: bool = False) -> Any:
            if name == "add" and x.shape == value.shape:
                return x
            given = _each(args, lambda a: x if a is source else np.zeros_like(a.value), size)
            found = function(*given, **options)
            found = found if part is None else found[part]
            return np.abs(found) if size else found

        return Term(source, apply, label)

    if isinstance(value, list | tuple):  # of np.split
        return [Cotangent(a, tuple(term(source, k) for source in sources)) for k, a in enumerate(value)]
    return Cotangent(value, tuple(term(source) for source in sources))


def _flat(args: Any) -> Iterator[Any]:
    for a in args:
        if isinstance(a, list | tuple):
            yield from _flat(a)
        else:
            yield a


def _each(args: Any, of_cotangent: Callable[[Cotangent], Any], size: bool = False) -> list[Any]:
    """The arguments as plain arrays; with ``size`` the absolute values of those that are no cotangent."""
    given: list[Any] = []
    for a in args:
        if isinstance(a, Cotangent):
            given.append(of_cotangent(a))
        elif isinstance(a, list | tuple) and any(isinstance(b, Cotangent) for b in _flat(a)):
            given.append(_each(a, of_cotangent, size))
        elif isinstance(a, np.ndarray | float):
            given.append(np.abs(np.asarray(a)) if size else np.asarray(a))
        else:
            given.append(a)
    return given


def follow(node: Cotangent, sources: Mapping[int, Any], cut: frozenset[str] = frozenset(), size: bool = False) -> Any:
    """What ``node`` is when the cotangents with these ids are these arrays, and all others from outside are absent.

    Terms whose label is in ``cut`` are left out. None if no way leads there. With ``size``, the sum of the absolute
    values of all terms.
    """
    known: dict[int, Any] = dict(sources)

    def at(node: Cotangent) -> Any:
        if id(node) not in known:
            total = None
            for source, apply, label in node.terms:
                if label not in cut and (below := at(source)) is not None:
                    total = apply(below, size) if total is None else total + apply(below, size)
            known[id(node)] = total
        return known[id(node)]

    return at(node)


def by_label(node: Cotangent, ends: set[int]) -> dict[str | None, Any]:
    """The terms of ``node`` by the parameter met first on the way up, until one of ``ends`` is reached.

    Without a parameter the key is KEPT if a mask was met, else None.
    """
    known: dict[int, dict[str | None, Any]] = {}

    def at(node: Cotangent) -> dict[str | None, Any]:
        if id(node) in ends:
            return {None: node.value}
        if id(node) not in known:
            found: dict[str | None, Any] = {}
            for source, apply, label in node.terms:
                above = at(source) if label in (None, KEPT) else {label: source.value}
                for key, part in above.items():
                    name = label if key is None else key
                    found[name] = found[name] + apply(part) if name in found else apply(part)
            known[id(node)] = found
        return known[id(node)]

    return at(node)
