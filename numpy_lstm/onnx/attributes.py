"""The attributes of a node: what each may be, and the activations that they name."""

from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from ..activations import Activation
from ..files import quoted
from .operators import ACTIVATIONS, CHOICES, OPERATORS


class OnnxError(ValueError):
    """A node that ONNX does not have, or a file that holds none: says what came and what was expected."""


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _all(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(test, value))


# What an attribute may be that is none of a few choices.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "hidden_size": ("an integer", lambda value: type(value) is int),
    "clip": ("a number", _is_number),
    "activations": ("a list of names", _all(lambda value: isinstance(value, str))),
    "activation_alpha": ("a list of numbers", _all(_is_number)),
    "activation_beta": ("a list of numbers", _all(_is_number)),
}


def attribute(name: str, value: Any) -> Any:
    """The value of an attribute or option, as Python has it. Raises OnnxError if it may not be that."""
    value = plain(value)
    if name in CHOICES:
        if value in list(CHOICES[name]):
            return value
        expected = " or ".join(map(repr, CHOICES[name]))
    else:
        expected, test = KINDS[name]
        if test(value):
            return value
    raise OnnxError(f"{name} is {quoted(value)}; expected {expected}")


def plain(value: Any) -> Any:
    """Text of bytes, as the library onnx has it; numbers and lists of NumPy's and protobuf's."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, Iterable) and not isinstance(value, str) else value


def activation_pairs(op_type: str, attributes: Mapping[str, Any], K: int) -> list[list[Activation]]:
    """The activations of each of K directions, with their values of alpha and beta."""
    each = len(OPERATORS[op_type].activations)
    names = list(attributes["activations"] or OPERATORS[op_type].activations * K)
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
