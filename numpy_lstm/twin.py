"""What the twins of torch.nn share: torch's names, shapes and orders around a stack of layers."""

import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from . import arrays, layers, layouts, scan, state_dict, wiring
from .arrays import type_name
from .pages import Page
from .shapes import ShapeError


class Gradients(NamedTuple):
    """Gradients in the shapes of x, h_0, c_0 (None for a cell without one) and, by torch's name, of the parameters."""

    x: Any
    h_0: Any
    c_0: Any
    params: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What a twin computed: ``output``, ``h_n`` and, for an LSTM, ``c_n``, in torch's shapes."""

    output: Any
    h_n: Any
    c_n: Any
    _twin: "Twin"
    _params: Any
    _layers: layers.Stack
    _run: wiring.Run
    _batched: bool

    def backward(self, d_output: Any = None, d_h_n: Any = None, d_c_n: Any = None) -> Gradients:
        """The gradients from the cotangents of ``output``, ``h_n`` and ``c_n``; an absent one counts as zero.

        Raises TypeError if none is given, or one is no array of the twin's library and dtype; ShapeError if it does not
        fit.
        """
        twin = self._twin
        stack, params, run, dhs, dlast = self.records(d_output, d_h_n, d_c_n)
        back = stack.backward(params, run, dhs, dlast=dlast)
        d_h_0, d_c_0 = twin._stacked(back.dfirst, self._batched)
        return Gradients(twin._user_order(back.dxs, self._batched), d_h_0, d_c_0, twin._named_gradients(back.dparams))

    def records(self, d_output: Any = None, d_h_n: Any = None, d_c_n: Any = None) -> tuple[Any, Any, Any, Any, Any]:
        """Layers, params, run, dhs and dlast: what ``layers.backward`` takes, and ``flow.passes_of`` looks into."""
        twin = self._twin
        scan.expect_any(d_output=d_output, d_h_n=d_h_n, d_c_n=d_c_n)
        for name, d, like in (("d_output", d_output, self.output), ("d_h_n", d_h_n, self.h_n)):
            _expect(name, d, None if like is None else like.shape, twin.like)
        if d_c_n is not None and self.c_n is None:
            raise TypeError(f"d_c_n was given; {type(twin).__name__} has no c_n")
        _expect("d_c_n", d_c_n, None if self.c_n is None else self.c_n.shape, twin.like)
        dhs = None if d_output is None else twin._time_first(d_output, self._batched)
        return self._layers, self._params, self._run, dhs, twin._states(d_h_n, d_c_n, self._batched)


ENGINES = ("explicit", "fast")


class Twin:
    """See ``numpy_lstm.nn``: the class of each twin fixes its cell and the arguments it has."""

    def __init__(
        self,
        cell: Page,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        dtype: Any,
        rng: np.random.Generator | None,
        engine: str,
    ) -> None:
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a positive integer")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout!r}; expected a probability between 0 and 1")
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout acts between layers, and there is only one", stacklevel=3)
        if np.dtype(dtype).kind != "f" or np.dtype(dtype).itemsize < 4:
            raise ValueError(f"dtype is {np.dtype(dtype)}; expected a floating one: float32, float64 or longdouble")
        if engine not in ENGINES:
            raise ValueError(f"engine is {engine!r}; expected {' or '.join(map(repr, ENGINES))}")
        self.cell, self.dtype, self.training = cell, np.dtype(dtype), True
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self._rng = np.random.default_rng() if rng is None else rng
        one = layers.Recurrent(cell, engine)
        both = layers.Parallel((one, layers.Reversed(one)) if bidirectional else (one,))
        self._layers = layers.Stack((both,) * num_layers)
        limit = 1 / np.sqrt(hidden_size)
        self._weights = {
            name: self._rng.uniform(-limit, limit, shape).astype(self.dtype) for name, shape in self._shapes().items()
        }

    def train(self, mode: bool = True) -> "Twin":
        """Dropout on (the state of a new twin) or off."""
        self.training = mode
        return self

    def eval(self) -> "Twin":
        """Dropout off."""
        return self.train(False)

    def network(self) -> tuple[layers.Stack, Any]:
        """The layers and their parameters as records: what ``flow.passes`` and ``layers.forward`` take."""
        return self._layers, self._params()

    def explicit(self) -> "Twin":
        """This twin, the same parameters and generator, with ``engine="explicit"``."""
        twin = copy(self)
        twin._layers = wiring.rebuilt(self._layers, lambda leaf: layers.Recurrent(leaf.cell))
        return twin

    def state_dict(self) -> dict[str, Any]:
        """The parameters under torch's names, in torch's order, as copies."""
        return {name: a.copy() for name, a in self._weights.items()}

    def load_state_dict(self, source: Mapping[str, Any] | str | PathLike[str], prefix: str = "") -> None:
        """Take the parameters from a mapping of NumPy arrays or torch tensors, or from a ``.safetensors`` file.

        ``prefix``: of the names in a larger model, ``"encoder.lstm."`` say; names that do not begin with it are left
        alone. From CuPy arrays, all of them, the twin moves to their device: then it takes and gives CuPy arrays. A
        narrower dtype is widened, exactly; nothing is narrowed. Raises LayoutError, and loads nothing, if a name is
        missing or surplus, a shape or dtype does not fit, or the file cannot be read.
        """
        self._weights = state_dict.read(source, self._shapes(), self.dtype, self.cell, prefix)

    def forward(self, x: Any, hx: Any = None, lengths: Any = None, dropout_masks: Any = None) -> Run:
        """Run the layers.

        Parameters
        ----------
        x : (T,B,D), (B,T,D) with ``batch_first``, or (T,D) unbatched
        hx : (h_0, c_0) for an LSTM, else h_0; (layers * directions, B, R or H), without B if x is unbatched
        lengths : B integers, the number of steps of each row: the outputs beyond are zero
        dropout_masks : one array of factors for each layer but the last, in place of drawn ones: (T,B,N), or (1,B,N)
            for variational dropout
        """
        x = _array("x", x, self.like)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            axes = "(B, T, D" if self.batch_first else "(T, B, D"
            raise ShapeError(f"x has shape {x.shape}; expected {axes}={self.input_size}) or (T, D={self.input_size})")
        if 0 in x.shape:
            raise ShapeError(f"x has shape {x.shape}; expected at least one step and one row")
        batched = x.ndim == 3
        if lengths is not None and not batched:
            raise ShapeError("lengths was given; an unbatched x has only one length")
        xs = self._time_first(x, batched)
        h_0, c_0 = self._split(hx)
        n = self.num_layers * self._directions
        shape = (n, xs.shape[1]) if batched else (n,)
        _expect("h_0", h_0, (*shape, self.cell.R or self.hidden_size), self.like)
        _expect("c_0", c_0, (*shape, self.hidden_size), self.like)
        params = self._params()
        stack = self._masked(xs, dropout_masks)
        run = stack.forward(params, xs, self._states(h_0, c_0, batched), lengths)
        h_n, c_n = self._stacked(run.last, batched)
        return Run(self._user_order(run.hs, batched), h_n, c_n, self, params, stack, run, batched)

    def __call__(self, x: Any, hx: Any = None, lengths: Any = None) -> Any:
        """``output, (h_n, c_n)`` for an LSTM, else ``output, h_n``."""
        run = self.forward(x, hx, lengths)
        return run.output, run.h_n if run.c_n is None else (run.h_n, run.c_n)

    @property
    def like(self) -> Any:
        """The first parameter: its library, device and dtype are those of all that the twin takes and gives."""
        return next(iter(self._weights.values()))

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self) -> list[list[str]]:
        """``l0``, ``l0_reverse``, ...: the names of torch, layer by layer."""
        directions = ["", "_reverse"][: self._directions]
        return [[f"l{layer}{direction}" for direction in directions] for layer in range(self.num_layers)]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        H, R, D = self.hidden_size, self.cell.R or self.hidden_size, self.input_size
        G = len([name for name in self.cell.Params._fields if name.startswith("W")])
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self._suffixes():
            for suffix in layer:
                shapes |= {f"weight_ih_{suffix}": (G * H, D), f"weight_hh_{suffix}": (G * H, R)}
                if self.bias:
                    shapes |= {f"bias_ih_{suffix}": (G * H,), f"bias_hh_{suffix}": (G * H,)}
                if self.cell.R:
                    shapes[f"weight_hr_{suffix}"] = (R, H)
            D = R * self._directions
        return shapes

    def _params(self) -> Any:
        """The parameters as records: a tuple over layers of a tuple over directions."""

        def one(suffix: str) -> Any:
            kinds = [name.removesuffix(f"_{suffix}") for name in self._weights if name.endswith(f"_{suffix}")]
            held: dict[str, Any] = {f"{kind}_l0": self._weights[f"{kind}_{suffix}"] for kind in kinds}
            if not self.bias:
                zeros = arrays.zeros(held["weight_ih_l0"].shape[:1], self.like)
                held |= {"bias_ih_l0": zeros, "bias_hh_l0": zeros}
            return layouts.load("torch", held, self.cell)

        return tuple(tuple(one(suffix) for suffix in layer) for layer in self._suffixes())

    def _named_gradients(self, dparams: Any) -> dict[str, Any]:
        named = {}
        for layer, suffixes in zip(dparams, self._suffixes(), strict=True):
            for d, suffix in zip(layer, suffixes, strict=True):
                for name, array in layouts.dump_gradients("torch", d, self.cell).items():
                    named[name.removesuffix("l0") + suffix] = array
        return {name: named[name] for name in self._weights}

    def _masked(self, xs: Any, given: Any) -> layers.Stack:
        """The layers, with a dropout mask on what each but the lowest reads."""
        first, *others = self._layers.layers
        masks = self._masks(xs, given)
        if masks is None:
            return self._layers
        return layers.Stack((first, *(layers.Masked(one, {"x": m}) for one, m in zip(others, masks, strict=True))))

    def _masks(self, xs: Any, given: Any) -> Any:
        width = (self.cell.R or self.hidden_size) * self._directions
        shape = (*xs.shape[:2], width)
        if given is not None:
            if not isinstance(given, tuple | list):
                raise TypeError(
                    f"dropout_masks is a {type_name(given)}; expected a list of {self.num_layers - 1} arrays"
                )
            if len(given) != self.num_layers - 1:
                raise ShapeError(f"dropout_masks has {len(given)} entries; expected {self.num_layers - 1}")
            for k, mask in enumerate(given):
                if _array(f"dropout_masks[{k}]", mask, self.like).shape != (1, *shape[1:]):  # one for all steps
                    _expect(f"dropout_masks[{k}]", mask, shape, self.like)
            return tuple(mask.copy() for mask in given)
        if not self.training or self.dropout == 0:
            return None
        draw = layers.dropout_mask
        masks = [draw(self._rng, shape, self.dropout, self.dtype) for _ in range(self.num_layers - 1)]
        return tuple(arrays.like(mask, self.like) for mask in masks)

    def _split(self, hx: Any) -> tuple[Any, Any]:
        if "c" not in self.cell.State._fields:
            return hx, None
        if hx is not None and not (isinstance(hx, tuple | list) and len(hx) == 2):
            raise TypeError(f"hx is a {type(hx).__name__}; expected the pair (h_0, c_0)")
        return (None, None) if hx is None else (hx[0], hx[1])

    def _states(self, h: Any, c: Any, batched: bool) -> Any:
        """Torch's stacked states as a tuple over layers of a tuple over directions; None where nothing is given."""
        if h is None and c is None:
            return None

        def one(a: Any, k: int) -> Any:
            return None if a is None else (a[k] if batched else a[k][None])

        n = self._directions
        return tuple(
            tuple(self.cell.partial_state(one(h, layer * n + k), one(c, layer * n + k)) for k in range(n))
            for layer in range(self.num_layers)
        )

    def _stacked(self, states: Any, batched: bool) -> tuple[Any, Any]:
        flat = [state for layer in states for state in layer]

        def one(field: str) -> Any:
            if field not in self.cell.State._fields:
                return None
            return arrays.stack([getattr(state, field) if batched else getattr(state, field)[0] for state in flat])

        return one("h"), one("c")

    def _time_first(self, x: Any, batched: bool) -> Any:
        if not batched:
            return x[:, None, :]
        return x.swapaxes(0, 1) if self.batch_first else x

    def _user_order(self, x: Any, batched: bool) -> Any:
        if not batched:
            return x[:, 0, :]
        return x.swapaxes(0, 1) if self.batch_first else x


def _array(name: str, value: Any, like: Any) -> Any:
    if not isinstance(value, type(like)):
        expected, hint = "a NumPy array", ": .detach().numpy() makes one" if hasattr(value, "detach") else ""
        if arrays.is_cupy(like):
            expected, hint = "a CuPy array, as the parameters are", ""
        elif arrays.is_cupy(value):
            hint = f" (load CuPy parameters, or hand in {name}.get())"
        raise TypeError(f"{name} is a {type_name(value)}; expected {expected}{hint}")
    if value.dtype != like.dtype:
        raise TypeError(f"{name} has dtype {value.dtype}; expected {like.dtype}, the dtype of the parameters")
    return value


def _expect(name: str, value: Any, shape: tuple[int, ...] | None, like: Any) -> None:
    if value is not None and _array(name, value, like).shape != shape:
        raise ShapeError(f"{name} has shape {value.shape}; expected {shape}")
