"""The parameters and states of a stack as torch names, shapes and stacks them, and as records."""

from dataclasses import dataclass
from typing import Any

from .. import arrays, layouts
from ..pages import Page


@dataclass(frozen=True)
class TorchNames:
    """Names and shapes for ``layers`` layers of ``cell``: D inputs, H units, one direction or two, biases or none."""

    cell: Page
    D: int
    H: int
    layers: int
    directions: int
    bias: bool

    @property
    def width(self) -> int:
        """The number of outputs of one direction."""
        return self.cell.R or self.H

    @property
    def places(self) -> list[str]:
        """``l0``, ``l0_reverse``, ``l1``, ...: what names end with, in torch's order."""
        return [f"l{n}{way}" for n in range(self.layers) for way in ("", "_reverse")[: self.directions]]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, by name."""
        G, H, R = len([k for k in self.cell.Params._fields if k.startswith("W")]), self.H, self.width
        shapes: dict[str, tuple[int, ...]] = {}
        for n, place in enumerate(self.places):
            D = self.D if n < self.directions else R * self.directions
            shapes |= {f"weight_ih_{place}": (G * H, D), f"weight_hh_{place}": (G * H, R)}
            if self.bias:
                shapes |= {f"bias_ih_{place}": (G * H,), f"bias_hh_{place}": (G * H,)}
            if self.cell.R:
                shapes[f"weight_hr_{place}"] = (R, H)
        return shapes

    def records(self, weights: dict[str, Any]) -> Any:
        """The parameters as records: a tuple over layers of a tuple over directions."""
        return self.nested([layouts.load("torch", held, self.cell) for held in self.stored(weights)])

    def stored(self, weights: dict[str, Any]) -> list[dict[str, Any]]:
        """The parameters of each place under the names of a single layer, zeros for biases that it has not."""

        def one(place: str) -> dict[str, Any]:
            kinds = [name.removesuffix(f"_{place}") for name in weights if name.endswith(f"_{place}")]
            held: dict[str, Any] = {f"{kind}_l0": weights[f"{kind}_{place}"] for kind in kinds}
            if not self.bias:
                zeros = arrays.zeros(held["weight_ih_l0"].shape[:1], held["weight_ih_l0"])
                held |= {"bias_ih_l0": zeros, "bias_hh_l0": zeros}
            return held

        return [one(place) for place in self.places]

    def gradients(self, dparams: Any) -> dict[str, Any]:
        """The gradients of the parameters by name, from records."""
        found = {}
        for d, place in zip([d for layer in dparams for d in layer], self.places, strict=True):
            for name, array in layouts.dump_gradients("torch", d, self.cell).items():
                found[name.removesuffix("l0") + place] = array
        return {name: found[name] for name in self.shapes()}

    def nested(self, places: list[Any]) -> Any:
        """One entry for each place, as the layers take them."""
        n = self.directions
        return tuple(tuple(places[k : k + n]) for k in range(0, len(places), n))

    def states(self, h: Any, c: Any, batched: bool) -> Any:
        """Torch's stacked states as records; None where nothing is given."""
        if h is None and c is None:
            return None

        def one(a: Any, k: int) -> Any:
            return None if a is None else (a[k] if batched else a[k][None])

        return self.nested([self.cell.partial_state(one(h, k), one(c, k)) for k in range(len(self.places))])

    def stacked(self, states: Any, batched: bool) -> tuple[Any, Any]:
        """The inverse: h and c, None for a cell without one."""

        def one(field: str) -> Any:
            if field not in self.cell.State._fields:
                return None
            a: Any = arrays.stack([getattr(state, field) for layer in states for state in layer])
            return a if batched else a[:, 0]

        return one("h"), one("c")
