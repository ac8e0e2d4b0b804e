"""A page: three functions on one record, and which of its fields come in, stay and go out.

``Trace`` names every value of a step, what comes in and what goes out included. The values of a step are a Trace, their
cotangents are a Trace, and so are the tangents of a test. A page that carries fields from step to step is a cell; one
that carries none is a layer of one step: a linear map, a loss.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from .. import init
from ..activations import Activation
from ..shapes import axes, declared, record
from . import describe
from .describe import Documentation, PageFunction


@dataclass(frozen=True)
class Page:
    """Equations, their adjoint and their parameter gradients: plain functions whose first argument is ``functions``.

    ``values(F, p, x, prev) -> Trace`` is the equations, read downward. ``adjoint(F, p, v, d) -> Trace`` is the same
    page read upward: ``d`` holds what arrives at ``gives`` and ``carries`` (None elsewhere), the result the cotangent
    of every field, None for integers. ``gradients(F, p, v, d) -> Params`` contracts the rows of both, B or T*B alike.

    ``reads`` are the fields that come in, ``carries`` those that stand between steps (field k of one step is k_prev of
    the next), ``gives`` those that go out; the first of them is what a run calls ``hs``. ``functions`` holds the
    activation of each equation that has one, and numbers such as an epsilon. ``R`` is the recurrent width of a
    projected cell; without projection R = H. Two pages are equal if all but their ``title`` is.

    Raises TypeError where ``reads``, ``carries`` or ``gives`` name a field that Trace has not.
    """

    title: str = field(compare=False)
    Params: Any
    Trace: Any
    functions: Any
    values: Callable[[Any, Any, Any, Any], Any]
    adjoint: Callable[[Any, Any, Any, Any], Any]
    gradients: Callable[[Any, Any, Any, Any], Any]
    reads: tuple[str, ...] = ("x",)
    carries: tuple[str, ...] = ()
    gives: tuple[str, ...] = ("h",)
    R: int | None = None

    def __post_init__(self) -> None:
        for role in ("reads", "carries", "gives"):
            fields = getattr(self, role)
            wanted = [*fields, *(f"{k}_prev" for k in fields)] if role == "carries" else fields
            if missing := [k for k in wanted if k not in self.Trace._fields]:
                raise TypeError(
                    f"{self.title}: {role} names {', '.join(missing)}; Trace has only {', '.join(self.Trace._fields)}"
                )

    @cached_property
    def name(self) -> str:
        """What messages and tables call it: ``LSTM``, ``projected(LSTM, 3)``."""
        return self.title.format(**self.functions._asdict())

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of; not what was only remembered, so that equal pages pickle alike."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Page {self.name}>"

    @property
    def core(self) -> "Page":
        """The page itself; of a combinator, the cell at its heart."""
        inner = getattr(self.functions, "cell", None)
        return inner.core if isinstance(inner, Page) else self

    @property
    def equations(self) -> str:
        """The name of the equation set: ``lstm`` for pages/lstm.py; of a combinator, that of its core."""
        return str(self.core.values.__module__.rpartition(".")[2])

    @cached_property
    def State(self) -> Any:
        """The record of the carried fields, on the axes of what the next step reads."""
        letters = declared(self.Trace)
        return record("State", {k: letters[f"{k}_prev"] for k in self.carries})

    @cached_property
    def Input(self) -> Any:
        """The record of the fields that come in."""
        return record("Input", {k: declared(self.Trace)[k] for k in self.reads})

    @cached_property
    def Outputs(self) -> Any:
        """The record of the fields at which cotangents enter: all that is given or carried."""
        return record("Outputs", {k: declared(self.Trace)[k] for k in self.gives} | declared(self.State))

    def input(self, source: Any) -> Any:
        """What the page reads, taken from any record that has it: one array if it reads one field, else an Input."""
        return getattr(source, self.reads[0]) if len(self.reads) == 1 else take(self.Input, source)

    def as_input(self, x: Any) -> Any:
        """The inverse of ``input``: an Input, made of ``x`` if the page reads one field."""
        return self.Input(x) if len(self.reads) == 1 else x

    def having(self, title: str | None = None, /, **functions: Any) -> "Page":
        """The same page with other functions: ``LSTM.having(f=ONE)``; a combinator passes them on to its cell.

        Raises TypeError for a name that ``functions`` does not have.
        """
        F = self.functions
        if functions.keys() <= set(F._fields):
            said = ", ".join(f"{k}={f.name if isinstance(f, Activation) else f}" for k, f in functions.items())
            return replace(self, title=title or f"{self.title}({said})", functions=F._replace(**functions))
        if "cell" in F._fields:
            return replace(self, title=title or self.title, functions=F._replace(cell=F.cell.having(**functions)))
        wrong = ", ".join(functions.keys() - set(F._fields))
        raise TypeError(f"{self.name} has no function {wrong}, only {', '.join(F._fields)}")

    def mapping(self, change: Callable[[Activation], Activation]) -> "Page":
        """The same page with ``change`` applied to each activation; of a combinator, to those of its cell."""
        F = self.functions
        found = {k: f for k, f in F._asdict().items() if isinstance(f, Activation | Page)}
        other = {k: change(f) if isinstance(f, Activation) else f.mapping(change) for k, f in found.items()}
        return replace(self, functions=F._replace(**other))

    @property
    def step(self) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
        """``step(p, x, prev) -> (State, Trace)``: one step by itself."""
        return PageFunction(step, self)

    @property
    def step_back(self) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
        """``step_back(p, v, arriving) -> (State, Trace)``: one step back by itself."""
        return PageFunction(step_back, self)

    def sizes(self, H: int, *records: Any, **others: int) -> dict[str, int]:
        """Sizes by axis letter for H units. Raises TypeError if an axis of one of the ``records`` has none."""
        found = others | {"H": H, "R": self.R or H}
        if missing := sorted(
            {k for record in records for letters in axes(record).values() for k in letters} - {*found}
        ):
            raise TypeError(
                f"{self.name} has axes {', '.join(missing)} too; expected {missing[0]}=..., the size of each"
            )
        return found

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64, **sizes: int) -> Any:
        """Parameters for D inputs and H units: Glorot-uniform W, orthogonal U, zero b, forget bias 1.

        ``sizes`` are those of other axis letters, if the page has any. Other initialisers stand in ``numpy_lstm.init``.
        """
        return init.glorot_orthogonal(self.Params, self.sizes(H, self.Params, D=D, **sizes), rng, dtype)

    def partial_state(self, h: Any = None, c: Any = None, **others: Any) -> Any:
        """A State with these fields and None, absent, in all others. Raises TypeError if it has no such field."""
        given = {name: value for name, value in {"h": h, "c": c, **others}.items() if value is not None}
        if unknown := given.keys() - set(self.carries):
            raise TypeError(f"{self.name} has no {', '.join(unknown)} in its state, only {', '.join(self.carries)}")
        return take(self.State, None, **given)

    def zero_state(self, B: int, H: int, dtype: Any = np.float64) -> Any:
        """A State of zeros, for before anything was read: h (B,R), c (B,H), and whatever else the cell carries."""
        size = self.sizes(H, B=B)
        return self.State(**{k: np.zeros([size[n] for n in letters], dtype) for k, letters in axes(self.State).items()})


Page.__doc__ = Documentation(Page.__doc__, describe.page)  # type: ignore[assignment]  # help(LSTM) is about the LSTM


def step(page: Page, p: Any, x: Any, prev: Any) -> tuple[Any, Any]:
    """One step by itself: the new State, and the Trace of every value. ``x`` (B,D) or an Input; ``prev`` a State."""
    v = page.values(page.functions, p, x, prev)
    return take(page.State, v), v


def step_back(page: Page, p: Any, v: Any, arriving: Any) -> tuple[Any, Any]:
    """One step back by itself: the cotangent of the State before, and the Trace of every cotangent.

    ``v`` is the Trace of the step; ``arriving`` any record of cotangents of what the step gives and carries.
    """
    d = page.adjoint(page.functions, p, v, take(page.Trace, arriving))
    return before(page, d), d


def take(record_type: Any, source: Any, **more: Any) -> Any:
    """A record of this type from the fields of another and from ``more``; absent fields are None."""
    return record_type(*(more[k] if k in more else getattr(source, k, None) for k in record_type._fields))


def before(page: Page, d: Any) -> Any:
    """What a step hands on to the step before: the cotangents ``k_prev`` of the Trace ``d``, as a State."""
    return page.State(*(getattr(d, f"{k}_prev") for k in page.carries))
