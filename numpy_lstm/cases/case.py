"""A case for judging somebody else's gradients: a network, every number that goes in, and names for all that comes out.

Everything is a flat dictionary of arrays, so that a case can be written to a file and an answer can come from any
language:

    x (T,B,D), lengths (B,)                      inputs; beyond its length a row of x is noise without influence
    keep_h, keep_c (T,B,·)                       the masks of a zoneout cell
    h_0, c_0 (B,·), weight_ih_l0, ...            the first state and the parameters, named and shaped by the layout
    d_output (T,B,·), d_h_n, d_c_n (B,·)         the cotangents: L = <d_output, output> + <d_h_n, h_n> + <d_c_n, c_n>
    output, h_n, c_n, values.f (T,B,H), ...      forward values, every one of each step among them
    d_x, d_h_0, d_c_0, d_weight_ih_l0, ...       gradients of L
    cotangents.f (T,B,H), ...                    dL/df_t and the like, all paths, of each step

With several layers or directions the names of states, parameters, values and cotangents begin with their place:
``l0.h_0``, ``l1_reverse.d_weight_ih_l0``. Steps of a reversed direction stand in the order in which it reads.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .. import layouts, scan, tree
from ..arrays import type_name
from ..check.given import CaseError
from ..check.problem import Outputs, Point, Problem
from ..pages.page import Page
from ..shapes import Sizes, axes
from ..wiring import walk
from .names import COTANGENT, GRADIENT, ITSELF, VALUE, Name, is_gradient
from .network import Network, Parts

RECORDS = "records"  # the layout of a cell's own Params, one array for each field


class Call(NamedTuple):
    """The arguments of a network's forward and backward pass."""

    params: Any
    xs: Any
    first: Any
    lengths: tuple[int, ...] | None
    masks: dict[str, Any]
    dhs: Any
    dlast: Any


class Case(NamedTuple):
    """``arrays`` holds every input and cotangent by name, ``expected`` the true results (or nothing).

    ``dtype`` is the precision in which answers are to be given; ``about`` is what a reader may want to know.
    """

    name: str
    network: Network
    layout: str
    dtype: str
    arrays: dict[str, Any]
    expected: dict[str, Any]
    about: dict[str, Any]

    @property
    def sizes(self) -> dict[str, int]:
        """T, B, D and H."""
        T, B, D = self.arrays["x"].shape
        cell = self.network.of_cell()
        sizes = Sizes(cell.name, cell.R)
        sizes.bind_record("params", next(iter(self.stored().values())), cell.Params)
        return {"T": T, "B": B, "D": D, "H": sizes["H"]}

    @classmethod
    def random(
        cls,
        network: Network,
        layout: str,
        sizes: Mapping[str, int],
        rng: np.random.Generator,
        *,
        lengths: Sequence[int] | None = None,
        shift: Mapping[str, float] | None = None,
        scale: float = 1.0,
        cotangents: float = 1.0,
        name: str = "random",
    ) -> "Case":
        """A case without expected results; ``sizes`` has T, B, D, H.

        What is stored is drawn from U(-1/sqrt(H), 1/sqrt(H)) times ``scale``, every array by itself, so that gates
        and bias halves differ; ``shift`` then adds to all of a bias (``{"b_f": 8.0}``). All else is normal,
        cotangents times ``cotangents``; masks are U(0, 1). Every number is one that float32 holds.
        """
        if not isinstance(network, Network):
            raise CaseError(f"network is a {type_name(network)}; expected a Network, such as Network('LSTM')")
        if not isinstance(rng, np.random.Generator):
            raise CaseError(f"rng is a {type_name(rng)}; expected a Generator: numpy.random.default_rng(seed)")
        if not isinstance(sizes, Mapping):
            raise CaseError(f"sizes is a {type_name(sizes)}; expected T, B, D, H by name")
        if bad := [k for k in "TBDH" if not isinstance(sizes.get(k), int) or sizes[k] < (k != "T")]:
            raise CaseError(f"sizes has {bad[0]}={sizes.get(bad[0])!r}; expected T, and B, D, H of at least 1")
        cell, (T, B, D, H) = network.check().of_cell(), (sizes[k] for k in "TBDH")
        step = cell.sizes(H, B=B, D=D)

        def single(a: Any) -> Any:
            return a.astype(np.float32).astype(np.float64)

        def draw(shape: Sequence[int], by: Any = rng.standard_normal, times: float = 1.0) -> Any:
            return single(by(tuple(shape)) * times)

        def weights(shape: Sequence[int]) -> Any:
            return rng.uniform(-1, 1, shape) / np.sqrt(H) * scale

        given: dict[str, Any] = {"x": draw((T, B, D))}
        if lengths is not None:
            given["lengths"] = np.array(scan.as_lengths(lengths, T, B))
        letters = axes(cell.Input)
        given |= {k: draw((T, *(step[n] for n in letters[k])), rng.random) for k in cell.reads if k != "x"}
        states = {k: [step[n] for n in letters] for k, letters in axes(cell.State).items()}
        for place, width in zip(network.places(), network.widths(D, H), strict=True):
            given |= {f"{place}{k}_0": draw(shape) for k, shape in states.items()}
            size = cell.sizes(H, D=width)
            zero = cell.Params(**{k: np.zeros([size[n] for n in letters]) for k, letters in axes(cell.Params).items()})
            if unknown := set(shift or {}) - set(zero._fields):
                raise CaseError(f"shift names {', '.join(unknown)}; {cell.name} has {', '.join(zero._fields)}")
            added = zero._replace(**{k: getattr(zero, k) + v for k, v in (shift or {}).items()})
            stored = [dump(layout, zero, cell), dump(layout, added, cell)]
            given |= {f"{place}{k}": single(weights(a.shape) + (stored[1][k] - a)) for k, a in stored[0].items()}
        given["d_output"] = draw((T, B, network.layer().width(H)), times=cotangents)
        for place in network.places():
            given |= {f"{place}d_{k}_n": draw(shape, times=cotangents) for k, shape in states.items()}
        return cls(name, network, layout, "float64", given, {}, {})

    def call(self, convert: Callable[[Any], Any] = lambda a: a) -> Call:
        """The arguments, each array passed through ``convert``; raises CaseError if one is missing or has no place."""
        cell = self.network.of_cell()
        params, first, dlast = [], [], []
        stored = self.stored()
        for place in self.network.places():
            params.append(tree.map(convert, stored[place]))
            first.append(cell.State(**{k: convert(self._array(f"{place}{k}_0")) for k in cell.State._fields}))
            dlast.append(cell.State(**{k: convert(self._array(f"{place}d_{k}_n")) for k in cell.State._fields}))
        lengths = self.arrays.get("lengths")
        return Call(
            self.network.nest(params),
            convert(self._array("x")),
            self.network.nest(first),
            None if lengths is None else tuple(int(n) for n in lengths),
            {k: convert(self._array(k)) for k in cell.reads if k != "x"},
            convert(self._array("d_output")),
            self.network.nest(dlast),
        )

    def names(self) -> tuple[str, ...]:
        """The names of a place's parameters."""
        return names(self.layout, self.network.of_cell())

    def stored(self) -> dict[str, Any]:
        """The Params of each place."""
        cell = self.network.of_cell()
        return {
            place: _load(self.layout, {k: self._array(place + k) for k in self.names()}, cell)
            for place in self.network.places()
        }

    def answer(self, run: Any, back: Any) -> dict[str, Any]:
        """All results by name, from what the layer's forward and backward pass returned."""
        cell, places, unnest = self.network.of_cell(), self.network.places(), self.network.unnest
        fields, tapes = computed(cell), [tape for _, _, tape in walk(self.network.layer(), run)]
        named: dict[Name, Any] = {Name("", ITSELF, "output"): run.hs}
        for place, last, tape in zip(places, unnest(run.last), tapes, strict=True):
            named |= {Name(place, ITSELF, f"{k}_n"): a for k, a in last._asdict().items()}
            named |= {Name(place, VALUE, k): getattr(tape.values, k) for k in fields}
        named[Name("", GRADIENT, "x")] = back.dxs
        each = zip(places, *map(unnest, (back.dfirst, back.dparams, back.cotangents)), strict=True)
        for place, dfirst, dparams, d in each:
            named |= {Name(place, GRADIENT, f"{k}_0"): a for k, a in dfirst._asdict().items()}
            named |= {Name(place, GRADIENT, k): a for k, a in dump_gradients(self.layout, dparams, cell).items()}
            named |= {Name(place, COTANGENT, k): getattr(d, k) for k in fields}
        return {str(name): a for name, a in named.items()}

    def problem(self, convert: Callable[[Any], Any] = lambda a: a, parts: Parts = Parts()) -> Problem:  # noqa: B008
        """The loss of the case at its point: the network of these parts, each array passed through ``convert``."""
        call = self.call(convert)
        point, cotangents = Point(call.params, call.xs, call.first), Outputs(call.dhs, call.dlast)
        return Problem(self.network.layer(call.masks, parts), point, cotangents, call.lengths)

    def run(self, convert: Callable[[Any], Any] = lambda a: a, parts: Parts = Parts()) -> dict[str, Any]:  # noqa: B008
        """Our own answer, in the arithmetic that ``convert`` brings, with these parts of the network."""
        return self.answer(*self.problem(convert, parts).passes())

    def absolute_paths(self) -> dict[str, Any]:
        """S of every gradient, by name: see ``Problem.absolute_paths``."""
        return {k: a for k, a in self.answer(*self.problem().absolute_passes()).items() if is_gradient(k)}

    def textbook_paths(self) -> dict[str, Any]:
        """S of every result for a code that loses digits where a textbook does: see ``Problem.textbook_paths``."""
        found = self.answer(*self.problem().textbook_passes())
        return {k: a if is_gradient(k) else a.size for k, a in found.items()}

    def _array(self, name: str) -> Any:
        if name not in self.arrays:
            raise CaseError(f"case {self.name} has no array {name}; it has {', '.join(self.arrays)}")
        return self.arrays[name]


def computed(cell: Page) -> list[str]:
    """The fields that a step computes, and an answer may give: all but its inputs."""
    inputs = {*cell.reads, *(f"{k}_prev" for k in cell.carries)}
    return [k for k in cell.Trace._fields if k not in inputs]


@cache
def names(layout: str, cell: Page) -> tuple[str, ...]:
    """The names of the arrays that hold the parameters."""
    size = cell.sizes(3, D=2)
    like = {k: np.zeros([size[n] for n in letters]) for k, letters in axes(cell.Params).items()}
    return tuple(dump(layout, cell.Params(**like), cell))


def dump(layout: str, params: Any, cell: Page) -> dict[str, Any]:
    """Parameters by name."""
    return dict(params._asdict()) if layout == RECORDS else layouts.dump(layout, params, cell)


def dump_gradients(layout: str, dparams: Any, cell: Page) -> dict[str, Any]:
    """Parameter gradients by name."""
    return dict(dparams._asdict()) if layout == RECORDS else layouts.dump_gradients(layout, dparams, cell)


def _load(layout: str, stored: dict[str, Any], cell: Page) -> Any:
    return cell.Params(**stored) if layout == RECORDS else layouts.load(layout, stored, cell)
