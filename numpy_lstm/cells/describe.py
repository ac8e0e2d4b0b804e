"""What ``help`` says of a cell and of the functions of its page."""

import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..shapes import axes

TAG = re.compile(r"#.*\([A-Z]\d+'?\)")


class Documentation:
    """The ``__doc__`` of a class; of an instance, what ``of_instance`` writes."""

    def __init__(self, of_class: str | None, of_instance: Callable[[Any], str]) -> None:
        self.of_class, self.of_instance = of_class, of_instance

    def __get__(self, instance: Any, owner: Any = None) -> str | None:
        """Of the class where there is no instance."""
        return self.of_class if instance is None else self.of_instance(instance)


class PageFunction(partial[Any]):
    """A function of a page with the activations of a cell filled in; it has the documentation of the page's."""

    @property
    def __name__(self) -> str:
        """As the page calls it."""
        return str(self.func.__name__)

    def __repr__(self) -> str:
        return f"<{self.__name__}({', '.join(inspect.signature(self).parameters)}) of {self.func.__module__}>"


def function(it: PageFunction) -> str:
    """Signature, the page's documentation, and the lines that have a tag."""
    given = inspect.signature(it)
    said = [p.name + ("" if (k := _kind(p.annotation)) is None else f": {k}") for p in given.parameters.values()]
    parts = [f"{it.__name__}({', '.join(said)}) -> {_kind(given.return_annotation)}", inspect.getdoc(it.func) or ""]
    parts += ["\n".join(_equations(it.func)), "The records are those of the cell: help(cell) gives their shapes."]
    return "\n\n".join(part for part in parts if part)


PageFunction.__doc__ = Documentation(PageFunction.__doc__, function)  # type: ignore[assignment]


def _kind(annotation: Any) -> str | None:
    """A type without its module; None where there is none."""
    if annotation is inspect.Parameter.empty:
        return None
    return re.sub(r"\w+\.", "", inspect.formatannotation(annotation))


def cell(it: Any) -> str:
    """Page, records with shapes, equations, and how to use the cell."""
    page = _page(it)
    parts = [f"The cell {it.name}.", inspect.getdoc(page) or ""]
    if not isinstance(it.step, partial):  # a combinator's, which says what it adds
        parts.append(inspect.getdoc(it.step) or "")
    parts += [_record(record) for record in (it.Input, it.Params, it.State, it.Trace) if record is not None]
    parts.append("Activations: " + ", ".join(f"{k} {f.name}" for k, f in it.functions._asdict().items()))
    if rows := _equations(getattr(page, "step", None)):
        parts.append("\n".join(["Equations", *(f"    {row}" for row in rows)]))
    if page is not None:
        parts.append(f"Page {page.__name__}; derivation {it.page}.md beside it; a tag with ' is that of the adjoint.")
    parts.append(
        "B rows, D inputs, H units, R outputs fed back" + (" (R = H)." if it.R is None else f" (R = {it.R}).") + "\n"
        "Methods, see help(Cell): init(D, H, rng), zero_state(B, H), partial_state(h, c), step, step_adjoint, "
        "step_gradients.\n"
        "run = numpy_lstm.forward(cell, params, xs, first); back = numpy_lstm.backward(cell, params, run, dhs=dhs)"
    )
    return "\n\n".join(part for part in parts if part)


def _page(it: Any) -> Any:
    """The module of the page, or None."""
    inside = it.step.func.__module__ if isinstance(it.step, partial) else f"{__package__}.{it.page}"
    return sys.modules.get(inside)


def _record(record: Any) -> str:
    """The name of a record, its documentation, and its fields by shape."""
    shapes: dict[str, list[str]] = {}
    for field, letters in axes(record).items():
        shapes.setdefault(f"({','.join(letters)}{',' if len(letters) == 1 else ''})", []).append(field)
    about = (record.__doc__ or "").partition("\n")[0]
    about = "" if about.startswith(f"{record.__name__}(") else f": {about}"
    return "\n".join([f"{record.__name__}{about}", *(f"    {shape} {', '.join(f)}" for shape, f in shapes.items())])


def _equations(of: Any) -> list[str]:
    """The lines of a function that have a tag; none where the source is not at hand."""
    try:
        lines = inspect.getsource(of).splitlines()
    except (TypeError, OSError):
        return []
    return [re.sub(r"\s{2,}#", "  #", line.strip()) for line in lines if TAG.search(line)]
