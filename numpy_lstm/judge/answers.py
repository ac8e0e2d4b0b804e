"""An answer held against a case: its names, shapes and precision."""

import difflib
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from ..arrays import as_numpy, type_name
from ..cases import files, precision
from ..cases.case import Case
from ..cases.names import parse
from ..check.given import NO_GRADIENT, CaseError, unmasked


def checked(case: Case, answer: Any, known: dict[str, tuple[int, ...]]) -> tuple[dict[str, Any], str]:
    """The arrays of the answer as float64, and the precision by which they are judged; ``known``: names and shapes."""
    if isinstance(answer, str | PathLike):
        answer = files.read_answer(answer)
    if not isinstance(answer, Mapping | files.Answer):
        raise CaseError(f"the answer is a {type_name(answer)}; expected arrays by name, or a file of them")
    arrays, dtype = answer if isinstance(answer, files.Answer) else (dict(answer), None)
    if not arrays:
        raise CaseError(f"the answer has no arrays; expected {', '.join(n for n in known if not parse(n).of_steps)}")
    found, widest = {}, ""
    for k, given in arrays.items():
        if k not in known:
            asked = ", ".join(n for n in known if not parse(n).of_steps)
            near = difflib.get_close_matches(str(k), known, 1) or difflib.get_close_matches(f"d_{k}", known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it expects {asked}"
            raise CaseError(f"{k} is not expected by case {case.name}; {hint}")
        if given is None:
            raise CaseError(f"{k} is None; {NO_GRADIENT}")
        unmasked(k, given)
        half = str(getattr(given, "dtype", "")) == "torch.bfloat16"  # which NumPy lacks
        try:
            a = as_numpy(given.float() if half else given)
        except ValueError:  # NumPy's text speaks of sequences and inhomogeneous parts
            raise CaseError(f"{k} is no array: its rows have different lengths") from None
        if a.dtype.kind not in "fiu" or a.dtype.itemsize > 8:
            raise CaseError(f"{k} has dtype {a.dtype}; expected {' or '.join(precision.ROUNDOFF)}")
        if a.shape != known[k]:
            hint = " (the same axes in another order?)" if sorted(a.shape) == sorted(known[k]) else ""
            raise CaseError(f"{k} has shape {a.shape}; expected {known[k]}{hint}")
        found[k] = a.astype(np.float64)
        here = "bfloat16" if half else a.dtype.name if a.dtype.name in precision.ROUNDOFF else "float64"
        widest = precision.wider(widest or here, here)
    return found, precision.narrower(dtype or widest, case.dtype)
