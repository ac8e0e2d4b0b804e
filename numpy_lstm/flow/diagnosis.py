"""What the numbers mean: rates, half-lives, saturated gates, and what to change."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import arrays
from .passes import Pass
from .signals import norm
from .table import Table

OPEN, SHUT = 0.9, 0.1  # beyond these a gate counts as saturated (Karpathy, Johnson & Fei-Fei 2015)
FADED = 0.01  # less than this is left: the gradient has vanished
GROWN = 10.0  # more than this times the start: it explodes (Pascanu et al. 2013 clip at up to 10 times the usual norm)


def fit_rate(signal: Any, lags: tuple[int, int] | None = None) -> float:
    """The factor per step back: exp of the slope of log ``signal`` (T,), indexed by lag, over ``lags``, ends included.

    The default is every lag after the first tenth. NaN if a value there is zero or not finite: a curve that has met the
    floor of its dtype has no rate. Raises ValueError for fewer than two lags.
    """
    signal = np.asarray(arrays.on_host(signal), np.float64)
    start, stop = (len(signal) // 10, len(signal) - 1) if lags is None else lags
    if not 0 <= start < stop < len(signal):
        raise ValueError(f"lags are {start} to {stop}; expected two or more within 0 to {len(signal) - 1}")
    part = signal[start : stop + 1]
    if not np.all(np.isfinite(part) & (part > 0)):
        return math.nan
    return float(np.exp(np.polyfit(np.arange(start, stop + 1), np.log(part), 1)[0]))


def half_life(rate: float) -> float:
    """Steps in which a gradient with this rate halves; infinite if it does not shrink."""
    return math.log(2) / -math.log(rate) if 0 < rate < 1 else (math.nan if math.isnan(rate) else math.inf)


def saturation(p: Pass) -> Table:
    """For each gate i, f, o, r, z that the cell has: mean, median, and shares of values near 0 and 1.

    ``open`` is the share above 0.9, ``shut`` below 0.1, over steps, rows and units; padding does not count.
    """
    gates = {k: getattr(p.run.values, k) for k in p.cell.Trace._fields if k in ("i", "f", "o", "r", "z")}
    if not gates:
        raise TypeError(f"{p.cell.name} has no gates")
    if p.run.alive is not None:
        gates = {k: a[p.run.alive[..., 0]] for k, a in gates.items()}
    columns: dict[str, Callable[[Any], Any]] = {
        "mean": np.mean,
        "median": np.median,
        "open": lambda a: np.mean(a > OPEN),
        "shut": lambda a: np.mean(a < SHUT),
    }
    found = {name: np.array([float(f(a)) for a in gates.values()]) for name, f in columns.items()}
    return Table(f"{p.name}: gates, shares above {OPEN} and below {SHUT}", "gate", list(gates), found)


class Diagnosis(NamedTuple):
    """``verdict`` vanishes, explodes or keeps; what it rests on, and ``advice``, a sentence.

    ``rate`` per step back of the median norm, ``half_life`` in steps, ``reach`` the steps after which 1 % is left,
    ``end`` what is left at the first step relative to the loss, ``zeros`` the share of norms that underflowed to 0.
    """

    name: str
    signal: str
    verdict: str
    rate: float
    half_life: float
    reach: float
    end: float
    zeros: float
    advice: str

    def __str__(self) -> str:
        return (
            f"{self.name}: dL/d{self.signal} {self.verdict}. Rate {self.rate:.3f} per step, half-life "
            f"{self.half_life:.1f} steps, 1 % left after {self.reach:.0f}; {self.end:.1e} of it reaches the first "
            f"step. {self.advice}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return self._asdict()


def diagnose(p: Pass, signal: str | None = None, lags: tuple[int, int] | None = None) -> Diagnosis:
    """Whether the gradient of a loss at the last step vanishes, explodes, or keeps over the length of the run.

    It vanishes if less than 1 % of dL/dc_t (dL/dh_t without c) at the last step is left at the first, explodes if more
    than 10 times of it is, or if it is not finite. Rows of full length only. Raises ValueError if the loss sends
    nothing to the last step, or the run has fewer than 3 steps.
    """
    fields = [k for k in p.cell.State._fields if k in ("h", "c")]
    signal = fields[-1] if signal is None else signal
    values = arrays.on_host(norm(getattr(p.cotangents, signal)))[::-1]
    if len(values) < 3:
        raise ValueError(f"the run has {len(values)} steps; expected at least 3")
    full = values[0] != 0
    if not np.any(full):
        raise ValueError("nothing arrives at the last step; expected a loss there, through dhs, dcs or dlast")
    relative = np.median(values[:, full] / values[0, full], axis=1)
    rate = fit_rate(relative, lags)
    end = float(relative[-1])
    exploded = end > GROWN or not np.all(np.isfinite(values))
    verdict = "explodes" if exploded else "vanishes" if end < FADED else "keeps"
    reach = half_life(rate) * math.log2(1 / FADED)
    zeros = float(np.mean(values[:, full] == 0))
    return Diagnosis(
        p.name, signal, verdict, rate, half_life(rate), reach, end, zeros, _advice(p, verdict, len(values))
    )


def _advice(p: Pass, verdict: str, T: int) -> str:
    gated = "f" in p.cell.Trace._fields
    if verdict == "keeps":
        return "Nothing to change for this length."
    if verdict == "explodes":
        return "Clip the norm of the gradient, and scale the recurrent weights U down" + (
            " or lower the forget bias." if gated else "."
        )
    if gated:
        f = float(np.mean(p.run.values.f))
        half = half_life(f)
        return (
            f"Open the forget gate: its mean is {f:.2f}, a half-life of {half:.1f} steps on the direct path; a bias "
            f"b_f near log T = {math.log(T):.1f}, or chrono initialisation, keeps it for {T} steps."
        )
    if "z" in p.cell.Trace._fields:
        z = float(np.mean(p.run.values.z))
        return f"Open the update gate: z is {z:.2f} on average; a bias b_z near log T = {math.log(T):.1f} helps."
    return "Use a gated cell with an open forget gate; orthogonal recurrent weights help, but less."
