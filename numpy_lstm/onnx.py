"""The ONNX operators LSTM, GRU and RNN: attributes choose a page, inputs are its arrays, ``backward`` gives dX, dW, ...

All is as the operator text says (opset 7 to 22, layout since 14). Where shipping code departs from it, an option says:

clip_cell : True, the text: clip bounds the input of every activation, C before h among them; the C that is carried
    on and given out stays as it is. False, onnxruntime: C is not clipped.
clip_gradient : "true": nothing passes where clip acts. "straight_through": clip counts as the identity in the
    backward pass, as in TensorFlow's block kernels; that is the gradient of no function.
output_peephole : "new", the text: o looks at C_t. "old", the published decomposition of WebNN: o looks at C_{t-1}.

Where the text leaves a choice, it is made here:

input_forget = 1 is f = 1 - i, as in onnxruntime. The forget blocks of W, R, B, P are unused; their gradient is zero.
activation_alpha and activation_beta hold one value for each activation that takes one, in order, as in onnxruntime.
    Where a list ends early, the rest have the operators' defaults, ScaledTanh 1 and 1. A surplus is refused.
ThresholdedRelu(x) is x where x >= alpha, as the text of LSTM says; the operator of that name, and onnxruntime, have
    x > alpha. They differ at a whole region of inputs if clip equals alpha.
A row of length 0 ends in its initial state, where onnxruntime gives zeros.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from . import activations, arrays, layouts, scan
from .activations import Activation
from .arrays import Array
from .layers import Recurrent, Reversed
from .pages import GRU, LSTM, RNN, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM


class OnnxError(ValueError):
    """A node that ONNX does not have: says what came and what was expected."""


class Operator(NamedTuple):
    """What tells the operators apart: the blocks of W, and which functions of the page each activation serves."""

    blocks: int
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    serves: tuple[str, ...]
    activations: tuple[str, ...]


INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h")
COMMON: dict[str, Any] = {"hidden_size": None, "direction": "forward", "layout": 0, "clip": None}
COMMON |= {"activations": None, "activation_alpha": (), "activation_beta": ()}
LSTM_INPUTS, LSTM_ATTRIBUTES = (*INPUTS, "initial_c", "P"), {**COMMON, "input_forget": 0}
OPERATORS = {
    "LSTM": Operator(4, LSTM_INPUTS, LSTM_ATTRIBUTES, ("i o f", "g", "y"), ("Sigmoid", "Tanh", "Tanh")),
    "GRU": Operator(3, INPUTS, {**COMMON, "linear_before_reset": 0}, ("z r", "n"), ("Sigmoid", "Tanh")),
    "RNN": Operator(1, INPUTS, COMMON, ("h",), ("Tanh",)),
}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
CHOICES: dict[str, Iterable[Any]] = {"op_type": OPERATORS, "direction": DIRECTIONS, "layout": (0, 1)}
CHOICES |= {"input_forget": (0, 1), "linear_before_reset": (0, 1)}
CHOICES |= {"clip_gradient": ("true", "straight_through"), "output_peephole": ("new", "old")}

# The axes of each array in layout 0: K directions, g all blocks of W, s of B, p of P. In layout 1, the batch is first.
AXES = {"X": "TBD", "W": "KgD", "R": "KgH", "B": "Ks", "P": "Kp", "initial_h": "KBH", "initial_c": "KBH"}
AXES |= {"Y": "TKBH", "Y_h": "KBH", "Y_c": "KBH"}
BATCH_FIRST = {"TBD": "BTD", "KBH": "BKH", "TKBH": "BTKH"}
DIRECTION_FIRST = {"TKBH": "KTBH"}


# Each activation of the text: a pair, or how to make it from those of alpha and beta that it takes.
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "Relu": (activations.RELU,),
    "Tanh": (activations.TANH,),
    "Sigmoid": (activations.SIGMOID,),
    "Affine": (activations.affine, "alpha", "beta"),
    "LeakyRelu": (activations.leaky_relu, "alpha"),
    "ThresholdedRelu": (activations.thresholded_relu, "alpha"),
    "ScaledTanh": (activations.scaled_tanh, "alpha", "beta"),
    "HardSigmoid": (activations.hard_sigmoid, "alpha", "beta"),
    "Elu": (activations.elu, "alpha"),
    "Softsign": (activations.SOFTSIGN,),
    "Softplus": (activations.SOFTPLUS,),
}


@dataclass(frozen=True)
class Run:
    """The outputs of a node; ``node`` and ``parts`` (layer, cell, params, run of each direction) serve ``backward``.

    ``Y`` (T,dirs,B,H) every h, each at the step it belongs to, zero on padding; ``Y_h`` (dirs,B,H) the last h of each
    row; ``Y_c`` the last c, None for GRU and RNN. In layout 1: (B,T,dirs,H) and (B,dirs,H).
    """

    Y: Array
    Y_h: Array
    Y_c: Array | None
    node: "Node" = field(repr=False)
    parts: tuple[Any, ...] = field(repr=False)

    def backward(self, dY: Any = None, dY_h: Any = None, dY_c: Any = None) -> dict[str, Any]:
        """Gradients of the inputs X, W, R, B, initial_h, initial_c, P, those that were given, by name.

        ``dY``, ``dY_h``, ``dY_c`` are the cotangents of the outputs, in their shapes; an absent one counts as zero, but
        one must be given.
        """
        scan.expect_any(dY=dY, dY_h=dY_h, dY_c=dY_c)
        node, given = self.node, {"dY": dY, "dY_h": dY_h, "dY_c": dY_c}
        if self.Y_c is None and dY_c is not None:
            raise OnnxError(f"dY_c was given; {node.op_type} has no Y_c")
        cotangents = [None if d is None else node.read(name, d) for name, d in given.items()]
        found: list[dict[str, Any]] = []
        for k, (layer, cell, params, run) in enumerate(self.parts):
            dhs, dh, dc = (None if d is None else d[k] for d in cotangents)
            back = layer.backward(params, run, dhs, dlast=cell.partial_state(dh, dc))
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
    or float64, all alike, but for sequence_lens. The options are explained at the top of this file.
    Raises OnnxError for what ONNX does not have; LayoutError or TypeError for dtypes that have no gradient.
    """
    node = Node(op_type, inputs, attributes or {})
    _choose("clip_gradient", clip_gradient)
    peephole = PeepholeLSTM if _choose("output_peephole", output_peephole) == "new" else PeepholeOldLSTM
    page = {
        "LSTM": peephole if "P" in node.given else LSTM,
        "GRU": GRU if node.attributes.get("linear_before_reset") else GRUResetBefore,
        "RNN": RNN,
    }[op_type]

    parts = []
    for k, backwards in enumerate(DIRECTIONS[node.attributes["direction"]]):
        cell = page.having(op_type, **node.functions(k, clip_cell, clip_gradient == "straight_through"))
        weights = {name: node.array(name)[k : k + 1] for name in "WRBP" if name != "P" or name in node.given}
        params = layouts.load("onnx", weights, cell)
        params = _tie(params) if node.tied else params
        first = cell.State(**{name: node.array(f"initial_{name}")[k] for name in cell.State._fields})
        layer: Any = Reversed(Recurrent(cell)) if backwards else Recurrent(cell)
        parts.append((layer, cell, params, layer.forward(params, node.array("X"), first, node.lengths)))
    runs = [part[-1] for part in parts]
    Y = node.written("Y", np.stack([ran.hs for ran in runs]))
    last = {f"Y_{name}": np.stack([getattr(ran.last, name) for ran in runs]) for name in runs[0].last._fields}
    last = {name: node.written(name, states) for name, states in last.items()}
    return Run(Y, last["Y_h"], last.get("Y_c"), node, tuple(parts))


class Node:
    """Inputs and attributes, held against the text of the operator and against one another."""

    def __init__(self, op_type: str, inputs: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        self.op_type, self.operator = op_type, OPERATORS[_choose("op_type", op_type)]
        self.attributes = self.operator.attributes | self._known("attribute", attributes, self.operator.attributes)
        for name in [name for name in CHOICES if name in self.attributes]:
            self.attributes[name] = _choose(name, self.attributes[name])
        self.tied = bool(self.attributes.get("input_forget"))
        K = len(DIRECTIONS[self.attributes["direction"]])
        self.pairs = _pairs(op_type, self.attributes, K)
        self.clip = None if self.attributes["clip"] is None else float(self.attributes["clip"])
        if self.clip is not None and not self.clip >= 0:
            raise OnnxError(f"clip is {self.clip:g}; expected a threshold of at least 0, or no clip")

        self.given = {k: arrays.as_array(a) for k, a in self._known("input", inputs, self.operator.inputs).items()}
        if missing := [name for name in "XWR" if name not in self.given]:
            raise OnnxError(f"{', '.join(missing)} missing; {op_type} needs X, W, R")
        if flat := [name for name in "XR" if self.given[name].ndim != 3]:
            raise OnnxError(f"{flat[0]} has shape {self.given[flat[0]].shape}; expected 3 axes")
        H, size = self.given["R"].shape[2], self.attributes["hidden_size"]
        if size not in (None, H):
            raise OnnxError(f"hidden_size is {size}; expected {H}, as R has shape {self.given['R'].shape}")
        times = {"H": 1, "g": self.operator.blocks, "s": 2 * self.operator.blocks, "p": 3}
        self._names = {"K": "num_directions", "T": "seq_length", "B": "batch_size", "D": "input_size"}
        self._names |= {k: "hidden_size" if n == 1 else f"{n}*hidden_size" for k, n in times.items()}
        self._sizes = {"K": K} | {k: n * H for k, n in times.items()}
        self._sizes |= dict(zip(self._orders("X")[0], self.given["X"].shape, strict=True))
        for name in [name for name in AXES if name in self.given]:
            self.array(name)
        self.lengths = self._lengths()

    def array(self, name: str) -> Any:
        """This input in our order of axes; zeros if it was not given."""
        if name in self.given:
            return self.read(name, self.given[name])
        return arrays.zeros(tuple(self._sizes[k] for k in AXES[name]), self.given["X"])

    def read(self, name: str, array: Any) -> Any:
        """An input or the cotangent of an output, from the node's order of axes to ours."""
        array, like, (theirs, ours) = arrays.as_array(array), self.given["X"].dtype, self._orders(name)
        if array.shape != tuple(self._sizes[k] for k in theirs):
            expected = ", ".join(f"{self._names[k]}={self._sizes[k]}" for k in theirs)
            raise OnnxError(f"{name} has shape {array.shape}; expected ({expected})")
        if array.dtype != like:
            raise OnnxError(f"{name} has dtype {array.dtype}; expected {like}, the dtype of X")
        return array.transpose([theirs.index(k) for k in ours])

    def written(self, name: str, array: Any) -> Any:
        """The inverse of ``read``: an output or the gradient of an input."""
        theirs, ours = self._orders(name)
        return array.transpose([ours.index(k) for k in theirs])

    def functions(self, k: int, clip_cell: bool, straight_through: bool) -> dict[str, Activation]:
        """The activations of direction k, by the names that the page has for them."""
        functions: dict[str, Activation] = {}
        for served, pair in zip(self.operator.serves, self.pairs[k], strict=True):
            if self.clip is not None and (clip_cell or served != "y"):
                pair = activations.clipped(pair, self.clip, straight_through)
            functions |= dict.fromkeys(served.split(), pair)
        return functions | {"f": activations.complement(functions["i"])} if self.tied else functions

    def _orders(self, name: str) -> tuple[str, str]:
        """The axes of this array as the node has them, and as we do."""
        axes = AXES[name.removeprefix("d")]
        return BATCH_FIRST.get(axes, axes) if self.attributes["layout"] else axes, DIRECTION_FIRST.get(axes, axes)

    def _lengths(self) -> list[int] | None:
        if (given := arrays.on_host(self.given.get("sequence_lens"))) is None:
            return None
        T, B = self._sizes["T"], self._sizes["B"]
        if given.shape != (B,) or given.dtype.kind not in "iu" or not all(0 <= n <= T for n in given):
            came = given.tolist()
            raise OnnxError(f"sequence_lens is {came}; expected batch_size={B} integers from 0 to seq_length={T}")
        return [int(n) for n in given]

    def _known(self, kind: str, given: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise OnnxError(f"{kind}s is a {type(given).__name__}; expected a mapping by ONNX names")
        if surplus := [str(name) for name in given if name not in known]:
            raise OnnxError(f"{', '.join(surplus)} is no {kind} of {self.op_type}; expected {', '.join(known)}")
        return {name: value for name, value in given.items() if value is not None}


def _choose(name: str, value: Any) -> Any:
    """``value``, one of the choices for ``name``; in bytes, as the library onnx has text, or in text."""
    value = value.decode() if isinstance(value, bytes) else value
    if value not in list(CHOICES[name]):
        raise OnnxError(f"{name} is {value!r}; expected {' or '.join(repr(k) for k in CHOICES[name])}")
    return value


def _pairs(op_type: str, attributes: Mapping[str, Any], K: int) -> list[list[Activation]]:
    """The activations of each of K directions, with their values of alpha and beta."""
    each = len(OPERATORS[op_type].activations)
    given = attributes["activations"] or OPERATORS[op_type].activations * K
    names = [name.decode() if isinstance(name, bytes) else name for name in given]
    if op_type == "RNN" and names == ["Tanh", "Tanh"]:  # the default of the schema, whatever the direction
        names = names[:K]
    listed = ", ".join(names)
    if len(names) != each * K:
        raise OnnxError(f"activations are {listed}; expected {each * K}, {each} for each direction")
    values = {key: list(attributes[f"activation_{key}"]) for key in ("alpha", "beta")}
    known = {name.lower(): made for name, made in ACTIVATIONS.items()}
    pairs = []
    for name in names:
        if name.lower() not in known:
            raise OnnxError(f"activations are {listed}; {name} is none of {', '.join(ACTIVATIONS)}")
        pair, *takes = known[name.lower()]
        pairs.append(pair(**{key: float(values[key].pop(0)) for key in takes if values[key]}) if takes else pair)
    for key, surplus in values.items():
        if surplus:
            raise OnnxError(f"activation_{key} has {len(surplus)} values more than {listed} take")
    return [pairs[k * each : (k + 1) * each] for k in range(K)]


def _tie(params: Any) -> Any:
    """The forget gate with the parameters of the input gate."""
    return params._replace(**{k: getattr(params, f"{k[0]}_i") for k in params._fields if k.endswith("_f")})


def _untie(dparams: Any) -> Any:
    """The adjoint of ``_tie``: the input gate has the gradients of both, the forget gate none."""
    both = {k: getattr(dparams, k) + getattr(dparams, f"{k[0]}_f") for k in dparams._fields if k.endswith("_i")}
    return dparams._replace(**both, **{f"{k[0]}_f": np.zeros_like(d) for k, d in both.items()})
