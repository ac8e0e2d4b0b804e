"""What somebody hands to a check, as NumPy arrays; or one line that says what came and what was expected."""

from typing import Any

import numpy as np

from .. import tree
from ..arrays import as_numpy, type_name
from .routes import expect_arrays

NO_GRADIENT = "expected an array (torch leaves .grad None where no gradient arrived: before backward(), or unused)"


class CaseError(ValueError):
    """What was handed to a check, a case or an answer cannot be read or does not fit: what came, what was expected."""


def tolerance(value: float | None) -> None:
    """Raise CaseError unless ``value`` is None, or a number between 0 and 1."""
    if value is not None and not 0 < value < 1:
        raise CaseError(f"tolerance is {value}; expected a number between 0 and 1")


def unmasked(name: str, value: Any) -> Any:
    """``value``; raises CaseError for a masked array, whose mask would count for nothing."""
    if isinstance(value, np.ma.MaskedArray):
        raise CaseError(f"{name} is a {type_name(value)}; expected a plain array: .filled(0) makes one")
    return value


def floats(point: Any) -> Any:
    """``point``, if it is a tree of NumPy arrays of float64 or finer; raises CaseError for all else."""
    leaves = list(tree.leaves(point, "point"))
    if not leaves:
        raise CaseError(f"point is {point!r}; expected a NumPy array, or a dict of them")
    expect_arrays(point)
    for name, a in leaves:
        if a.dtype.kind != "f" or a.dtype.itemsize < 8 or not a.size:
            raise CaseError(f"{name} has dtype {a.dtype} and shape {a.shape}; expected float64, at least one number")
    return point


def like(got: Any, want: Any) -> Any:
    """``got``, tensors of torch among it, as arrays of the names, shapes and order of ``want``; or raises CaseError."""
    if callable(got) and not hasattr(got, "shape"):
        raise CaseError(f"the gradient is a {type_name(got)}; expected its arrays: call it at the point")
    given = dict(tree.leaves(got, absent=True))
    for name, a in tree.leaves(want):
        if name in given and given[name] is None:
            raise CaseError(f"{_called(name)} is None; {NO_GRADIENT}")
        if name not in given and any(k.startswith(f"{name}.".lstrip(".")) for k in given):
            raise CaseError(f"{_called(name)} is no array but a list or record of them; expected the shape {a.shape}")
    arrays = {k: as_numpy(unmasked(_called(k), a)) for k, a in given.items() if a is not None}
    have, need = {k: a.shape for k, a in arrays.items()}, {k: a.shape for k, a in tree.leaves(want)}
    if have != need:
        wrong = sorted(k for k in have.keys() | need.keys() if have.get(k) != need.get(k))
        said = "; ".join(f"{_called(k)}: {have.get(k, 'absent')}, expected {need.get(k, 'nothing')}" for k in wrong)
        raise CaseError(f"the gradients do not match in shape: {said}")
    for name, a in arrays.items():
        if a.dtype.kind not in "fiu" or not a.size:
            raise CaseError(
                f"{_called(name)} has dtype {a.dtype} and shape {a.shape}; expected real numbers, at least one"
            )
    in_order = iter([arrays[k] for k in need])
    return tree.map(lambda _: next(in_order), want)


def number(value: Any) -> Any:
    """What a loss gave at a real point, as a NumPy number; raises CaseError unless it is one finite real number."""
    a = as_numpy(value)
    if a.dtype.kind not in "fiuc":
        raise CaseError(f"the loss gives a {type_name(value)}; expected one number")
    if a.size != 1:
        raise CaseError(f"the loss gives an array of shape {a.shape}; expected one number: its sum, say")
    if a.dtype.kind == "c":
        raise CaseError("the loss gives a complex number at a real point; expected a real one")
    if not np.isfinite(a):
        raise CaseError(f"the loss is {float(a)} at the point; expected a finite number")
    return a.reshape(())


def _called(name: str) -> str:
    return name or "the gradient"
