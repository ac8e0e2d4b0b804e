"""How figures look: one palette, one way to save, and what several studies draw with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import output

if TYPE_CHECKING:  # matplotlib is imported where it draws: --help and tables do without it
    from matplotlib.figure import Figure

RC = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "numpy-lstm",
    "svg.fonttype": "none",
}
GREY = "0.35"
# Okabe & Ito's colours, distinct to colour-blind eyes; line styles and markers that tell curves apart without colour.
COLORS = ["#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
DASHES = [
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (2, 2)),
]
MARKERS = "osD^vPX"
MM = 1 / 25.4
FLOAT32_FLOOR = float(np.finfo(np.float32).tiny)


def figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def look_of(parameters: dict[str, Any]) -> Any:
    """A context in which matplotlib has these parameters."""
    import matplotlib as mpl

    return mpl.rc_context(parameters)


def save(figure: "Figure", stem: Path) -> None:
    """``stem``.svg and ``stem``.png, reproducible to the byte."""
    with look_of(RC):
        svg, png = (stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png"))  # a stem may have a dot in it
        output.write(svg, lambda path: figure.savefig(path, metadata={"Date": None}))
        figure.set_layout_engine("none")  # both kinds have the layout of the first
        output.write(png, lambda path: figure.savefig(path, dpi=200))


def style(k: int) -> dict[str, Any]:
    """The look of the k-th curve: 14 that differ by colour and line style."""
    n = len(COLORS)
    return {"color": COLORS[k % n], "linestyle": DASHES[(k + k // n * 3) % n], "markerfacecolor": "white"}


def marker(k: int) -> str:
    """The marker of the k-th curve."""
    return MARKERS[k % len(MARKERS)]


def drawn(draw: Callable[["Figure"], None], size: tuple[float, float], stem: Path) -> None:
    """A figure of ``size`` in mm, drawn and saved."""
    with look_of(RC | {"font.size": 7, "axes.titlesize": 7.5, "lines.linewidth": 1.2, "axes.labelsize": 7}):
        made = figure(size[0] * MM, size[1] * MM)
        draw(made)
        save(made, stem)


def plot(table: Any, stem: Path, log: bool = True) -> None:
    """A ``flow.Table`` against its index: the median over the batch and, behind it, the quartiles."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for k, (name, column) in enumerate(table.columns.items()):
            lower, median, upper = table.quantiles(column, [0.25, 0.5, 0.75])
            band(axes, np.arange(len(table.index)), lower, median, upper, k, label=name)
        if log:
            log_axis(axes, [v for column in table.columns.values() for v in np.ravel(column)])
        axes.set_xlabel(table.unit)
        axes.set_title(table.title, loc="left")
        axes.legend(frameon=False, fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5), handlelength=3.5)

    drawn(draw, (120, 75), Path(stem))


def band(axes: Any, x: Any, lower: Any, median: Any, upper: Any, k: int, **more: Any) -> None:
    """The median as a line over the band of the quartiles."""
    look = style(k)
    axes.fill_between(x, lower, upper, color=look["color"], alpha=0.2, linewidth=0)
    axes.plot(x, median, **look, **more)


def bands(axes: Any, rows: Sequence[Sequence[Any]], first: float = 3.5) -> tuple[Any, list[tuple[float, str, int]]]:
    """Rows (name, x, y, low, high) as one marked curve over its band for each name; x, and ends for ``label_ends``.

    The markers of the first curve may be larger, so that another may lie upon it.
    """
    labels = []
    for k, name in enumerate(dict.fromkeys(r[0] for r in rows)):
        x, middle, low, high = np.array([r[1:] for r in rows if r[0] == name], float).T
        band(axes, x, low, middle, high, k, marker=marker(k), markersize=first if k == 0 else 3.5)
        labels.append((middle[-1], name, k))
    return x, labels


def log_axis(axes: Any, values: Any, floor: float = 1e-300) -> None:
    """A logarithmic axis around the positive values; below ``floor``, nothing. Zeros are for the caller to mark."""
    positive = [v for v in values if v > floor and np.isfinite(v)]
    axes.set_yscale("log")
    if positive:
        axes.set_ylim(max(floor, min(positive) / 3), max(positive) * 3)


def label_ends(axes: Any, labels: Sequence[tuple[float, str, int]], gap: float = 0.062, x: float = 1.0) -> None:
    """Text at the right end of curves: (y, text, k), moved apart by ``gap`` of the axis. The limits must be set."""
    from matplotlib.colors import to_rgb

    to_axes = axes.transData + axes.transAxes.inverted()
    ends = sorted((float(np.clip(to_axes.transform((axes.get_xlim()[1], y))[1], 0, 1)), t, k) for y, t, k in labels)
    heights: list[float] = []
    for y, _, _ in ends:
        heights.append(y if not heights else max(y, heights[-1] + gap))
    top = 1.0
    for n in reversed(range(len(heights))):
        heights[n] = min(heights[n], top)
        top = heights[n] - gap
    for (y, t, k), at in zip(ends, heights, strict=True):
        t = t.replace("b_f", "$b_f$")
        axes.annotate(
            t,
            (x, y),
            (x + 0.05, at),
            xycoords="axes fraction",
            va="center",
            fontsize=6.5,
            color=[0.72 * channel for channel in to_rgb(COLORS[k % len(COLORS)])],  # darker: text is thin
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "0.6", "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)},
        )
