"""``python -m analysis inside RUN``: each part leaves a figure and its numbers."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy_lstm.command import natural, positive

from ..charlm.command import MODEL
from ..flow.gates import draw_connectivity, draw_gates
from ..flow.study import Found, leave
from . import flowing, forgetting, units
from .opened import Opened, opened


class Part(NamedTuple):
    """``compute(run, n)`` gives what was found, or why nothing can be; n is the option that it ``reads``."""

    title: str
    compute: Callable[[Opened, int], Found | str]
    draw: Callable[[Any, Any], None]
    size: tuple[float, float]
    reads: str = "characters"


PARTS = {
    "forgetting": Part(
        "After which characters the model forgets", forgetting.forgetting, forgetting.draw_forgetting, (150, 60)
    ),
    "passage": Part("What is kept, character by character", forgetting.passage, forgetting.draw_passage, (200, 75)),
    "saturation": Part("F18: gates before and after training", forgetting.saturation, draw_gates, (120, 100)),
    "units": Part("Units that follow the text", units.units, units.draw_units, (170, 100)),
    "reach": Part("How far gradients reach, before and after", flowing.reach, flowing.draw_reach, (110, 70)),
    "connectivity": Part(
        "F20: which characters the next one depends on",
        flowing.connectivity,
        partial(draw_connectivity, depth=flowing.DEPTH),
        (150, 76),
    ),
    "norms": Part("F19: the norm of the gradient", flowing.norms, flowing.draw_norms, (110, 75)),
    "lyapunov": Part(
        "Lyapunov exponents during training", flowing.lyapunov, flowing.draw_lyapunov, (100, 65), "replay"
    ),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "model", metavar="RUN", nargs="?", type=Path, help="a model that charlm saved; default: DIR/charlm.npz"
    )
    parser.add_argument("--text", metavar="FILE", help="what it was trained on; default: the topics of Python's help")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--characters", type=positive, default=16000, help="held-out ones to read; default: 16000")
    parser.add_argument("--replay", type=natural, default=100, help="updates to do again for lyapunov; default: 100")


def run(out: Path, options: argparse.Namespace) -> list[str]:
    """Write inside-PART.svg, .png, .csv and .json of each part; nothing here can fail, so the list is empty."""
    path = options.model or out / MODEL
    found = opened(path, options.text)
    for name in options.only or PARTS:
        part = PARTS[name]
        shown = part.compute(found, getattr(options, part.reads))
        if isinstance(shown, str):
            print(f"{part.title}: {shown}\n")
        else:
            seed = found.record["settings"]["seed"]
            leave(part, shown, out / f"inside-{name}", f"python -m analysis inside {path} --only {name}", seed)
    return []
