"""The figure: accuracy against update, accuracy on the test with its interval, and who is taken for whom."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(
    figure: "Figure",
    models: dict[str, list[dict[str, Any]]],
    tested: dict[str, tuple[float, float, float]],
    baselines: dict[str, list[float]],
    counts: Any,
    caption: str,
) -> None:
    """``models`` are runs by name, ``tested`` the share of each that is right and its interval."""
    curves, test, matrix = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
    looks = []
    for name, runs in models.items():
        updates, shares = runs[0]["curve"], np.array([one["curve"] for one in runs])[:, :, 2]
        spread = zip(np.median(shares, axis=0), shares.min(axis=0), shares.max(axis=0), strict=True)
        looks += [(name, look[0], *at) for look, at in zip(updates, spread, strict=True)]
    figures.bands(curves, looks)
    for line, name in zip(curves.lines, models, strict=True):
        line.set_label(name)
    curves.set(xlabel="update", ylim=(None, 1))
    curves.set_title("accuracy on the rows to choose by", loc="left")
    curves.legend(frameon=False, fontsize=6, loc="lower right")
    for k, (name, (share, low, high)) in enumerate(tested.items()):
        look = {"marker": figures.marker(k), "capsize": 2, "color": figures.style(k)["color"]}
        test.errorbar(share, k, xerr=[[share - low], [high - share]], label=name, **look)
    for axes, line in ((curves, "axhline"), (test, "axvline")):
        getattr(axes, line)(max(map(np.mean, baselines.values())), color=figures.GREY, linewidth=0.6, linestyle=":")
    test.set_yticks(range(len(tested)), list(tested))
    test.set(xlabel="share of rows", ylim=(len(tested) - 0.5, -0.5))
    test.set_title("accuracy on the test, 95 %", loc="left")
    _confusion(matrix, counts, runs[0]["classes"], next(iter(models)))
    said = ", ".join(f"{name} {np.mean(of):.3f}" for name, of in baselines.items())
    figure.supxlabel(f"{caption}. Dotted, the best of: {said}", fontsize=6, color=figures.GREY)


def _confusion(axes: Any, counts: Any, classes: list[str], name: str) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (k, j), count in np.ndenumerate(counts):
        if count and len(classes) <= 12:
            axes.text(j, k, count, ha="center", va="center", fontsize=5, color="w" if shares[k, j] > 0.6 else "k")
    axes.set_xticks(range(len(classes)), classes, fontsize=6, rotation=90 if len(classes) > 9 else 0)
    axes.set_yticks(range(len(classes)), classes, fontsize=6)
    axes.set(xlabel="predicted", ylabel="true class")
    axes.set_title(f"rows of the test; {name}", loc="left")
