"""What ``help`` says of a page and of its step."""

import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..shapes import axes, codes, shared

TAG = re.compile(r"#.*\(([A-Z]\d+'?)\)")


def tag(line: str) -> str:
    """The tag of a line of a page: ``L9``; nothing if it has none."""
    found = TAG.search(line)
    return found[1] if found else ""


OF_CELLS = """B rows, D inputs, H units, R outputs fed back ({R}).
See help(Page): init(D, H, rng), zero_state(B, H), partial_state(h, c), having(f=...), step, step_back.
run = numpy_lstm.forward(cell, params, xs, first); back = numpy_lstm.backward(cell, params, run, dhs=dhs)"""
OF_LAYERS = """B rows, D inputs or symbols, H outputs. Nothing is carried: numpy_lstm.EachStep(page) computes all
steps at once, numpy_lstm.forward and backward the same, step by step.
See help(Page): init(D, H, rng), step, step_back."""


class Documentation:
    """The ``__doc__`` of a class; of an instance, what ``of_instance`` writes."""

    def __init__(self, of_class: str | None, of_instance: Callable[[Any], str]) -> None:
        self.of_class, self.of_instance = of_class, of_instance

    def __get__(self, instance: Any, owner: Any = None) -> str | None:
        """The text for an instance; that of the class where there is none."""
        return self.of_class if instance is None else self.of_instance(instance)


class PageFunction(partial[Any]):
    """A function of a page with the page filled in; ``help`` shows the equations that it computes."""

    @property
    def __name__(self) -> str:
        """The name that the page gives the function."""
        return str(self.func.__name__)

    def __repr__(self) -> str:
        return f"<{self.__name__}({', '.join(inspect.signature(self).parameters)}) of {self.args[0].name}>"


def function(it: PageFunction) -> str:
    """Signature, documentation, and the lines of the page that have a tag."""
    given, page = inspect.signature(it), it.args[0]
    equations = page.adjoint if it.__name__ == "step_back" else page.values
    parts = [f"{it.__name__}({', '.join(given.parameters)})", inspect.getdoc(it.func) or ""]
    parts += [inspect.getdoc(equations) or "", "\n".join(_equations(equations))]
    parts.append("The records are those of the cell: help(cell) gives their shapes.")
    return "\n\n".join(part for part in parts if part)


PageFunction.__doc__ = Documentation(PageFunction.__doc__, function)  # type: ignore[assignment]


def page(it: Any) -> str:
    """What the page is, its records with shapes, its equations, and how to use it."""
    parts = [f"The {'cell' if it.carries else 'page'} {it.name}.", _about(it)]
    parts += [_record(record) for record in (it.Input, it.Params, it.State, it.Trace) if record._fields]
    parts += [f"Integers, of any integer dtype: {k} from 0 to {n} - 1" for k, n in codes(it.Trace).items()]
    if held := shared(it.Trace):
        parts.append(f"The same at all steps, without a time axis: {', '.join(held)}")
    functions = it.functions._asdict().items()
    named = [f"{k} {getattr(f, 'name', f)}" for k, f in functions]
    parts.append("Functions: " + ", ".join(named) if named else "")
    if rows := _equations(it.values):
        parts.append("\n".join(["Equations", *(f"    {row}" for row in rows)]))
    module = it.values.__module__
    parts.append(
        f"Page {module}; derivation {module.rpartition('.')[2]}.md beside it; a tag with ' is that of the adjoint."
    )
    R = "R = H" if it.R is None else f"R = {it.R}"
    parts.append(OF_CELLS.format(R=R) if it.carries else OF_LAYERS)
    return "\n\n".join(part for part in parts if part)


def _about(it: Any) -> str:
    """The documentation of the page's module; for a combinator also that of the cell within."""
    own = inspect.getdoc(sys.modules.get(it.values.__module__)) or ""
    inner = getattr(it.functions, "cell", None)
    return own if inner is None else "\n\n".join([own, f"Of {inner.name}:", _about(inner)])


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
