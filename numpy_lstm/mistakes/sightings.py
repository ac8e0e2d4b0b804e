"""Where mistakes were seen in public: a thread or a file that was read, by mistake, and what was wrong there."""

import csv
from collections import defaultdict
from functools import cache
from importlib import resources
from typing import NamedTuple


class Sighting(NamedTuple):
    """``address`` is a page, ``owner/project#thread`` on GitHub, or a file; ``what`` was wrong there, in our words.

    "~" before the address: the same place in the algebra, not provably the same slip.
    """

    mistake: str
    address: str
    what: str


@cache
def sightings() -> list[Sighting]:
    """All of them, from ``sightings.csv``."""
    text = resources.files(__package__).joinpath("sightings.csv").read_text("utf-8")
    return [Sighting(**row) for row in csv.DictReader(text.splitlines())]


@cache
def _addresses() -> dict[str, list[str]]:
    found = defaultdict(list)
    for sighting in sightings():
        found[sighting.mistake].append(sighting.address)
    return found


def source(mistake: str) -> str:
    """The addresses, or "derived" where no sighting is known."""
    return "; ".join(_addresses().get(mistake, ["derived"]))
