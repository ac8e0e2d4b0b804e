"""Regimes in which gates, or a softmax, saturate: where textbook derivatives lose their digits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_lstm import LSTM, CrossEntropy, Page, check, init, tree

Regime = Callable[[Any, np.random.Generator], Any]


def shifted(**by: float) -> Regime:
    """Add a constant to every entry of the biases named."""
    return lambda p, rng: p._replace(**{name: getattr(p, name) + value for name, value in by.items()})


REGIMES: dict[str, Regime] = {
    "standard": lambda p, rng: p,
    "forget bias +5": shifted(b_f=5.0),
    "forget bias +10": shifted(b_f=10.0),
    "forget bias +15": shifted(b_f=15.0),
    "candidate bias +8": shifted(b_g=8.0),
    "counter (i, f +5, g +2)": shifted(b_i=5.0, b_f=5.0, b_g=2.0),
    "chrono, T_max 1000": lambda p, rng: init.chrono(p, 1000, rng),
}

_UNIT: dict[str, Regime] = {
    "update bias +10": shifted(b_z=10.0),
    "update bias -10": shifted(b_z=-10.0),
    "reset bias +10": shifted(b_r=10.0),
    "candidate bias +8": shifted(b_n=8.0),
}
_COUPLED = ("forget bias +5", "forget bias +10", "forget bias +15", "candidate bias +8")
OF_PAGE: dict[str, dict[str, Regime]] = {
    "rnn": {"bias +3": shifted(b=3.0)},
    "lstm": REGIMES,
    "peephole_lstm": REGIMES,
    "peephole_old_lstm": REGIMES,
    "layer_norm_lstm": REGIMES,
    "full_gate_lstm": REGIMES,
    "coupled_lstm": {name: REGIMES[name] for name in _COUPLED} | {"forget bias -10": shifted(b_f=-10.0)},
    "gru": _UNIT,
    "gru_reset_before": _UNIT,
}


def problem(cell: Page, regime: str, seed: int, T: int = 20, B: int = 4, D: int = 5, H: int = 7) -> check.Problem:
    """A random problem in a regime of the cell's page, its numbers rounded to float32 as in ``Problem.random``."""
    rng = np.random.default_rng(seed)
    drawn = check.Problem.random(cell, T, B, D, H, rng)
    params = OF_PAGE[cell.equations][regime](drawn.point.params, rng)
    rounded = tree.map(lambda a: a.astype(np.float32).astype(np.float64), params)
    return drawn._replace(point=drawn.point._replace(params=rounded))


MARGINS = (-800, -30, 0, 3, 5, 10, 20, 30, 700)


def softmax_problem(margin: float, seed: int, T: int = 3, B: int = 4, D: int = 7) -> check.Problem:
    """Normal logits, but the target's, which leads the best of the others by ``margin``; positive cotangents."""
    drawn = check.Problem.random(CrossEntropy, T, B, D, 1, np.random.default_rng(seed))
    target = drawn.codes.target[..., None]
    x = drawn.point.xs.x.copy()
    np.put_along_axis(x, target, -np.inf, axis=-1)
    np.put_along_axis(x, target, np.float32(x.max(axis=-1, keepdims=True) + margin), axis=-1)
    point = drawn.point._replace(xs=drawn.point.xs._replace(x=x))
    return drawn._replace(point=point, cotangents=tree.map(np.abs, drawn.cotangents))


def lstm_problem(regime: str, seed: int) -> check.Problem:
    """A random LSTM problem in that regime."""
    return problem(LSTM, regime, seed)
