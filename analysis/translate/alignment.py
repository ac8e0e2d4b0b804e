"""What a decoder attends to while it writes: heat maps, and the numbers beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import figures, output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 3
END = "□"


def heat_map(source: Sequence[str], found: Any) -> dict[str, Any]:
    """The alignment as a run record has a heat map: of each symbol of the source (its first character), each step."""
    seen = np.zeros((1, len(source))) if found.alignment is None else found.alignment
    text, steps = "".join(symbol[0] for symbol in source), list(range(len(seen)))
    return {"value": "w", "text": text, "units": steps, "values": np.asarray(seen, float).T.tolist()}


def draw(examples: Sequence[tuple[Any, Any, Any]], stem: Path, name: str) -> None:
    """Triples of source, translation and alignment (T,S): ``stem``.svg, .png and .csv."""
    rows = [
        [n, t, symbol, s, place, float(weights[t, s])]
        for n, (source, target, weights) in enumerate(examples)
        for t, symbol in enumerate([*target, END])
        for s, place in enumerate(source)
    ]
    output.write_csv(
        stem.with_name(f"{stem.name}.csv"), ["example", "step", "written", "place", "read", "weight"], rows
    )
    figures.drawn(lambda figure: _draw(figure, examples, name), (190, 75), stem)


def _draw(figure: "Figure", examples: Sequence[tuple[Any, Any, Any]], name: str) -> None:
    panels = figure.subplots(1, len(examples), squeeze=False)[0]
    for axes, (source, target, weights) in zip(panels, examples, strict=True):
        shown = axes.imshow(weights, vmin=0, vmax=1, cmap="viridis", interpolation="nearest", aspect="auto")
        small = {"fontsize": 6, "family": "monospace"}
        axes.set_xticks(range(len(source)), ["␣" if k == " " else k for k in source], **small)
        axes.set_yticks(range(len(target) + 1), [*target, END], **small)
        axes.tick_params(length=0)
        axes.set_xlabel("read")
    panels[0].set_ylabel(f"written ({END}: the end)")
    panels[0].set_title(f"{name}: weight of each place at each step", loc="left")
    figure.colorbar(shown, ax=list(panels), fraction=0.04)
