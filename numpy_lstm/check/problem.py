"""A gradient to be checked: a cell, the point at which it is differentiated, and a loss linear in every state."""

from typing import Any, NamedTuple

import numpy as np

from .. import arrays, scan, tree
from ..cells.cell import Cell
from ..shapes import axes
from .paths import Sized, blurred, textbook, total_size


class Point(NamedTuple):
    """All that the loss is differentiated by: ``params``, ``xs`` (T,B,D) (or a record) and the ``first`` state."""

    params: Any
    xs: Any
    first: Any


class Outputs(NamedTuple):
    """All that a loss can see: ``states``, every h and c with a time axis in front, and all of the ``last`` state."""

    states: Any
    last: Any


class Problem(NamedTuple):
    """The loss sum <cotangents, outputs>, as a function of the point; absent cotangents (None) count as zero.

    ``outputs`` and ``loss`` only ever call the cell's forward step, so that what judges a backward pass shares
    nothing with it. Both accept a point whose leaves all carry the same leading axis, one entry per direction,
    and then have that axis too. Arrays of NumPy or CuPy, T >= 1.
    """

    cell: Cell
    point: Point
    cotangents: Outputs

    @classmethod
    def of(
        cls, cell: Cell, params: Any, xs: Any, first: Any = None, dhs: Any = None, dcs: Any = None, dlast: Any = None
    ) -> "Problem":
        """The problem that ``forward`` and ``backward`` solve with these arguments; raises as they do."""
        sizes, first = scan.bind_inputs(cell, params, xs, first)
        given = scan.bind_cotangents(cell, sizes, dhs, dcs, dlast)
        return cls(cell, Point(params, xs, first), Outputs(given, cell.partial_state() if dlast is None else dlast))

    @classmethod
    def random(
        cls, cell: Cell, T: int, B: int, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64
    ) -> "Problem":
        """Weights and biases U(-1/sqrt(H), 1/sqrt(H)); inputs, states and all cotangents normal, masks U(0, 1).

        h0 and c0 are unequal and non-zero, and gradient enters every h_t, every c_t and the last state. Every
        number is rounded to float32 first, so that all precisions differentiate exactly the same function.
        """
        size = cell.sizes(H, T=T, B=B, D=D)

        def array(letters: str, draw: Any) -> Any:
            return draw([size[k] for k in letters]).astype(np.float32).astype(dtype)

        def record(record_type: Any, draw: Any) -> Any:
            return record_type(**{k: array(letters, draw) for k, letters in axes(record_type).items()})

        normal = rng.standard_normal
        params = record(cell.Params, lambda shape: rng.uniform(-1, 1, shape) / np.sqrt(H))
        if cell.Input is None:
            xs = array("TBD", normal)
        else:
            letters = axes(cell.Input)
            xs = cell.Input(**{k: array("T" + letters[k], normal if k == "x" else rng.random) for k in letters})
        point = Point(params, xs, record(cell.State, normal))
        states = {k: array("T" + letters, normal) for k, letters in axes(cell.State).items() if k in ("h", "c")}
        return cls(cell, point, Outputs(cell.partial_state(**states), record(cell.State, normal)))

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
        """The states that the cell passes through."""
        state, states = point.first, []
        steps = next(a.shape[-3] for _, a in tree.leaves(point.xs))
        for t in range(steps):
            x = tree.map(lambda a, t=t: a[..., t, :, :], point.xs)
            state, _ = self.cell.step(point.params, x, state)
            states.append(state)
        seen = {k: np.stack([getattr(s, k) for s in states], axis=-3) for k in state._fields if k in ("h", "c")}
        return Outputs(self.cell.partial_state(**seen), state)

    def loss(self, point: Point) -> Any:
        """The loss at ``point``: a number, or one for each entry of the leading axis."""
        outputs = dict(tree.leaves(self.outputs(point)))
        terms = [np.sum(d * outputs[name], axis=tuple(range(-d.ndim, 0))) for name, d in tree.leaves(self.cotangents)]
        return sum(terms, start=0.0 * outputs["last.h"][..., 0, 0])

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

    def _paths(self, cell: Cell, run: scan.Forward) -> Point:
        wide = self._replace(cell=cell)
        gradient = wide._backward(tree.map(Sized, self.point.params), run, tree.map(Sized, self.cotangents))
        return tree.map(total_size, gradient)

    def _backward(self, params: Any, run: scan.Forward, cotangents: Outputs) -> Point:
        states, last = cotangents
        back = scan.backward(self.cell, params, run, states.h, getattr(states, "c", None), last)
        return Point(back.dparams, back.dxs, back.dfirst)
