"""F3, F5, F7: what the Jacobians of the state say: direct path, Lyapunov exponents, singular values."""

from typing import Any

import numpy as np

from numpy_lstm import flow

from .. import figures, networks
from . import rates
from .study import SWEPT, Found, Options, Study

LAGS = (1, 10, 30, 60)
PATHS = ("LSTM:uniform:0", "LSTM:uniform:1", "LSTM:orthogonal:1", "LSTM:uniform:5", "LSTM:uniform:chrono")
EXPONENTS = (
    "RNN",
    "RNN:orthogonal",
    "GRU:orthogonal",
    "LSTM:uniform:0",
    "LSTM:uniform:1",
    "LSTM:orthogonal:1",
    "LSTM:uniform:2",
    "LSTM:uniform:chrono",
    "LSTM:uniform:5",
)
SPAN = 10  # steps of the Jacobian whose singular values are shown


def measure_paths(point: dict[str, Any]) -> dict[str, list[float]]:
    """Root mean squares of the direct path, the product of forget gates, and of all of dc_T/dc_t, at each lag."""
    p = networks.noise_pass(point)
    T, H = p.run.hs.shape[0], p.run.hs.shape[2]
    start = T - point["lags"]
    factors = flow.carry_factors(p.cell, p.params, p.run, start)
    field = slice(H, 2 * H) if "c" in p.cell.State._fields else slice(H)
    product, kept, total, direct = None, 1.0, [1.0], [1.0]
    for t in range(T - 1, start - 1, -1):
        J = flow.step_jacobian(p.cell, p.params, p.run, t)
        product = J if product is None else product @ J
        kept = kept * factors[t - start]
        total.append(float(np.median(np.linalg.norm(product[:, field, field], axis=(1, 2)) / np.sqrt(H))))
        direct.append(float(np.median(np.sqrt(np.mean(kept**2, axis=1)))))
    return {"total": total, "direct": direct}


def direct_path(o: Options) -> Found:
    """F3: all of dc_T/dc_t beside its direct path, the product of the forget gates."""
    names, lags = o.networks or PATHS, min(LAGS[-1], o.sizes["T"] - 1)
    sizes = {**o.sizes, "B": 2, "lags": lags}
    found = o.sweep("direct_path", measure_paths, [{**sizes, "network": n} for n in names])
    rows, summary, curves = [], [], []
    for name, part in zip(names, found, strict=True):
        total, direct = (np.median([f[k] for f in part], axis=0) for k in ("total", "direct"))
        ratio = total / direct
        curves.append((networks.setting(name).label, total, direct, ratio))
        rows += [[name, lag, float(total[lag]), float(direct[lag]), float(ratio[lag])] for lag in range(lags + 1)]
        summary.append([networks.setting(name).label, *(f"{ratio[lag]:.3g}" for lag in LAGS if lag <= lags)])
    without = [n for n in names if "c" not in networks.setting(n).page.State._fields]
    of = f" ({', '.join(without)}: of h, and of what each step multiplies it by)" if without else ""
    caption = (
        "Root mean square of all of dc_T/dc_t (line) and of its direct path, the product of the forget gates (thin)"
        f"{of}, against lag; below, their ratio. {rates.about(o._replace(sizes=sizes))}; medians."
    )
    columns = ["total over direct", *(f"lag {lag}" for lag in LAGS if lag <= lags)]
    return Found(caption, ["network", "lag", "total", "direct", "ratio"], rows, columns, summary, curves)


def draw_direct_path(curves: Any, figure: Any) -> None:
    """Both paths, and their ratio."""
    upper, lower = figure.subplots(2, 1, sharex=True)
    lags = np.arange(len(curves[0][1]))
    for k, (_, total, direct, ratio) in enumerate(curves):
        upper.plot(lags, total, **figures.style(k))
        upper.plot(lags, direct, **{**figures.style(k), "linewidth": 0.6})
        lower.plot(lags, ratio, **figures.style(k))
    figures.log_axis(upper, [v for c in curves for v in (*c[1], *c[2])])
    figures.log_axis(lower, [v for c in curves for v in c[3]])
    upper.set_xlim(0, lags[-1])
    figures.label_ends(upper, [(c[1][-1], c[0], k) for k, c in enumerate(curves)], gap=0.1)
    figures.label_ends(lower, [(c[3][-1], f"{c[3][-1]:.3g}", k) for k, c in enumerate(curves)], gap=0.1)
    upper.set_title(r"$\partial c_T/\partial c_t$, and thin $\prod f$", loc="left")
    lower.set_title("ratio: what the direct path leaves out", loc="left")
    lower.set_xlabel("lag: steps back from the loss")


def measure_exponent(point: dict[str, Any]) -> dict[str, float]:
    """The largest exponent by forward QR, and the log of the backward rate, over the same steps of the same network."""
    p = networks.noise_pass(point)
    signal = "c" if "c" in p.cell.State._fields else "h"
    norms = flow.norms(p, [signal])[signal][::-1]
    fit = rates.fit_lags(point["T"])
    skip = point["T"] - fit[1]
    exponent = flow.lyapunov_exponents(p.cell, p.params, p.run, 1, skip)[:, 0]
    return {
        "exponent": float(np.median(exponent)),
        "rate": float(np.log(flow.fit_rate(np.median(norms / norms[0], axis=1), fit))),
    }


def lyapunov(o: Options) -> Found:
    """F5: the largest Lyapunov exponent beside the log of the backward rate, for each network."""
    names, sizes = o.networks or EXPONENTS, {**o.sizes, "B": 2}
    found = o.sweep("lyapunov", measure_exponent, [{**sizes, "network": n} for n in names])
    rows = []
    for name, part in zip(names, found, strict=True):
        e, r = (np.array([f[k] for f in part]) for k in ("exponent", "rate"))
        middle = (np.median(e), np.median(r), np.median(r) - np.median(e))
        quartiles = (*np.quantile(e, [0.25, 0.75]), *np.quantile(r, [0.25, 0.75]))
        rows.append([name, *(float(v) for v in (*middle, *quartiles))])
    summary = [[networks.setting(r[0]).label, *(f"{v:+.4f}" for v in r[1:4])] for r in rows]
    header = ["network", "largest_exponent", "log_backward_rate", "difference"]
    header += ["exponent_q1", "exponent_q3", "rate_q1", "rate_q3"]
    caption = (
        "The largest Lyapunov exponent, by QR of forward Jacobians, against the log of the rate of the backward "
        "pass, in nats per step; bars: quartiles over seeds. The two share no code beyond one step's adjoint. "
        f"{rates.about(o._replace(sizes=sizes))}."
    )
    return Found(
        caption, header, rows, ["network", "largest exponent", "log of backward rate", "difference"], summary, rows
    )


def draw_lyapunov(rows: Any, figure: Any) -> None:
    """One point for each network, beside the diagonal on which the two agree."""
    axes = figure.subplots()
    ends = [min(min(r[1:3]) for r in rows) - 0.05, max(max(r[1:3]) for r in rows) + 0.05]
    axes.plot(ends, ends, color="0.6", linewidth=0.6)
    for k, (name, e, r, _, e1, e3, r1, r3) in enumerate(rows):
        axes.errorbar(
            e,
            r,
            [[r - r1], [r3 - r]],
            [[e - e1], [e3 - e]],
            color=figures.COLORS[k % 7],
            marker=figures.marker(k + k // 7),
            markersize=5,
            markerfacecolor="white" if k < 7 else None,
            linestyle="",
            elinewidth=0.7,
            label=networks.setting(name).label.replace("b_f", "$b_f$"),
        )
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel("largest Lyapunov exponent, forward QR")
    axes.set_ylabel("log of the backward rate")
    axes.legend(frameon=False, fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.3)


def measure_singular_values(point: dict[str, Any]) -> dict[str, Any]:
    """The singular values of the Jacobian over the last SPAN steps, all rows together."""
    p = networks.noise_pass(point)
    T = p.run.hs.shape[0]
    values = flow.singular_values(flow.jacobian_product(p.cell, p.params, p.run, T - SPAN, T))
    return {"values": np.ravel(values).tolist(), "size": values.shape[-1]}


def singular_values(o: Options) -> Found:
    """F7: the spectrum of the Jacobian of the state over ten steps."""
    names = o.networks or (
        "RNN",
        "RNN:orthogonal",
        "GRU",
        "LSTM:uniform:0",
        "LSTM:uniform:1",
        "LSTM:uniform:chrono",
        "LSTM:uniform:5",
    )
    seeds, sizes = o.few, {**o.sizes, "B": 2}
    found = o.sweep("singular_values", measure_singular_values, [{**sizes, "network": n} for n in names], seeds)
    rows, summary, curves = [], [], []
    for name, part in zip(names, found, strict=True):
        spectrum = np.median(np.concatenate([np.reshape(f["values"], (-1, f["size"])) for f in part]), axis=0)
        share = float(np.mean(np.concatenate([f["values"] for f in part]) > 0.1))
        curves.append((networks.setting(name).label, spectrum, share))
        rows += [[name, rank, float(v)] for rank, v in enumerate(spectrum)]
        summary.append(
            [networks.setting(name).label, f"{share:.3f}", f"{spectrum[0]:.3f}", f"{spectrum[len(spectrum) // 2]:.1e}"]
        )
    caption = (
        f"Singular values of ds_T/ds_(T-{SPAN}), s = (h, c) of an LSTM, h of the others, against rank over size; "
        f"median over {seeds} seeds x {sizes['B']} rows; at each curve the share above 0.1. "
        f"{rates.about(o._replace(sizes=sizes, seeds=seeds))}."
    )
    return Found(
        caption,
        ["network", "rank", "singular_value"],
        rows,
        ["network", "share above 0.1", "largest", "middle"],
        summary,
        curves,
    )


def draw_singular_values(curves: Any, figure: Any) -> None:
    """Spectra on a log axis, cut at 1e-16, where rounding begins."""
    axes = figure.subplots()
    for k, (label, spectrum, share) in enumerate(curves):
        axes.plot(
            (np.arange(len(spectrum)) + 0.5) / len(spectrum),
            np.maximum(spectrum, 2e-17),
            **figures.style(k),
            label=f"{label}: {share:.2f}".replace("b_f", "$b_f$"),
        )
    axes.set_yscale("log")
    axes.set_ylim(1e-17, 10)
    axes.set_xlim(0, 1)
    axes.axhspan(1e-17, 1e-16, color="0.9", zorder=0)
    axes.text(0.01, 2e-16, "below: rounding", color=figures.GREY)
    axes.axhline(0.1, color="0.6", linewidth=0.6)
    axes.set_xlabel("rank / size of the state")
    axes.set_ylabel(f"singular value over {SPAN} steps")
    axes.legend(
        frameon=False,
        fontsize=6.5,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        handlelength=3.2,
        title="share above 0.1",
        title_fontsize=6.5,
    )


STUDIES = {
    "direct-path": Study(
        "F3: the direct path against the total",
        direct_path,
        draw_direct_path,
        (100, 105),
        ("networks", *SWEPT),
        flow.carry_factors,
    ),
    "lyapunov": Study(
        "F5: Lyapunov exponents against backward rates", lyapunov, draw_lyapunov, (100, 68), ("networks", *SWEPT)
    ),
    "singular-values": Study(
        "F7: singular values of a Jacobian", singular_values, draw_singular_values, (110, 70), ("networks", *SWEPT)
    ),
}
