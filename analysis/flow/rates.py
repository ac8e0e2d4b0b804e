"""F1, F2, F9 and the floor: how fast dL/dh_t and dL/dc_t fall with the lag, by cell, forget bias, gain and dtype."""

from typing import Any

import numpy as np

from numpy_lstm import flow

from .. import figures
from . import networks
from .study import SWEPT, Found, Options, Study

FIT = (10, 60)  # lags
DEFAULT = (
    "RNN",
    "RNN:orthogonal",
    "ReLURNN:identity",
    "GRU",
    "LSTM:uniform:0",
    "LSTM:uniform:1",
    "LSTM:orthogonal:1",
    "LSTM:uniform:2",
    "LSTM:uniform:5",
    "LSTM:uniform:chrono",
)
LADDER = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
GAINS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """One network: the median over rows of |dL/dh| and |dL/dc| at each lag relative to lag 0, and its mean forget gate.

    ``direct`` is the root mean square over units of the product of the forget gates.
    """
    p = networks.run(point)
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
    every = [{**o.sizes, **p, "seed": [o.seed, k]} for p in points for k in range(o.seeds)]
    found = o.sweep(name, measure, every)
    return [found[n * o.seeds : (n + 1) * o.seeds] for n in range(len(points))]


def quartiles(runs: list[dict[str, Any]], signal: str) -> Any:
    """Lower quartile, median and upper quartile over seeds at each lag, (3,T)."""
    return np.quantile([r[signal] for r in runs], [0.25, 0.5, 0.75], axis=0)


def rate(runs: list[dict[str, Any]], signal: str) -> tuple[float, float, float]:
    """The rate of the median curve, and the least and largest of single networks."""
    fit = fit_lags(len(runs[0][signal]))
    single = [flow.fit_rate(r[signal], fit) for r in runs]
    return flow.fit_rate(quartiles(runs, signal)[1], fit), min(single), max(single)


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


def signals(o: Options) -> Found:
    """F1."""
    names = o.networks or DEFAULT
    runs = dict(zip(names, over_seeds(o, "signals", [{"network": n} for n in names]), strict=True))
    rows, summary, curves = [], [], []
    for name, found in runs.items():
        label = networks.setting(name).label
        for signal in [s for s in ("h", "c", "direct") if s in found[0]]:
            q = quartiles(found, signal)
            middle, low, high = rate(found, signal)
            life = flow.half_life(middle)
            curves.append((name, label, signal, q, middle))
            rows += [[name, signal, lag, *(float(v) for v in q[:, lag])] for lag in range(q.shape[1])]
            entries = [f"{middle:.4f}", f"{low:.3f}-{high:.3f}", text_of(life), f"{q[1, -1]:.1e}"]
            summary.append([label, signal, *entries, f"{found[0].get('f', np.nan):.3f}", f"{found[0]['rho']:.2f}"])
    caption = (
        f"Norm of dL/dh_t, dL/dc_t and root mean square of the product of forget gates against lag, relative to lag 0; "
        f"median and quartiles over seeds; L = v.h_T, v a random unit vector; x ~ N(0,1). Rates fitted over lags "
        f"{fit_lags(o.sizes['T'])[0]} to {fit_lags(o.sizes['T'])[1]}. {about(o)}."
    )
    header = ["network", "signal", "lag", "lower_quartile", "median", "upper_quartile"]
    columns = ["network", "signal", "rate", "least-largest", "half-life", "at the last lag", "mean f", "rho(U)"]
    return Found(caption, header, rows, columns, summary, {"curves": curves, "names": list(names)})


def draw_signals(data: Any, figure: Any) -> None:
    """Panels for h, c and the direct path."""
    titles = {
        "h": r"$|\partial L/\partial h_t|$",
        "c": r"$|\partial L/\partial c_t|$",
        "direct": r"direct path $\prod f$",
    }
    shown = [s for s in titles if any(c[2] == s for c in data["curves"])]
    panels = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True))
    for axes, signal in zip(panels, shown, strict=True):
        curves = [c for c in data["curves"] if c[2] == signal]
        axes.axvspan(*fit_lags(len(curves[0][3][1])), color="0.955", zorder=0)
        for name, _, _, (lower, median, upper), _ in curves:
            figures.band(axes, np.arange(len(median)), lower, median, upper, data["names"].index(name))
        figures.log_axis(axes, [v for c in curves for v in np.ravel(c[3])])
        lags = np.arange(len(curves[0][3][1]))
        for guide in (1.0, 0.9, 0.5):
            axes.plot(lags, guide**lags, color="0.7", linewidth=0.6, zorder=0)
        axes.set_xlim(0, lags[-1])
        labels = [
            (c[3][1][-1], f"{c[1]}: {c[4]:.3f}, {text_of(flow.half_life(c[4]))}", data["names"].index(c[0]))
            for c in curves
        ]
        figures.label_ends(axes, labels, gap=0.088)
        axes.set_title(f"{titles[signal]}, relative to lag 0", loc="left")
    panels[0].text(
        1.035, 1.08, "rate per step, half-life", transform=panels[0].transAxes, color=figures.GREY, fontsize=6.5
    )
    panels[-1].set_xlabel("lag: steps back from the loss\n(fitted where shaded; grey: rates 1, 0.9, 0.5)")


def ladder(o: Options) -> Found:
    """F2."""
    biases = o.forget_bias or LADDER
    runs = over_seeds(o, "forget_bias", [{"network": f"LSTM:uniform:{b:g}"} for b in biases])
    rows = []
    for b, found in zip(biases, runs, strict=True):
        rows.append([b, *rate(found, "c"), float(np.mean([r["f"] for r in found])), *rate(found, "direct")[:1]])
    summary = [[f"{r[0]:g}", f"{r[1]:.4f}", f"{r[2]:.3f}-{r[3]:.3f}", f"{r[4]:.3f}", f"{r[5]:.4f}"] for r in rows]
    columns = ["forget bias", "rate of c", "least-largest", "mean f", "rate of direct path"]
    header = ["forget_bias", "rate_c", "least", "largest", "mean_forget_gate", "rate_direct"]
    caption = (
        "Rate per step of dL/dc_t against the forget bias, LSTM, U and W uniform in +-1/sqrt(H); bar: least and "
        f"largest of single networks. {about(o)}."
    )
    return Found(caption, header, rows, columns, summary, rows)


def draw_ladder(rows: Any, figure: Any) -> None:
    """Rate, mean gate, direct path."""
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
    """F9."""
    gains, names = o.gains or GAINS, o.networks or ("RNN", "GRU", "LSTM:uniform:1")
    points = [{"network": n, "gain": g} for n in names for g in gains]
    runs = over_seeds(o, "robustness", points)
    rows = [
        [p["network"], p["gain"], *rate(found, "c" if "c" in found[0] else "h")]
        for p, found in zip(points, runs, strict=True)
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
    names = list(dict.fromkeys(r[0] for r in rows))
    labels = []
    for k, name in enumerate(names):
        gain, middle, low, high = np.array([r[1:] for r in rows if r[0] == name], float).T
        figures.band(axes, gain, low, middle, high, k, marker=figures.marker(k), markersize=3.5)
        labels.append((middle[-1], networks.setting(name).label, k))
    axes.axhline(1, color="0.6", linewidth=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(gain, [f"{g:g}" for g in gain])
    axes.set_xlim(gain[0] / 1.1, gain[-1] * 1.1)
    figures.label_ends(axes, labels)
    axes.set_xlabel("gain: U is scaled by")
    axes.set_ylabel("rate per step")


def floor(o: Options) -> Found:
    """What float32 does to a gradient that is still there in float64."""
    names = o.networks or ("RNN", "LSTM:uniform:0")
    sizes = {**o.sizes, "T": max(3 * o.sizes["T"], 300)}
    points = [{"network": n, "dtype": d, **sizes} for n in names for d in ("f8", "f4")]
    runs = over_seeds(o, "floor", points)
    rows, summary, curves = [], [], []
    for p, found in zip(points, runs, strict=True):
        q = quartiles(found, "h")
        lost = int(np.argmax(q[1] == 0)) if np.any(q[1] == 0) else None
        dtype = {"f8": "float64", "f4": "float32"}[p["dtype"]]
        curves.append((networks.setting(p["network"]).label, dtype, q))
        summary.append(
            [networks.setting(p["network"]).label, dtype, f"{q[1, -1]:.1e}", "never" if lost is None else f"{lost}"]
        )
        rows += [[p["network"], dtype, lag, *(float(v) for v in q[:, lag])] for lag in range(q.shape[1])]
    caption = (
        "|dL/dh_t| against lag in float64 and float32, relative to lag 0. Crosses on the bottom line: the float32 "
        f"gradient is exactly zero. {about(o._replace(sizes=sizes)).removesuffix('; float64')}."
    )
    header = ["network", "dtype", "lag", "lower_quartile", "median", "upper_quartile"]
    return Found(caption, header, rows, ["network", "dtype", "at the last lag", "zero from lag"], summary, curves)


def draw_floor(curves: Any, figure: Any) -> None:
    """Zeros are drawn, as crosses on a line of their own."""
    axes = figure.subplots()
    axes.set_yscale("log")
    smallest = min(float(np.min(q[q > 0])) for _, _, q in curves)
    zero = smallest * 1e-9
    labels = []
    for k, (label, dtype, (lower, median, upper)) in enumerate(curves):
        lags, alive = np.arange(len(median)), median > 0
        figures.band(axes, lags[alive], np.where(lower > 0, lower, np.nan)[alive], median[alive], upper[alive], k)
        gone = lags[~alive][k::8]
        axes.plot(gone, np.full(len(gone), zero), "x", color=figures.COLORS[k], markersize=3)
        labels.append((median[-1] or zero, f"{label}, {dtype}", k))
    axes.set_ylim(zero / 1e3, 1e3)
    axes.set_xlim(0, len(median) - 1)
    axes.axhline(zero, color="0.6", linewidth=0.5)
    axes.text(2, zero * 30, "exactly 0", color=figures.GREY)
    for value, name in ((figures.FLOAT32_FLOOR, "least normal float32"), (1.4e-45, "least float32")):
        axes.axhline(value, color="0.6", linewidth=0.5, linestyle=":")
        axes.text(2, value, name, color=figures.GREY, fontsize=6, va="bottom" if "normal" in name else "top")
    figures.label_ends(axes, labels, gap=0.07)
    axes.set_xlabel("lag: steps back from the loss")
    axes.set_ylabel(r"$|\partial L/\partial h_t|$, relative to lag 0")


STUDIES = {
    "signals": Study("F1: the backward signal against lag", signals, draw_signals, (120, 190), ("networks", *SWEPT)),
    "forget-bias": Study("F2: the forget-bias ladder", ladder, draw_ladder, (85, 65), ("forget_bias", *SWEPT)),
    "robustness": Study(
        "F9: the rate against the gain of U", robustness, draw_robustness, (85, 65), ("networks", "gains", *SWEPT)
    ),
    "floor": Study("Underflow: the floor of float32", floor, draw_floor, (100, 70), ("networks", *SWEPT)),
}
