"""The names of a case's arrays: where an array stands, what it is, and of which field."""

from typing import NamedTuple

ITSELF, GRADIENT, VALUE, COTANGENT = "", "d_", "values.", "cotangents."


class Name(NamedTuple):
    """The name of one array; ``str(name)`` is how files spell it: ``l1_reverse.d_weight_ih_l0``.

    ``place`` is the layer and direction with its dot, nothing where there is only one. ``role`` says whether it is the
    field ITSELF (an input, a state, a parameter, the output), its GRADIENT (or the cotangent that comes with the case),
    or the VALUE or COTANGENT of a field at each step.
    """

    place: str
    role: str
    field: str

    def __str__(self) -> str:
        return "".join(self)

    @property
    def is_gradient(self) -> bool:
        """Whether this is a gradient or cotangent, not a forward value."""
        return self.role in (GRADIENT, COTANGENT)

    @property
    def of_steps(self) -> bool:
        """Whether this is a value or cotangent of single steps."""
        return self.role in (VALUE, COTANGENT)


def parse(text: str) -> Name:
    """The inverse of ``str``."""
    layer = text.partition(".")[0]
    placed = "." in text and layer[:1] == "l" and layer[1:].removesuffix("_reverse").isdecimal()
    place = f"{layer}." if placed else ""
    role = next((r for r in (GRADIENT, VALUE, COTANGENT) if text.startswith(r, len(place))), ITSELF)
    return Name(place, role, text[len(place) + len(role) :])


def is_gradient(text: str) -> bool:
    """Whether a result of this name is a gradient or cotangent, not a forward value."""
    return parse(text).is_gradient
