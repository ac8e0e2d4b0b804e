"""What a graph holds that does not depend on its inputs: initialisers, and all that is made of them."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .attributes import OnnxError

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
DOMAINS = ("", "ai.onnx")
NO_LARGER = {"Compress", "ConcatFromSequence", "NonZero", "SequenceAt", "Unique"}  # than their inputs; size unknown
LISTED = 64  # numbers of an input on which the size of an output may depend


class Room:
    """How many bytes all that is computed may still take."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most

    def take(self, name: str, size: float) -> None:
        """Raise OnnxError where there is not so much room."""
        if size > self.left:
            said = f"{size:.3g} bytes" if size < math.inf else "a size that is not known before"
            raise OnnxError(f"{name} would hold {said}; expected at most {self.most} for all that is computed")
        self.left -= int(size)


class Constants(Mapping[str, Any]):
    """The constants of a graph by name, those of the graphs around it among them; each is computed when asked for.

    ``children`` are the graphs inside: the node that has each, the name of its attribute, and the constants there.
    What is computed takes its ``room``: a few bytes of a file may ask for more than any machine has.
    """

    def __init__(self, graph: Any, opsets: Any, room: Room, outer: "Constants | None" = None) -> None:
        self.graph, self._opsets, self._room, self._outer = graph, opsets, room, outer
        self._known: dict[str, Any] = {}
        self._made: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self._made |= {tensor.values.name: tensor for tensor in graph.sparse_initializer}
        self._changing = {value.name for value in graph.input} - self._made.keys()
        self.children: list[tuple[Any, str, Constants]] = []
        for node in graph.node:  # in the order of the file, which is that of the computation
            if twice := [k for k in node.output if k and (k in self._made or k in self._changing)]:
                raise OnnxError(f"{twice[0]} is computed twice")
            bodies = {a.name: a.g for a in node.attribute if a.HasField("g")}
            graphs = {name: Constants(body, opsets, room, self) for name, body in bodies.items()}
            self.children += [(node, name, constants) for name, constants in graphs.items()]
            constant = all(name in self for name in node.input if name)
            if constant and graphs and node.op_type == "If":
                branch = graphs["then_branch" if self[node.input[0]].item() else "else_branch"]
                results = zip(node.output, branch.graph.output, strict=True)
                self._made |= {name: (branch, result.name) for name, result in results if result.name in branch}
            elif constant and not graphs and node.op_type not in RANDOM and node.domain in DOMAINS:
                self._made |= dict.fromkeys(filter(None, node.output), node)
            self._changing |= set(node.output) - self._made.keys()

    def __contains__(self, name: object) -> bool:
        return name in self._made or (self._outer is not None and name not in self._changing and name in self._outer)

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, name: str) -> Any:
        """The array. Raises KeyError for what is no constant, OnnxError for what cannot be computed."""
        if name not in self:
            raise KeyError(name)
        waiting = [name]
        while waiting:  # no recursion: a chain may be long
            if missing := [k for k in self._needed(waiting[-1]) if k not in self._known]:
                waiting += missing
            else:
                self._compute(waiting.pop())
        return self._known[name]

    def _needed(self, name: str) -> list[str]:
        made: Any = self._made.get(name)
        return [k for k in made.input if k] if hasattr(made, "op_type") else []

    def _compute(self, name: str) -> None:
        if name in self._known:
            return
        made = self._made.get(name)
        if made is None:
            assert self._outer is not None
            self._known[name] = self._outer[name]
        elif isinstance(made, tuple):
            self._known[name] = made[0][made[1]]
        elif hasattr(made, "op_type"):
            inputs = {k: self._known[k] for k in made.input if k}
            values = _evaluate(made, inputs, self._opsets, self._room)
            self._known |= dict(zip(made.output, values, strict=True))
        else:
            self._known[name] = _told(f"{name} cannot be read", _array, made, self._room)


def _array(tensor: Any, room: Room) -> Any:
    """An initialiser, dense or sparse; a sparse one counts its places through, or gives the index of each axis."""
    from onnx.numpy_helper import to_array

    if not hasattr(tensor, "values"):
        return to_array(tensor)
    values, places = to_array(tensor.values), to_array(tensor.indices)
    room.take("it", math.prod(tensor.dims) * values.itemsize)
    dense = np.zeros(tensor.dims, values.dtype)
    dense.flat[places if places.ndim == 1 else np.ravel_multi_index(tuple(places.T), dense.shape)] = values
    return dense


def _evaluate(node: Any, inputs: dict[str, Any], opsets: Any, room: Room) -> list[Any]:
    """The outputs of one node, by the reference implementation of the onnx package."""
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    arrays = {k: np.asarray(a) for k, a in inputs.items() if isinstance(a, np.ndarray | np.generic)}
    taken = [
        helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        if (a := arrays.get(k)) is not None
        else helper.make_empty_tensor_value_info(k)
        for k in inputs
    ]
    given = [helper.make_empty_tensor_value_info(k) for k in node.output if k]
    listed = [numpy_helper.from_array(a, k) for k, a in arrays.items() if a.size <= LISTED and a.dtype.kind in "fiub"]
    model = helper.make_model(helper.make_graph([node], "one", taken, given, listed), opset_imports=opsets)
    failed = f"{node.op_type} {node.name or node.output[0]} cannot be computed"
    for name, size in _told(failed, _sizes, model, node.op_type):
        room.take(name, size)
    values = iter(_told(failed, lambda: ReferenceEvaluator(model).run(None, inputs)))
    return [next(values) if name else None for name in node.output]


def _sizes(model: Any, op_type: str) -> list[tuple[str, float]]:
    """How many bytes each output will have, by the shapes that ONNX infers: infinitely many where it cannot."""
    from onnx import helper, shape_inference

    found = []
    for output in shape_inference.infer_shapes(model, data_prop=True).graph.output:
        kind = output.type.tensor_type
        size = 0 if op_type in NO_LARGER else math.inf
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            numbers = math.prod(d.dim_value for d in kind.shape.dim)
            size = numbers * helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
        elif size:
            shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)  # says why, where it has a reason
        found.append((output.name, size))
    return found


def _told(failed: str, compute: Callable[..., Any], *arguments: Any) -> Any:
    """The result, or OnnxError: the library has as many ways to fail as there are operators."""
    try:
        return compute(*arguments)
    except Exception as error:
        raise OnnxError(f"{failed}: {' '.join(str(error).split())}") from None
