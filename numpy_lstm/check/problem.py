"""A gradient to be checked: a page or layer, where it is differentiated, and a loss linear in its outputs."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, binding, scan, sequences, steps, tree
from ..arrays import type_name
from ..pages.page import Page, take
from ..shapes import axes, codes, shared
from ..wiring import cells, map_run
from .paths import Sized, blurred, textbook, total_size
from .unrolled import unrolled


class Point(NamedTuple):
    """All that the loss is differentiated by: ``params``, ``xs`` (T,B,D) (or a record) and the ``first`` state.

    Integers in ``xs`` are not: None stands in their place.
    """

    params: Any
    xs: Any
    first: Any


class Outputs(NamedTuple):
    """All that a loss can see: ``states``, what a page gives and carries with T in front, and the ``last`` state.

    Of a layer, ``states`` are its outputs hs (T,B,N), or hs and every c_t of its leaves where the loss sees those too.
    """

    states: Any
    last: Any


class Problem(NamedTuple):
    """The loss sum <cotangents, outputs>, as a function of the point; absent cotangents (None) count as zero.

    ``cell`` is a Page, or a layer: whatever has ``forward(params, xs, first, lengths)`` and ``backward(params, run,
    dhs, dlast=...)``. ``outputs`` and ``loss`` only ever call the forward step, so that what judges a backward pass
    shares nothing with it. Of a Page, both accept a point whose leaves all carry the same leading axis, one entry per
    direction, and then have that axis too. Arrays of NumPy or CuPy, T >= 1. ``codes`` are the integers of ``xs``, None
    where it has none.
    """

    cell: Any
    point: Point
    cotangents: Outputs
    lengths: Any = None
    codes: Any = None

    @classmethod
    def of(
        cls,
        source: Any,
        params: Any = None,
        xs: Any = None,
        first: Any = None,
        dhs: Any = None,
        dcs: Any = None,
        dlast: Any = None,
        *,
        dstates: Any = None,
        lengths: Any = None,
    ) -> "Problem":
        """The problem that ``forward`` and ``backward`` of a page or layer solve with these arguments.

        Or, with ``source`` alone, what its ``problem()`` answers: that of a case, say. Raises as they do, and TypeError
        for arguments beside such a source.
        """
        arguments = {"params": params, "xs": xs, "first": first, "dhs": dhs, "dcs": dcs, "dlast": dlast}
        arguments |= {"dstates": dstates, "lengths": lengths}
        if hasattr(source, "problem"):
            if surplus := [k for k, a in arguments.items() if a is not None]:
                raise TypeError(f"{', '.join(surplus)} given beside a {type_name(source)}, which has its own arguments")
            problem: Problem = source.problem()
            return problem
        if not isinstance(source, Page) and hasattr(source, "forward") and hasattr(source, "backward"):
            if dstates is not None:
                raise TypeError(f"dstates given to a {type_name(source)}; expected dhs, dcs and dlast")
            run = source.forward(params, xs, first, lengths)
            back = source.backward(params, run, dhs, dcs, dlast)  # holds the cotangents against the run
            start = tree.map(lambda a, s: np.zeros_like(a) if s is None else s, back.dfirst, first)
            lengths = steps.checked(lengths, *run.hs.shape[:2])
            states = dhs if dcs is None else (dhs, tree.map(lambda _, d: d, cells(source, run), dcs))
            last = tree.map(lambda _, d: d, run.last, dlast)
            return cls(source, Point(params, _floats(xs), start), Outputs(states, last), lengths, _codes(xs))
        sizes, first = binding.bind_inputs(source, params, xs, first, lengths)
        given = binding.bind_cotangents(source, sizes, dhs, dcs, dlast, dstates)
        lengths = steps.checked(lengths, sizes["T"], sizes["B"])
        last = source.partial_state() if dlast is None else dlast
        xs = sequences.where_alive(steps.bind(lengths, sizes)[0], xs) if codes(source.Input) else xs
        return cls(source, Point(params, _floats(xs), first), Outputs(given, last), lengths, _codes(xs))

    @classmethod
    def random(
        cls,
        cell: Page,
        T: int,
        B: int,
        D: int,
        H: int,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        **sizes: int,
    ) -> "Problem":
        """Weights and biases U(-1/sqrt(H), 1/sqrt(H)); inputs, states and cotangents normal, masks U(0, 1), any codes.

        h0 and c0 are unequal and non-zero, and gradient enters all that the page gives and carries at every step, and
        the last state. Every number is rounded to float32 first, so that all precisions differentiate exactly the
        same function. ``sizes`` are those of other axis letters, if the page has any.
        """
        size = cell.sizes(H, cell.Params, cell.Input, T=T, B=B, D=D, **sizes)

        def array(letters: str, draw: Any) -> Any:
            return draw([size[k] for k in letters]).astype(np.float32).astype(dtype)

        def record(record_type: Any, draw: Any) -> Any:
            return record_type(**{k: array(letters, draw) for k, letters in axes(record_type).items()})

        normal = rng.standard_normal
        params = record(cell.Params, lambda shape: rng.uniform(-1, 1, shape) / np.sqrt(H))
        drawn: dict[str, Any] = {k: rng.random if k.startswith("keep_") else normal for k in cell.reads}
        for k, letter in codes(cell.Input).items():
            drawn[k] = lambda shape, n=size[letter]: rng.integers(n, size=shape)
        alike = shared(cell.Input)
        read = {k: array(a if k in alike else "T" + a, drawn[k]) for k, a in axes(cell.Input).items()}
        whole = {k: a.astype(np.int64) for k, a in read.items() if k in codes(cell.Input)}
        xs = cell.input(cell.Input(**read | dict.fromkeys(whole)))
        point = Point(params, xs, record(cell.State, normal))
        states = cell.Outputs(**{k: array("T" + letters, normal) for k, letters in axes(cell.Outputs).items()})
        integers = cell.input(take(cell.Input, None, **whole)) if whole else None
        return cls(cell, point, Outputs(states, record(cell.State, normal)), codes=integers)

    def mapped(self, array: Callable[[Any], Any], page: Callable[[Page], Page] = lambda page: page) -> "Problem":
        """The same problem with ``array`` applied to all its arrays, masks too, and ``page`` to all its pages."""
        cell, (point, cotangents) = _mapped(self.cell, array, page), tree.map(array, (self.point, self.cotangents))
        like = next(a for _, a in tree.leaves((point, cotangents)))
        held = tree.map(lambda a: arrays.beside(a, like), self.codes)
        return Problem(cell, point, cotangents, self.lengths, held)

    def astype(self, dtype: Any) -> "Problem":
        """The same problem in another NumPy dtype."""
        return self.mapped(lambda a: a.astype(dtype))

    def dense(self) -> "Problem":
        """The same problem with absent cotangents written out as zeros."""
        zeros = tree.map(np.zeros_like, self.outputs(self.point))
        return self._replace(cotangents=tree.map(lambda z, d: z if d is None else d, zeros, self.cotangents))

    def inputs(self, point: Point) -> Any:
        """What is read at the point, integers included."""
        return _either(point.xs, self.codes)

    def outputs(self, point: Point) -> Outputs:
        """All that the page gives and carries, or the layer gives and its last state."""
        if not isinstance(self.cell, Page):
            run = self.cell.forward(point.params, self.inputs(point), point.first, self.lengths)
            seen = (run.hs, cells(self.cell, run)) if type(self.cotangents.states) is tuple else run.hs
            return Outputs(seen, run.last)
        return Outputs(*unrolled(self.cell, point.params, self.inputs(point), point.first, self.lengths))

    def loss(self, point: Point) -> Any:
        """The loss at ``point``: a number, or one for each entry of the leading axis."""
        outputs = dict(tree.leaves(self.outputs(point)))
        terms = [np.sum(d * outputs[name], axis=tuple(range(-d.ndim, 0))) for name, d in tree.leaves(self.cotangents)]
        name = "states.0" if type(self.cotangents.states) is tuple else "states"
        ndim = 0 if isinstance(self.cell, Page) else outputs[name].ndim
        if isinstance(self.cell, Page):
            name, ndim = f"states.{self.cell.gives[0]}", 1 + len(axes(self.cell.Outputs)[self.cell.gives[0]])
        return sum(terms, start=0.0 * outputs[name][(..., *[0] * ndim)])

    def passes(self) -> tuple[Any, Any]:
        """The run, and the backward pass under test: what ``forward`` and ``backward`` return."""
        run = self._forward()
        dtype = run.hs.dtype  # complex for a Hessian-vector product, where the cotangents are real
        return run, self._backward(run, tree.map(lambda a: a.astype(dtype), self.cotangents))

    def gradient(self, point: Point | None = None) -> Point:
        """The gradient under test, from ``forward`` and ``backward``, at ``point`` (this one's own)."""
        return _gradient(self.passes() if point is None else self._replace(point=point).passes())

    def absolute_paths(self) -> Point:
        """S: the gradient with every path through the recursion counted positively; ``check.K`` is relative to it.

        That is the backward pass on arrays that add up absolute values (``check.paths``).
        """
        return _gradient(self.absolute_passes())

    def textbook_paths(self) -> Point:
        """S for a code that loses digits where a textbook does: each path again for each difference on its way.

        Those are s (1 - s), 1 - t^2 and 1 - s, and the sums of the forward pass; errors are followed to first order.
        """
        return _gradient(self.textbook_passes())

    def absolute_passes(self) -> tuple[Any, Any]:
        """The run, and S of all that the backward pass returns, cotangents of each step included."""
        here = self.mapped(arrays.on_host)
        sized, run = here.mapped(Sized), here._forward()
        return run, tree.map(_of_floats(total_size), sized._backward(map_run(_of_floats(Sized), run), sized.cotangents))

    def textbook_passes(self) -> tuple[Any, Any]:
        """The run, and ``textbook_paths`` of all that the backward pass returns."""
        sized = self.mapped(arrays.on_host).mapped(Sized, textbook)
        run = sized._forward()
        return run, tree.map(
            _of_floats(total_size), sized._backward(map_run(_of_floats(blurred), run), sized.cotangents)
        )

    def _forward(self) -> Any:
        (params, _, first), xs = self.point, self.inputs(self.point)
        if isinstance(self.cell, Page):
            return scan.forward(self.cell, params, xs, first, self.lengths)
        return self.cell.forward(params, xs, first, self.lengths)

    def _backward(self, run: Any, cotangents: Outputs) -> Any:
        states, last = cotangents
        if isinstance(self.cell, Page):
            return scan.backward(self.cell, self.point.params, run, dlast=last, dstates=states)
        dhs, dcs = states if type(states) is tuple else (states, None)
        return self.cell.backward(self.point.params, run, dhs, dcs, last)


def _gradient(passes: tuple[Any, Any]) -> Point:
    _, back = passes
    return Point(back.dparams, back.dxs, back.dfirst)


def _of_floats(array: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``array``, which leaves integers as they are."""
    return lambda a: a if arrays.is_integral(a) else array(a)


def _floats(xs: Any) -> Any:
    return tree.map(lambda a: None if arrays.is_integral(a) else a, xs)


def _codes(xs: Any) -> Any:
    """The integers of ``xs``, None elsewhere; None if there are none."""
    found = tree.map(lambda a: a if arrays.is_integral(a) else None, xs)
    return found if any(True for _ in tree.leaves(found)) else None


def _either(one: Any, other: Any) -> Any:
    """The leaves of two trees of the same shape, where one has what is absent in the other."""
    if one is None or other is None:
        return other if one is None else one
    return type(one)(*map(_either, one, other))


def _mapped(source: Any, array: Callable[[Any], Any], page: Callable[[Page], Page]) -> Any:
    """A page, or a layer with its pages and masks, changed."""
    if isinstance(source, Page):
        return page(source)
    if isinstance(source, dict):
        return tree.map(_of_floats(array), source)
    if type(source) in (tuple, list):
        return type(source)(_mapped(one, array, page) for one in source)
    if is_dataclass(source) and not isinstance(source, type):
        return replace(source, **{f.name: _mapped(getattr(source, f.name), array, page) for f in fields(source)})
    return source
