"""Curves against the lag: F1 (white noise), the main job's figure (text), and the floor of float32."""

from typing import Any

import numpy as np

from numpy_lstm import flow
from numpy_lstm.progress import bar

from .. import figures, networks, next_symbol, text
from . import rates
from .study import SWEPT, Found, Options, Study

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
QUARTILES = ["lower_quartile", "median", "upper_quartile"]


def signals(o: Options) -> Found:
    """F1: dL/dh_t, dL/dc_t and the product of forget gates against the lag, for each network."""
    names = o.networks or DEFAULT
    measured = rates.over_seeds(o, "signals", [{"network": n} for n in names])
    rows, summary, curves = [], [], []
    for name, found in zip(names, measured, strict=True):
        label = networks.setting(name).label
        for signal in [s for s in ("h", "c", "direct") if s in found[0]]:
            q = rates.quartiles(found, signal)
            middle, low, high = rates.rate(found, signal)
            life = flow.half_life(middle)
            curves.append((label, signal, q, middle))
            rows += [[name, signal, lag, *(float(v) for v in q[:, lag])] for lag in range(q.shape[1])]
            entries = [f"{middle:.4f}", f"{low:.3f}-{high:.3f}", rates.text_of(life), f"{q[1, -1]:.1e}"]
            summary.append([label, signal, *entries, f"{found[0].get('f', np.nan):.3f}", f"{found[0]['rho']:.2f}"])
    caption = (
        f"Norm of dL/dh_t, dL/dc_t and root mean square of the product of forget gates against lag, relative to lag 0; "
        f"median and quartiles over seeds; L = v.h_T, v a random unit vector; x ~ N(0,1). Rates fitted over lags "
        f"{rates.fit_lags(o.sizes['T'])[0]} to {rates.fit_lags(o.sizes['T'])[1]}. {rates.about(o)}."
    )
    header = ["network", "signal", "lag", *QUARTILES]
    columns = ["network", "signal", "rate", "least-largest", "half-life", "at the last lag", "mean f", "rho(U)"]
    return Found(caption, header, rows, columns, summary, curves)


TITLES = {
    "h": r"$|\partial L/\partial h_t|$",
    "c": r"$|\partial L/\partial c_t|$",
    "direct": r"direct path $\prod f$",
}


def draw_signals(curves: Any, figure: Any) -> None:
    """Panels for h, c and the direct path, one above the other."""
    shown = [s for s in TITLES if any(c[1] == s for c in curves)]
    panels = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True))
    for axes, signal in zip(panels, shown, strict=True):
        figures.log_axis(axes, [v for c in curves if c[1] == signal for v in np.ravel(c[2])])
        lags = draw_panel(axes, curves, signal)
        for guide in (1.0, 0.9, 0.5):
            axes.plot(lags, guide**lags, color="0.7", linewidth=0.6, zorder=0)
    panels[0].text(
        1.035, 1.08, "rate per step, half-life", transform=panels[0].transAxes, color=figures.GREY, fontsize=6.5
    )
    panels[-1].set_xlabel("lag: steps back from the loss\n(fitted where shaded; grey: rates 1, 0.9, 0.5)")


def draw_panel(axes: Any, curves: Any, signal: str, gap: float = 0.088) -> Any:
    """The curves of one signal with their rates and half-lives at the end; returns the lags.

    The y limits must be set.
    """
    names = list(dict.fromkeys(c[0] for c in curves))
    shown = [(names.index(label), label, q, rate) for label, s, q, rate in curves if s == signal]
    lags = np.arange(shown[0][2].shape[1])
    axes.axvspan(*rates.fit_lags(len(lags)), color="0.955", zorder=0)
    for k, _, (lower, median, upper), _ in shown:
        figures.band(axes, lags, lower, median, upper, k)
    axes.set_xlim(0, lags[-1])
    labels = [
        (q[1, -1], f"{label}: {rate:.3f}, {rates.text_of(flow.half_life(rate))}", k) for k, label, q, rate in shown
    ]
    figures.label_ends(axes, labels, gap=gap)
    axes.set_title(f"{TITLES[signal]}, relative to lag 0", loc="left")
    return lags


def on_text(o: Options) -> Found:
    """The loss is the surprise at the symbol after the last step alone, so that lag is distance to the loss."""
    corpus = text.load() if o.corpus is None else o.corpus
    T, B, D, H = (o.sizes[k] for k in "TBDH")
    fit = rates.fit_lags(T)
    rows, summary, curves, fitted = [], [], [], []
    for index, (name, setting) in enumerate(bar(next_symbol.NETWORKS.items(), desc="gradient flow")):
        norms = [_norms(setting, corpus, o.sizes, np.random.default_rng([o.seed, index, k])) for k in range(o.seeds)]
        for signal in norms[0]:
            over_rows = np.concatenate([n[signal] for n in norms], axis=1)
            q = np.quantile(over_rows / over_rows[0], [0.25, 0.5, 0.75], axis=1)
            rate = flow.fit_rate(q[1], fit)
            life = flow.half_life(rate)
            curves.append((name, signal, q, rate))
            rows += [[name, signal, lag, *(float(v) for v in q[:, lag])] for lag in range(T)]
            fitted.append([name, signal, rate, life])
            summary.append([name, signal, f"{rate:.3f}", f"{life:.1f}", f"{q[1, -1]:.1e}"])
    caption = (
        f"Loss: surprise at the symbol after the last of {T} steps. Text {corpus.name}; H = {H}, D = {D}; W, U uniform "
        f"in ±1/√H; {o.seeds} seeds × {B} rows; float64; seed {o.seed}. Rates fitted over lags {fit[0]} to {fit[1]}."
    )
    columns = ["network", "dL/d", "rate per step", "half-life", f"lag {T - 1}"]
    tables = {"rates": (["network", "signal", "rate_per_step", "half_life"], fitted)}
    return Found(caption, ["network", "signal", "lag", *QUARTILES], rows, columns, summary, (curves, caption), tables)


def _norms(setting: Any, corpus: text.Corpus, sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """The norm of each row's dL/dh_t and dL/dc_t at each lag, (T,B)."""
    T, B, D, H = (sizes[k] for k in "TBDH")
    codes = text.windows(corpus, T + 1, B, rng)
    w = next_symbol.weights(setting, len(corpus.symbols), B, D, H, T, rng)
    p = next_symbol.last_surprise(setting.page, w, codes)
    return {signal: a[::-1] for signal, a in flow.norms(p, p.cell.State._fields).columns.items()}


def draw_on_text(data: Any, figure: Any) -> None:
    """Panels for h and c side by side, down to the floor of float32."""
    curves, caption = data
    panels = figure.subplots(1, 2, sharey=True)
    for axes, signal in zip(panels, "hc", strict=True):
        axes.set_yscale("log")
        axes.set_ylim(1e-41, 1e3)
        draw_panel(axes, curves, signal, gap=0.06)
        axes.axhline(figures.FLOAT32_FLOOR, color="0.4", linewidth=0.8)
        axes.text(2, figures.FLOAT32_FLOOR * 3, "floor of float32 (smallest normal number)", color=figures.GREY)
        axes.text(2, 60, "rate per step, half-life: fitted where shaded", color=figures.GREY)
        axes.set_xlabel("lag: steps back from the loss")
    panels[0].set_ylabel("median, and quartiles, over seeds and batch")
    figure.supxlabel(caption, fontsize=5.5, color=figures.GREY)


def floor(o: Options) -> Found:
    """What float32 does to a gradient that is still there in float64."""
    names = o.networks or ("RNN", "LSTM:uniform:0")
    sizes = {**o.sizes, "T": max(3 * o.sizes["T"], 300)}
    points = [{"network": n, "dtype": d, **sizes} for n in names for d in ("f8", "f4")]
    measured = rates.over_seeds(o, "floor", points)
    rows, summary, curves = [], [], []
    for p, found in zip(points, measured, strict=True):
        q = rates.quartiles(found, "h")
        lost = int(np.argmax(q[1] == 0)) if np.any(q[1] == 0) else None
        dtype = {"f8": "float64", "f4": "float32"}[p["dtype"]]
        curves.append((networks.setting(p["network"]).label, dtype, q))
        summary.append(
            [networks.setting(p["network"]).label, dtype, f"{q[1, -1]:.1e}", "never" if lost is None else f"{lost}"]
        )
        rows += [[p["network"], dtype, lag, *(float(v) for v in q[:, lag])] for lag in range(q.shape[1])]
    caption = (
        "|dL/dh_t| against lag in float64 and float32, relative to lag 0. Crosses on the bottom line: the float32 "
        f"gradient is exactly zero. {rates.about(o._replace(sizes=sizes)).removesuffix('; float64')}."
    )
    header = ["network", "dtype", "lag", *QUARTILES]
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
    "text": Study(
        "|dL/dh_t| and |dL/dc_t| against lag, of an RNN and four LSTMs on text",
        on_text,
        draw_on_text,
        (200, 95),
        ("text", "seeds"),
        stem="gradient_flow",
    ),
    "signals": Study("F1: the backward signal against lag", signals, draw_signals, (120, 190), ("networks", *SWEPT)),
    "floor": Study("Underflow: the floor of float32", floor, draw_floor, (100, 70), ("networks", *SWEPT)),
}
