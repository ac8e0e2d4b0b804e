"""What the twins of torch.nn share: torch's names, shapes and orders around a stack of layers."""

import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, binding, layers, tree, wiring
from ..arrays import type_name
from ..pages import Page, projected
from ..shapes import ShapeError
from ..steps import Steps
from . import state_dict
from .torch_names import TorchNames


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

    def backward(self, d_output: Any = None, d_h_n: Any = None, d_c_n: Any = None, d_c: Any = None) -> Gradients:
        """The gradients from the cotangents of ``output``, ``h_n`` and ``c_n``; an absent one counts as zero.

        ``d_c`` (layers * directions, T, B, H), or with B before T as in ``output``, is the cotangent of every cell c_t.
        Raises TypeError if none is given, or one is no array of the twin's library and dtype; ShapeError if it does not
        fit.
        """
        twin = self._twin
        stack, params, run, *given = self.records(d_output, d_h_n, d_c_n, d_c)
        back = stack.backward(params, run, *given)
        d_h_0, d_c_0 = twin._names.stacked(back.dfirst, self._batched)
        return Gradients(twin._user_order(back.dxs, self._batched), d_h_0, d_c_0, twin._names.gradients(back.dparams))

    def records(self, d_output: Any = None, d_h_n: Any = None, d_c_n: Any = None, d_c: Any = None) -> tuple[Any, ...]:
        """Layers, params, run, dhs, dcs, dlast: what ``layers.backward`` takes, and ``flow.passes_of`` looks into."""
        twin = self._twin
        binding.expect_any(d_output=d_output, d_h_n=d_h_n, d_c_n=d_c_n, d_c=d_c)
        for name, d in (("d_c_n", d_c_n), ("d_c", d_c)):
            if d is not None and self.c_n is None:
                raise TypeError(f"{name} was given; {type(twin).__name__} has no c_n")
        _expect("d_output", d_output, self.output.shape, twin.like)
        _expect("d_h_n", d_h_n, self.h_n.shape, twin.like)
        if self.c_n is not None:
            _expect("d_c_n", d_c_n, self.c_n.shape, twin.like)
            _expect("d_c", d_c, (len(self.c_n), *self.output.shape[:-1], self.c_n.shape[-1]), twin.like)
        dhs = None if d_output is None else twin._time_first(d_output, self._batched)
        dcs = None if d_c is None else twin._names.nested([twin._time_first(d, self._batched) for d in d_c])
        return self._layers, self._params, self._run, dhs, dcs, twin._names.states(d_h_n, d_c_n, self._batched)


ENGINES = ("explicit", "fast")


class Twin:
    """See ``numpy_lstm.nn``: the class of each twin fixes its cell."""

    CELL: Page
    PROJECTED = False  # whether torch can project its outputs

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = np.float64,
        rng: np.random.Generator | None = None,
        engine: str = "explicit",
    ) -> None:
        if proj_size != 0 and not self.PROJECTED:
            raise ValueError(f"proj_size is {proj_size}; only an LSTM can be projected")
        if not isinstance(proj_size, int) or not isinstance(hidden_size, int):
            raise ValueError(f"hidden_size is {hidden_size!r} and proj_size is {proj_size!r}; expected integers")
        if not 0 <= proj_size < max(hidden_size, 1):
            raise ValueError(f"proj_size is {proj_size}; expected 0 (none) or less than hidden_size={hidden_size}")
        cell = projected(self.CELL, proj_size) if proj_size else self.CELL
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
        self._names = TorchNames(cell, input_size, hidden_size, num_layers, 2 if bidirectional else 1, bias)
        self._rng = np.random.default_rng() if rng is None else rng
        one = layers.Recurrent(cell, engine)
        both = layers.Parallel((one, layers.Reversed(one)) if bidirectional else (one,))
        self._layers = layers.Stack((both,) * num_layers)
        limit = 1 / np.sqrt(hidden_size)
        self._weights = {
            name: self._rng.uniform(-limit, limit, shape).astype(self.dtype)
            for name, shape in self._names.shapes().items()
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
        return self._layers, self._names.records(self._weights)

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
        self._weights = state_dict.read(source, self._names.shapes(), self.dtype, self.cell, prefix)

    def forward(self, x: Any, hx: Any = None, lengths: Any = None, dropout_masks: Any = None) -> Run:
        """Run the layers.

        Parameters
        ----------
        x : (T,B,D), (B,T,D) with ``batch_first``, or (T,D) unbatched
        hx : (h_0, c_0) for an LSTM, else h_0; (layers * directions, B, R or H), without B if x is unbatched
        lengths : B integers, the number of steps of each row: the outputs beyond are zero; or Steps, whose masks are
            (T,B), or (B,T) with ``batch_first``
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
        if isinstance(lengths, Steps) and self.batch_first:
            lengths = tree.map(arrays.transpose, lengths)
        xs = self._time_first(x, batched)
        h_0, c_0 = self._split(hx)
        shape = (len(self._names.places), *xs.shape[1:2] * batched)
        _expect("h_0", h_0, (*shape, self._names.width), self.like)
        _expect("c_0", c_0, (*shape, self.hidden_size), self.like)
        params, stack = self._names.records(self._weights), self._masked(xs, dropout_masks)
        run = stack.forward(params, xs, self._names.states(h_0, c_0, batched), lengths)
        h_n, c_n = self._names.stacked(run.last, batched)
        return Run(self._user_order(run.hs, batched), h_n, c_n, self, params, stack, run, batched)

    def __call__(self, x: Any, hx: Any = None, lengths: Any = None) -> Any:
        """``output, (h_n, c_n)`` for an LSTM, else ``output, h_n``."""
        run = self.forward(x, hx, lengths)
        return run.output, run.h_n if run.c_n is None else (run.h_n, run.c_n)

    @property
    def like(self) -> Any:
        """The first parameter: its library, device and dtype are those of all that the twin takes and gives."""
        return next(iter(self._weights.values()))

    def _masked(self, xs: Any, given: Any) -> layers.Stack:
        """The layers, with a dropout mask on what each but the lowest reads."""
        first, *others = self._layers.layers
        if (masks := self._masks(xs, given)) is None:
            return self._layers
        return layers.Stack((first, *(layers.Masked(one, {"x": m}) for one, m in zip(others, masks, strict=True))))

    def _masks(self, xs: Any, given: Any) -> Any:
        width = self._names.width * self._names.directions
        shape = (*xs.shape[:2], width)
        n = self.num_layers - 1
        if given is not None:
            if not isinstance(given, tuple | list):
                raise TypeError(f"dropout_masks is a {type_name(given)}; expected a list of {n} arrays")
            if len(given) != n:
                raise ShapeError(f"dropout_masks has {len(given)} entries; expected {n}")
            for k, mask in enumerate(given):
                if _array(f"dropout_masks[{k}]", mask, self.like).shape != (1, *shape[1:]):  # one for all steps
                    _expect(f"dropout_masks[{k}]", mask, shape, self.like)
            return tuple(mask.copy() for mask in given)
        if not self.training or self.dropout == 0:
            return None
        masks = [layers.dropout_mask(self._rng, shape, self.dropout, self.dtype) for _ in range(n)]
        return tuple(arrays.like(mask, self.like) for mask in masks)

    def _split(self, hx: Any) -> tuple[Any, Any]:
        if "c" not in self.cell.State._fields:
            return hx, None
        if hx is not None and not (isinstance(hx, tuple | list) and len(hx) == 2):
            raise TypeError(f"hx is a {type(hx).__name__}; expected the pair (h_0, c_0)")
        return (None, None) if hx is None else (hx[0], hx[1])

    def _time_first(self, x: Any, batched: bool) -> Any:
        return x[:, None, :] if not batched else x.swapaxes(0, 1) if self.batch_first else x

    def _user_order(self, x: Any, batched: bool) -> Any:
        return x[:, 0, :] if not batched else x.swapaxes(0, 1) if self.batch_first else x


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
