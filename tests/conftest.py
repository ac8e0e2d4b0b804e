"""What the suite shares: the option --thorough, random numbers, and which array library a test runs on."""

import gc
import itertools
import os
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch

import analysis  # noqa: F401  before NumPy: it fixes the number of threads
import cases
from page_tab import browser as browser
from page_tab import document as document
from page_tab import tab as tab
from strict_cupy import cupy as cupy

torch.set_num_threads(1)  # the arrays here are small: more threads only wait for one another


DRAW, UNSEEDED = np.random.default_rng, itertools.count()
np.random.default_rng = lambda seed=None: DRAW(next(UNSEEDED) if seed is None else seed)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """A test that seeds nothing draws the same numbers whatever ran before it."""
    global UNSEEDED
    UNSEEDED = itertools.count()
    torch.default_generator.manual_seed(0)  # torch.manual_seed looks for devices each time


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="more seeds and sizes: about five times as long")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of the many programs that tests start one compiles for all
    cases.THOROUGH = config.getoption("--thorough")  # before any test is collected, in every worker


def pytest_collection_finish() -> None:
    gc.freeze()  # what was imported and collected is never freed: no collection of garbage looks at it again


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.fixture(params=["read-only numpy", "array_api_strict"])
def to_library(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """A function that moves a NumPy array to the library under test."""
    return {"read-only numpy": read_only, "array_api_strict": array_api_strict.asarray}[request.param]
