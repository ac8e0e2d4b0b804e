"""A pytest fixture for testing another implementation: installed with the package, found by pytest by itself.

def test_my_lstm(numpy_lstm_case):
    case = numpy_lstm_case("LSTM", layout="torch", lengths=True)
    numpy_lstm_case.check(case, {"d_x": ..., "d_weight_ih_l0": ...})
"""

import json
from collections.abc import Callable
from typing import Any

import pytest


class CaseFactory:
    """Makes cases with true results, and judges answers; the judgement also goes into the test report, as JSON."""

    def __init__(self, record_property: Callable[[str, object], None]) -> None:
        self._record = record_property

    def __call__(
        self,
        cell: Any = "LSTM",
        *,
        layout: str = "torch",
        projection: int = 0,
        zoneout: bool = False,
        direction: str = "forward",
        layers: int = 1,
        lengths: bool = False,
        T: int = 6,
        B: int = 3,
        D: int = 4,
        H: int = 5,
        shift: dict[str, float] | None = None,
        dtype: str = "float64",
        seed: int = 0,
    ) -> Any:
        """A ``Case``; with ``lengths`` a short row, a full one and one of length 1 stand side by side."""
        import numpy as np

        from ..cases import Case, Network, truth

        rows = ([max(1, T // 2), T, 1] * B)[:B] if lengths else None
        network = Network(cell, projection, zoneout, direction, layers)
        sizes = {"T": T, "B": B, "D": D, "H": H}
        rng = np.random.default_rng(seed)
        case = Case.random(network, layout, sizes, rng, lengths=rows, shift=shift, name=f"{cell} seed {seed}")
        return truth.fill(case._replace(dtype=dtype))

    def check(self, case: Any, answer: Any, *, partial: bool = False) -> Any:
        """The judgement, if the answer passes; raises AssertionError with the judgement as its text if not.

        ``partial``: only what is given is to be judged, though outputs or gradients are missing.
        """
        from ..check.testing import require
        from .judging import judge

        judgement = judge(case, answer, partial=partial)
        self._record("numpy_lstm", json.dumps(judgement.to_dict()))
        return require(judgement)


@pytest.fixture
def numpy_lstm_case(record_property: Callable[[str, object], None]) -> CaseFactory:
    """Cases in any layout: ``numpy_lstm_case(cell, layout=..., direction=..., lengths=True)``; see ``CaseFactory``."""
    return CaseFactory(record_property)
