"""What training refuses or gives up, each told in one line."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np


class TrainingError(ValueError):
    """A setting, a text or a file that cannot be used: says what came and what was expected."""


class Diverged(ArithmeticError):
    """The loss or a gradient is not finite: names the first array that went wrong."""


def expect_within(name: str, value: Any, low: float, high: float = math.inf, open_low: bool = False) -> float:
    """``value`` as a float; TrainingError unless it is a number from ``low`` (above it, with ``open_low``) to ``high``.

    NumPy's numbers must not go further: a float64 among float32 arrays makes float64 of them.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (low < value if open_low else low <= value) or not value <= high:
        above = f"above {low:g}" if open_low else f"of at least {low:g}"
        most = "" if high == math.inf else f", at most {high:g}"
        raise TrainingError(f"{name} is {said(value)}; expected a number {above}{most}")
    return float(value)


def expect_count(name: str, value: Any, least: int = 1) -> int:
    """``value`` as an int; TrainingError unless it is an integer from ``least`` to 2^63 - 1, which fits in a file."""
    integral = isinstance(value, Integral) and not isinstance(value, bool)
    if not integral or not least <= value < 2**63:
        most = f", at most {2**63 - 1}" if integral and value > 0 else ""
        raise TrainingError(f"{name} is {said(value)}; expected an integer of at least {least}{most}")
    return int(value)


def said(value: Any) -> str:
    """A value in a message: NumPy's numbers as Python's."""
    return repr(value.item() if isinstance(value, np.generic) else value)
