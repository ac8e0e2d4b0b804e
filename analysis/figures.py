"""How figures look: one palette, one way to save, and the drawings themselves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import output

if TYPE_CHECKING:  # matplotlib is imported where it draws: --help and tables do without it
    from matplotlib.figure import Figure

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
GREY = "0.35"
# For figures with more curves: colour, line style and marker, each telling them apart alone.
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


def look_of(settings: dict[str, Any]) -> Any:
    """A context in which matplotlib has these settings."""
    import matplotlib as mpl

    return mpl.rc_context(settings)


def save(figure: "Figure", stem: Path) -> None:
    """``stem``.svg and ``stem``.png, reproducible to the byte."""
    with look_of(RC):
        svg, png = (stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png"))  # a stem may have a dot in it
        output.write(svg, lambda path: figure.savefig(path, metadata={"Date": None}))
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


def gradient_flow(curves: Sequence[Any], fit: tuple[int, int], caption: str, stem: Path) -> None:
    """Two panels, dL/dh and dL/dc against lag on a log axis; each curve of the study with its fitted rate."""
    networks = list(dict.fromkeys(c.network for c in curves))
    look = dict(zip(networks, STYLES, strict=False))
    with look_of(RC):
        made = figure(9.2, 4.2)
        panels = made.subplots(1, 2, sharey=True)
        for axes, signal in zip(panels, "hc", strict=True):
            shown = [c for c in curves if c.signal == signal]
            for c in shown:
                lags = np.arange(len(c.median))
                axes.fill_between(lags, c.lower, c.upper, color=look[c.network]["color"], alpha=0.18, linewidth=0)
                axes.plot(lags, c.median, **look[c.network])
            axes.set_yscale("log")
            axes.set_ylim(1e-41, 1e3)
            axes.set_xlim(0, len(shown[0].median) - 1)
            axes.axvspan(*fit, color="0.95", zorder=0)
            axes.text(sum(fit) / 2, 60, "rate per step fitted here", ha="center", color="0.35")
            axes.axhline(FLOAT32_FLOOR, color="0.4", linewidth=0.8)
            axes.text(2, FLOAT32_FLOOR * 3, "floor of float32 (smallest normal number)", va="bottom", color="0.35")
            axes.set_xlabel("lag: steps back from the loss")
            axes.set_title(rf"$\|\partial L/\partial {signal}_t\|$, relative to lag 0", loc="left")
            _label_ends(axes, shown, look)
        panels[0].set_ylabel("median, and quartiles, over seeds and batch")
        made.supxlabel(caption, fontsize=7, color="0.35")
        save(made, stem)


def _label_ends(axes: Any, shown: Sequence[Any], look: dict[str, Any], gap: float = 2.4) -> None:
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
            color=look[c.network]["color"],
            annotation_clip=False,
        )


def kill_matrix(rows: Sequence[Any], counts: dict[str, Any], caption: str, stem: Path) -> None:
    """One line for each mistake, one column for each recipe: pale where it is caught, dark where it is missed."""
    from matplotlib.patches import Patch

    names = list(counts)
    width, height = len(names), len(rows)
    with look_of(RC):
        made = figure(8.2, 0.118 * height + 2.6)
        axes = made.subplots()
        for y, row in enumerate(rows):
            for x, name in enumerate(names):
                _square(axes, x, y, row.caught[name] / len(row.variants))
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height + 0.2, -0.5)
        axes.set_xticks(range(width), names, rotation=55, ha="left", rotation_mode="anchor", fontsize=7)
        axes.xaxis.tick_top()
        axes.set_yticks(range(height), [row.mistake for row in rows], fontsize=5.6, family="monospace")
        axes.tick_params(length=0, pad=2)
        axes.spines[:].set_visible(False)
        starts = [y for y in range(height) if y == 0 or rows[y].setting != rows[y - 1].setting]
        for y, stop in zip(starts, [*starts[1:], height], strict=True):
            axes.plot([-0.5, width - 0.5], [y - 0.5, y - 0.5], color="0.35", linewidth=0.5, clip_on=False)
            axes.text(width - 0.3, (y + stop - 1) / 2, rows[y].setting, fontsize=6, va="center", color="0.25")
        for x, name in enumerate(names):
            missed = counts[name]["missed"] + counts[name]["partly"]
            axes.text(x, height + 0.4, str(missed), ha="center", va="center", fontsize=7, fontweight="bold")
        axes.text(-0.7, height + 0.4, "not caught, or not in every variant", ha="right", va="center", fontsize=6)
        key = [(0.0, "missed"), (0.5, "some variants missed"), (1.0, "caught")]
        handles = [Patch(facecolor=_SHADES[share], edgecolor="0.6", linewidth=0.4, label=text) for share, text in key]
        made.legend(handles=handles, loc="outside upper left", ncols=1, frameon=False, fontsize=7)
        made.supxlabel(caption, fontsize=6.5, color="0.35")
        save(made, stem)


_SHADES = {0.0: "#A33B00", 0.5: "#E9A36F", 1.0: "#F2F2F2"}  # vermilion, darker and lighter: apart in grey, too


def _square(axes: Any, x: float, y: float, share: float) -> None:
    from matplotlib.patches import Rectangle

    shade = _SHADES[share if share in (0.0, 1.0) else 0.5]
    axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, facecolor=shade, linewidth=0))


def scaling(curves: Sequence[dict[str, Any]], caption: str, stem: Path) -> None:
    """Time against T, B and H, both axes logarithmic, with the fitted exponents."""
    axes_names = list(dict.fromkeys(c["axis"] for c in curves))
    peers = list(dict.fromkeys(c["peer"] for c in curves))
    styles = {p: STYLES[k % len(STYLES)] | {"marker": "osDv^P"[k % 6], "ms": 3} for k, p in enumerate(peers)}
    with look_of(RC):
        made = figure(9, 3.6)
        panels = made.subplots(1, len(axes_names), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, axes_names, strict=True):
            for c in (c for c in curves if c["axis"] == name):
                label = f"{c['peer']}: {name}$^{{{c['slope']:.2f}}}$"
                axes.loglog(c["values"], [1e3 * s for s in c["seconds"]], label=label, **styles[c["peer"]])
            axes.set_xticks(c["values"], [str(n) for n in c["values"]])
            axes.minorticks_off()
            axes.set_xlabel(name)
            axes.legend(frameon=False, fontsize=6.5)
        panels[0].set_ylabel("median ms, forward + backward")
        made.supxlabel(caption, fontsize=6, color="0.35")
        save(made, stem)
