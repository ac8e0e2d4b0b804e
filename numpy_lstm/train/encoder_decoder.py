"""A model that reads one sequence in both directions and writes another, with attention to what it has read.

    encoder   embedding, layers that read forward and backward; their outputs are the memory
    decoder   embedding, cells, attention (A1 to A6), a linear readout; each reads the symbol before

The decoder's cells begin where the encoder's ended: each carried field is the forward direction's last state beside the
backward direction's, so that going back a cotangent is cut in two. The memory is read at every step, by every page that
has a field of that name; its cotangent, which the page sums over the steps, is what reaches the encoder's outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

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
    """One tree for the encoder and one for the decoder: of layers, parameters, masks, runs, cotangents."""

    encoder: Any
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
    loss: ClassVar[Page] = pages.CrossEntropy

    def __post_init__(self) -> None:
        for name in ("sources", "targets", "layers", "hidden", "embedding"):
            object.__setattr__(self, name, expect_count(name, getattr(self, name)))
        object.__setattr__(self, "dropout", expect_within("dropout", self.dropout, 0, 1))
        if self.hidden % 2:
            raise TrainingError(f"hidden is {self.hidden}; expected an even number, half of it for each direction")

    def __str__(self) -> str:
        leaves = ", ".join(f"{name} {leaf.cell.name} ({leaf.engine})" for name, leaf in self.walk())
        return f"{leaves} of {self.hidden} units, embeddings of {self.embedding}, dropout {self.dropout:g}"

    @property
    def parts(self) -> Parts:
        """The layers of both, from the bottom up."""
        cells, attention = [self.cell] * self.layers, self.attention
        if attention is not None and attention.carries:
            cells[0] = attention
        above = [] if attention is None or attention.carries else [attention]
        bottom, each = EachStep(pages.Embedding), bidirectional(self.cell, self.engine)
        decoder = [Recurrent(cell, self.engine) for cell in cells]
        decoder += [EachStep(page) for page in (*above, pages.Linear)]
        return Parts(Stack((bottom, *[each] * self.layers)), Stack((bottom, *decoder)))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Parts:
        """Parameters of both. The memory, and whatever else an attention has the size of, is as wide as ``hidden``."""
        parts, D, decoder = self.parts, self.targets, []
        encoder = parts.encoder.init(self.sources, (self.embedding, *[self.hidden // 2] * self.layers), rng, dtype)
        sizes = [self.embedding, *[self.hidden] * (len(parts.decoder.layers) - 2), self.targets]
        for leaf, H in zip(parts.decoder.layers, sizes, strict=True):
            others = {k for letters in axes(leaf.cell.Params).values() for k in letters} - {*"DHR"}
            decoder.append(leaf.cell.init(D, H, rng, dtype, **dict.fromkeys(others, self.hidden)))
            D = H
        return Parts(encoder, tuple(decoder))

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

        return Parts(*map(drawn, (batch.sources, batch.targets), self.parts))

    def encode(self, params: Parts, sources: Any, lengths: Any, masks: Any = None) -> tuple[Stack, wiring.Run]:
        """The encoder, and its run over ``sources`` (S,B)."""
        stack = _reading(self.parts.encoder, masks)
        return stack, stack.forward(params.encoder, sources, lengths=lengths)

    def decoder(self, encoded: wiring.Run, masks: Any = None, copies: int = 1) -> tuple[Stack, Any]:
        """The decoder that reads what was encoded, and its first states; each row ``copies`` times."""
        memory = np.swapaxes(np.asarray(encoded.hs), 0, 1)
        bias = np.where(np.arange(memory.shape[1]) < np.asarray(encoded.lengths)[:, None], 0, PADDING)
        both = {"memory": np.repeat(memory, copies, 0), "bias": np.repeat(bias, copies, 0)}
        stack, ends = _reading(self.parts.decoder, masks, both), iter(encoded.last[1:])

        def joined(*ways: Any) -> Any:
            return np.repeat(np.concatenate(ways, axis=-1), copies, 0)

        carrying = [bool(leaf.cell.carries) for leaf in self.parts.decoder.layers]
        return stack, tuple(tree.map(joined, *next(ends)) if carries else None for carries in carrying)

    def forward(self, params: Parts, batch: Pairs, first: Any = None, masks: Parts | None = None) -> Run:
        """The loss of every symbol of the targets."""
        of = Parts(None, None) if masks is None else masks
        encoder, encoded = self.encode(params, batch.sources, batch.lengths, of.encoder)
        decoder, begin = self.decoder(encoded, of.decoder)
        decoded = decoder.forward(params.decoder, batch.inputs, begin, batch.target_lengths)
        reads = self.loss.Input(decoded.hs, batch.targets)
        loss = each_step.forward(self.loss, self.loss.Params(), reads, lengths=batch.target_lengths)
        return Run(loss.hs, None, Parts(encoder, decoder), Parts(encoded, decoded), loss)

    def backward(self, params: Parts, run: Run, dlosses: Any) -> Any:
        """The gradient of the parameters, from the cotangent (T,B) of the losses."""
        return self.backward_all(params, run, dlosses)[1].dparams

    def backward_all(self, params: Parts, run: Run, dlosses: Any) -> tuple[scan.Backward, scan.Backward]:
        """Everything that the loss page and the layers give back."""
        loss = each_step.backward(self.loss, self.loss.Params(), run.loss, dlosses)
        decoded = run.layers.decoder.backward(params.decoder, run.run.decoder, loss.dxs.x)
        found = wiring.walk(run.layers.decoder, decoded.cotangents)
        dmemory = [d.memory for _, _, d in found if hasattr(d, "memory")]
        dhs = np.swapaxes(np.sum(dmemory, axis=0), 0, 1) if dmemory else None
        dlast = (None, *(_halves(d) for d in decoded.dfirst if d))  # pages that carry nothing have no fields
        encoded = run.layers.encoder.backward(params.encoder, run.run.encoder, dhs, dlast=dlast)
        both = (Parts(getattr(encoded, k), getattr(decoded, k)) for k in ("dparams", "cotangents"))
        return loss, Backward(None, None, *both)

    def having(self, engine: str) -> "EncoderDecoder":
        """The same model, its cells by this engine."""
        return replace(self, engine=engine)

    def full(self, params: Parts) -> Parts:
        """The parameters as they are."""
        return params

    def walk(self, *trees: Any) -> Iterator[tuple[Any, ...]]:
        """Name, layer, and what the trees hold there, of each cell and page: the encoder's, then the decoder's."""
        for name, stack, *found in zip(Parts._fields, self.parts, *trees, strict=True):
            for path, *leaf in wiring.walk(stack, *found):
                yield ".".join((name, *map(str, path))), *leaf


def _reading(stack: Stack, masks: Any, shared: dict[str, Any] | None = None) -> Stack:
    """The layers with their dropout masks, and with what all steps share where a page reads it."""
    found = []
    for layer, mask in zip(stack.layers, masks or (None,) * len(stack.layers), strict=True):
        reads = getattr(getattr(layer, "cell", None), "reads", ())
        given = {k: a for k, a in (shared or {}).items() if k in reads} | ({} if mask is None else {"x": mask})
        found.append(Masked(layer, given) if given else layer)
    return Stack(tuple(found))


def _halves(state: Any) -> tuple[Any, Any]:
    """The cotangents of both directions' last states, from that of the two side by side."""
    ahead, back = (tree.map(lambda a, k=k: np.split(a, 2, axis=-1)[k], state) for k in (0, 1))
    return ahead, back
