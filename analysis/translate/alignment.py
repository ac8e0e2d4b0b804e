"""What a decoder attends to while it writes: heat maps, and the numbers beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import figures, output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EIGHTHS = (2, 5, 8)  # of what is held out, by length: which examples are drawn
END = "□"


def heat_map(source: Sequence[str], found: Any) -> dict[str, Any]:
    """The alignment as a run record has a heat map: of each symbol of the source (its first character), each step."""
    seen = np.zeros((1, len(source))) if found.alignment is None else found.alignment
    text, steps = "".join(symbol[0] for symbol in source), list(range(len(seen)))
    return {"text": text, "units": steps, "values": {"w": np.asarray(seen, float).T.tolist()}}


def draw(examples: Sequence[tuple[Any, Any, Any]], stem: Path, name: str) -> None:
    """Triples of what was read, what was written, and the alignment (T,S): ``stem``.svg, .png and .csv."""
    rows = [
        [n, t, symbol, s, place, round(float(weights[t, s]), 6)]
        for n, (source, target, weights) in enumerate(examples)
        for t, symbol in enumerate(target)
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
        turned = {"rotation": 90} if max(map(len, source)) > 2 else {}
        axes.set_xticks(range(len(source)), ["␣" if k == " " else k for k in source], **small, **turned)
        axes.set_yticks(range(len(target)), target, **small)
        axes.tick_params(length=0)
        axes.set_xlabel("read")
    panels[0].set_ylabel(f"written ({END}: the end)")
    panels[0].set_title(f"{name}: weight of each place at each step", loc="left")
    figure.colorbar(shown, ax=list(panels), fraction=0.04)
