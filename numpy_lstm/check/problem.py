"""A gradient to be checked: a cell, the point at which it is differentiated, and a loss linear in every state."""

from typing import Any, NamedTuple

import numpy as np

from .. import arrays, scan, tree
from ..pages.page import Page, take
from ..shapes import axes
from .paths import Sized, blurred, textbook, total_size


class Point(NamedTuple):
    """All that the loss is differentiated by: ``params``, ``xs`` (T,B,D) (or a record) and the ``first`` state."""

    params: Any
    xs: Any
    first: Any


class Outputs(NamedTuple):
    """All that a loss can see: ``states``, what a page gives and carries with T in front, and the ``last`` state."""

    states: Any
    last: Any


class Problem(NamedTuple):
    """The loss sum <cotangents, outputs>, as a function of the point; absent cotangents (None) count as zero.

    ``outputs`` and ``loss`` only ever call the cell's forward step, so that what judges a backward pass shares
    nothing with it. Both accept a point whose leaves all carry the same leading axis, one entry per direction,
    and then have that axis too. Arrays of NumPy or CuPy, T >= 1.
    """

    cell: Page
    point: Point
    cotangents: Outputs

    @classmethod
    def of(
        cls,
        cell: Page,
        params: Any,
        xs: Any,
        first: Any = None,
        dhs: Any = None,
        dcs: Any = None,
        dlast: Any = None,
        *,
        dstates: Any = None,
    ) -> "Problem":
        """The problem that ``forward`` and ``backward`` solve with these arguments; raises as they do."""
        sizes, first = scan.bind_inputs(cell, params, xs, first)
        given = scan.bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)
        return cls(cell, Point(params, xs, first), Outputs(given, cell.partial_state() if dlast is None else dlast))

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
        """Weights and biases U(-1/sqrt(H), 1/sqrt(H)); inputs, states and all cotangents normal, masks U(0, 1).

        h0 and c0 are unequal and non-zero, and gradient enters all that the page gives and carries at every step, and
        the last state. Every number is rounded to float32 first, so that all precisions differentiate exactly the
        same function. ``sizes`` are those of other axis letters, if the page has any.
        """
        size = cell.sizes(H, T=T, B=B, D=D, **sizes)

        def array(letters: str, draw: Any) -> Any:
            return draw([size[k] for k in letters]).astype(np.float32).astype(dtype)

        def record(record_type: Any, draw: Any) -> Any:
            return record_type(**{k: array(letters, draw) for k, letters in axes(record_type).items()})

        normal = rng.standard_normal
        params = record(cell.Params, lambda shape: rng.uniform(-1, 1, shape) / np.sqrt(H))
        drawn = {k: rng.random if k.startswith("keep_") else normal for k in cell.reads}
        xs = cell.input(cell.Input(**{k: array("T" + a, drawn[k]) for k, a in axes(cell.Input).items()}))
        point = Point(params, xs, record(cell.State, normal))
        states = cell.Outputs(**{k: array("T" + letters, normal) for k, letters in axes(cell.Outputs).items()})
        return cls(cell, point, Outputs(states, record(cell.State, normal)))

    def astype(self, dtype: Any) -> "Problem":
        """The same problem in another NumPy dtype."""
        return self._replace(
            point=tree.map(lambda a: a.astype(dtype), self.point),
            cotangents=tree.map(lambda a: a.astype(dtype), self.cotangents),
        )

    def dense(self) -> "Problem":
        """The same problem with absent cotangents written out as zeros."""
        zeros = tree.map(np.zeros_like, self.outputs(self.point))
        return self._replace(cotangents=tree.map(lambda z, d: z if d is None else d, zeros, self.cotangents))

    def outputs(self, point: Point) -> Outputs:
        """All that the page gives and carries."""
        cell, state, steps = self.cell, point.first, []
        letters, xs = axes(cell.Input), cell.as_input(point.xs)
        ndim = {k: len(a) for k, a in letters.items()}
        for t in range(getattr(xs, cell.reads[0]).shape[-1 - ndim[cell.reads[0]]]):
            at = {k: getattr(xs, k)[(..., t, *[slice(None)] * n)] for k, n in ndim.items()}
            v = cell.values(cell.functions, point.params, cell.input(cell.Input(**at)), state)
            state = take(cell.State, v)
            steps.append(v)
        seen = {k: np.stack([getattr(v, k) for v in steps], axis=-1 - len(a)) for k, a in axes(cell.Outputs).items()}
        return Outputs(cell.Outputs(**seen), state)

    def loss(self, point: Point) -> Any:
        """The loss at ``point``: a number, or one for each entry of the leading axis."""
        outputs = dict(tree.leaves(self.outputs(point)))
        terms = [np.sum(d * outputs[name], axis=tuple(range(-d.ndim, 0))) for name, d in tree.leaves(self.cotangents)]
        name, letters = f"states.{self.cell.gives[0]}", axes(self.cell.Outputs)[self.cell.gives[0]]
        return sum(terms, start=0.0 * outputs[name][(..., *[0] * (1 + len(letters)))])

    def gradient(self, point: Point | None = None) -> Point:
        """The gradient under test, from ``numpy_lstm.forward`` and ``backward``, at ``point`` (this one's own)."""
        params, xs, first = self.point if point is None else point
        run = scan.forward(self.cell, params, xs, first)
        dtype = run.hs.dtype  # complex for a Hessian-vector product, where the cotangents are real
        return self._backward(params, run, tree.map(lambda a: a.astype(dtype), self.cotangents))

    def absolute_paths(self) -> Point:
        """S: the gradient with every path through the recursion counted positively; ``check.K`` is relative to it.

        That is the backward pass on arrays that add up absolute values (``check.paths``).
        """
        here = self._on_host()
        run = scan.forward(self.cell, *here.point)
        return here._paths(self.cell, run._replace(values=tree.map(Sized, run.values)))

    def textbook_paths(self) -> Point:
        """S for a code that loses digits where a textbook does: see ``check.case``; a cell of a page only."""
        cell, here = textbook(self.cell), self._on_host()
        run = scan.forward(cell, *tree.map(Sized, here.point))
        return here._paths(cell, run._replace(values=tree.map(blurred, run.values)))

    def _on_host(self) -> "Problem":
        return self._replace(
            point=tree.map(arrays.on_host, self.point), cotangents=tree.map(arrays.on_host, self.cotangents)
        )

    def _paths(self, cell: Page, run: scan.Forward) -> Point:
        wide = self._replace(cell=cell)
        gradient = wide._backward(tree.map(Sized, self.point.params), run, tree.map(Sized, self.cotangents))
        return tree.map(total_size, gradient)

    def _backward(self, params: Any, run: scan.Forward, cotangents: Outputs) -> Point:
        states, last = cotangents
        back = scan.backward(self.cell, params, run, dlast=last, dstates=states)
        return Point(back.dparams, back.dxs, back.dfirst)
