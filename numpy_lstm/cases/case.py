"""A case for judging somebody else's gradients: a network, every number that goes in, and names for all that comes out.

Everything is a flat dictionary of arrays, so that a case can be written to a file and an answer can come from any
language:

    x (T,B,D), lengths (B,)                      inputs; beyond its length a row of x is noise without influence
    read, reset, restart (T,B)                   in place of lengths: the masks of ``numpy_lstm.Steps``, 0 or 1
    keep_h, keep_c (T,B,·)                       the masks of a zoneout cell
    l1.dropout (T,B,·)                           factors on what layer 1 reads
    h_0, c_0 (B,·), weight_ih_l0, ...            the first state and the parameters, named and shaped by the layout
    d_output (T,B,·), d_h_n, d_c_n (B,·)         the cotangents: L = <d_output, output> + <d_h_n, h_n> + <d_c_n, c_n>
    d_c (T,B,H)                                  and + <d_c, every c>
    output, h_n, c_n, values.f (T,B,H), ...      forward values, every one of each step among them
    d_x, d_h_0, d_c_0, d_weight_ih_l0, ...       gradients of L
    cotangents.f (T,B,H), ...                    dL/df_t and the like, all paths, of each step

With several layers or directions the names of states, parameters, values and cotangents begin with their place:
``l0.h_0``, ``l1_reverse.d_weight_ih_l0``. Steps of a reversed direction stand in the order in which it reads.
First states, biases, and whatever is not in every network may be left out (``cases.inputs``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import steps, tree
from ..arrays import type_name
from ..check.given import CaseError
from ..check.problem import Outputs, Point, Problem
from ..pages.page import Page
from ..shapes import axes
from ..steps import Steps
from ..wiring import walk
from . import inputs
from .inputs import RECORDS, dump_gradients, load
from .names import COTANGENT, GRADIENT, ITSELF, VALUE, Name, is_gradient, parse
from .network import Network, Parts
from .precision import held

__all__ = ["RECORDS", "Call", "Case", "computed"]


class Call(NamedTuple):
    """The arguments of a network's forward and backward pass."""

    params: Any
    xs: Any
    first: Any
    lengths: Any
    masks: dict[str, Any]
    dhs: Any
    dlast: Any
    dcs: Any = None


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
        T, B, D = self._array("x").shape
        cell, place = self.network.of_cell(), self.network.places()[0]
        stored = inputs.names(self.layout, cell)
        if all(place + k in self.arrays for k in stored):
            shapes = tuple((k, self.arrays[place + k].shape) for k in stored)
            return {"T": T, "B": B, "D": D, "H": inputs.units(self.layout, cell, shapes)}
        wide = [k for k, letters in axes(cell.State).items() if letters[-1] == "H" or cell.R is None]
        if not wide:
            raise CaseError(f"case {self.name} has no {' or no '.join(stored)}")
        return {"T": T, "B": B, "D": D, "H": self._array(f"{place}d_{wide[0]}_n").shape[-1]}

    @property
    def inputs(self) -> dict[str, inputs.Input]:
        """Every array that the case may have, with its shape and what it is."""
        return inputs.inputs(self.network, self.layout, **self.sizes)

    def filled(self) -> "Case":
        """The case with zeros for a first state or for biases that are left out; all of them are, or none."""
        known, whole = self.inputs, dict(self.arrays)
        like = next((whole[k] for k, (_, of) in known.items() if of == inputs.PARAMETER and k in whole), np.zeros(1))
        for kind in (inputs.FIRST, inputs.BIAS):
            absent = {k: shape for k, (shape, of) in known.items() if of == kind and k not in whole}
            if len(absent) == sum(of == kind for _, of in known.values()):
                whole |= {k: np.full(shape, 0 * like.flat[0], like.dtype) for k, shape in absent.items()}
        return self._replace(arrays={k: whole[k] for k in known if k in whole})

    @classmethod
    def random(
        cls,
        network: Network,
        layout: str,
        sizes: Mapping[str, int],
        rng: np.random.Generator,
        *,
        lengths: Sequence[int] | Steps | None = None,
        first: str = "random",
        bias: bool = True,
        drop: float = 0.0,
        cells: bool = False,
        shift: Mapping[str, float] | None = None,
        scale: float = 1.0,
        cotangents: float = 1.0,
        dtype: str = "float64",
        name: str = "random",
    ) -> "Case":
        """A case without expected results; ``sizes`` has T, B, D, H.

        What is stored is drawn from U(-1/sqrt(H), 1/sqrt(H)) times ``scale``, every array by itself, so that gates
        and bias halves differ; ``shift`` then adds to all of a bias (``{"b_f": 8.0}``). All else is normal,
        cotangents times ``cotangents``; masks are U(0, 1). The ``first`` state is random, zero or absent, biases are
        absent unless ``bias``; ``drop`` is the probability of dropout between layers; ``cells``: cotangents of every c
        too. Every number is one that float32, and ``dtype``, hold.
        """
        if not isinstance(network, Network):
            raise CaseError(f"network is a {type_name(network)}; expected a Network, such as Network('LSTM')")
        if not isinstance(rng, np.random.Generator):
            raise CaseError(f"rng is a {type_name(rng)}; expected a Generator: numpy.random.default_rng(seed)")
        if not isinstance(sizes, Mapping):
            raise CaseError(f"sizes is a {type_name(sizes)}; expected T, B, D, H by name")
        if bad := [k for k in "TBDH" if not isinstance(sizes.get(k), int) or sizes[k] < (k != "T")]:
            raise CaseError(f"sizes has {bad[0]}={sizes.get(bad[0])!r}; expected T, and B, D, H of at least 1")
        if first not in ("random", "zero", "absent"):
            raise CaseError(f"first is {first!r}; expected random, zero or absent")
        cell, (T, B, D, H) = network.check().of_cell(), (sizes[k] for k in "TBDH")
        if unknown := set(shift or {}) - set(cell.Params._fields):
            raise CaseError(f"shift names {', '.join(unknown)}; {cell.name} has {', '.join(cell.Params._fields)}")

        def weights(shape: Sequence[int]) -> Any:
            return rng.uniform(-1, 1, shape) / np.sqrt(H) * scale

        known = inputs.inputs(network, layout, T, B, D, H)
        added: dict[str, Any] = {}
        for place, width in zip(network.places(), network.widths(D, H), strict=True):
            pair = [inputs.dump(layout, inputs.filled(cell, width, H, **more), cell) for more in ({}, shift or {})]
            added |= {
                place + k: moved - zero for (k, zero), moved in zip(pair[0].items(), pair[1].values(), strict=True)
            }
        draw: dict[str, Callable[[str, tuple[int, ...]], Any]] = {
            inputs.X: lambda _, shape: rng.standard_normal(shape),
            inputs.MASK: lambda _, shape: rng.random(shape),
            inputs.FIRST: lambda _, shape: rng.standard_normal(shape) if first == "random" else np.zeros(shape),
            inputs.PARAMETER: lambda name, shape: weights(shape) + added[name],
            inputs.BIAS: lambda name, shape: weights(shape) + added[name],
            inputs.COTANGENT: lambda _, shape: rng.standard_normal(shape) * cotangents,
            inputs.DROPOUT: lambda _, shape: (rng.random(shape) >= drop) / (1 - drop),
            inputs.CELLS: lambda _, shape: rng.standard_normal(shape) * cotangents,
        }
        left_out = {inputs.WHICH, *([] if drop else [inputs.DROPOUT]), *([] if cells else [inputs.CELLS])}
        left_out |= {*([inputs.FIRST] if first == "absent" else []), *([] if bias else [inputs.BIAS])}
        given = {k: held(draw[kind](k, shape), dtype) for k, (shape, kind) in known.items() if kind not in left_out}
        if isinstance(lengths, Steps):
            masks = steps.checked(lengths, T, B)._asdict()
            given |= {k: mask.astype(np.int64) for k, mask in masks.items() if mask is not None}
        elif lengths is not None:
            given["lengths"] = np.array(steps.as_lengths(lengths, T, B))
        return cls(name, network, layout, dtype, {k: given[k] for k in known if k in given}, {}, {})

    def call(self, convert: Callable[[Any], Any] = lambda a: a) -> Call:
        """The arguments, each array passed through ``convert``; raises CaseError if one is missing or has no place."""
        cell, network = self.network.of_cell(), self.network
        arrays, known = self.filled().arrays, self.inputs
        whole = {k: a if k in inputs.INTEGERS else convert(a) for k, a in arrays.items()}
        if missing := [k for k, (_, of) in known.items() if k not in arrays and of in inputs.REQUIRED]:
            raise CaseError(f"case {self.name} has no array {missing[0]}; it has {', '.join(self.arrays)}")
        params, first, dlast, dcs = [], [], [], []
        for place in network.places():
            params.append(tree.map(convert, self._params(arrays, place)))  # two biases are added before
            first.append(cell.State(**{k: whole[f"{place}{k}_0"] for k in cell.State._fields}))
            dlast.append(cell.State(**{k: whole[f"{place}d_{k}_n"] for k in cell.State._fields}))
            dcs.append(whole.get(f"{place}d_c"))
        lengths: Any = {k: whole[k] for k in inputs.INTEGERS if k in whole}
        if lengths:
            counts = lengths.pop("lengths", None)
            if counts is not None and lengths:
                raise CaseError(f"lengths and {', '.join(lengths)} are given; expected the one or the others")
            masks = {k: a.astype(bool) for k, a in lengths.items()}
            lengths = Steps(**masks) if counts is None else tuple(int(n) for n in counts)
        return Call(
            network.nest(params),
            whole["x"],
            network.nest(first),
            lengths or None,
            {k: a for k, a in whole.items() if known[k].kind in (inputs.MASK, inputs.DROPOUT)},
            whole["d_output"],
            network.nest(dlast),
            None if all(d is None for d in dcs) else network.nest(dcs),
        )

    def names(self) -> tuple[str, ...]:
        """The names of a place's parameters, biases that are left out among them."""
        return tuple(inputs.names(self.layout, self.network.of_cell()))

    def stored(self) -> dict[str, Any]:
        """The Params of each place."""
        whole = self.filled().arrays
        return {place: self._params(whole, place) for place in self.network.places()}

    def _params(self, arrays: Mapping[str, Any], place: str) -> Any:
        cell = self.network.of_cell()
        return load(self.layout, {k: arrays[place + k] for k in inputs.names(self.layout, cell)}, cell)

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
        absent = {parse(k)._replace(role=GRADIENT) for k in self.filled().arrays.keys() - self.arrays.keys()}
        return {str(name): a for name, a in named.items() if name not in absent}

    def problem(self, convert: Callable[[Any], Any] = lambda a: a, parts: Parts = Parts()) -> Problem:  # noqa: B008
        """The loss of the case at its point: the network of these parts, each array passed through ``convert``."""
        call = self.call(convert)
        point, states = Point(call.params, call.xs, call.first), (call.dhs, call.dcs)
        cotangents = Outputs(call.dhs if call.dcs is None else states, call.dlast)
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
