"""What a mistake is: where it can be made, what is then done otherwise, and the numbers that it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .sightings import source
from .workbench import Edits, Workbench

KEPT = 100_000  # numbers in an answer, at most, for a bench to remember it


class Mistake(NamedTuple):
    """Something that people do wrong.

    ``says`` tells what was done, with the tag of the equation on the page of the LSTM where there is one.

    ``where`` says of a bench whether it can be made there, or with which parameters (``"f"``, ``"ifog"``, ``"7"``);
    ``edit`` is what is done otherwise, or a function of the bench and the variant that says it.

    ``at`` is the field of Trace whose cotangent is the first wrong one in backward order and how many steps before
    the last it stands, for a single layer read forward without wrapping or lengths; ``{}`` stands for the variant.
    None where that differs between cells, or no cotangent of a step is wrong. ``consistent``: forward and backward
    pass agree with each other, so that only somebody else's numbers show the mistake.
    """

    name: str
    says: str
    where: Callable[[Workbench], Any]
    edit: Edits | Callable[[Workbench, str], Edits]
    at: tuple[str, int] | None = None
    consistent: bool = False

    @property
    def source(self) -> str:
        """Where it was seen, "~" in front where only the place in the algebra is the same; "derived" if nowhere."""
        return source(self.name)

    def conceivable(self, bench: Workbench) -> list[str]:
        """The parameters with which it can be made here, ``[""]`` for one without parameter."""
        found = self.where(bench)
        return ([""] if found else []) if isinstance(found, bool) else list(found)

    def variants(self, bench: Workbench) -> list[str]:
        """The parameters with which it gives wrong numbers here."""
        return [k for k in self.conceivable(bench) if self.shows(bench, k)]

    def edits(self, bench: Workbench, variant: str = "") -> Edits:
        """What is done otherwise."""
        return self.edit if isinstance(self.edit, Edits) else self.edit(bench, variant)

    def answer(self, bench: Workbench, variant: str = "") -> dict[str, Any]:
        """Every result by name, as ``Case.answer`` names them, that somebody with this mistake would give."""
        if (key := (self, variant)) in bench.kept:
            found: dict[str, Any] = bench.kept[key]
            return found
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            answer = bench.answer(self.edits(bench, variant))
        if sum(a.size for a in answer.values()) <= KEPT:
            bench.kept[key] = answer
        return answer

    def shows(self, bench: Workbench, variant: str = "") -> bool:
        """Whether its answer is not, to rounding, the right one."""
        key = (self, variant, "seen")
        if key not in bench.kept:
            bench.kept[key] = bench.differs(self.answer(bench, variant))
        return bool(bench.kept[key])
