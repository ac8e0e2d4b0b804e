"""Mistakes that people make in a recurrent network's gradients, by name, and the numbers that each of them gives.

A mistake is the right code with one thing wrong in it: a page fed a wrong value, a combinator with another backward
pass, an array in another's place. So its numbers are those of somebody who has made it, in any case that can show it.
"""

from collections.abc import Iterator

from . import (
    in_derivatives,
    in_factors,
    in_forward,
    in_gates,
    in_lengths,
    in_lstm,
    in_places,
    in_shipping,
    in_time,
    in_wiring,
    in_wrappers,
)
from .workbench import Mistake, Workbench

__all__ = ["CATALOGUE", "Mistake", "Workbench", "label", "made"]

_FILES = (
    *(in_lstm, in_derivatives, in_gates, in_time, in_wiring, in_wrappers, in_lengths),
    *(in_factors, in_places, in_forward, in_shipping),
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
