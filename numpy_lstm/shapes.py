"""Axis letters, and the one place where shapes, dtypes and libraries are compared.

T time, B batch, D input, H hidden, R recurrent width (R = H unless projected). A record declares its axes in
its annotations (``W_i: HD``); ``bind`` holds the arrays of a call against them. The first array that shows a
letter fixes its size, the first array of all fixes library and dtype, and the error names who did.

Integers, codes of symbols or classes, are declared with the size that they stay below: ``B<D``. They have no cotangent
(None), and a dtype of their own. A field that is the same at all steps, a memory that each reads, is declared with a
star, ``BSN*``: in a sequence it has no time axis, and its cotangent is the sum over steps.
"""

from functools import cache
from typing import Annotated, Any, NamedTuple, get_type_hints

from . import arrays
from .arrays import Array

A = Annotated[Array, "A"]  # units of an additive score
B = Annotated[Array, "B"]
CODES = Annotated[Any, "B<D"]  # integers, each from 0 to D - 1
H = Annotated[Array, "H"]
AR = Annotated[Array, "AR"]
BA = Annotated[Array, "BA"]
BD = Annotated[Array, "BD"]
BH = Annotated[Array, "BH"]
BR = Annotated[Array, "BR"]
DH = Annotated[Array, "DH"]
HH = Annotated[Array, "HH"]
HD = Annotated[Array, "HD"]
HR = Annotated[Array, "HR"]
BIAS = Annotated[Array, "BS*"]
KEYS = Annotated[Array, "BSA*"]  # what each place of a memory answers to
MEMORY = Annotated[Array, "BSN*"]  # S places of N numbers for each row
HN = Annotated[Array, "HN"]
BN = Annotated[Array, "BN"]
BS = Annotated[Array, "BS"]
BSA = Annotated[Array, "BSA"]
ND = Annotated[Array, "ND"]
MOVES = {  # what to do about an array of one library where another is expected
    ("numpy", "cupy"): "nothing is moved silently: cupy.asarray(array) moves it to the device",
    ("cupy", "numpy"): "nothing is moved silently: array.get() fetches it from the device",
}


def record(name: str, letters: dict[str, str]) -> Any:
    """The record type with these fields and axis letters, as ``declared`` gives them.

    It is the same type wherever it is asked for, and its full name says what it holds, so that it pickles.
    """
    return _record(" ".join([name, *(f"{field}={axes}" for field, axes in letters.items())]))


@cache
def _record(full_name: str) -> Any:
    name, *fields = full_name.split(" ")
    pairs = [field.split("=") for field in fields]
    made: Any = NamedTuple(name, [(field, Annotated[Array, letters]) for field, letters in pairs])  # type: ignore[misc]
    made.__module__, made.__qualname__ = __name__, full_name
    return made


def __getattr__(name: str) -> Any:
    if name.partition(" ")[0] in ("State", "Input", "Outputs", "Params", "Trace"):  # pickle asks for a record
        return _record(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ShapeError(ValueError):
    """An array has another shape than the equations need: says what came, what was expected, who fixed it."""


@cache
def declared(record_type: type) -> dict[str, str]:
    """Field name -> axis letters as declared: ``B<D`` for integers below D, ``BSN*`` for what all steps share."""
    hints = get_type_hints(record_type, include_extras=True)
    return {field: hint.__metadata__[0] for field, hint in hints.items()}


@cache
def axes(record_type: type) -> dict[str, str]:
    """Field name -> axis letters: ``{"W_i": "HD", ...}``."""
    return {field: letters.partition("<")[0].rstrip("*") for field, letters in declared(record_type).items()}


@cache
def codes(record_type: type) -> dict[str, str]:
    """Field name -> the letter of the size that its integers stay below, for the fields that hold integers."""
    return {field: letters[-1] for field, letters in declared(record_type).items() if "<" in letters}


@cache
def shared(record_type: type) -> tuple[str, ...]:
    """The fields that are the same at all steps."""
    return tuple(field for field, letters in declared(record_type).items() if letters.endswith("*"))


def apart(record: Any) -> tuple[Any, dict[str, Any]]:
    """A record without what all steps share (None in its place), and that by name; any other tree as it is."""
    kind: Any = type(record)
    fields = shared(kind) if hasattr(record, "_fields") else ()
    return (record._replace(**dict.fromkeys(fields)) if fields else record), {k: getattr(record, k) for k in fields}


@cache
def _integers_last(record_type: type) -> list[tuple[str, str]]:
    """The items of ``declared`` in the order in which arrays are bound: no dtype comes from integers."""
    return sorted(declared(record_type).items(), key=lambda item: "<" in item[1])


@cache
def _with_lead(letters: str) -> tuple[str, str]:
    """Axis letters, without the time axis where a star says that there is none, and the one that integers are below."""
    plain, _, below = letters.partition("<")
    return plain.removesuffix("*").removeprefix("T") if plain.endswith("*") else plain, below


class Sizes:
    """What the arrays of one call agree on: size of each axis letter, library and dtype, and who fixed them.

    ``owner`` is the cell, as messages name it. ``R`` is its recurrent width if it is projected; else R = H.
    """

    def __init__(self, owner: str, R: int | None = None) -> None:
        self._owner = owner
        self._tied = {"R": "H"} if R is None else {}
        self._size: dict[str, int] = {} if R is None else {"R": R}
        self._fixed_by: dict[str, str] = {"R": owner}
        self._like: Array | None = None
        self._like_name = ""
        self._device: int | None = None  # the GPU
        self._seen: dict[str, tuple[int, ...]] = {}  # shapes that fitted, by letters

    def __getitem__(self, letter: str) -> int:
        return self._size[self._root(letter)]

    @property
    def like(self) -> Array:
        """The first array of the call, which fixed library and dtype."""
        assert self._like is not None, "nothing was bound yet"
        return self._like

    def shape(self, letters: str) -> tuple[int, ...]:
        """The sizes of these axes."""
        return tuple(self[letter] for letter in letters)

    def zeros(self, record_type: Any, lead: str = "") -> Any:
        """A record of zeros, in the library and dtype of this call; None for integers."""
        held = shared(record_type)
        shapes = {k: self.shape(a if k in held else lead + a) for k, a in axes(record_type).items()}
        absent = codes(record_type)
        return record_type(**{k: None if k in absent else arrays.zeros(a, self.like) for k, a in shapes.items()})

    def bind(self, name: str, array: Any, letters: str) -> None:
        """Hold one array against its axis letters, as ``declared`` gives them.

        Raises TypeError for what is no array, or one of another library or dtype; ShapeError for the rest.
        """
        letters, below = _with_lead(letters)
        like: Any = self._like
        if (
            like is not None
            and type(array) is type(like)
            and array.dtype == like.dtype
            and array.shape == self._seen.get(letters)
            and (self._device is None or array.device.id == self._device)
        ):
            return  # what fitted once fits again
        self._bind_kind(name, array, below)
        known = dict(self._size)
        if array.ndim != len(letters) or not all(
            (n > 0 or k == "T") and known.setdefault(self._root(k), n) == n
            for k, n in zip(letters, array.shape, strict=True)
        ):
            raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected {self._expected(letters, array.shape)}")
        for letter, n in zip(letters, array.shape, strict=True):
            self._size.setdefault(self._root(letter), n)
            self._fixed_by.setdefault(self._root(letter), name)
        if not below:
            self._seen[letters] = tuple(array.shape)

    def bind_record(self, name: str, record: Any, record_type: Any, lead: str = "", partial: bool = False) -> None:
        """Hold a record's arrays against its declaration; with ``partial``, fields may be None (absent)."""
        if not isinstance(record, record_type):
            expected = f"{self._owner}.{record_type.__name__}({', '.join(record_type._fields)})"
            hint = ", as numpy_lstm.layouts.load makes it" if name == "params" and isinstance(record, dict) else ""
            raise TypeError(f"{name} is a {arrays.type_name(record)}; expected {expected}{hint}")
        for field, letters in _integers_last(record_type):
            leaf = getattr(record, field)
            if leaf is None and not partial:
                expected = self._expected(_with_lead(lead + letters)[0])
                raise ShapeError(f"{name}.{field} is absent; expected {expected}")
            if leaf is not None:
                self.bind(f"{name}.{field}", leaf, lead + letters)

    def bind_range(self, name: str, array: Any, letter: str) -> None:
        """Raise ValueError unless the integers lie between 0 and the size of this letter."""
        for extreme in arrays.extremes(array) if array.size else ():
            if not 0 <= extreme < self[letter]:
                raise ValueError(f"{name} holds {extreme}; expected {self._codes(letter)}")

    def _codes(self, letter: str) -> str:
        size = self._size.get(self._root(letter))
        if size is None:
            return f"integers below {letter}"
        fixed_by = self._fixed_by[self._root(letter)]
        return f"integers from 0 to {size - 1}, where {letter}={size} was fixed by {fixed_by}"

    def _bind_kind(self, name: str, array: Any, below: str) -> None:
        try:
            library = arrays.library(array)
        except TypeError as error:
            raise TypeError(f"{name} {error}") from None
        if below and not arrays.is_integral(array):
            raise TypeError(f"{name} has dtype {arrays.dtype_name(array)}; expected {self._codes(below)}")
        if self._like is None:
            if below:
                return
            if not arrays.is_differentiable(array):
                raise TypeError(
                    f"{name} has dtype {arrays.dtype_name(array)}; "
                    "expected float32, float64, longdouble, a complex dtype, or object"
                )
            self._like, self._like_name, self._device = array, name, arrays.device(array)
        elif (expected := arrays.library(self.like)) != library and not (below and expected == "numpy_lstm"):
            hint = f" ({MOVES[library, expected]})" if (library, expected) in MOVES else ""
            raise TypeError(
                f"{name} is an array of {library}; expected {expected}, the library of {self._like_name}{hint}"
            )
        elif array.dtype != self.like.dtype and not below:
            raise TypeError(
                f"{name} has dtype {arrays.dtype_name(array)}; expected {arrays.dtype_name(self.like)}, "
                f"the dtype of {self._like_name} (nothing is promoted silently: convert one of them)"
            )
        elif (came := arrays.device(array)) != self._device:
            raise TypeError(
                f"{name} is on device {came}; expected device {self._device}, that of {self._like_name} "
                f"(nothing is moved silently: with cupy.cuda.Device({self._device}): {name} = cupy.array({name}))"
            )

    def _expected(self, letters: str, came: tuple[int, ...] = ()) -> str:
        """``(T, B, D=5), where D=5 was fixed by params.W_i``: the reasons only for what does not fit."""
        size = {letter: self._size.get(self._root(letter)) for letter in letters}
        shape = ", ".join(k if size[k] is None else f"{k}={size[k]}" for k in letters)
        aligned = list(zip(letters, came, strict=True)) if len(came) == len(letters) else [(k, None) for k in letters]
        reasons = [
            f"{k}={size[k]} was fixed by {self._fixed_by[self._root(k)]}"
            for k, n in aligned
            if size[k] is not None and size[k] != n
        ]
        reasons += [f"{k} must be at least 1" for k, n in aligned if size[k] is None and n == 0 and k != "T"]
        return f"({shape})" + (f", where {' and '.join(reasons)}" if reasons else "")

    def _root(self, letter: str) -> str:
        return self._tied.get(letter, letter)
