"""A stand-in for CuPy, as strict as CuPy: what fails here fails on a device. NumPy does the arithmetic.

It differs from NumPy where CuPy does: nothing is converted silently (``np.asarray``, ``np.array([a])``), NumPy arrays
are refused as operands, as arguments, as indices and as what is assigned; ``out`` of products goes by keyword only;
results without axes stay arrays; there is no ``mT``, no ``__index__``, and of NumPy's functions only those of CuPy.
"""

import sys
import types
from typing import Any

import numpy as np
import pytest


def words(text: str) -> set[str]:
    return set(text.split())


CONVERSION = (
    "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
)
LACKS = words("mT ctypes getfield resize setfield setflags to_device")  # CuPy 14.2; mT is of version 14 only
LACKS_FUNCTIONS = words(
    "asmatrix block bmat einsum_path frompyfunc geomspace get_include insert isnat matvec nanpercentile "
    "nanquantile nested_iters polyder polydiv polyint seterr spacing unstack vecdot vecmat errstate "
    "printoptions vectorize"
)

REDUCTIONS = words("all any amax amin max min sum prod mean std var nansum nanmax nanmin nanmean")


class Device:
    """The only one, unless a test makes another."""

    def __init__(self, id: int = 0) -> None:
        self.id = id

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and self.id == other.id

    __hash__ = None  # type: ignore[assignment]

    def synchronize(self) -> None:
        """Nothing runs behind."""


class ndarray:
    """An array that hides a NumPy array."""

    __module__ = "cupy"
    __slots__ = ("_a", "device")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, a: np.ndarray, device: Device | None = None) -> None:
        self._a, self.device = a, device or Device()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(CONVERSION)

    def get(self) -> np.ndarray:
        """A NumPy array."""
        return self._a.copy()

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, out: Any = None, **options: Any) -> Any:
        if out is not None:
            options["out"] = out[0] if len(out) == 1 else out
        if method != "__call__":
            return NotImplemented
        return getattr(MODULE, ufunc.__name__)(*args, **options)

    def __array_function__(self, function: Any, kinds: Any, args: Any, options: Any) -> Any:
        name = function.__module__.removeprefix("numpy").strip(".")
        place = getattr(MODULE, name) if name else MODULE
        if not hasattr(place, function.__name__):
            return NotImplemented
        return getattr(place, function.__name__)(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name in LACKS or name.startswith("__"):
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        value = getattr(self._a, name)
        if name in ("shape", "strides", "ndim", "size", "dtype", "itemsize", "nbytes", "flags"):
            return value
        if name in ("tolist", "item"):
            return value
        return _guarded(value) if callable(value) else wrapped(value)

    @property
    def data(self) -> Any:
        """Where it lies: ``data.ptr``."""
        return types.SimpleNamespace(ptr=self._a.ctypes.data)

    def __getitem__(self, key: Any) -> Any:
        return wrapped(self._a[bare(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._a[bare(key)] = bare(value)

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        return (wrapped(a) for a in self._a)

    def __bool__(self) -> bool:
        return bool(self._a)

    def __int__(self) -> int:
        return int(self._a)

    def __float__(self) -> float:
        return float(self._a)

    def __complex__(self) -> complex:
        return complex(self._a)

    def __repr__(self) -> str:
        return repr(self._a)

    def __reduce__(self) -> Any:
        return ndarray, (self._a,)


def bare(value: Any) -> Any:
    """``value`` with our arrays laid open; raises TypeError for a NumPy array, as CuPy does."""
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(map(bare, value)) if not hasattr(value, "_fields") else type(value)(*map(bare, value))
    return {k: bare(v) for k, v in value.items()} if isinstance(value, dict) else value


def wrapped(value: Any) -> Any:
    """``value`` with NumPy arrays and scalars hidden again."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(map(wrapped, value))
    return type(value)(map(wrapped, value)) if type(value) in (tuple, list) else value


def _guarded(function: Any, products: bool = False) -> Any:
    name = getattr(function, "__name__", "")

    def call(*args: Any, **options: Any) -> Any:
        if name in REDUCTIONS and (unknown := {"initial", "where"} & options.keys()):
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown.pop()!r}")
        if products and len(args) > 2:
            raise TypeError("_try_fastcall_matmul() got multiple values for argument 'out'")
        out = options.get("out")
        result = function(*bare(args), **bare(options))
        return out if isinstance(out, ndarray) else wrapped(result)

    return call


def _operator(name: str) -> Any:
    function = getattr(np.ndarray, name)

    def call(self: ndarray, *others: Any) -> Any:
        result = function(self._a, *bare(others))
        return self if name.startswith("__i") and name != "__invert__" else wrapped(result)

    return call


OPERATORS = words(
    "add radd sub rsub mul rmul truediv rtruediv pow rpow matmul rmatmul floordiv rfloordiv mod neg pos "
    "abs invert and rand or ror xor rxor eq ne lt le gt ge iadd isub imul itruediv ior iand"
)
for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _module(name: str, source: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    for key in dir(source):
        value = getattr(source, key)
        if key.startswith("_") or key in LACKS_FUNCTIONS or isinstance(value, types.ModuleType):
            continue
        plain = isinstance(value, type) or not callable(value)
        setattr(module, key, value if plain else _guarded(value, products=key in ("matmul", "dot", "vecdot")))
    return module


def _poisoned(shape: Any, dtype: Any) -> Any:
    """What nobody wrote yet is NaN."""
    return np.full(shape, np.nan if np.dtype(dtype).kind in "fc" else 0, dtype)


def _made(a: Any, dtype: Any = None, copy: Any = None, order: Any = None, **_: Any) -> ndarray:
    """``cupy.array``: the one door for NumPy arrays, lists and numbers."""
    inside = a._a if isinstance(a, ndarray) else np.asarray(bare(a) if isinstance(a, list | tuple) else a)
    return ndarray(np.array(inside, dtype=dtype, order=order or "K"))


MODULE = _module("cupy", np)
MODULE.ndarray = ndarray  # type: ignore[attr-defined]
MODULE.__version__ = "14.2.0"  # type: ignore[attr-defined]
MODULE.__path__ = []
MODULE.empty = lambda shape, dtype=float: ndarray(_poisoned(shape, dtype))  # type: ignore[attr-defined]
MODULE.array = MODULE.asarray = _made  # type: ignore[attr-defined]
MODULE.asnumpy = lambda a: a.get() if isinstance(a, ndarray) else np.asarray(a)  # type: ignore[attr-defined]
MODULE.linalg = _module("cupy.linalg", np.linalg)  # type: ignore[attr-defined]
MODULE.random = types.ModuleType("cupy.random")  # type: ignore[attr-defined]


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The stand-in, in the place of CuPy."""
    monkeypatch.setitem(sys.modules, "cupy", MODULE)
    return MODULE
