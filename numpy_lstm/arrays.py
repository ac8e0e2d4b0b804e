"""The namespace room: the only file that knows which array library is in use.

NumPy, CuPy and every library with ``__array_namespace__`` (array-api-strict, say) are served alike. NumPy
arrays of ``dtype=object`` hold numbers that bring their own arithmetic (mpmath, gmpy2, python-flint): elementary
functions are looked up from the number itself, so 50-digit arithmetic runs through the same pages.
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np

BLOCK = 16384  # numbers


class Array(Protocol):
    """What a page may do with an array: arithmetic, ``@``, transposition and basic indexing."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def T(self) -> "Array": ...
    @property
    def mT(self) -> "Array": ...
    def __getitem__(self, key: Any, /) -> "Array": ...
    def __neg__(self) -> "Array": ...
    def __ge__(self, other: Any, /) -> "Array": ...
    def __gt__(self, other: Any, /) -> "Array": ...
    def __lt__(self, other: Any, /) -> "Array": ...
    def __add__(self, other: Any, /) -> "Array": ...
    def __radd__(self, other: Any, /) -> "Array": ...
    def __sub__(self, other: Any, /) -> "Array": ...
    def __rsub__(self, other: Any, /) -> "Array": ...
    def __mul__(self, other: Any, /) -> "Array": ...
    def __rmul__(self, other: Any, /) -> "Array": ...
    def __truediv__(self, other: Any, /) -> "Array": ...
    def __rtruediv__(self, other: Any, /) -> "Array": ...
    def __matmul__(self, other: Any, /) -> "Array": ...


def namespace(array: object) -> ModuleType:
    """The module whose functions act on ``array``.

    Raises TypeError for anything that is not an array of a supported library, among them lists, scalars and
    torch tensors, and for ``numpy.matrix`` and masked arrays, whose ``*`` and ``+`` mean something else.
    """
    if type(array) is np.ndarray:
        return np
    if isinstance(array, np.ndarray):
        if not isinstance(array, np.matrix | np.ma.MaskedArray):
            return np
    elif is_cupy(array):
        return sys.modules["cupy"]
    elif hasattr(array, "__array_namespace__"):
        return cast(ModuleType, array.__array_namespace__())
    hint = ": .detach().numpy() makes one" if hasattr(array, "detach") else ""
    raise TypeError(
        f"is a {type_name(array)}; expected an array of NumPy, CuPy or another library of the array API{hint}"
    )


def type_name(value: object) -> str:
    """``list``, ``torch.Tensor``: the type as a reader of an error message knows it."""
    kind = type(value)
    if hasattr(kind, "_fields") and " " in kind.__qualname__:  # a record made by shapes.record
        return f"{kind.__name__}({', '.join(kind._fields)})"
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def as_numpy(array: Any) -> Any:
    """``array`` as a NumPy array; a torch tensor is read unseen, wherever it lives and whatever its graph.

    What CuPy holds is fetched. bfloat16, which NumPy lacks, becomes float32, exactly.
    """
    if is_cupy(array):
        return array.get()
    if not hasattr(array, "detach"):
        return np.asarray(array)
    array = array.detach().cpu()
    return np.asarray((array.float() if str(array.dtype) == "torch.bfloat16" else array).numpy())


def as_array(array: Any) -> Any:
    """``array`` as it is if CuPy holds it, so that it stays on its device; else as a NumPy array."""
    return array if is_cupy(array) else as_numpy(array)


def library(array: Array) -> str:
    """The name of the library that ``array`` belongs to: ``numpy``, ``cupy``, ``array_api_strict``."""
    return namespace(array).__name__.partition(".")[0]


def device(array: Any) -> int | None:
    """The number of the GPU on which a CuPy array lives; None for others."""
    return cast(int, array.device.id) if is_cupy(array) else None


def is_cupy(value: Any) -> bool:
    """Whether ``value`` is an array of CuPy."""
    return type(value).__module__.partition(".")[0] == "cupy"


def like(array: Any, other: Any) -> Any:
    """``array``, of NumPy, in the library of ``other``: moved to the device where that is CuPy."""
    if isinstance(other, np.ndarray) or not isinstance(array, np.ndarray | np.generic):
        return array
    return namespace(other).asarray(array)


def beside(codes: Any, array: Any) -> Any:
    """Integers where ``array`` lives: of CuPy if it is, else of NumPy."""
    if not is_cupy(array):
        return on_host(codes)
    return codes if is_cupy(codes) else namespace(array).asarray(codes)


def on_host(array: Any) -> Any:
    """A NumPy array: what CuPy holds is fetched; anything else is returned as it is."""
    return array.get() if is_cupy(array) else array


def dtype_name(array: Array) -> str:
    """``float64`` and the like, without the library's prefix."""
    return str(array.dtype).rpartition(".")[2]


def is_differentiable(array: Array) -> bool:
    """Whether ``array`` holds float32, float64, longdouble, their complex counterparts, or objects, in native order."""
    if isinstance(array.dtype, np.dtype):
        return array.dtype.kind in "fcO" and array.dtype != np.float16 and array.dtype.isnative
    return bool(namespace(array).isdtype(array.dtype, ("real floating", "complex floating")))


def is_integral(array: Any) -> bool:
    """Whether ``array`` holds integers, booleans not among them."""
    if isinstance(array.dtype, np.dtype):
        return array.dtype.kind in "iu"
    return bool(namespace(array).isdtype(array.dtype, "integral"))


def exp(a: Array) -> Array:
    return _elementwise("exp", a)


def tanh(a: Array) -> Array:
    return _elementwise("tanh", a)


def sqrt(a: Array) -> Array:
    return _elementwise("sqrt", a)


def expm1(a: Array) -> Array:
    return _elementwise("expm1", a)


def log1p(a: Array) -> Array:
    return _elementwise("log1p", a)


def real(a: Array) -> Array:
    """The real part: what a branch may look at, so that complex steps take the branch of their value."""
    if _holds_objects(a):
        return cast(Array, np.frompyfunc(lambda z: z.real, 1, 1)(a))
    if isinstance(a.dtype, np.dtype):
        return cast(Array, a.real) if a.dtype.kind == "c" else a  # type: ignore[attr-defined]
    xp = namespace(a)
    return cast(Array, xp.real(a)) if xp.isdtype(a.dtype, "complex floating") else a


def minus_magnitude(a: Array) -> Array:
    """-|a| for reals; for complex numbers a or -a, whichever has no positive real part."""
    if isinstance(a, np.ndarray) and a.dtype.kind == "f":
        return cast(Array, -np.abs(a))
    return where(real(a) >= 0, -a, a)


def where(condition: Array, a: Array, b: Array) -> Array:
    return cast(Array, namespace(a).where(condition, a, b))


def transpose(a: Array) -> Array:
    """The last two axes exchanged, never conjugated. (CuPy has no ``mT`` before version 14.)"""
    if a.ndim == 2:
        return a.T
    return cast(Array, cast(Any, a).swapaxes(-1, -2)) if is_cupy(a) else a.mT


def exchange(a: Array) -> Array:
    """The first two of three axes exchanged."""
    if isinstance(a, np.ndarray) or is_cupy(a):
        return cast(Array, cast(Any, a).swapaxes(0, 1))
    return cast(Array, namespace(a).permute_dims(a, (1, 0, 2)))


def any_first(a: Array) -> Array:
    """Booleans: whether any along the first axis is true."""
    return cast(Array, namespace(a).any(a, axis=0))


def sum_axis(a: Array, axis: int) -> Array:
    return cast(Array, namespace(a).sum(a, axis=axis))


def extremes(codes: Array) -> tuple[int, int]:
    """The smallest and the largest of these integers."""
    return int(namespace(codes).min(codes)), int(namespace(codes).max(codes))


def largest(a: Array) -> Array:
    """The column of the largest real part in each row of a (...,B,N), the first of several: integers (...,B)."""
    return cast(Array, namespace(a).argmax(real(a), axis=-1))


def gather_rows(W: Array, codes: Array) -> Array:
    """The rows of W (...,D,H) that the integers ``codes`` (B,) name. Gives (...,B,H)."""
    return cast(Array, namespace(W).take(W, codes, axis=-2))


def pick(a: Array, codes: Array) -> Array:
    """One number of each row of a (...,B,N), in the column that its code names. Gives (...,B).

    ``codes`` have all of these axes, or the last of them.
    """
    codes = reshape(codes, (*(1,) * (a.ndim - 1 - codes.ndim), *codes.shape, 1))
    return cast(Array, namespace(a).take_along_axis(a, codes, axis=-1))[..., 0]


def replaced(a: Array, codes: Array, by: Array) -> Array:
    """The rows of a (...,B,N) with ``by`` (...,B) in the column that the code of each names: a copy."""
    if not isinstance(a, np.ndarray):
        return where(hot(codes, a.shape[-1]), keep_last(by), a)
    changed = a.copy()
    places = np.broadcast_to(cast(Any, codes), a.shape[:-1])
    np.put_along_axis(changed, places[..., None], cast(Any, by)[..., None], axis=-1)
    return cast(Array, changed)


def widened(a: Array) -> Array | None:
    """NumPy's float32 numbers as float64; None for all others."""
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else None


def in_blocks(f: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """f(a, b), elementwise on a, for NumPy arrays by blocks of the first axis: what lies between stays in the cache."""
    rows = max(1, BLOCK // max(1, a.shape[-1] * (a.shape[-2] if a.ndim > 2 else 1)))
    if not isinstance(a, np.ndarray) or a.shape[0] <= rows:
        return f(a, b)
    found = np.empty_like(a)
    for k in range(0, a.shape[0], rows):
        found[k : k + rows] = f(a[k : k + rows], b[k : k + rows])
    return cast(Array, found)


def hot(codes: Array, n: int) -> Array:
    """Booleans (...,B,n), true in the column that each of the ``codes`` (...,B) names."""
    return cast(Array, namespace(codes).arange(n) == keep_last(codes))


def scatter_rows(d: Array, codes: Array, count: int) -> Array:
    """The adjoint of ``gather_rows``: rows of d (N,H), each added to the one of ``count`` rows that its code names."""
    n = d.shape[0]
    if isinstance(d, np.ndarray) and d.dtype.kind in "fc":
        from scipy.sparse import csc_array  # type: ignore[import-untyped]  # a tenth of the time of np.add.at

        return cast(Array, csc_array((np.ones(n, d.dtype), codes, np.arange(n + 1)), shape=(count, n)) @ d)
    if is_cupy(d):
        return transpose(astype(hot(codes, count), d)) @ d
    rows = [zeros(d.shape[1:], d)] * count
    for k in range(n):
        rows[int(cast(Any, codes)[k])] = rows[int(cast(Any, codes)[k])] + d[k, ...]
    return stack(rows)


def unread(x: Array, masks: Sequence[Array]) -> Array:
    """x (...,B,D), zero where it is not finite on rows that every mask (...,B,N) keeps whole: they read nothing."""
    xp = namespace(x)
    if _holds_objects(x) or not hasattr(xp, "isfinite"):
        return x
    wrong = ~xp.isfinite(x)
    if not bool(xp.any(wrong)):
        return x
    for mask in masks:
        wrong = wrong & keep_last(xp.all(cast(Any, mask) == 1, axis=-1))
    return where(wrong, zeros(x.shape, x), x)


def keep_last(a: Array) -> Array:
    """A last axis of 1 behind the others."""
    return a[..., None]


def reshape(a: Array, shape: tuple[int, ...]) -> Array:
    return cast(Array, namespace(a).reshape(a, shape))


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    first = arrays[0]
    if axis == 0 and type(first) is np.ndarray and not first.dtype.hasobject:
        return cast(Array, np.array(arrays))  # a third of the time
    return cast(Array, namespace(first).stack(list(arrays), axis=axis))


def concat(arrays: Sequence[Array], axis: int) -> Array:
    xp = namespace(arrays[0])
    join = xp.concat if hasattr(xp, "concat") else xp.concatenate  # older CuPy has only the latter
    return cast(Array, join(list(arrays), axis=axis))


def flip(a: Array) -> Array:
    """The first axis reversed."""
    return cast(Array, namespace(a).flip(a, axis=0))


def copy(a: Array) -> Array:
    """An array of its own with the same numbers."""
    return cast(Array, np.array(a)) if type(a) is np.ndarray else stack([a])[0, ...]


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Zeros of the library and dtype of ``like``; in an object array, zeros of the numbers it holds."""
    if _holds_objects(like) and like.shape and 0 not in like.shape:
        number: Any = type(like[(0,) * like.ndim])  # not times 0: the number may be a NaN on padding
        return cast(Array, np.full(shape, number(0), dtype=object))
    return cast(Array, namespace(like).zeros(shape, dtype=like.dtype))


def constant(a: Array, value: float) -> Array:
    """``value`` wherever ``a`` has a number, infinities included; NaN where it has NaN (but for numbers as objects)."""
    filled = zeros(tuple(a.shape), a) + value
    return filled if _holds_objects(a) else where(a == a, filled, a)  # type: ignore[arg-type]


def astype(a: Any, like: Array) -> Array:
    """``a`` in the dtype of ``like``, an array of the same library."""
    convert = getattr(namespace(a), "astype", None)  # a function in the standard, a method in older CuPy
    return cast(Array, convert(a, like.dtype) if convert else a.astype(like.dtype))


def booleans(mask: Any, shape: tuple[int, ...], like: Array) -> Array:
    """The NumPy ``mask`` in that shape, of the library of ``like``."""
    xp = namespace(like)
    kind = xp.bool if hasattr(xp, "bool") else xp.bool_
    return cast(Array, xp.reshape(xp.asarray(mask.tolist(), dtype=kind), shape))


def _holds_objects(a: Array) -> bool:
    return isinstance(a.dtype, np.dtype) and a.dtype.hasobject


def _elementwise(name: str, a: Array) -> Array:
    if _holds_objects(a):
        return cast(Array, _object_function(name)(a))
    return cast(Array, getattr(namespace(a), name)(a))


@cache
def _object_function(name: str) -> Callable[[Any], Any]:
    """``name`` for arrays of numbers that bring their own arithmetic."""

    def of_number(z: Any) -> Any:
        if hasattr(z, "context"):  # mpmath: mp.exp(z); its z.exp is the binary exponent
            return getattr(z.context, name)(z)
        if hasattr(z, name):  # python-flint: z.exp()
            return getattr(z, name)()
        home = sys.modules[type(z).__module__.partition(".")[0]]  # gmpy2: gmpy2.exp(z)
        if hasattr(home, name):
            return getattr(home, name)(z)
        raise TypeError(f"cannot take {name} of a {type(z).__qualname__} in an object array")

    return cast(Callable[[Any], Any], np.frompyfunc(of_number, 1, 1))
