"""The sizes that the arrays of one call agree on, and one clear line where they do not."""

from typing import Any

from .rows import Stored, lengths


class LayoutError(ValueError):
    """Arrays that a layout does not have: says which, what came and what was expected."""


class Sizes(dict[str, int]):
    """The sizes d, h, r that the arrays of one call agree on, and which array fixed each. Unprojected, r is h."""

    def __init__(self, cell: Any) -> None:
        super().__init__({"": 1})
        self._tied = {} if "M" in cell.Params._fields else {"h": "r"}
        self._fixed_by: dict[str, str] = {}

    def shape(self, row: Stored) -> tuple[int, ...]:
        """The shape of a stored array, once its sizes are known."""
        return tuple(sum(n * self[k] for k, n in length.items()) for length in lengths(row))

    def bind(self, row: Stored, shape: tuple[int, ...]) -> None:
        """Hold a shape against the axes; the first array that shows a letter fixes it."""
        axes = lengths(row)
        if len(shape) == len(axes):
            for length, came in sorted(zip(axes, shape, strict=True), key=lambda pair: len(pair[0])):
                unknown = [k for k in length if k not in self]
                rest = came - sum(n * self[k] for k, n in length.items() if k in self)
                if len(unknown) == 1 and rest > 0 and rest % length[unknown[0]] == 0:
                    for k in (unknown[0], self._tied.get(unknown[0], unknown[0])):
                        self[k], self._fixed_by[k] = rest // length[unknown[0]], row.name
        if not all(k in self for length in axes for k in length) or shape != self.shape(row):
            raise LayoutError(f"{row.name} has shape {shape}; expected {self._expected(axes, shape)}")

    def _expected(self, axes: list[dict[str, int]], came: tuple[int, ...]) -> str:
        """``(4*H=28, R=7), where R=7 was fixed by weight_ih_l0``: the reasons only for what does not fit."""
        texts, reasons = [], []
        for length, n in zip(axes, came if len(came) == len(axes) else [None] * len(axes), strict=True):
            text = "+".join((f"{c}*" if c > 1 else "") + k.upper() for k, c in length.items() if k) or str(length[""])
            known = sum(c * self[k] for k, c in length.items()) if self.keys() >= length.keys() else None
            texts.append(text if known is None or "" in length else f"{text}={known}")
            if n not in (None, known):
                by = self._fixed_by
                reasons += [f"{k.upper()}={self[k]} was fixed by {by[k]}" for k in length if k in by]
                reasons += [f"no {k.upper()} >= 1 makes {text}={n}" for k in length if k not in self]
        reasons = list(dict.fromkeys(reasons))
        return f"({', '.join(texts)})" + (f", where {' and '.join(reasons)}" if reasons else "")
