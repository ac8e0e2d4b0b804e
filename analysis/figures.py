"""How figures look: one palette, one way to save, and the drawings themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from . import output

# Okabe & Ito's colours, distinct to colour-blind eyes, each with a line style of its own for print in grey.
STYLES = [
    {"color": "#000000", "linestyle": "-"},
    {"color": "#D55E00", "linestyle": (0, (5, 1.5))},
    {"color": "#0072B2", "linestyle": (0, (1.2, 1.2))},
    {"color": "#009E73", "linestyle": (0, (6, 1.5, 1.2, 1.5))},
    {"color": "#CC79A7", "linestyle": (0, (3, 1, 1, 1, 1, 1))},
]
RC = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "numpy-lstm",
    "svg.fonttype": "none",
}
FLOAT32_FLOOR = float(np.finfo(np.float32).tiny)


def save(figure: Figure, stem: Path) -> None:
    """``stem``.svg and ``stem``.png, reproducible to the byte."""
    with mpl.rc_context(RC):
        output.write(stem.with_suffix(".svg"), lambda path: figure.savefig(path, metadata={"Date": None}))
        output.write(stem.with_suffix(".png"), lambda path: figure.savefig(path, dpi=200))


def gradient_flow(curves: Sequence[Any], fit: tuple[int, int], caption: str, stem: Path) -> None:
    """Two panels, dL/dh and dL/dc against lag on a log axis; each curve of the study with its fitted rate."""
    networks = list(dict.fromkeys(c.network for c in curves))
    style = dict(zip(networks, STYLES, strict=True))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, signal in zip(panels, "hc", strict=True):
            shown = [c for c in curves if c.signal == signal]
            for c in shown:
                lags = np.arange(len(c.median))
                axes.fill_between(lags, c.lower, c.upper, color=style[c.network]["color"], alpha=0.18, linewidth=0)
                axes.plot(lags, c.median, **style[c.network])
            axes.set_yscale("log")
            axes.set_ylim(1e-41, 1e3)
            axes.set_xlim(0, len(shown[0].median) - 1)
            axes.axvspan(*fit, color="0.95", zorder=0)
            axes.text(sum(fit) / 2, 60, "rate per step fitted here", ha="center", color="0.35")
            axes.axhline(FLOAT32_FLOOR, color="0.4", linewidth=0.8)
            axes.text(2, FLOAT32_FLOOR * 3, "floor of float32 (smallest normal number)", va="bottom", color="0.35")
            axes.set_xlabel("lag: steps back from the loss")
            axes.set_title(rf"$\|\partial L/\partial {signal}_t\|$, relative to lag 0", loc="left")
            _label_ends(axes, shown, style)
        panels[0].set_ylabel("median, and quartiles, over seeds and batch")
        figure.supxlabel(caption, fontsize=7, color="0.35")
        save(figure, stem)


def _label_ends(axes: Any, shown: Sequence[Any], style: dict[str, Any], gap: float = 2.4) -> None:
    """Name and rate at the right end of each curve, moved apart by at least ``gap`` decades."""
    ends = sorted(shown, key=lambda c: c.median[-1])
    heights = [float(np.log10(c.median[-1])) for c in ends]
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + gap)
    excess = max(0.0, heights[-1] - 2)
    heights = [y - excess * (y > -6) for y in heights]
    for c, y in zip(ends, heights, strict=True):
        axes.annotate(
            f"{c.network}: {c.rate:.3f}",
            xy=(1.0, 10**y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=style[c.network]["color"],
            annotation_clip=False,
        )


def scaling(curves: Sequence[dict[str, Any]], caption: str, stem: Path) -> None:
    """Time against T, B and H, both axes logarithmic, with the fitted exponents."""
    axes_names = list(dict.fromkeys(c["axis"] for c in curves))
    peers = list(dict.fromkeys(c["peer"] for c in curves))
    styles = {p: STYLES[k % len(STYLES)] | {"marker": "osDv^P"[k % 6], "ms": 3} for k, p in enumerate(peers)}
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, len(axes_names), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, axes_names, strict=True):
            for c in (c for c in curves if c["axis"] == name):
                label = f"{c['peer']}: {name}$^{{{c['slope']:.2f}}}$"
                axes.loglog(c["values"], [1e3 * s for s in c["seconds"]], label=label, **styles[c["peer"]])
            axes.set_xticks(c["values"], [str(n) for n in c["values"]])
            axes.minorticks_off()
            axes.set_xlabel(name)
            axes.legend(frameon=False, fontsize=6.5)
        panels[0].set_ylabel("median ms, forward + backward")
        figure.supxlabel(caption, fontsize=6, color="0.35")
        save(figure, stem)
