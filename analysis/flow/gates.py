"""F18 and F20: how far gates are open at initialisation, and which characters an output listens to."""

from typing import Any

import numpy as np

from numpy_lstm import flow, forward

from .. import figures, networks, text
from .study import SWEPT, Found, Options, Study

BINS = 50
SHOWN = 60  # characters of the connectivity map
DEPTH = 12  # decades of its colours


def measure_gates(point: dict[str, Any]) -> dict[str, Any]:
    """Histogram of each gate over steps, rows and units; and for each unit the shares of time open and shut."""
    p = networks.noise_pass(point)
    return of_gates({k: getattr(p.run.values, k) for k in flow.gates(p.cell, p.params, p.run)})


def of_gates(gates: dict[str, Any]) -> dict[str, Any]:
    """The histograms and shares of gates by name, (steps, rows, units)."""
    bins = np.linspace(0, 1, BINS + 1)
    return {
        k: {
            "counts": np.histogram(a, bins)[0].tolist(),
            "open": np.mean(a > 0.9, axis=(0, 1)).tolist(),
            "shut": np.mean(a < 0.1, axis=(0, 1)).tolist(),
            "mean": float(np.mean(a)),
        }
        for k, a in gates.items()
    }


def _gates(*run: Any) -> None:
    if not flow.gates(*run):
        raise TypeError(f"{run[0].name} has no gates")


def gates(o: Options) -> Found:
    """F18: densities of each gate, and how long its units are open and shut."""
    names = o.networks or ("LSTM:uniform:0", "LSTM:uniform:1", "LSTM:uniform:2", "LSTM:uniform:chrono")
    seeds = o.few
    found = o.sweep("gates", measure_gates, [{**o.sizes, "network": n} for n in names], seeds)
    rows, summary, data = [], [], []
    for name, part in zip(names, found, strict=True):
        label = networks.setting(name).label
        for gate in part[0]:
            counts = np.sum([f[gate]["counts"] for f in part], axis=0)
            density = counts / np.sum(counts) * BINS
            opened, shut = (np.concatenate([f[gate][k] for f in part]) for k in ("open", "shut"))
            data.append((label, gate, density, opened, shut))
            rows += [[name, gate, (j + 0.5) / BINS, float(v)] for j, v in enumerate(density)]
            mean = np.mean([f[gate]["mean"] for f in part])
            summary.append([label, gate, f"{mean:.3f}", f"{np.mean(opened):.3f}", f"{np.mean(shut):.3f}"])
    caption = (
        "Gates at initialisation: density over steps, rows and units; right, each unit's share of time above 0.9 "
        f"against below 0.1 (Karpathy et al. 2015). x ~ N(0,1). H={o.sizes['H']}, D={o.sizes['D']}, T={o.sizes['T']}, "
        f"B={o.sizes['B']}; {seeds} seeds, seed {o.seed}."
    )
    return Found(
        caption,
        ["network", "gate", "value", "density"],
        rows,
        ["network", "gate", "mean", "open", "shut"],
        summary,
        data,
    )


def draw_gates(data: Any, figure: Any) -> None:
    """One row for each network: histogram, and saturation of single units."""
    labels = list(dict.fromkeys(d[0] for d in data))
    panels = figure.subplots(len(labels), 2, sharex="col", squeeze=False, width_ratios=[1.5, 1])
    x = (np.arange(BINS) + 0.5) / BINS
    kinds = list(dict.fromkeys(d[1] for d in data))
    for (left, right), label in zip(panels, labels, strict=True):
        for _, gate, density, opened, shut in (d for d in data if d[0] == label):
            k = kinds.index(gate)
            left.plot(x, density, **figures.style(k), label=gate)
            right.plot(
                shut,
                opened,
                figures.marker(k),
                color=figures.COLORS[k],
                markersize=2.5,
                markerfacecolor="none",
                markeredgewidth=0.5,
                rasterized=True,
            )
        left.set_title(label.replace("b_f", "$b_f$"), loc="left")
        left.set_ylim(0, None)
        left.set_xlim(0, 1)
        right.set_xlim(-0.04, 1.04)
        right.set_ylim(-0.04, 1.04)
        right.plot([0, 1], [1, 0], color="0.7", linewidth=0.6)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        frameon=False,
        handlelength=4,
        ncols=len(kinds),
    )
    panels[-1, 0].set_xlabel("value of the gate")
    panels[-1, 1].set_xlabel("share of time below 0.1")
    panels[len(labels) // 2, 1].set_ylabel("share of time above 0.9")
    figure.supylabel("density", fontsize=7)


def connectivity(o: Options) -> Found:
    """F20: how strongly each output depends on each input; inputs are characters of a text, each a random vector."""
    corpus = text.load() if o.corpus is None else o.corpus
    names = o.networks or ("RNN", "LSTM:uniform:0", "LSTM:uniform:1", "LSTM:uniform:chrono")
    T, D, H = min(SHOWN, o.sizes["T"]), o.sizes["D"], o.sizes["H"]
    codes = text.windows(corpus, T, 1, np.random.default_rng(o.seed))
    rows, summary, maps = [], [], []
    for name in names:
        rng = np.random.default_rng([o.seed, 1])
        s = networks.setting(name)
        cell = s.page
        params = networks.params(s, D, H, T, rng)
        xs = rng.standard_normal((len(corpus.symbols), D))[codes]
        readout = rng.standard_normal((1, H)) / np.sqrt(H)
        run = forward(cell, params, xs)
        sensitivity = flow.sensitivity_map(cell, params, run, readout)[..., 0]
        relative = sensitivity / np.max(sensitivity, axis=1, keepdims=True)
        maps.append((s.label, relative))
        rows += [[name, a, b, float(sensitivity[a, b])] for a in range(T) for b in range(a + 1)]
        reach = [int(np.sum(row[: a + 1] > 0.01)) for a, row in enumerate(relative)][T // 2 :]
        summary.append([s.label, f"{np.median(reach):.0f}", f"{relative[-1, 0]:.1e}"])
    letters = "".join(corpus.symbols[c] for c in codes[:, 0])
    caption = (
        f"|dy_s/dx_t| of a random readout y at initialisation, on {corpus.name}, relative to the largest of each "
        f"row, log scale; white: the future, or below 1e-{DEPTH}. H={H}, D={D}, seed {o.seed}; one network each."
    )
    columns = ["network", "characters above 1 %", "first character at the last step"]
    return Found(
        caption, ["network", "output_step", "input_step", "sensitivity"], rows, columns, summary, (letters, maps)
    )


def draw_connectivity(data: Any, figure: Any, depth: int = DEPTH) -> None:
    """One map for each network, characters along both axes, over so many decades."""
    letters, maps = data
    n = len(maps)
    panels = figure.subplots(-(-n // 2), min(n, 2), squeeze=False, sharex=True, sharey=True)
    T = len(letters)
    shown = [c if c.isprintable() and c != " " else "·" for c in letters]
    for axes, (label, relative) in zip(panels.ravel(), maps, strict=False):
        with np.errstate(divide="ignore"):
            image = np.log10(relative)
        image[(image < -depth) | ~np.isfinite(image)] = np.nan
        drawn = axes.imshow(image, cmap="cividis", vmin=-depth, vmax=0, interpolation="nearest")
        axes.set_title(label.replace("b_f", "$b_f$"), loc="left")
        axes.set_xticks(np.arange(0, T, 2), shown[::2], fontsize=5)
        axes.set_yticks(np.arange(0, T, 2), shown[::2], fontsize=5)
        axes.tick_params(length=1.5, pad=1)
    for axes in panels.ravel()[n:]:
        axes.set_visible(False)
    figure.supxlabel("input character (every second is named)", fontsize=7)
    figure.supylabel("output after", fontsize=7)
    figure.colorbar(drawn, ax=panels, label=r"log$_{10}$ sensitivity, relative to the row", aspect=40)


STUDIES = {
    "gates": Study("F18: gates at initialisation", gates, draw_gates, (120, 130), ("networks", *SWEPT), _gates),
    "connectivity": Study(
        "F20: which characters an output listens to", connectivity, draw_connectivity, (140, 132), ("networks", "text")
    ),
}
