"""A small network with its loss, in which mistakes around a loss are made, and the numbers that it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..layers import EachStep, Masked, Recurrent, Stack
from ..pages import LSTM, CrossEntropy, Dropout, Embedding, Linear
from ..pages.page import Page
from .workbench import Edits

PageEdits = dict[Page, Edits]
T, B, V, H, P = 5, 4, 6, 3, 0.4
LENGTHS = (5, 2, 4, 3)
TOKENS = sum(LENGTHS)


class Weights(NamedTuple):
    """``E`` (V,H) is both embedding and readout; the LSTM's own; the readout's bias ``b`` (V,)."""

    E: Any
    cell: Any
    b: Any


class Training(NamedTuple):
    """Symbols, dropout, LSTM, tied readout, cross-entropy; the loss is the mean over all tokens, without padding."""

    weights: Weights
    first: Any
    codes: Any
    targets: Any
    mask: Any
    other_mask: Any

    @classmethod
    def random(cls, rng: np.random.Generator, spread: float = 1.0) -> "Training":
        """Normal weights; the readout's bias is ``spread`` times as large."""
        cell = tree.random_like(LSTM.init(H, H, rng), rng)
        weights = Weights(rng.standard_normal((V, H)), cell, spread * rng.standard_normal(V))
        codes, targets = rng.integers(V, size=(2, T, B))
        masks = (rng.random((2, T, B, H)) >= P) / (1 - P)
        return cls(weights, LSTM.State(*rng.standard_normal((2, B, H))), codes, targets, *masks)

    def network(self, edits: PageEdits | None = None) -> Stack:
        """The layers, with some of the pages edited."""

        def page(right: Page) -> Recurrent:
            edit = (edits or {}).get(right)
            return EachStep(edit.page(right) if edit else right)

        return Stack(
            [
                page(Embedding),
                Masked(page(Dropout), {"mask": self.mask}),
                Recurrent(LSTM),
                page(Linear),
                Masked(page(CrossEntropy), {"target": self.targets}),
            ]
        )

    def answer(
        self,
        forward: Stack | None = None,
        backward: Stack | None = None,
        counts: Any = 1 / TOKENS,
        dcounts: Any = None,
        tied: tuple[float, float] = (1.0, 1.0),
    ) -> dict[str, Any]:
        """The loss and the gradient of every weight, by name, the right ones if nothing is said.

        ``counts`` is how much each token counts in the loss, ``dcounts`` in its gradient (the same if absent); ``tied``
        is the share of the gradients of E as embedding and as readout.
        """
        E, cell, b = self.weights
        params = (Embedding.Params(E), Dropout.Params(), cell, Linear.Params(E, b), CrossEntropy.Params())
        forward = self.network() if forward is None else forward
        first = tree.map(lambda a: a.astype(E.dtype), self.first)
        run = forward.forward(params, self.codes, (None, None, first, None, None), LENGTHS)
        sent = np.zeros((T, B), E.dtype) + (counts if dcounts is None else dcounts)
        d = (forward if backward is None else backward).backward(params, run, sent).dparams
        gradient = Weights(tied[0] * d[0].W + tied[1] * d[3].W, d[2], d[3].b)
        return {"loss": np.sum(counts * run.hs)} | {f"d_{k}": a for k, a in tree.leaves(gradient)}

    def back(self, edits: PageEdits) -> dict[str, Any]:
        """The answer if the backward pass alone goes through edited pages."""
        return self.answer(backward=self.network(edits))

    def throughout(self, edits: PageEdits) -> dict[str, Any]:
        """The answer if both passes do."""
        return self.answer(self.network(edits))


class LossMistake(NamedTuple):
    """Something that people do wrong; ``consistent`` if forward and backward agree, as in ``Mistake``.

    ``spread`` is the ``Training.random`` that shows it, if logits of the usual size do not.
    """

    name: str
    says: str
    source: str
    answer: Callable[[Training], dict[str, Any]]
    consistent: bool = False
    spread: float = 1.0
