"""Networks: which cell, how it is wired, and of which parts; a mistake replaces a part."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..arrays import type_name
from ..check.given import CaseError
from ..layers import Masked, Parallel, Recurrent, Reversed, Stack
from ..pages import ABLATIONS, PAGES, VARIANTS, ReLURNN, projected, zoneout
from ..pages.page import Page
from ..shapes import axes, codes

KNOWN = (*PAGES, ReLURNN, *VARIANTS, *ABLATIONS.values())
CELLS: dict[str, Page] = {cell.name: cell for cell in KNOWN}  # known by name
DIRECTIONS = ("forward", "reverse", "bidirectional")


def register(page: Page) -> Page:
    """Let files and command lines know a page of your own by its name; returns it.

    Raises CaseError for what is no page, and for a name that another page has.
    """
    if not isinstance(page, Page):
        raise CaseError(f"page is a {type_name(page)}; expected a Page")
    _expect_own_name(page)
    return CELLS.setdefault(page.name, page)


def _expect_own_name(page: Page) -> None:
    if CELLS.get(page.name, page) != page:
        raise CaseError(f"{page.name} is the name of another page; give yours a title of its own")


class Parts(NamedTuple):
    """What a network is made of; a mistake replaces one of these."""

    cell: Callable[[Page], Page] = lambda cell: cell
    recurrent: Callable[[Page], Any] = Recurrent
    reversed: Callable[[Any], Any] = Reversed
    parallel: Callable[[Any], Any] = Parallel
    masked: Callable[[Any, Mapping[str, Any]], Any] = Masked


class Network(NamedTuple):
    """A wiring: a cell, perhaps projected to ``projection`` outputs or zoned out, direction and depth.

    ``cell`` is a page, or the name of one: of a published page, or of your own once it is registered. A cell that
    reads masks beside x, as with ``zoneout``, is for one layer read forward.
    """

    cell: str | Page = "LSTM"
    projection: int = 0
    zoneout: bool = False
    direction: str = "forward"
    layers: int = 1

    @property
    def page(self) -> Page:
        """The page of the cell, with nothing around it; raises CaseError if it is unknown."""
        if isinstance(self.cell, Page):
            return self.cell
        if not isinstance(self.cell, str):
            raise CaseError(f"cell is a {type_name(self.cell)}; expected a Page, or the name of one")
        if self.cell not in CELLS:
            raise CaseError(
                f"cell is {self.cell!r}; expected one of those known: {', '.join(CELLS)}; "
                "numpy_lstm.cases.register(page) makes your own known"
            )
        return CELLS[self.cell]

    def named(self) -> dict[str, Any]:
        """The fields as files have them, the cell by its name; raises CaseError if that name is another page's."""
        if self.cell not in CELLS:
            _expect_own_name(self.page)
        return self._asdict() | {"cell": self.page.name if isinstance(self.cell, Page) else self.cell}

    def check(self) -> "Network":
        """This network; raises CaseError if it names something unknown, or its cell does not fit a case."""
        if self.direction not in DIRECTIONS:
            raise CaseError(f"direction is {self.direction!r}; expected one of {', '.join(DIRECTIONS)}")
        for name, value, least in (("projection", self.projection, 0), ("layers", self.layers, 1)):
            if not isinstance(value, int) or value < least:
                raise CaseError(f"{name} is {value!r}; expected an integer of at least {least}")
        page = self.page
        if page.core is not page:
            raise CaseError(
                f"cell is {page!r}, a page around another; expected {page.core!r}, and projection or zoneout"
            )
        if self.zoneout and (self.direction != "forward" or self.layers != 1):
            raise CaseError("zoneout is for one layer read forward")
        if len(page.reads) > 1 and (self.direction != "forward" or self.layers != 1 or "x" not in page.reads):
            raise CaseError(f"{page.name} reads {', '.join(page.reads)}: x and masks are for one layer read forward")
        if codes(page.Input) or "B" in axes(page.Outputs).values() or not page.Params._fields:
            raise CaseError(f"{page.name} is not for a case: that has parameters, no integers, and rows of outputs")
        letters = {k for record in (page.Params, page.Input, page.Outputs) for k in "".join(axes(record).values())}
        if unknown := sorted(letters - set("BDHR")):
            raise CaseError(f"{page.name} has axes {', '.join(unknown)}; a case has T, B, D, H and R alone")
        try:
            self.of_cell()
        except ValueError as error:
            raise CaseError(str(error)) from None
        return self

    def of_cell(self, edit: Callable[[Page], Page] = lambda cell: cell) -> Page:
        """The cell, with ``edit`` applied to its page before anything is wrapped around it; CaseError if unknown."""
        cell = edit(self.page)
        cell = projected(cell, self.projection) if self.projection else cell
        return zoneout(cell) if self.zoneout else cell

    def layer(self, masks: Mapping[str, Any] | None = None, parts: Parts = Parts()) -> Any:  # noqa: B008
        """The layer of ``numpy_lstm.layers``, from these parts; ``masks`` that a cell reads, and of dropout."""
        cell = self.of_cell(parts.cell)

        def level(k: int) -> Any:
            one = parts.recurrent(cell)
            if len(cell.reads) > 1:
                return parts.masked(one, {name: mask for name, mask in (masks or {}).items() if "." not in name})
            if self.ways == 2:
                one = parts.parallel((one, parts.reversed(parts.recurrent(cell))))
            elif self.direction == "reverse":
                one = parts.reversed(one)
            dropped = (masks or {}).get(f"l{k}.dropout")
            return one if dropped is None else parts.masked(one, {"x": dropped})

        return level(0) if self.layers == 1 else Stack([level(k) for k in range(self.layers)])

    @property
    def ways(self) -> int:
        """The number of directions in which each layer reads."""
        return 2 if self.direction == "bidirectional" else 1

    def places(self) -> list[str]:
        """The prefix of the names of each layer and direction; a single one has none."""
        several = self.layers * self.ways > 1
        ways = ("", "_reverse")[: self.ways]
        return [f"l{k}{way}." if several else "" for k in range(self.layers) for way in ways]

    def nest(self, records: list[Any]) -> Any:
        """One record for each place, as the layer wants them: itself, or nested tuples."""
        if self.ways == 2:
            records = [tuple(records[k : k + 2]) for k in range(0, len(records), 2)]
        return records[0] if self.layers == 1 else tuple(records)

    def unnest(self, nested: Any) -> list[Any]:
        """The inverse of ``nest``."""
        levels = [nested] if self.layers == 1 else list(nested)
        return [record for level in levels for record in level] if self.ways == 2 else levels

    def widths(self, D: int, H: int) -> list[int]:
        """The number of inputs of each place."""
        above = self.ways * (self.projection or H)
        return [D if k < self.ways else above for k in range(self.layers * self.ways)]
