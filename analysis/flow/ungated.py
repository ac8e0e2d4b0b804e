"""F4, F6: networks without gates: what the spectral radius and the gain of U say about a gradient."""

from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import activations, flow, init

from .. import figures
from . import rates
from .study import SWEPT, Found, Options, Study

RADII = (0.5, 0.9, 1.0, 1.1, 1.5)
AUTONOMOUS = (0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0)
LINEAR = nl.RNN.having("linear", h=activations.IDENTITY)


def measure_radius(point: dict[str, Any]) -> dict[str, float]:
    """The rate of a linear, an undriven tanh and a driven tanh network whose U is orthogonal times rho."""
    T, B, D, H = (point[k] for k in "TBDH")
    rng = np.random.default_rng(point["seed"])
    p = init.glorot_orthogonal(nl.RNN.Params, nl.RNN.sizes(H, D=D), rng, forget_bias=0.0)
    p = p._replace(U=point["rho"] * p.U)
    xs, last = rng.standard_normal((T, B, D)), rng.standard_normal((B, H))
    found = {}
    for name, cell, x in (("linear", LINEAR, xs), ("tanh, no input", nl.RNN, 0 * xs), ("tanh, driven", nl.RNN, xs)):
        passed = flow.passes(cell, p, x, dlast=cell.State(h=last))[0]
        h = flow.norms(passed, ["h"])["h"][::-1]
        found[name] = flow.fit_rate(np.median(h / h[0], axis=1), rates.fit_lags(T))
    return found


def radius(o: Options) -> Found:
    """F4: the rate for each spectral radius: linear, tanh without input, tanh with input."""
    radii = o.gains or RADII
    found = o.sweep("spectral_radius", measure_radius, [{**o.sizes, "rho": r} for r in radii])
    kinds = list(found[0][0])
    rows = [
        [
            kind,
            rho,
            *(float(v) for v in np.quantile([f[kind] for f in part], [0.5, 0, 1])),
        ]
        for kind in kinds
        for rho, part in zip(radii, found, strict=True)
    ]
    summary = [[kind, *(f"{r[2]:.7f}" for r in rows if r[0] == kind)] for kind in kinds]
    worst = max(abs(np.log(r[3 + n]) - np.log(r[1])) for r in rows if r[0] == "linear" for n in (0, 1))
    caption = (
        "Rate per step of dL/dh_t, U orthogonal times rho (spectral radius and largest singular value are rho; "
        f"1/gamma = 1 for tanh). Linear network: the log of the rate is log rho within {worst:.0e}. {rates.about(o)}."
    )
    return Found(
        caption,
        ["network", "rho", "rate", "least", "largest"],
        rows,
        ["network", *(f"rho {r:g}" for r in radii)],
        summary,
        rows,
    )


def draw_radius(rows: Any, figure: Any) -> None:
    """Rate against spectral radius, with bands from the least to the largest."""
    axes = figure.subplots()
    rho, labels = figures.bands(axes, rows, first=7)
    axes.axhline(1, color="0.6", linewidth=0.6)
    axes.axvline(1, color="0.6", linewidth=0.6)
    axes.text(1.02, axes.get_ylim()[0], r"$\rho=\sigma_{\max}=1/\gamma$", color=figures.GREY, va="bottom")
    axes.set_xlim(rho[0] - 0.05, rho[-1] + 0.05)
    figures.label_ends(axes, labels, gap=0.08)
    axes.set_xlabel(r"spectral radius $\rho$ of U")
    axes.set_ylabel("rate per step")


def measure_autonomous(point: dict[str, Any]) -> dict[str, float]:
    """The largest exponent of a tanh network without input, U ~ N(0, g^2/N), and the log of U's spectral radius."""
    N, T = point["N"], point["T"]
    rng = np.random.default_rng(point["seed"])
    U = point["gain"] * rng.standard_normal((N, N)) / np.sqrt(N)
    p = nl.RNN.Params(W=np.zeros((N, 1)), U=U, b=np.zeros(N))
    run = nl.forward(nl.RNN, p, np.zeros((T, 1, 1)), nl.RNN.State(h=rng.standard_normal((1, N))))
    exponent = flow.lyapunov_exponents(nl.RNN, p, run, 1, T // 5)[0, 0]
    return {"exponent": float(exponent), "log_rho": float(np.log(flow.spectral_radius(U)))}


def gain(o: Options) -> Found:
    """F6: the largest Lyapunov exponent for each gain, beside log g and log rho(U)."""
    gains, seeds, N, T = o.gains or AUTONOMOUS, o.few, 100, 20 * o.sizes["T"]
    found = o.sweep("gain", measure_autonomous, [{"gain": g, "N": N, "T": T} for g in gains], seeds)
    rows = []
    for g, part in zip(gains, found, strict=True):
        e = np.quantile([f["exponent"] for f in part], [0.5, 0, 1])
        rows.append([g, *(float(v) for v in e), float(np.log(g)), float(np.median([f["log_rho"] for f in part]))])
    summary = [[f"{r[0]:g}", *(f"{v:+.3f}" for v in (r[1], r[4], r[5]))] for r in rows]
    header = ["gain", "largest_exponent", "least", "largest", "log_gain", "log_spectral_radius"]
    caption = (
        f"Largest Lyapunov exponent of a tanh network without input, U normal with variance g^2/N, N={N}, {T} steps "
        f"of which the first fifth is left out; {seeds} seeds, seed {o.seed}; bars: least and largest."
    )
    return Found(caption, header, rows, ["gain", "largest exponent", "log gain", "log rho(U)"], summary, rows)


def draw_gain(rows: Any, figure: Any) -> None:
    """Exponent against gain, with log g and log rho."""
    axes = figure.subplots()
    g, e, low, high, log_g, log_rho = np.array(rows, float).T
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.errorbar(g, e, [e - low, high - e], marker="o", markersize=3.5, capsize=2, **figures.style(0))
    axes.plot(g, log_g, **figures.style(1))
    axes.plot(g, log_rho, marker="D", markersize=3, **figures.style(2))
    axes.set_xlim(g[0] - 0.1, g[-1] + 0.1)
    figures.label_ends(
        axes, [(e[-1], "largest exponent", 0), (log_g[-1], "log g", 1), (log_rho[-1], r"log $\rho$(U)", 2)], gap=0.08
    )
    axes.set_xlabel("gain g")
    axes.set_ylabel("nats per step")


STUDIES = {
    "spectral-radius": Study("F4: the spectral radius of U", radius, draw_radius, (85, 65), ("gains", *SWEPT)),
    "gain": Study("F6: chaos in the tanh network without input", gain, draw_gain, (85, 65), ("gains", *SWEPT)),
}
