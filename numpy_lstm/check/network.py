"""Networks by name: which cell, how it is wired, and of which parts; a mistake replaces a part."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..layers import Masked, Parallel, Recurrent, Reversed, Stack
from ..pages import ABLATIONS, PAGES, ReLURNN, projected, zoneout
from ..pages.page import Page

CELLS: dict[str, Page] = {cell.name: cell for cell in (*PAGES, ReLURNN, *ABLATIONS.values())}
DIRECTIONS = ("forward", "reverse", "bidirectional")


class CaseError(ValueError):
    """A case or an answer that cannot be read or does not fit: says what came and what was expected."""


class Parts(NamedTuple):
    """What a network is made of; a mistake replaces one of these."""

    cell: Callable[[Page], Page] = lambda cell: cell
    recurrent: Callable[[Page], Any] = Recurrent
    reversed: Callable[[Any], Any] = Reversed
    parallel: Callable[[Any], Any] = Parallel


class Network(NamedTuple):
    """A wiring by name: a cell, perhaps projected to ``projection`` outputs or zoned out, direction and depth.

    Zoneout is for one layer read forward.
    """

    cell: str = "LSTM"
    projection: int = 0
    zoneout: bool = False
    direction: str = "forward"
    layers: int = 1

    def check(self) -> "Network":
        """This network; raises CaseError if it names something unknown."""
        if self.direction not in DIRECTIONS:
            raise CaseError(f"direction is {self.direction!r}; expected one of {', '.join(DIRECTIONS)}")
        for name, value, least in (("projection", self.projection, 0), ("layers", self.layers, 1)):
            if not isinstance(value, int) or value < least:
                raise CaseError(f"{name} is {value!r}; expected an integer of at least {least}")
        if self.zoneout and (self.direction != "forward" or self.layers != 1):
            raise CaseError("zoneout is for one layer read forward")
        try:
            self.of_cell()
        except ValueError as error:
            raise CaseError(str(error)) from None
        return self

    def of_cell(self, edit: Callable[[Page], Page] = lambda cell: cell) -> Page:
        """The cell, with ``edit`` applied to its page before anything is wrapped around it; CaseError if unknown."""
        given: Any = self.cell
        if not isinstance(given, str) or given not in CELLS:
            hint = f" by its name, {given.name!r}" if given in CELLS.values() else ""
            raise CaseError(f"cell is {given!r}; expected one of those known{hint}: {', '.join(CELLS)}")
        cell = edit(CELLS[self.cell])
        cell = projected(cell, self.projection) if self.projection else cell
        return zoneout(cell) if self.zoneout else cell

    def layer(self, masks: Mapping[str, Any] | None = None, parts: Parts = Parts()) -> Any:  # noqa: B008
        """The layer of ``numpy_lstm.layers``, from these parts; ``masks`` for a zoneout cell."""
        cell = self.of_cell(parts.cell)

        def level() -> Any:
            one = parts.recurrent(cell)
            if self.zoneout:
                return Masked(one, dict(masks or {}))
            if self.direction == "bidirectional":
                return parts.parallel((one, parts.reversed(parts.recurrent(cell))))
            return parts.reversed(one) if self.direction == "reverse" else one

        return level() if self.layers == 1 else Stack([level() for _ in range(self.layers)])

    def places(self) -> list[str]:
        """The prefix of the names of each layer and direction; a single one has none."""
        ways = ["", "_reverse"] if self.direction == "bidirectional" else [""]
        several = self.layers * len(ways) > 1
        return [f"l{k}{way}." if several else "" for k in range(self.layers) for way in ways]

    def nest(self, records: list[Any]) -> Any:
        """One record for each place, as the layer wants them: itself, or nested tuples."""
        if self.direction == "bidirectional":
            records = [tuple(records[k : k + 2]) for k in range(0, len(records), 2)]
        return records[0] if self.layers == 1 else tuple(records)

    def unnest(self, nested: Any) -> list[Any]:
        """The inverse of ``nest``."""
        levels = [nested] if self.layers == 1 else list(nested)
        return [record for level in levels for record in level] if self.direction == "bidirectional" else levels

    def widths(self, D: int, H: int) -> list[int]:
        """The number of inputs of each place."""
        ways = 2 if self.direction == "bidirectional" else 1
        return [D if k < ways else ways * (self.projection or H) for k in range(self.layers * ways)]
