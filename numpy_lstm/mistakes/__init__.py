"""Mistakes that people make in a recurrent network's gradients, by name, and the numbers that each of them gives.

A mistake is the right code with one thing wrong in it: a page fed a wrong value, a combinator with another backward
pass, an array in another's place. So its numbers are those of somebody who has made it, in any case that can show it.
"""

from collections.abc import Iterator

from . import (
    in_shipping,
    in_wrappers,
    network_arguments,
    network_pages,
    page_cells,
    page_derivatives,
    page_paths,
    results_numbers,
    results_places,
    scan_steps,
    wiring,
)
from .workbench import Mistake, Workbench

__all__ = ["CATALOGUE", "Mistake", "Workbench", "label", "made"]

_FILES = (
    *(page_paths, page_derivatives, page_cells, scan_steps, wiring, in_wrappers, network_arguments),
    *(results_numbers, results_places, network_pages, in_shipping),
)

CATALOGUE: dict[str, Mistake] = {mistake.name: mistake for file in _FILES for mistake in file.MISTAKES}


def label(mistake: Mistake, variant: str = "") -> str:
    """``sigmoid-derivative-missing[f]``, or the bare name."""
    return f"{mistake.name}[{variant}]" if variant else mistake.name


def made(bench: Workbench) -> Iterator[tuple[Mistake, str]]:
    """Every mistake, with each of its variants, that can be made in the case of this bench."""
    for mistake in CATALOGUE.values():
        for variant in mistake.variants(bench):
            yield mistake, variant
