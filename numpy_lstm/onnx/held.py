"""Inputs and attributes of a node, held against the text of the operator and against one another."""

from collections.abc import Iterable, Mapping
from typing import Any

from .. import activations, arrays
from ..activations import Activation
from .attributes import OnnxError, activation_pairs, attribute
from .operators import AXES, BATCH_FIRST, DIRECTION_FIRST, DIRECTIONS, OPERATORS


class Held:
    """Inputs and attributes, held against the text of the operator and against one another."""

    def __init__(self, op_type: str, inputs: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        self.op_type = attribute("op_type", op_type)
        self.operator = OPERATORS[self.op_type]
        given = self._known("attribute", attributes, self.operator.attributes)
        self.attributes = self.operator.attributes | {name: attribute(name, value) for name, value in given.items()}
        self.tied = bool(self.attributes.get("input_forget"))
        K = len(DIRECTIONS[self.attributes["direction"]])
        self.pairs = activation_pairs(self.op_type, self.attributes, K)
        self.clip = self.attributes["clip"]
        if self.clip is not None and not self.clip >= 0:
            raise OnnxError(f"clip is {self.clip:g}; expected a threshold of at least 0, or no clip")

        known = self._known("input", inputs, self.operator.inputs)
        self.given = {name: _array(name, given) for name, given in known.items()}
        if missing := [name for name in "XWR" if name not in self.given]:
            raise OnnxError(f"{', '.join(missing)} missing; {self.op_type} needs X, W, R")
        if not arrays.is_differentiable(self.given["X"]):
            raise OnnxError(
                f"X has dtype {self.given['X'].dtype}; expected float32 or float64 (widen the inputs first)"
            )
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
        array, like, (theirs, ours) = _array(name, array), self.given["X"].dtype, self._orders(name)
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


def _array(name: str, given: Any) -> Any:
    try:
        return arrays.as_array(given)
    except (TypeError, ValueError) as error:
        raise OnnxError(f"{name} cannot be read as an array: {error}") from None
