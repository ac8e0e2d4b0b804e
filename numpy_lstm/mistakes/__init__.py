"""Mistakes that people make in a recurrent network's gradients, by name, and the numbers that each of them gives.

A mistake is the right code with one thing wrong in it: a page fed a wrong value, a combinator with another backward
pass, an array in another's place. So its numbers are those of somebody who has made it, in any case that can show it,
and two can be made at once. Files are sorted by what is edited: ``page_*`` the page, ``time_loop`` the loop over steps,
``wiring`` what stands around it, each in the backward pass alone; ``results`` and ``result_places`` what comes out of a
right pass; ``network_*`` both passes alike. The forms of which all are made stand in ``edits``.
``LOSSES`` (around a loss) and ``UPDATES`` (before an update) stand beside the ``CATALOGUE``: no case has them in it.
"""

from collections.abc import Iterator

from . import (
    masks,
    network_arguments,
    network_cells,
    network_kinds,
    network_states,
    network_weights,
    page_cells,
    page_factors,
    result_places,
    results,
    time_loop,
    wiring,
)
from .mistake import Mistake
from .page_losses import LOSSES
from .sightings import Sighting, sightings
from .updates import UPDATES
from .workbench import Edits, Workbench

__all__ = [
    "CATALOGUE",
    "LOSSES",
    "UPDATES",
    "Edits",
    "Mistake",
    "Sighting",
    "Workbench",
    "label",
    "possible",
    "sightings",
]

_LISTS = (  # in the order in which sets of cases and tables list them
    *(page_factors.PATHS, page_factors.FACTORS, page_factors.DERIVATIVES, page_factors.GATES),
    *(page_cells.IN_GRU, page_cells.IN_PEEPHOLES, page_cells.IN_LAYER_NORM),
    *(time_loop.STEPS, time_loop.COTANGENTS, time_loop.TRUNCATION, wiring.DIRECTIONS, wiring.DEPTH, wiring.LENGTHS),
    *(time_loop.PROJECTION, masks.ZONEOUTS, results.FACTORS, results.BIASES, results.NUMBERS, result_places.PLACES),
    *(network_cells.CELLS, network_kinds.GRUS, network_kinds.PEEPHOLES, network_kinds.LAYER_NORMS),
    *(network_weights.WEIGHTS, network_states.STATES, network_arguments.ARGUMENTS, network_arguments.ZONEOUTS),
    time_loop.SHIPPED,
    masks.MASKS,
)

CATALOGUE: dict[str, Mistake] = {mistake.name: mistake for group in _LISTS for mistake in group}


def label(mistake: Mistake, variant: str = "") -> str:
    """``sigmoid-derivative-missing[f]``, or the bare name."""
    return f"{mistake.name}[{variant}]" if variant else mistake.name


def possible(bench: Workbench) -> Iterator[tuple[Mistake, str]]:
    """Every mistake, with each of its variants, that gives wrong numbers in the case of this bench."""
    for mistake in CATALOGUE.values():
        for variant in mistake.variants(bench):
            yield mistake, variant
