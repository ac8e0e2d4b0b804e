"""A node run through the pages: its outputs, and the gradients of its inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import binding, layouts
from ..arrays import Array
from ..layers import Recurrent, Reversed
from ..pages import GRU, LSTM, RNN, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM
from .attributes import OnnxError, attribute
from .held import Held
from .operators import DIRECTIONS


@dataclass(frozen=True)
class Run:
    """The outputs of a node; ``node`` and ``parts`` (layer, cell, params, run of each direction) serve ``backward``.

    ``Y`` (T,dirs,B,H) every h, each at the step it belongs to, zero on padding; ``Y_h`` (dirs,B,H) the last h of each
    row; ``Y_c`` the last c, None for GRU and RNN. In layout 1: (B,T,dirs,H) and (B,dirs,H).
    """

    Y: Array
    Y_h: Array
    Y_c: Array | None
    node: Held = field(repr=False)
    parts: tuple[Any, ...] = field(repr=False)

    def backward(self, dY: Any = None, dY_h: Any = None, dY_c: Any = None, dC: Any = None) -> dict[str, Any]:
        """Gradients of the inputs X, W, R, B, initial_h, initial_c, P, those that were given, by name.

        ``dY``, ``dY_h``, ``dY_c`` are the cotangents of the outputs, in their shapes, and ``dC``, in that of Y, of
        every cell state; an absent one counts as zero, but one must be given.
        """
        node, given = self.node, {"dY": dY, "dY_h": dY_h, "dY_c": dY_c, "dC": dC}
        binding.expect_any(**given)
        for name in ("dY_c", "dC"):
            if self.Y_c is None and given[name] is not None:
                raise OnnxError(f"{name} was given; {node.op_type} has no Y_c")
        cotangents = [None if d is None else node.read(name, d) for name, d in given.items()]
        found: list[dict[str, Any]] = []
        for k, (layer, cell, params, run) in enumerate(self.parts):
            dhs, dh, dc, dcs = (None if d is None else d[k] for d in cotangents)
            back = layer.backward(params, run, dhs, dcs, cell.partial_state(dh, dc))
            dparams = _untie(back.dparams) if node.tied else back.dparams
            dfirst = {f"initial_{name}": d[None] for name, d in back.dfirst._asdict().items()}
            found.append({"X": back.dxs} | layouts.dump_gradients("onnx", dparams, cell) | dfirst)
        d = {name: np.concatenate([part[name] for part in found]) for name in found[0] if name != "X"}
        d["X"] = sum(part["X"] for part in found)
        order = ("X", "W", "R", "B", "initial_h", "initial_c", "P")
        return {name: node.written(name, d[name]) for name in order if name in node.given}


def run(
    op_type: str,
    inputs: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    clip_cell: bool = True,
    clip_gradient: str = "true",
    output_peephole: str = "new",
) -> Run:
    """Run a node of type "LSTM", "GRU" or "RNN".

    ``inputs`` and ``attributes`` go by their ONNX names; what is None or left out was not given. Arrays are float32
    or float64, all alike, but for sequence_lens. The options are explained in ``help(numpy_lstm.onnx)``.
    Raises OnnxError for what ONNX does not have, and for dtypes in which no gradient is computed.
    """
    node = Held(op_type, inputs, {} if attributes is None else attributes)
    parts = []
    for k, (layer, cell, params) in enumerate(directions(node, clip_cell, clip_gradient, output_peephole)):
        first = cell.State(**{name: node.array(f"initial_{name}")[k] for name in cell.State._fields})
        parts.append((layer, cell, params, layer.forward(params, node.array("X"), first, node.lengths)))
    runs = [part[-1] for part in parts]
    Y = node.written("Y", np.stack([ran.hs for ran in runs]))
    last = {f"Y_{name}": np.stack([getattr(ran.last, name) for ran in runs]) for name in runs[0].last._fields}
    last = {name: node.written(name, states) for name, states in last.items()}
    return Run(Y, last["Y_h"], last.get("Y_c"), node, tuple(parts))


def directions(
    node: Held, clip_cell: bool = True, clip_gradient: str = "true", output_peephole: str = "new"
) -> Iterator[tuple[Any, Any, Any]]:
    """Layer, cell and Params of each direction of a node."""
    straight = attribute("clip_gradient", clip_gradient) == "straight_through"
    peephole = PeepholeLSTM if attribute("output_peephole", output_peephole) == "new" else PeepholeOldLSTM
    page = {
        "LSTM": peephole if "P" in node.given else LSTM,
        "GRU": GRU if node.attributes.get("linear_before_reset") else GRUResetBefore,
        "RNN": RNN,
    }[node.op_type]
    for k, backwards in enumerate(DIRECTIONS[node.attributes["direction"]]):
        cell = page.having(node.op_type, **node.functions(k, clip_cell, straight))
        weights = {name: node.array(name)[k : k + 1] for name in "WRBP" if name != "P" or name in node.given}
        params = layouts.load("onnx", weights, cell)
        one = Recurrent(cell)
        yield Reversed(one) if backwards else one, cell, _tie(params) if node.tied else params


def _tie(params: Any) -> Any:
    """The forget gate with the parameters of the input gate."""
    return params._replace(**{k: getattr(params, f"{k[0]}_i") for k in params._fields if k.endswith("_f")})


def _untie(dparams: Any) -> Any:
    """The adjoint of ``_tie``: the input gate has the gradients of both, the forget gate none."""
    both = {k: getattr(dparams, k) + getattr(dparams, f"{k[0]}_f") for k in dparams._fields if k.endswith("_i")}
    return dparams._replace(**both, **{f"{k[0]}_f": np.zeros_like(d) for k, d in both.items()})
