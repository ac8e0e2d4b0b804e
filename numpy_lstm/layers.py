"""Layers: wirings of pages over time, direction and depth. One protocol, ``Layer``, and no state of their own.

A network is a tree of layers. Its parameters, first and last states, and the cotangents of its states are trees of the
same shape: the record of a page at each leaf, a tuple where layers stand side by side or above one another. None stands
for all of a tree. ``walk`` goes through the leaves.

Everywhere, ``params`` are what ``init`` gives, ``xs`` (T,B,D), ``first`` states, ``lengths`` B integers in 0..T,
``dhs`` (T,B,N) the cotangent of the outputs, ``dcs`` those (T,B,H) of every c_t, ``dlast`` those of the last states.
Each raises ShapeError where a shape does not fit, and TypeError for what is no array or no record of the page, for
parameters, states or a run of another network, and for a ``backward`` without any cotangent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Protocol

import numpy as np

from . import arrays, binding, checkpointed, each_step, fast, scan, tree, wiring
from .pages.page import Page
from .scan import Backward
from .shapes import ShapeError, axes
from .steps import Steps
from .wiring import Run, reverse

ENGINES: dict[str, Any] = {"explicit": scan, "fast": fast, "checkpointed": checkpointed, "each step": each_step}
Size = int | Sequence[Any]  # H units; of a Parallel or Stack also one size for each layer


class Layer(Protocol):
    """What every layer offers."""

    def init(self, D: int, H: Any, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters for D inputs and H units."""

    def width(self, H: Any) -> int:
        """The number of outputs."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Any:
        """A run: ``hs`` (T,B,N), ``last`` states, and what ``backward`` needs."""

    def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Backward:
        """``dxs`` (T,B,D), ``dfirst``, ``dparams`` and ``cotangents``, in trees of the network's shape."""


@dataclass(frozen=True)
class Recurrent:
    """One page over time, by the engine of that name: explicit, fast, checkpointed, or each step.

    Raises ValueError for an engine that does not exist.
    """

    cell: Page
    engine: str = "explicit"

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Page):
            raise TypeError(f"cell is a {arrays.type_name(self.cell)}; expected a Page such as numpy_lstm.LSTM")
        if self.engine not in ENGINES:
            raise ValueError(f"engine is {self.engine!r}; expected {' or '.join(map(repr, ENGINES))}")

    def init(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters: see ``Page.init``."""
        return self.cell.init(D, H, rng, dtype)

    def width(self, H: int) -> int:
        """R if the page is projected, else H: the last axis of what the page gives. Of a loss 1."""
        letter = axes(self.cell.Outputs)[self.cell.gives[0]][-1]
        return self.cell.sizes(H, B=1)[letter]

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> scan.Forward:
        """See ``numpy_lstm.forward``; ``xs`` is the page's Input if it reads more than one array."""
        found: scan.Forward = ENGINES[self.engine].forward(self.cell, params, xs, first, lengths)
        return found

    def backward(
        self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None, *, dstates: Any = None
    ) -> Backward:
        """See ``numpy_lstm.backward``."""
        found: Backward = ENGINES[self.engine].backward(self.cell, params, run, dhs, dcs, dlast, dstates=dstates)
        return found


def EachStep(page: Page) -> Recurrent:
    """A page without memory, a readout say, with all steps computed at once."""
    return Recurrent(page, "each step")


@dataclass(frozen=True)
class _Around:
    """One layer with something around it."""

    layer: Any

    def __post_init__(self) -> None:
        wiring.check_layers((self.layer,))

    def init(self, D: int, H: Any, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters of the layer."""
        return self.layer.init(D, H, rng, dtype)

    def width(self, H: Any) -> int:
        """The number of outputs of the layer."""
        return int(self.layer.width(H))


@dataclass(frozen=True)
class Masked(_Around):
    """A layer with masks, given here: the one way in which masks enter a network.

    ``masks["x"]`` (T,B,D), or (1,B,D) for all steps, multiplies what the layer reads, in the order of time: dropout, D1
    x' = m x, and back, D1', dx = m dx' (see ``dropout_mask``). All others are fields that a page reads beside x
    (``keep_h`` of a zoneout cell, the targets of a loss), in the order in which that layer reads. They take the dtype
    of x, but for integers, and move to its device.
    """

    masks: Mapping[str, Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        if others := [k for k in self.masks if k != "x"]:
            cell = getattr(self.layer, "cell", None)
            if cell is None or set(others) != set(cell.reads[1:]):
                expected = ", ".join(getattr(cell, "reads", ("x",)))
                raise TypeError(f"masks are {', '.join(self.masks)}; expected some of {expected}, as it reads")
        for k, mask in self.masks.items():
            wiring.shape(f"masks[{k!r}]", mask)  # raises where it is no array
        object.__setattr__(self, "masks", tree.map(arrays.copy, dict(self.masks)))

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Any:
        """``xs`` is the plain array x."""
        read = xs if (mask := self.factor(xs)) is None else xs * mask
        if others := {k: self.beside(a, xs) for k, a in self.masks.items() if k != "x"}:
            read = self.layer.cell.Input(x=read, **others)
        elif len(getattr(getattr(self.layer, "cell", None), "reads", ("x",))) > 1:
            raise TypeError(f"{self.layer.cell.name} reads {', '.join(self.layer.cell.reads)}; expected masks for them")
        return self.layer.forward(params, read, first, lengths)

    def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Backward:
        """``dxs`` is the gradient of x alone."""
        back: Backward = self.layer.backward(params, run, dhs, dcs, dlast)
        dxs = back.dxs.x if hasattr(back.dxs, "_fields") else back.dxs
        mask = self.factor(dxs)
        return back._replace(dxs=dxs if mask is None else dxs * mask)

    @staticmethod
    def beside(array: Any, xs: Any) -> Any:
        """The array in the library of ``xs``, and in its dtype unless it holds integers."""
        if arrays.is_integral(array):
            return arrays.beside(array, xs)
        return arrays.astype(arrays.like(array, xs), xs)

    def factor(self, xs: Any) -> Any:
        """The mask of x, in the library and dtype of ``xs`` (T,B,D); None without one."""
        if (mask := self.masks.get("x")) is None:
            return None
        shape = wiring.shape("xs", xs)
        if wiring.shape("masks['x']", mask) not in {shape, (1, *shape[1:])}:
            raise ShapeError(f"masks['x'] has shape {tuple(mask.shape)}; expected {shape} or {(1, *shape[1:])}")
        return self.beside(mask, xs)


@dataclass(frozen=True)
class Reversed(_Around):
    """A layer that reads each row from its own end; outputs and cotangents stand at the step they belong to."""

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """``last`` is the state after the first step of each row, the last one read."""
        lengths = wiring.own_lengths(lengths, xs)
        read = lengths.reversed() if isinstance(lengths, Steps) else lengths
        run = self.layer.forward(params, reverse(xs, lengths), first, read)
        return Run(reverse(run.hs, lengths), run.last, run, lengths)

    def backward(self, params: Any, run: Run, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Backward:
        """Cotangents of single steps stand in the order in which the layer reads."""
        wiring.expect_run(self, run)
        wiring.expect_shape("dhs", dhs, run.hs)
        dhs, dcs = (None if d is None else reverse(d, run.lengths) for d in (dhs, dcs))
        back: Backward = self.layer.backward(params, run.parts, dhs, dcs, dlast)
        return back._replace(dxs=reverse(back.dxs, run.lengths))


@dataclass(frozen=True)
class _Several:
    """Layers wired together: each reads what the one below gives, if ``chained``, or all read the same."""

    layers: Sequence[Any]
    chained: ClassVar[bool]

    def __post_init__(self) -> None:
        wiring.check_layers(self.layers)

    def init(self, D: int, H: Size, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """A tuple of parameters, from the bottom up; ``H`` units each, or one size for each layer."""
        params = []
        for layer, h in zip(self.layers, wiring.sizes(self, H), strict=True):
            params.append(layer.init(D, h, rng, dtype))
            D = layer.width(h) if self.chained else D
        return tuple(params)

    def width(self, H: Size) -> int:
        """The number of outputs: of the top layer, or of all that stand side by side."""
        widths = [layer.width(h) for layer, h in zip(self.layers, wiring.sizes(self, H), strict=True)]
        return int(widths[-1] if self.chained else sum(widths))

    def forward(self, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Run:
        """``params`` and ``first`` are tuples, one entry for each layer, from the bottom up."""
        runs: list[Any] = []
        lengths = wiring.own_lengths(lengths, xs)
        trees = zip(self.layers, *wiring.trees(self, params=params, first=first), strict=True)
        for k, (layer, p, s) in enumerate(trees):
            with wiring.naming(k):
                runs.append(layer.forward(p, runs[-1].hs if runs and self.chained else xs, s, lengths))
        hs = runs[-1].hs if self.chained else arrays.concat([run.hs for run in runs], axis=-1)
        return Run(hs, tuple(run.last for run in runs), tuple(runs), lengths)

    def backward(self, params: Any, run: Run, dhs: Any = None, dcs: Any = None, dlast: Any = None) -> Backward:
        """``params``, ``dcs`` and ``dlast`` are tuples, one entry for each layer, from the bottom up."""
        wiring.expect_run(self, run)
        binding.expect_any(dhs=dhs, dcs=dcs, dlast=dlast)
        wiring.expect_shape("dhs", dhs, run.hs)
        trees = zip(self.layers, run.parts, *wiring.trees(self, params=params, dcs=dcs, dlast=dlast), strict=True)
        backs: list[Any] = []
        stop = run.hs.shape[-1]
        for k, (layer, part, p, dc, d) in reversed(list(enumerate(trees))):
            start = 0 if self.chained else stop - part.hs.shape[-1]
            whole = backs[-1].dxs if backs and self.chained else dhs
            arriving = whole if whole is None or self.chained else whole[..., start:stop]
            with wiring.naming(k):
                backs.append(layer.backward(p, part, wiring.or_zeros(arriving, (dc, d), part), dc, d))
            stop = start
        backs.reverse()
        dxs = backs[0].dxs if self.chained else reduce(tree.add, [back.dxs for back in backs])
        return wiring.gathered(dxs, backs)


class Parallel(_Several):
    """Layers side by side on the same input; their outputs are concatenated."""

    chained = False


class Stack(_Several):
    """Layers one above the other, each reading the outputs of the one below; they may have different sizes."""

    chained = True


def bidirectional(cell: Page, engine: str = "explicit") -> Parallel:
    """The cell read forward, and beside it the cell read backward with parameters of its own."""
    one = Recurrent(cell, engine)
    return Parallel((one, Reversed(one)))


def dropout_mask(
    rng: np.random.Generator, shape: tuple[int, ...], p: float, dtype: Any = np.float64, variational: bool = False
) -> Any:
    """Factors 0 with probability p, else 1/(1-p), in ``shape`` (T,B,N): the mask x of ``Masked``.

    ``variational`` (Gal & Ghahramani 2016) draws one mask for all steps. Raises ValueError unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; expected a probability between 0 and 1")
    drawn = rng.random((1, *shape[1:]) if variational else shape) >= p
    return np.broadcast_to(drawn / (1 - p) if p < 1 else 0.0 * drawn, shape).astype(dtype)
