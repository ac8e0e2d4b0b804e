"""What the numbers mean: rates, half-lives, saturated gates, and what to change."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, tree
from ..scan import backward
from .given import check_field, check_pass, state_field
from .passes import Pass, last_steps
from .roles import factors, gates, keeper
from .signals import norm
from .table import Table

OPEN, SHUT = 0.9, 0.1  # beyond these a gate counts as saturated (Karpathy, Johnson & Fei-Fei 2015)
FADED = 0.01  # less than this is left: the gradient has vanished
GROWN = 10.0  # more than this times the start: it explodes (Pascanu et al. 2013 clip at up to 10 times the usual norm)


def fit_rate(signal: Any, lags: tuple[int, int] | None = None) -> float:
    """The factor per step back: exp of the slope of log ``signal`` (T,), indexed by lag, over ``lags``, ends included.

    The default is every lag after the first tenth. NaN if a value there is zero or not finite: a curve that has met the
    floor of its dtype has no rate. Raises ValueError for fewer than two lags, or a signal with more axes than one.
    """
    signal = np.asarray(arrays.on_host(signal), np.float64)
    if signal.ndim != 1:
        raise ValueError(f"signal has shape {signal.shape}; expected (T,), one number for each lag")
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
    """For each gate of the cell: mean, median, and shares of values near 0 and 1.

    A gate is a value of the Trace that the logistic function, or another from 0 to 1, makes of another: i, f and o of
    an LSTM, r and z of a GRU, whatever you call yours. ``open`` is the share above 0.9, ``shut`` below 0.1, over steps,
    rows and units; padding does not count. Raises TypeError for a cell without gates.
    """
    check_pass(p)
    found = {k: _alive(p, getattr(p.run.values, k)) for k in gates(p.cell, p.params, p.run)}
    if not found:
        raise TypeError(f"{p.cell.name} has no gates: no value of its Trace is the logistic function of another")
    columns: dict[str, Callable[[Any], Any]] = {
        "mean": np.mean,
        "median": np.median,
        "open": lambda a: np.mean(a > OPEN),
        "shut": lambda a: np.mean(a < SHUT),
    }
    numbers = {name: np.array([float(f(a)) for a in found.values()]) for name, f in columns.items()}
    return Table(f"{p.name}: gates, shares above {OPEN} and below {SHUT}", "gate", list(found), numbers)


class Diagnosis(NamedTuple):
    """The ``verdict``, which is vanishes, explodes or keeps; the numbers it rests on; and ``advice``, a sentence.

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

    What enters at other steps, from losses there or from the layer above, is left out: that of the last is sent back
    alone. It vanishes if less than 1 % of dL/dc_t (dL/dh_t without c; of ``signal``, any field of the Trace) at the
    last step is left at the first, explodes if more than 10 times of it is, or if it is not finite. The longest rows
    only. Advice names a gate only where the page says what it does: that a step multiplies the state by it, or by one
    minus it.

    Raises ValueError if the loss sends nothing to the last step, or the run has fewer than 3 steps; TypeError for
    anything but a Pass.
    """
    check_pass(p)
    state = state_field(p.cell, None)
    signal = state if signal is None else signal
    check_field(p.cell, "signal", signal)
    alive: Any = p.run.alive
    rows, T = slice(None), p.run.hs.shape[0]
    if alive is not None:
        lengths = np.sum(alive[..., 0], axis=0)
        T = int(np.max(lengths))
        rows = lengths == T
    if T < 3:
        raise ValueError(f"the run has {T} steps; expected at least 3")
    values = arrays.on_host(norm(getattr(_of_the_last_step(p), signal)[:T, rows]))[::-1]
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
    advice = _advice(p, state, verdict, T)
    return Diagnosis(p.name, signal, verdict, rate, half_life(rate), reach, end, zeros, advice)


def _of_the_last_step(p: Pass) -> Any:
    """The cotangents of what enters at each row's last step, without what enters elsewhere."""
    last = last_steps(p.run)
    if not any(np.any(np.where(last, 0, a)) for a in p.given):
        return p.cotangents
    end = tree.map(lambda a: np.sum(np.where(last, a, 0), axis=0), p.given)
    return backward(p.cell, p.params, p.run, dlast=end).cotangents


def _advice(p: Pass, field: str, verdict: str, T: int) -> str:
    if verdict == "keeps":
        return "Nothing to change for this length."
    kept, factor = keeper(p.cell, p.params, p.run, field), factors(p.cell, p.params, p.run, field)
    share = math.nan if factor is None else float(np.mean(_alive(p, factor)))
    if verdict == "explodes":
        lower = ""
        if kept is not None and kept.bias is not None and share > 0.5:
            lower = f", or {'raise' if kept.shuts else 'lower'} {kept.bias}"
        return f"Clip the norm of the gradient, and scale the recurrent weights down{lower}."
    if factor is None and not gates(p.cell, p.params, p.run):
        return "Use a gated cell with an open forget gate; orthogonal recurrent weights help, but less."
    if kept is None:
        return f"No advice: no gate alone decides how much of {field} a step keeps."
    name = "gate" if kept.shuts else "the forget gate" if field == "c" else "the update gate"
    mean, sign = float(np.mean(_alive(p, getattr(p.run.values, kept.gate)))), "-" if kept.shuts else ""
    if share >= T / (T + 1):
        return f"No advice: {name} {kept.gate}, {mean:.2f} on average, keeps {field} for {T} steps already."
    text = f"{'Shut' if kept.shuts else 'Open'} {name} {kept.gate}: its mean is {mean:.2f}, and each step multiplies "
    text += f"{field} by {'1 - ' if kept.shuts else ''}{kept.gate}, a half-life of {half_life(share):.1f} steps on the "
    text += "direct path"
    if kept.bias is not None:
        text += f"; a bias {kept.bias} near {sign}log T = {sign}{math.log(T):.1f} keeps it for {T} steps"
    return text + "."


def _alive(p: Pass, values: Any) -> Any:
    """Values (T,B,H) without the padding, (N,H)."""
    alive: Any = p.run.alive
    return values.reshape(-1, values.shape[-1]) if alive is None else values[alive[..., 0]]
