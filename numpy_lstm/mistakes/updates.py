"""Mistakes between a gradient and the update: what is clipped, and when. They stand beside the catalogue."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import tree

LIMIT, LOSS_SCALE = 0.05, 1024.0  # of clipping, and of a loss in half precision


class UpdateMistake(NamedTuple):
    """What goes wrong between the gradient and the update, as a function of the right gradient, a tree.

    What is right: LIMIT/norm times the gradient where its norm is larger. ``found`` is what the mistake makes of it.
    """

    name: str
    says: str
    source: str
    found: Callable[[Any], Any]


def clipped(gradient: Any) -> Any:
    """The gradient, made as short as LIMIT if it is longer."""
    return tree.scale(min(1.0, LIMIT / tree.norm(gradient)), gradient)


UPDATES = [
    UpdateMistake(
        "clipped-before-unscaled",
        "the gradient of the scaled loss is clipped, and divided by the scale afterwards",
        "transformers 1563",
        lambda g: tree.scale(1 / LOSS_SCALE, clipped(tree.scale(LOSS_SCALE, g))),
    ),
    UpdateMistake(
        "clipped-array-by-array",
        "each array by its own norm, not all by the norm of all: the direction changes",
        "derived",
        lambda g: tree.map(clipped, g),
    ),
    UpdateMistake(
        "clipped-part-by-part",
        "accumulation: the gradient of each part of the batch is clipped before they are added",
        "transformers 1563",
        lambda g: tree.add(clipped(tree.scale(0.75, g)), clipped(tree.scale(0.25, g))),
    ),
]
