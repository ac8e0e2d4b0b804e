"""What training refuses or gives up, each told in one line."""

from typing import Any


class TrainingError(ValueError):
    """A setting, a text or a file that cannot be used: says what came and what was expected."""


class Diverged(ArithmeticError):
    """The loss or a gradient is not finite: names the first array that went wrong."""


def expect_within(name: str, value: Any, low: float, high: float = float("inf"), open_low: bool = False) -> None:
    """Raise TrainingError unless ``value`` is a number from ``low`` (above it, with ``open_low``) to ``high``."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (low < value if open_low else low <= value) or not value <= high:
        above = f"above {low:g}" if open_low else f"of at least {low:g}"
        most = "" if high == float("inf") else f", at most {high:g}"
        raise TrainingError(f"{name} is {value!r}; expected a number {above}{most}")


def expect_count(name: str, value: Any, least: int = 1) -> None:
    """Raise TrainingError unless ``value`` is an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TrainingError(f"{name} is {value!r}; expected an integer of at least {least}")
