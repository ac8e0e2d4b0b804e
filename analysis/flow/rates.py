"""F2, F9: how fast dL/dh_t and dL/dc_t fall with the lag, by forget bias and gain; and what all studies measure."""

from typing import Any

import numpy as np

from numpy_lstm import flow

from .. import figures, networks
from .study import SWEPT, Found, Options, Study

FIT = (10, 60)  # lags
LADDER = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
GAINS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """One network: the median over rows of |dL/dh| and |dL/dc| at each lag relative to lag 0, and its mean forget gate.

    ``direct`` is the root mean square over units of the product of the forget gates.
    """
    p = networks.noise_pass(point)
    fields = [k for k in p.cell.State._fields if k in ("h", "c")]
    table = flow.norms(p, fields)
    found: dict[str, Any] = {k: np.median(table[k][::-1] / table[k][-1], axis=1).astype(float).tolist() for k in fields}
    if "f" in p.cell.Trace._fields and "c" in fields:
        kept = np.cumprod(np.concatenate([np.ones_like(p.run.values.f[:1]), p.run.values.f[:0:-1]]), axis=0)
        found["direct"] = np.sqrt(np.mean(kept.astype(float) ** 2, axis=(1, 2))).tolist()
        found["f"] = float(np.mean(p.run.values.f))
    U = [getattr(p.params, k) for k in p.params._fields if k[0] == "U"]
    found["rho"] = float(np.mean([flow.spectral_radius(u.astype(float)) for u in U]))
    found["sigma"] = float(np.mean([flow.singular_values(u.astype(float))[0] for u in U]))
    return found


def over_seeds(o: Options, name: str, points: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """``measure`` at each point, for every seed."""
    return o.sweep(name, measure, [{**o.sizes, **p} for p in points])


def quartiles(found: list[dict[str, Any]], signal: str) -> Any:
    """Lower quartile, median and upper quartile over seeds at each lag, (3,T)."""
    return np.quantile([f[signal] for f in found], [0.25, 0.5, 0.75], axis=0)


def rate(found: list[dict[str, Any]], signal: str) -> tuple[float, float, float]:
    """The rate of the median curve, and the least and largest of single networks."""
    fit = fit_lags(len(found[0][signal]))
    single = [flow.fit_rate(f[signal], fit) for f in found]
    return flow.fit_rate(quartiles(found, signal)[1], fit), min(single), max(single)


def fit_lags(T: int) -> tuple[int, int]:
    """Lags 10 to 60, or what a shorter run has of them."""
    return (FIT[0], FIT[1]) if FIT[1] < T else (T // 10, T - 1)


def text_of(value: float) -> str:
    """A half-life for a label."""
    return "∞" if np.isinf(value) else f"{value:.1f}"


def about(o: Options) -> str:
    """Sizes, seeds and dtype for a caption."""
    T, B, D, H = (o.sizes[k] for k in "TBDH")
    return f"H={H}, D={D}, T={T}; {o.seeds} seeds x {B} rows, seed {o.seed}; float64"


def ladder(o: Options) -> Found:
    """F2: the rate of dL/dc_t, the mean forget gate and the product of the gates, for each forget bias."""
    biases = o.forget_bias or LADDER
    measured = over_seeds(o, "forget_bias", [{"network": f"LSTM:uniform:{b:g}"} for b in biases])
    rows = []
    for b, found in zip(biases, measured, strict=True):
        rows.append([b, *rate(found, "c"), float(np.mean([f["f"] for f in found])), *rate(found, "direct")[:1]])
    summary = [[f"{r[0]:g}", f"{r[1]:.4f}", f"{r[2]:.3f}-{r[3]:.3f}", f"{r[4]:.3f}", f"{r[5]:.4f}"] for r in rows]
    columns = ["forget bias", "rate of c", "least-largest", "mean f", "rate of direct path"]
    header = ["forget_bias", "rate_c", "least", "largest", "mean_forget_gate", "rate_direct"]
    caption = (
        "Rate per step of dL/dc_t against the forget bias, LSTM, U and W uniform in +-1/sqrt(H); bar: least and "
        f"largest of single networks. {about(o)}."
    )
    return Found(caption, header, rows, columns, summary, rows)


def draw_ladder(rows: Any, figure: Any) -> None:
    """Rate, mean gate and rate of the direct path against the forget bias."""
    axes = figure.subplots()
    b, middle, low, high, f, direct = np.array(rows, float).T
    axes.axhline(1, color="0.6", linewidth=0.6)
    axes.errorbar(b, middle, [middle - low, high - middle], marker="o", markersize=3.5, capsize=2, **figures.style(0))
    axes.plot(b, f, marker="s", markersize=3.5, **figures.style(1))
    axes.plot(b, direct, marker="D", markersize=3.5, **figures.style(2))
    axes.set_xlim(b[0] - 0.2, b[-1] + 0.2)
    figures.label_ends(
        axes,
        [
            (middle[-1], r"rate of $\partial L/\partial c_t$", 0),
            (f[-1], "mean f", 1),
            (direct[-1], r"rate of $\prod f$", 2),
        ],
    )
    axes.set_xlabel("forget bias $b_f$")
    axes.set_ylabel("per step")


def robustness(o: Options) -> Found:
    """F9: the rate for each network and gain of U."""
    gains, names = o.gains or GAINS, o.networks or ("RNN", "GRU", "LSTM:uniform:1")
    points = [{"network": n, "gain": g} for n in names for g in gains]
    measured = over_seeds(o, "robustness", points)
    rows = [
        [p["network"], p["gain"], *rate(found, "c" if "c" in found[0] else "h")]
        for p, found in zip(points, measured, strict=True)
    ]
    summary = [[networks.setting(n).label, *(f"{r[2]:.3f}" for r in rows if r[0] == n)] for n in names]
    caption = (
        f"Rate per step of dL/dh_t (dL/dc_t of the LSTM) with U scaled by a gain; bands: least and largest. {about(o)}."
    )
    return Found(
        caption,
        ["network", "gain", "rate", "least", "largest"],
        rows,
        ["network", *(f"x{g:g}" for g in gains)],
        summary,
        rows,
    )


def draw_robustness(rows: Any, figure: Any) -> None:
    """Rate against gain."""
    axes = figure.subplots()
    gain, labels = figures.bands(axes, [[networks.setting(r[0]).label, *r[1:]] for r in rows])
    axes.axhline(1, color="0.6", linewidth=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(gain, [f"{g:g}" for g in gain])
    axes.set_xlim(gain[0] / 1.1, gain[-1] * 1.1)
    figures.label_ends(axes, labels)
    axes.set_xlabel("gain: U is scaled by")
    axes.set_ylabel("rate per step")


STUDIES = {
    "forget-bias": Study("F2: the forget-bias ladder", ladder, draw_ladder, (85, 65), ("forget_bias", *SWEPT)),
    "robustness": Study(
        "F9: the rate against the gain of U", robustness, draw_robustness, (85, 65), ("networks", "gains", *SWEPT)
    ),
}
