"""Parameter regimes in which gates saturate, where textbook derivatives lose their digits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_lstm import LSTM, check, init, tree


def shifted(**by: float) -> Callable[[Any, np.random.Generator], Any]:
    """Add a constant to every entry of the biases named."""
    return lambda p, rng: p._replace(**{name: getattr(p, name) + value for name, value in by.items()})


REGIMES: dict[str, Callable[[Any, np.random.Generator], Any]] = {
    "standard": lambda p, rng: p,
    "forget bias +5": shifted(b_f=5.0),
    "forget bias +10": shifted(b_f=10.0),
    "forget bias +15": shifted(b_f=15.0),
    "candidate bias +8": shifted(b_g=8.0),
    "counter (i, f +5, g +2)": shifted(b_i=5.0, b_f=5.0, b_g=2.0),
    "chrono, T_max 1000": lambda p, rng: init.chrono(p, 1000, rng),
}


def lstm_problem(regime: str, seed: int, T: int = 20, B: int = 4, D: int = 5, H: int = 7) -> check.Problem:
    """A random LSTM problem in that regime, its numbers rounded to float32 as in ``Problem.random``."""
    rng = np.random.default_rng(seed)
    problem = check.Problem.random(LSTM, T, B, D, H, rng)
    params = REGIMES[regime](problem.point.params, rng)
    rounded = tree.map(lambda a: a.astype(np.float32).astype(np.float64), params)
    return problem._replace(point=problem.point._replace(params=rounded))
