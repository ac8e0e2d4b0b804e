"""The recurrent layers of a model file, with their weights: as layers to look into, and as cases to judge by.

An ``.onnx`` file holds nodes, and arrays under the names of torch where a cell is spelled out. Other files hold arrays
alone: those of torch's layers and cells are known by their names, wherever in a model they stand, those of Keras by
their place and shapes. What arrays do not tell is taken as the frameworks have it by default: tanh, sigmoid, and in a
Keras GRU without biases the reset after the product.
"""

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import layouts, nn, onnx, tree, weight_files
from ..check.given import CaseError
from ..nn.torch_names import TorchNames
from ..pages import GRU, LSTM, RNN, GRUResetBefore, Page
from .case import Case
from .network import CELLS, Network

TORCH_NAMES = ("weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh")
KERAS_NAMES = ("kernel", "recurrent_kernel", "bias")
Arrays = dict[str, Any]


class Model(NamedTuple):
    """One recurrent layer of a file, or several on top of one another: ``stored`` are the arrays of each place.

    ``dtype`` is that of the weights in the file.
    """

    name: str
    network: Network
    layout: str
    stored: tuple[Arrays, ...]
    dtype: str

    def __str__(self) -> str:
        D, H = self.sizes
        depth = f"{self.network.layers} layers, " * (self.network.layers > 1)
        return (
            f"{self.name}: {self.network.of_cell().name}, {depth}{self.network.direction}, D={D}, H={H}, {self.dtype}"
        )

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of inputs and of units."""
        params = self._params()[0]
        return next((a.shape[1], a.shape[0]) for k, a in params._asdict().items() if k.startswith("W"))

    def layer(self, dtype: Any = np.float64) -> tuple[Any, Any]:
        """The layer and its parameters, as ``dtype``."""
        params = [tree.map(lambda a: a.astype(dtype), p) for p in self._params()]
        return self.network.layer(), self.network.nest(params)

    def fitting(self, x: Any) -> Any:
        """``x``, if it is (T,B,D) and finite; raises CaseError if it is not."""
        if x.ndim != 3 or x.shape[2] != self.sizes[0] or 0 in x.shape:
            raise CaseError(f"x has shape {x.shape}; expected (T, B, D={self.sizes[0]}) for {self.name}")
        if not np.all(np.isfinite(x)):
            raise CaseError("x has numbers that are not finite")
        return x

    def ends(self, rng: np.random.Generator, B: int) -> Any:
        """A normal cotangent for the last h of each place: ``dlast`` of a loss that looks there alone."""
        cell = self.network.of_cell()
        shape = cell.zero_state(B, self.sizes[1]).h.shape
        return self.network.nest([cell.partial_state(rng.standard_normal(shape)) for _ in self.stored])

    def case(self, T: int, B: int, rng: np.random.Generator, x: Any = None, dtype: str = "float64") -> Case:
        """A case with these weights; what else there is, states, cotangents, and x if it is not given, is drawn."""
        D, H = self.sizes
        given = {} if x is None else {"x": self.fitting(x)}
        T, B = (T, B) if x is None else x.shape[:2]
        drawn = Case.random(self.network, self.layout, {"T": T, "B": B, "D": D, "H": H}, rng, name=self.name)
        for place, arrays in zip(self.network.places(), self.stored, strict=True):
            given |= {place + k: a.astype(np.float64) for k, a in arrays.items()}
        return drawn._replace(arrays=drawn.arrays | given, dtype=dtype)

    def _params(self) -> list[Any]:
        return [layouts.load(self.layout, arrays, self.network.of_cell()) for arrays in self.stored]


def read(path: str | PathLike[str]) -> dict[str, Model]:
    """Every recurrent layer of a file, by name.

    Raises CaseError for a file without any; OnnxError or LayoutError for what cannot be read.
    """
    if Path(path).suffix == ".onnx":
        models = [_of_node(node) for node in onnx.read(path).values()]
        arrays: Mapping[str, Any] = onnx.constants(path)
    else:
        models, arrays = [], weight_files.read(path)
    models += [*_of_torch(arrays), *_of_keras(arrays)]
    if not models:
        known = "a node LSTM, GRU or RNN, or arrays called weight_hh" if Path(path).suffix == ".onnx" else NAMES
        raise CaseError(f"{path} holds no recurrent layer; expected {known}")
    return {model.name: model for model in models}


NAMES = "arrays called weight_ih and weight_hh, as in torch, or lstm/cell/vars/0 and 1, as in Keras"


def choose(models: Mapping[str, Model], name: str | None) -> Model:
    """The model of this name, or the only one whose name has this text in it. Raises CaseError if there is none."""
    found = [m for k, m in models.items() if k == name] or [m for k, m in models.items() if name is None or name in k]
    if len(found) != 1:
        came = f"{name!r} is in {len(found) or 'no'} names" if name else f"{len(found)} recurrent layers"
        raise CaseError(f"{came}; expected the name of one: {', '.join(models)}")
    return found[0]


def _of_node(node: onnx.Node) -> Model:
    """A node whose directions are of one cell. Raises CaseError for others."""
    cells = {cell for _, cell, _ in node.directions()}
    if len(cells) > 1 or node.attributes.get("input_forget"):
        reason = "directions with different activations" if len(cells) > 1 else "input_forget"
        raise CaseError(f"{node.name} has {reason}: no case holds that; onnx.read(path)[{node.name!r}].network() does")
    weights = {"B": np.zeros_like(node.inputs["W"], shape=(len(node.inputs["W"]), 2 * node.inputs["W"].shape[1]))}
    weights |= {k: node.inputs[k] for k in "WRBP" if k in node.inputs}
    stored = tuple({k: a[d : d + 1] for k, a in weights.items()} for d in range(len(weights["W"])))
    cell = cells.pop()
    known = next((name for name, page in CELLS.items() if page == cell), cell)
    network = Network(known, direction=node.attributes.get("direction", "forward"))
    return Model(node.name, network, "onnx", stored, node.dtype)


def _grouped(arrays: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The names by what stands before their last dot or slash, and there by what stands behind it."""
    groups: dict[str, dict[str, str]] = {}
    for name in arrays:
        start = max(name.rfind("."), name.rfind("/")) + 1
        groups.setdefault(name[:start], {})[name[start:]] = name
    return groups


def _of_torch(arrays: Mapping[str, Any]) -> Iterator[Model]:
    for prefix, group in _grouped(arrays).items():
        names = [name for end, name in group.items() if end.startswith(TORCH_NAMES)]
        if not {"weight_hh", "weight_hh_l0"} & group.keys():
            continue
        twin = nn.from_state_dict({name: arrays[name] for name in names}, prefix=prefix)
        D, H, ways = twin.input_size, twin.hidden_size, 1 + twin.bidirectional
        stored = TorchNames(twin.cell, D, H, twin.num_layers, ways, twin.bias).stored(twin.state_dict())
        direction = "bidirectional" if twin.bidirectional else "forward"
        network = Network(twin.cell.core.name, twin.cell.R or 0, False, direction, twin.num_layers)
        yield Model(prefix.rstrip("./") or "weights", network, "torch", tuple(stored), str(arrays[names[0]].dtype))


def _of_keras(arrays: Mapping[str, Any]) -> Iterator[Model]:
    found: dict[str, tuple[Page, Arrays]] = {}
    for prefix, group in _grouped(arrays).items():
        if not prefix.endswith("vars/"):
            continue
        W, U, b = (np.asarray(arrays[group[k]]) if k in group else None for k in "012")
        if W is None or U is None or U.ndim != 2 or W.ndim != 2 or W.shape[1] != U.shape[1]:
            continue
        H, width = U.shape
        gru = GRUResetBefore if b is not None and b.ndim == 1 else GRU
        cell = {H: RNN, 3 * H: gru, 4 * H: LSTM}.get(width)
        if cell is not None:
            b = np.zeros((2, width) if cell is GRU else width, W.dtype) if b is None else b
            found[prefix.removesuffix("/vars/").removesuffix("/cell")] = (
                cell,
                dict(zip(KERAS_NAMES, (W, U, b), strict=True)),
            )
    for name, (cell, stored) in found.items():
        network, dtype, (whole, _, way) = Network(cell.name), str(stored["kernel"].dtype), name.rpartition("/")
        if way == "forward_layer" and (other := found.get(f"{whole}/backward_layer")):
            yield Model(whole, network._replace(direction="bidirectional"), "keras", (stored, other[1]), dtype)
        elif way != "backward_layer":
            yield Model(name, network, "keras", (stored,), dtype)
