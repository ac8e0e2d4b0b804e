"""A model that reads one sequence in both directions and writes another, with attention to what it has read.

    encoder   embedding, layers that read forward and backward; their outputs are the memory
    keys      a linear map of the memory, where the attention is additive (W1 to W17)
    decoder   embedding, cells, attention (A1 to A6), a linear readout; it reads the symbol before

The decoder's cells begin where the encoder's ended: each carried field is the forward direction's last state beside the
backward direction's, so that going back a cotangent is cut in two. The memory is read at every step, by every page that
has a field of that name; its cotangent, which the page sums over the steps, is what reaches the encoder's outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from .. import each_step, pages, scan, tree, wiring
from ..layers import EachStep, Masked, Recurrent, Stack, bidirectional, dropout_mask
from ..pages.page import Page
from ..scan import Backward, Forward
from ..shapes import axes
from .errors import TrainingError, expect_count, expect_within
from .pairs import Pairs

PADDING = -1e30  # the bias of a place that is padding: a weight of 0, exactly; -inf would pass for a fault


class Parts(NamedTuple):
    """One tree for each part, of layers, parameters, masks, runs or cotangents; ``keys`` may be None."""

    encoder: Any
    keys: Any
    decoder: Any


class Run(NamedTuple):
    """``losses`` (T,B), and what ``backward`` needs: the layers with their masks and memory, and all runs."""

    losses: Any
    last: Any
    layers: Parts
    run: Parts
    loss: Forward


@dataclass(frozen=True)
class EncoderDecoder:
    """``sources`` and ``targets`` are numbers of symbols; ``hidden`` units of the decoder, half of them each way.

    ``attention`` is a page that reads x, a memory and its bias after the top cell; or one that carries, in place of
    the lowest cell of the decoder; or None. ``dropout`` acts on what every layer above an embedding reads.
    """

    sources: int
    targets: int
    cell: Page = pages.LSTM
    layers: int = 1
    hidden: int = 128
    embedding: int = 64
    attention: Page | None = pages.Attention
    dropout: float = 0.0
    engine: str = "fast"
    loss: Page = pages.CrossEntropy

    def __post_init__(self) -> None:
        for name in ("sources", "targets", "layers", "hidden", "embedding"):
            object.__setattr__(self, name, expect_count(name, getattr(self, name)))
        object.__setattr__(self, "dropout", expect_within("dropout", self.dropout, 0, 1))
        if self.hidden % 2:
            raise TrainingError(f"hidden is {self.hidden}; expected an even number, half of it for each direction")
        if (asks := self.attention) is not None and asks.carries not in ((), self.cell.carries):
            carried = f"{asks.name} carries {', '.join(asks.carries)}; {self.cell.name} {', '.join(self.cell.carries)}"
            raise TrainingError(f"{carried}; expected the same, as the decoder begins where the encoder ends")

    def __str__(self) -> str:
        leaves = ", ".join(f"{name} {leaf.cell.name} ({leaf.engine})" for name, leaf in self.walk())
        return f"{leaves} of {self.hidden} units, embeddings of {self.embedding}, dropout {self.dropout:g}"

    @property
    def parts(self) -> Parts:
        """The layers of each, from the bottom up."""
        cells, attention = [self.cell] * self.layers, self.attention
        if attention is not None and attention.carries:
            cells[0] = attention
        above = [] if attention is None or attention.carries else [attention]
        bottom, each = EachStep(pages.Embedding), bidirectional(self.cell, self.engine)
        decoder = [Recurrent(cell, self.engine) for cell in cells]
        decoder += [EachStep(page) for page in (*above, pages.Linear)]
        keys = EachStep(pages.Linear) if attention is not None and "keys" in attention.reads else None
        return Parts(Stack((bottom, *[each] * self.layers)), keys, Stack((bottom, *decoder)))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Parts:
        """Parameters of each. The memory, and whatever else an attention has the size of, is as wide as ``hidden``."""
        parts, D, decoder, width = self.parts, self.targets, [], self.hidden
        encoder = parts.encoder.init(self.sources, (self.embedding, *[self.hidden // 2] * self.layers), rng, dtype)
        sizes = [self.embedding, *[self.hidden] * (len(parts.decoder.layers) - 2), self.targets]
        for leaf, H in zip(parts.decoder.layers, sizes, strict=True):
            others = {k for letters in axes(leaf.cell.Params).values() for k in letters} - {*"DHR"}
            decoder.append(leaf.cell.init(D, H, rng, dtype, **dict.fromkeys(others, width)))
            D = H
        keys = None if parts.keys is None else parts.keys.init(width, width, rng, dtype)
        return Parts(encoder, keys, tuple(decoder))

    def zero_carry(self, params: Parts, rows: int) -> None:
        """Nothing is carried from batch to batch."""

    def masks(self, rng: np.random.Generator, batch: Pairs, dtype: Any) -> Parts | None:
        """Dropout masks of one update, None without; every row has its own."""
        if not self.dropout:
            return None

        def drawn(codes: Any, stack: Stack) -> tuple[Any, ...]:
            widths = [self.embedding, *[self.hidden] * (len(stack.layers) - 2)]
            shapes = [(*codes.shape, N) for N in widths]
            return (None, *(dropout_mask(rng, shape, self.dropout, dtype) for shape in shapes))

        parts = self.parts
        return Parts(drawn(batch.sources, parts.encoder), None, drawn(batch.targets, parts.decoder))

    def encode(self, params: Parts, sources: Any, lengths: Any, masks: Any = None) -> tuple[Stack, Parts]:
        """The encoder, and what it and the keys make of ``sources`` (S,B)."""
        stack, keys = _reading(self.parts.encoder, masks), self.parts.keys
        run = stack.forward(params.encoder, tree.beside(sources, params), lengths=lengths)
        return stack, Parts(run, None if keys is None else keys.forward(params.keys, run.hs, None, run.lengths), None)

    def decoder(self, encoded: Parts, masks: Any = None, copies: int = 1) -> tuple[Stack, Any]:
        """The decoder that reads what was encoded, and its first states; each row ``copies`` times."""
        run = encoded.encoder
        shared = {"memory": _turned(run.hs), "keys": _turned(None if encoded.keys is None else encoded.keys.hs)}
        shared["bias"] = np.where(np.arange(len(run.hs)) < np.asarray(run.lengths)[:, None], 0, PADDING)
        shared = tree.map(lambda a: np.repeat(a, copies, 0), shared)
        stack, ends = _reading(self.parts.decoder, masks, shared), iter(run.last[1:])

        def joined(*ways: Any) -> Any:
            return np.repeat(np.concatenate(ways, axis=-1), copies, 0)

        carrying = [bool(leaf.cell.carries) for leaf in self.parts.decoder.layers]
        return stack, tuple(tree.map(joined, *next(ends)) if carries else None for carries in carrying)

    def forward(self, params: Parts, batch: Pairs, first: Any = None, masks: Parts | None = None) -> Run:
        """The loss of every symbol of the targets."""
        of = masks or Parts(None, None, None)
        encoder, encoded = self.encode(params, batch.sources, batch.lengths, of.encoder)
        decoder, begin = self.decoder(encoded, of.decoder)
        inputs, targets = tree.beside((batch.inputs, batch.targets), params)
        decoded = decoder.forward(params.decoder, inputs, begin, batch.target_lengths)
        reads = self.loss.Input(decoded.hs, targets)
        loss = each_step.forward(self.loss, self.loss.Params(), reads, lengths=batch.target_lengths)
        return Run(loss.hs, None, Parts(encoder, self.parts.keys, decoder), encoded._replace(decoder=decoded), loss)

    def backward(self, params: Parts, run: Run, dlosses: Any) -> Any:
        """The gradient of the parameters, from the cotangent (T,B) of the losses."""
        return self.backward_all(params, run, dlosses)[1].dparams

    def backward_all(self, params: Parts, run: Run, dlosses: Any) -> tuple[scan.Backward, scan.Backward]:
        """Everything that the loss page and the layers give back."""
        loss = each_step.backward(self.loss, self.loss.Params(), run.loss, dlosses)
        decoded = run.layers.decoder.backward(params.decoder, run.run.decoder, loss.dxs.x)
        d = {name: _summed(name, run.layers.decoder, decoded.cotangents) for name in ("memory", "keys")}
        keys = None if d["keys"] is None else run.layers.keys.backward(params.keys, run.run.keys, _turned(d["keys"]))
        dhs = _turned(d["memory"]) if keys is None else _turned(d["memory"]) + keys.dxs
        dlast = (
            None,
            *(_halves(state) for state in decoded.dfirst if state),
        )  # () where nothing is carried
        encoded = run.layers.encoder.backward(params.encoder, run.run.encoder, dhs, dlast=dlast)
        all_of = Parts(encoded, keys, decoded)
        both = (Parts(*(getattr(part, k, None) for part in all_of)) for k in ("dparams", "cotangents"))
        return loss, Backward(None, None, *both)

    def having(self, engine: str) -> "EncoderDecoder":
        """The same model, its cells by this engine."""
        return replace(self, engine=engine)

    def full(self, params: Parts) -> Parts:
        """The parameters as they are."""
        return params

    def walk(self, *trees: Any) -> Iterator[tuple[Any, ...]]:
        """Name, layer, and what the trees hold there, of each cell and page, the decoder's last."""
        for name, layer, *found in zip(Parts._fields, self.parts, *trees, strict=True):
            for path, *leaf in () if layer is None else wiring.walk(layer, *found):
                yield ".".join((name, *map(str, path))), *leaf


def _reading(stack: Stack, masks: Any, shared: dict[str, Any] | None = None) -> Stack:
    """The layers with their dropout masks, and with what all steps share where a page reads it."""
    found = []
    for layer, mask in zip(stack.layers, masks or (None,) * len(stack.layers), strict=True):
        reads = getattr(getattr(layer, "cell", None), "reads", ())
        given = {k: a for k, a in (shared or {}).items() if k in reads} | ({} if mask is None else {"x": mask})
        found.append(Masked(layer, given) if given else layer)
    return Stack(tuple(found))


def _turned(a: Any) -> Any:
    """(S,B,N) as (B,S,N), and the other way round."""
    return None if a is None else np.swapaxes(a, 0, 1)


def _summed(name: str, stack: Stack, cotangents: Any) -> Any:
    """The cotangent of what all steps share, from all pages that read it; None if none does."""
    found = [getattr(d, name) for _, _, d in wiring.walk(stack, cotangents) if hasattr(d, name)]
    return reduce(tree.add, found) if found else None


def _halves(state: Any) -> tuple[Any, Any]:
    """The cotangents of both directions' last states, from that of the two side by side."""
    ahead, back = (tree.map(lambda a, k=k: np.split(a, 2, axis=-1)[k], state) for k in (0, 1))
    return ahead, back
