"""Mistakes that people make in a recurrent network's gradients, by name, and the numbers that each of them gives.

A mistake is the right code with one thing wrong in it: a page fed a wrong value, a combinator with another backward
pass, an array in another's place. So its numbers are those of somebody who has made it, in any case that can show it.
Files are sorted by what is edited: ``page_*`` the page, ``scan_*`` the time loop, ``wiring`` what stands around it,
each in the backward pass alone; ``results_*`` what comes out of a right pass; ``network_*`` both passes alike.
``LOSSES`` (around a loss) and ``UPDATES`` (before an update) stand beside the ``CATALOGUE``: no case has them in it.
"""

from collections.abc import Iterator

from . import (
    network_arguments,
    network_pages,
    network_weights,
    page_cells,
    page_derivatives,
    page_gates,
    page_paths,
    results_numbers,
    results_places,
    scan_carry,
    scan_steps,
    wiring,
)
from .page_losses import LOSSES
from .updates import UPDATES
from .workbench import Mistake, Workbench

__all__ = ["CATALOGUE", "LOSSES", "UPDATES", "Mistake", "Workbench", "label", "possible"]

_LISTS = (  # in the order in which sets of cases and tables list them
    *(page_paths.CARRIES, page_paths.FACTORS, page_paths.CLIPPED, page_derivatives.DERIVATIVES),
    *(page_gates.ANY, page_cells.IN_GRU, page_cells.IN_RNN, page_cells.IN_PEEPHOLES, page_cells.IN_LAYER_NORM),
    *(scan_steps.STEPS, scan_carry.COTANGENTS, scan_carry.TRUNCATION, wiring.DIRECTIONS, wiring.DEPTH),
    *(scan_steps.PROJECTION, scan_steps.MASKS, page_gates.KEPT, wiring.LENGTHS, network_arguments.ARGUMENTS),
    *(results_numbers.FACTORS, results_numbers.BIASES, results_numbers.NUMBERS),
    *(results_places.ORDERS, page_gates.CUT, results_places.PLACES, network_weights.WEIGHTS, network_pages.PAGES),
    *(page_gates.EXCHANGED, page_cells.NO_PEEPHOLES, scan_carry.SKIPPED, results_places.ADDED),
    *(scan_carry.SHIPPED, network_pages.CARRIED),
)

CATALOGUE: dict[str, Mistake] = {mistake.name: mistake for group in _LISTS for mistake in group}


def label(mistake: Mistake, variant: str = "") -> str:
    """``sigmoid-derivative-missing[f]``, or the bare name."""
    return f"{mistake.name}[{variant}]" if variant else mistake.name


def possible(bench: Workbench) -> Iterator[tuple[Mistake, str]]:
    """Every mistake, with each of its variants, that can be made in the case of this bench.

    On a page of somebody's own, whose fields may mean anything, those that change nothing are left out.
    """
    for mistake in CATALOGUE.values():
        for variant in mistake.variants(bench):
            if bench.published or bench.differs(mistake.answer(bench, variant)):
                yield mistake, variant
