"""The LSTM, GRU and RNN nodes of a model file, with their weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from ..files import regular, shortened, unpacked
from ..layers import Parallel
from . import running
from .attributes import OnnxError, plain
from .constants import Constants, Room
from .held import Held
from .operators import OPERATORS, OUTPUTS, QUANTISED_INPUTS

FilePath = str | PathLike[str]
MOST_NODES = 10_000  # that functions may stand for


@dataclass(frozen=True)
class Node:
    """A node of a model: what ``onnx.run`` takes, but for what flows in when the model runs.

    ``inputs`` are those that the file fixes, by their ONNX names: W, R, B, P, perhaps sequence_lens and states.
    ``names`` says what the graph calls each input and output, X, Y and initial_h among them. ``dtype`` is that of W in
    the file: half precision is widened to float32, exactly, integers of DynamicQuantizeLSTM are dequantised.
    """

    name: str
    op_type: str
    attributes: dict[str, Any]
    inputs: dict[str, Any] = field(repr=False)
    names: dict[str, str] = field(repr=False)
    dtype: str

    def run(self, inputs: Mapping[str, Any], **options: Any) -> running.Run:
        """``onnx.run`` of this node on X and whatever else is given; ``options`` are those of ``onnx.run``."""
        return running.run(self.op_type, {**self.inputs, **inputs}, self.attributes, **options)

    def directions(self, **options: Any) -> list[tuple[Any, Any, Any]]:
        """Layer, cell and Params of each direction. Raises OnnxError where the model computes W or R as it runs."""
        weights = {name: a for name, a in self.inputs.items() if name in "WRBP"}
        if "W" in weights:
            weights["X"] = np.zeros((1, 1, weights["W"].shape[-1]), weights["W"].dtype)
        return list(running.directions(Held(self.op_type, weights, self.attributes), **options))

    def network(self, **options: Any) -> tuple[Any, Any]:
        """The node as a layer and its Params: what ``flow.passes`` and ``check.Problem.of`` take. Time comes first.

        The input of the layer is X (T,B,D), whatever the layout of the node. Raises OnnxError as ``directions`` does.
        """
        layers, _, params = zip(*self.directions(**options), strict=True)
        return (layers[0], params[0]) if len(layers) == 1 else (Parallel(layers), params)


def read(path: FilePath, dtype: Any = None) -> dict[str, Node]:
    """Every LSTM, GRU, RNN and DynamicQuantizeLSTM node of an ONNX file, by name; arrays as ``dtype`` if given.

    Nodes inside the bodies of If, Loop and Scan and of the model's own functions are found, and what does not depend on
    the model's inputs is computed: initialisers through Slice, Concat, Unsqueeze, Identity, DequantizeLinear and any
    other operator. A node without a name goes by that of its first output; where two have one name, the path of the
    bodies stands before it. All that is computed takes at most 16 times the size of the file, 64 MiB at least.
    Raises OnnxError for more, and for what is no ONNX model; ImportError without the onnx package.
    """
    found: dict[str, Node] = {}
    with _naming(path):
        nodes = list(_nodes(_load(path), ""))
        own = [node.name or node.output[0] for _, _, node in nodes]
        for name, (place, known, proto) in zip(own, nodes, strict=True):
            name = name if own.count(name) == 1 else place + name
            while name in found:
                name += "'"
            found[name] = _node(name, proto, known, dtype)
    return found


def constants(path: FilePath) -> Constants:
    """All arrays of a file's main graph that do not depend on its inputs, by the graph's names; read when asked for.

    For models that spell a cell out as matrix products: ``nn.LSTM.load_state_dict(constants(path), prefix=...)``.
    """
    with _naming(path):
        return _load(path)


def _load(path: FilePath) -> Constants:
    try:
        import onnx
        from onnx import inliner
    except ImportError as error:
        raise ImportError(f"reading {path} needs the onnx package: pip install 'numpy-lstm[onnx]'") from error
    model = onnx.load(fspath(regular(Path(path))))
    given = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t"))]
    size = max(Path(path).stat().st_size, sum(len(tensor.raw_data) for tensor in given))  # some may lie in other files
    if model.functions:
        if (count := _spelled_out(model)) > MOST_NODES:
            raise OnnxError(f"its functions spell out {count:.3g} nodes; expected at most {MOST_NODES}")
        model = inliner.inline_local_functions(model)
    if not model.graph.node:
        raise OnnxError("it has no graph")
    return Constants(model.graph, model.opset_import, Room(unpacked(size)))


def _spelled_out(model: Any) -> int:
    """How many nodes there are where every call of a function stands for the nodes of its body."""
    bodies = {(f.domain, f.name, f.overload): f.node for f in model.functions}

    @cache
    def called(name: tuple[str, str, str]) -> int:
        return count(bodies[name])

    def count(nodes: Any) -> int:
        names = [(node.domain, node.op_type, node.overload) for node in nodes]
        inner = [a.g.node for node in nodes for a in node.attribute if a.HasField("g")]
        return sum(called(name) if name in bodies else 1 for name in names) + sum(map(count, inner))

    return count(model.graph.node)


@contextmanager
def _naming(path: FilePath) -> Iterator[None]:
    """Let errors begin with the name of the file."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # the libraries have many ways to dislike bytes
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OnnxError(f"{path} cannot be read as an ONNX model: {shortened(said)}") from None


def _nodes(constants: Constants, place: str) -> Iterator[tuple[str, Constants, Any]]:
    """Each node with the constants that it can see; ``place`` are the bodies around it: ``If_0.then_branch/``."""
    for node in constants.graph.node:
        known = node.domain in ("", "ai.onnx") and node.op_type in OPERATORS
        if known or (node.domain, node.op_type) == ("com.microsoft", "DynamicQuantizeLSTM"):
            yield place, constants, node
        for owner, attribute, inner in constants.children:
            if owner is node:
                yield from _nodes(inner, f"{place}{node.name or node.op_type}.{attribute}/")


def _node(name: str, proto: Any, constants: Constants, dtype: Any) -> Node:
    from onnx import helper

    quantised = proto.op_type not in OPERATORS
    taken = QUANTISED_INPUTS if quantised else OPERATORS[proto.op_type].inputs
    names = {role: k for role, k in zip(taken, proto.input, strict=False) if k}
    arrays = {role: constants[k] for role, k in names.items() if k in constants}
    stored = str(arrays["W"].dtype) if "W" in arrays else "unknown"
    arrays = _dequantised(arrays) if quantised else arrays
    names |= {role: k for role, k in zip(OUTPUTS, proto.output, strict=False) if k}
    inputs = {role: a if role == "sequence_lens" else _widened(a, dtype) for role, a in arrays.items()}
    attributes = {a.name: plain(helper.get_attribute_value(a)) for a in proto.attribute}
    return Node(name, "LSTM" if quantised else proto.op_type, attributes, inputs, names, stored)


def _widened(array: Any, dtype: Any) -> Any:
    half = str(array.dtype) in ("float16", "bfloat16")
    return array.astype(dtype) if dtype is not None else array.astype(np.float32) if half else array


def _dequantised(arrays: dict[str, Any]) -> dict[str, Any]:
    """Inputs of DynamicQuantizeLSTM as those of LSTM: integers W (dirs,D,4H) and R (dirs,H,4H), by scale and zero."""
    found = {role: a for role, a in arrays.items() if "_scale" not in role and "_zero_point" not in role}
    for role in "WR":
        integers, scale = found.pop(role, None), arrays.get(f"{role}_scale")
        if integers is not None and scale is not None:
            shape = (len(integers), 1, -1)
            zero = np.reshape(arrays.get(f"{role}_zero_point", np.zeros_like(scale)), shape).astype(scale.dtype)
            found[role] = ((integers.astype(scale.dtype) - zero) * scale.reshape(shape)).swapaxes(1, 2)
    return found
