"""What gates do: which characters make the model forget, gates along a passage, and F18, gates before and after."""

from typing import Any

import numpy as np

from .. import figures
from ..flow.gates import of_gates
from ..flow.study import Found
from .opened import ROWS, WARM, Opened, places, read

RARE = 20  # a character that was read less often is not ranked
LOWEST = 7  # characters that are printed, when they are read and at the next step
LINE, LINES = 80, 9  # of the passage


def forgetting(run: Opened, characters: int) -> Found | str:
    """The mean over units of what is kept, at the step that reads each character and at the next, with counts."""
    at = places(run, characters)
    read_here, codes = read(run, run.after, at), run.held[at][WARM:]
    if read_here[-1].kept is None:
        return f"{read_here[-1].cell} has no forget gate: no step multiplies its state unit by unit"
    rows = []
    for one in read_here:
        means = np.mean(one.kept, axis=2, dtype=np.float64)
        for code in np.unique(codes):
            here, after = means[codes == code], means[1:][codes[:-1] == code]
            numbers = (
                len(here),
                float(np.mean(here)),
                float(np.std(here)),
                float(np.mean(after)) if len(after) else None,
            )
            rows.append([one.layer, named(run.symbols[code]), *numbers])
    top = sorted((r for r in rows if r[0] == read_here[-1].layer and r[2] >= RARE), key=lambda r: r[3])
    next_ones = [r for r in sorted(top, key=lambda r: r[5])[:LOWEST] if r not in top[:LOWEST]]
    summary = [[r[1], str(r[2]), *(f"{v:.3f}" for v in r[3:])] for r in (*top[:LOWEST], *next_ones)]
    caption = (
        f"What a step multiplies {read_here[-1].field} by (the forget gate of an LSTM), mean over the units of layer "
        f"{read_here[-1].layer} at the steps that read each character, and (crosses) at the steps after; characters "
        f"read at least {RARE} times, in the table the {LOWEST} lowest of both; bars: standard deviation over these "
        f"steps. {codes.size} held-out characters. {run.said}."
    )
    header = ["layer", "character", "count", "kept", "deviation", "kept next"]
    short = ["character", "count", "kept when it is read", "deviation", "at the next step"]
    return Found(caption, header, rows, short, summary, top)


def draw_forgetting(top: Any, figure: Any) -> None:
    """One bar for each character, from the lowest to the highest."""
    axes = figure.subplots()
    x = np.arange(len(top))
    axes.errorbar(x, [r[3] for r in top], [r[4] for r in top], fmt="o", markersize=3, color=figures.COLORS[2], lw=0.6)
    axes.plot(x, [r[5] for r in top], "x", markersize=3, color=figures.COLORS[1])
    axes.axhline(np.average([r[3] for r in top], weights=[r[2] for r in top]), color="0.7", linewidth=0.6)
    axes.set_xticks(x, [r[1].replace("$", r"\$") for r in top], fontsize=5.5, family="monospace")
    axes.set_xlim(-1, len(top))
    axes.set_ylabel("kept, mean over units")
    axes.set_xlabel("character (dots: when it is read; crosses: at the next step; line: mean of all)")


def passage(run: Opened, characters: int) -> Found | str:
    """The mean of each gate over units, character by character, along the start of the held-out text."""
    at = places(run, ROWS * (LINE * LINES + WARM))[:, :1]
    read_here, codes = read(run, run.after, at), run.held[at][WARM:, 0]
    top = read_here[-1]
    if top.kept is None:
        return f"{top.cell} has no forget gate: no step multiplies its state unit by unit"
    columns = {"kept": top.kept} | top.gates
    means = {k: np.mean(a[:, 0], axis=1, dtype=np.float64) for k, a in columns.items()}
    said = [run.symbols[c] for c in codes]
    rows = [[t, named(c), *(float(a[t]) for a in means.values())] for t, c in enumerate(said)]
    summary = [[k, *(f"{q:.3f}" for q in np.quantile(a, [0, 0.25, 0.5, 0.75, 1]))] for k, a in means.items()]
    caption = (
        f"The start of the held-out text, each character on the colour of what its step keeps of {top.field}, mean "
        f"over the units of layer {top.layer}: dark forgets. {run.said}."
    )
    quantiles = ["gate", "least", "lower quartile", "median", "upper quartile", "largest"]
    return Found(caption, ["step", "character", *means], rows, quantiles, summary, (said, means))


def draw_passage(data: Any, figure: Any) -> None:
    """Lines of LINE characters, as they follow one another; below, every gate along the first of them."""
    said, means = data
    lines, kept = -(-len(said) // LINE), means["kept"]
    image = np.full(lines * LINE, np.nan)
    image[: len(kept)] = kept
    upper, lower = figure.subplots(2, 1, height_ratios=[2, 1])
    shown = upper.imshow(image.reshape(lines, LINE), aspect="auto", cmap="cividis", interpolation="nearest")
    middle = (np.min(kept) + np.max(kept)) / 2
    for t, character in enumerate(said):
        color = "white" if kept[t] < middle else "black"
        upper.text(
            *(t % LINE, t // LINE, named(character).replace("$", r"\$")),
            **{"ha": "center", "va": "center", "family": "monospace", "fontsize": 5, "color": color},
        )
    upper.axis("off")
    figure.colorbar(shown, ax=upper, label="kept, mean over units", aspect=12)
    first = said[: 3 * LINE // 2]
    for k, (name, values) in enumerate((name, a) for name, a in means.items() if name != "kept"):
        lower.plot(values[: len(first)], **figures.style(k) | {"linewidth": 0.9}, label=name)
    lower.set_xticks(range(len(first)), [named(c).replace("$", r"\$") for c in first], fontsize=3.6, family="monospace")
    lower.set_xlim(-1, len(first))
    lower.set_title("each gate, mean over units, along the first of these characters", loc="left")
    lower.legend(frameon=False, fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))


def saturation(run: Opened, characters: int) -> Found | str:
    """F18: densities of gates, and each unit's share of time above 0.9 against below 0.1, before and after."""
    at, data, rows, summary = places(run, characters), [], [], []
    for when, params in (("before training", run.before), ("trained", run.after)):
        for one in read(run, params, at):
            for gate, found in of_gates(one.gates).items():
                density = np.array(found["counts"]) / np.sum(found["counts"]) * len(found["counts"])
                opened, shut = (np.array(found[k]) for k in ("open", "shut"))
                data.append((f"layer {one.layer}, {when}", gate, density, opened, shut))
                rows += [
                    [one.layer, when, gate, k, *map(float, pair)]
                    for k, pair in enumerate(zip(opened, shut, strict=True))
                ]
                shares = (found["mean"], np.mean(opened), np.mean(shut), np.mean(opened > 0.9), np.mean(shut > 0.9))
                summary.append([one.layer, when, gate, *(f"{v:.3f}" for v in shares)])
    if not data:
        return f"{run.record['settings']['cell']} has no gates"
    caption = (
        "Gates before and after training: density over steps and units; right, each unit's share of time above 0.9 "
        "(right-saturated) against below 0.1 (left-saturated), as Karpathy et al. 2015. always open, always shut: "
        f"shares of units that are so at nine steps of ten. {len(at) * ROWS} held-out characters. {run.said}."
    )
    header = ["layer", "when", "gate", "unit", "above 0.9", "below 0.1"]
    short = ["layer", "when", "gate", "mean", "open", "shut", "always open", "always shut"]
    return Found(caption, header, rows, short, summary, data)


def named(character: str) -> str:
    """A character as a figure and a table show it."""
    return {"\n": "¶", " ": "␣"}.get(character, character if character.isprintable() else f"U+{ord(character):04X}")
