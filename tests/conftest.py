"""Fixtures shared by the suite: which array library a test runs on."""

from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.fixture(params=["numpy", "read-only numpy", "array_api_strict"])
def to_library(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """A function that moves a NumPy array to the library under test."""
    return {"numpy": np.copy, "read-only numpy": read_only, "array_api_strict": array_api_strict.asarray}[request.param]
