"""The general forms of which mistakes are made: a page, a time loop or an array, fed what it should not be fed."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import binding, scan, tree
from ..activations import Activation
from ..pages.page import Page, before
from ..sequences import at, folded
from ..steps import bind
from .workbench import Change, Edits, Workbench, throughout


def fields(**sources: Any) -> Change:
    """A record with fields replaced: by another field's array (a name), by a number, or by a function of the array."""

    def change(record: Any) -> Any:
        def found(k: str, s: Any) -> Any:
            a = getattr(record, k)
            return getattr(record, s) if isinstance(s, str) else s(a) if callable(s) else 0 * a + s

        return record._replace(**{k: found(k, s) for k, s in sources.items() if k in record._fields})

    return change


def exchanged(pair: str, *kinds: str) -> Change:
    """A record with the fields of two gates in each other's place: ``exchanged("if", "W_", "U_")``."""
    j, k = pair[0], pair[1]
    return fields(**{kind + a: kind + b for kind in kinds for a, b in ((j, k), (k, j))})


# Pages: the backward pass alone.


def with_values(change: Change | None = None, /, **sources: Any) -> Edits:
    """The adjoint sees other values of the step."""
    change = change or fields(**sources)
    return Edits(page=lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F, p, change(v), d)))


def with_params(change: Change | None = None, /, **sources: Any) -> Edits:
    """The adjoint sees other parameters."""
    change = change or fields(**sources)
    return Edits(page=lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F, change(p), v, d)))


def with_arriving(change: Callable[[Page, Any, Any], Any]) -> Edits:
    """The adjoint is given ``change(cell, v, d)`` in place of the cotangents ``d`` that arrive."""
    return Edits(page=lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F, p, v, change(cell, v, d))))


def with_leaving(whole: bool = False, /, **factors: Any) -> Edits:
    """The adjoint hands on other cotangents of these fields of the state; ``whole``: with all around the page."""

    def edit(cell: Page) -> Page:
        def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
            back = cell.adjoint(F, p, v, d)
            handed = {k: a for k, a in before(cell, back)._asdict().items() if k in factors}
            new = {
                f"{k}_prev": factors[k](a, v, d) if callable(factors[k]) else factors[k] * a for k, a in handed.items()
            }
            return back._replace(**new)

        return replace(cell, adjoint=adjoint)

    return Edits(cell=edit) if whole else Edits(page=edit)


def with_derivative(wrong: Callable[[Activation, Any], Any], *names: str) -> Edits:
    """The adjoint takes ``wrong(f, a)`` for the derivative of these activations f at a."""

    def edit(cell: Page) -> Page:
        found = {k: f for k, f in cell.functions._asdict().items() if k in names}
        other = {k: replace(f, d=lambda a, f=f: wrong(f, a)) for k, f in found.items()}
        return with_functions(**other).page(cell)  # type: ignore[no-any-return]

    return Edits(page=edit)


def with_functions(**functions: Any) -> Edits:
    """The adjoint has other functions."""
    return Edits(
        page=lambda cell: replace(cell, adjoint=lambda F, p, v, d: cell.adjoint(F._replace(**functions), p, v, d))
    )


def with_contracted(**sources: Any) -> Edits:
    """The parameter gradients are contracted from other values."""
    change = fields(**sources)
    return Edits(page=lambda cell: replace(cell, gradients=lambda F, p, v, d: cell.gradients(F, p, change(v), d)))


def with_gradients(change: Callable[[Any, Any, Any], Any]) -> Edits:
    """The parameter gradients are ``change(v, d, gradients)``."""
    return Edits(page=lambda cell: replace(cell, gradients=lambda F, p, v, d: change(v, d, cell.gradients(F, p, v, d))))


# Pages: both passes.


def having(**functions: Any) -> Edits:
    """Other functions in both passes; one that is no Activation makes it of the right one."""

    def edit(cell: Page) -> Page:
        F = cell.functions
        made = {
            k: f if isinstance(f, Activation) or not callable(f) else f(getattr(F, k)) for k, f in functions.items()
        }
        return replace(cell, functions=F._replace(**made))

    return throughout(Edits(page=edit))


def reading(there: Change, back: Change | None = None) -> Callable[..., Edits]:
    """The parameters are read otherwise in both passes, by a linear map; ``back``: its transpose, for the gradient."""

    def edit(bench: Workbench, _: str = "") -> Edits:
        return Edits(
            call=lambda call: call._replace(params=bench.each(call.params, there)),
            gradients=lambda out: out._replace(dparams=bench.each(out.dparams, back or there)),
        )

    return edit


def starting(there: Callable[[list[Any]], list[Any]], back: Any = None) -> Callable[..., Edits]:
    """The first states of all places are read otherwise, by a linear map; ``back``: its transpose."""

    def edit(bench: Workbench, _: str = "") -> Edits:
        nest, unnest = bench.case.network.nest, bench.case.network.unnest
        return Edits(
            call=lambda call: call._replace(first=nest(there(unnest(call.first)))),
            gradients=lambda out: out._replace(dfirst=nest((back or there)(unnest(out.dfirst)))),
        )

    return edit


# Time loops.


def shifted(a: Any, by: str) -> Any:
    """The array of the next or the previous step at each step; at the end its own."""
    return np.concatenate([a[1:], a[-1:]] if by == "next" else [a[:1], a[:-1]])


def without_first(a: Any) -> Any:
    """Zero at the first step."""
    return np.concatenate([0 * a[:1], a[1:]])


def saved(change: Change) -> Edits:
    """The backward pass reads other values, ``change(values)``, with their time axis."""
    return Edits(
        back=lambda loop: (
            lambda cell, p, run, dhs, dlast: loop(cell, p, run._replace(values=change(run.values)), dhs, dlast=dlast)
        )
    )


def returned(change: Callable[[Page, Any, Any, Any], Any]) -> Edits:
    """The time loop returns ``change(cell, params, run, backward)``."""
    return Edits(
        back=lambda loop: lambda cell, p, run, dhs, dlast: change(cell, p, run, loop(cell, p, run, dhs, dlast=dlast))
    )


def contracted(values: Change, cotangents: Change | None = None) -> Edits:
    """The parameter gradients are contracted from other values and cotangents of all steps."""

    def change(cell: Page, p: Any, run: Any, back: Any) -> Any:
        v, d = values(run.values), (cotangents or (lambda d: d))(back.cotangents)
        return back._replace(dparams=cell.gradients(cell.functions, p, folded(v), folded(d)))

    return returned(change)


def in_spans(
    cuts: Callable[[int], Sequence[int]], page: Callable[[int], Edits] | None = None, handed: float = 1.0
) -> Edits:
    """The sequence cut before these steps: the span from step ``start`` on has the page ``page(start)``.

    ``handed`` is the part of the cotangent that a span hands to the one before.
    """

    def spans(T: int) -> list[slice]:
        bounds = [0, *sorted(cuts(T)), T]
        return [slice(a, b) for a, b in itertools.pairwise(bounds) if a < b]

    def of_span(start: int, cell: Page) -> Page:
        edited: Page = cell if page is None else page(start).page(cell)
        return edited

    def forward(cell: Page, params: Any, xs: Any, first: Any, lengths: Any) -> Any:
        sizes, first = binding.bind_inputs(cell, params, xs, first)
        (alive, resets), parts, state = bind(lengths, sizes), [], first
        for here in spans(sizes["T"]):
            cuts = None if alive is None else alive[here], None if resets is None else resets.cut(here.start, here.stop)
            page_here = of_span(here.start, cell)
            hs, state, values = scan.span_forward(page_here, params, at(xs, here), state, *cuts, first)
            parts.append((hs, values))
        hs, values = _joined(parts)
        return scan.Forward(hs, state, values, alive, resets)

    def backward(loop: Any) -> Any:
        def other(cell: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
            backs: list[Any] = []
            for here in reversed(spans(len(dhs))):
                alive = None if run.alive is None else run.alive[here]
                if backs:  # a row that has ended has not come as far as the later span
                    part_of = handed if run.alive is None else np.where(run.alive[here.stop], handed, 1.0)
                    dlast = tree.scale(part_of, backs[0].dfirst)
                resets = None if run.resets is None else run.resets.cut(here.start, here.stop)
                part = scan.Forward(run.hs[here], None, at(run.values, here), alive, resets)
                backs.insert(0, loop(of_span(here.start, cell), params, part, dhs[here], dlast=dlast))
            dparams = tree.map(lambda *a: sum(a), *(back.dparams for back in backs))
            dxs, cotangents = _joined([(back.dxs, back.cotangents) for back in backs])
            return scan.Backward(dxs, backs[0].dfirst, dparams, cotangents)

        return other

    return Edits(back=backward) if page is None else Edits(ahead=lambda _: forward, back=backward)


def _joined(parts: list[Any]) -> Any:
    """Spans one behind the other."""
    return tree.map(lambda *a: np.concatenate(a), *parts)


# Results.


def results(names: Callable[[Workbench], Sequence[str]], change: Callable[[Any], Any]) -> Callable[..., Edits]:
    """These arrays of a right answer changed."""
    return lambda bench, _="": Edits(answer=lambda out: out | {k: change(out[k]) for k in names(bench)})


def on_params(change: Change) -> Callable[..., Edits]:
    """The parameter gradients of each place changed."""
    return lambda bench, _="": Edits(gradients=lambda out: out._replace(dparams=bench.each(out.dparams, change)))


def renamed(pairs: Mapping[str, str]) -> Change:
    """Arrays of an answer under the names of others."""
    return lambda out: out | {k: out[j] for k, j in pairs.items()}
