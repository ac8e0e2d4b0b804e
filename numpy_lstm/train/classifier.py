"""A model that names the class of a sequence: layers, what they give pooled into one vector a row, and a readout."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays, each_step, pages, scan, tree, wiring
from ..layers import EachStep, Recurrent, Stack
from ..layers import bidirectional as both_ways
from ..pages.page import Page, take
from .errors import TrainingError, expect_count, expect_within
from .model import Model, Run
from .ragged import Labelled, Ragged

POOLINGS = {
    "last": "the last state of each row",
    "mean": "the mean of its outputs",
    "both": "the last state of each direction",
}


@dataclass(frozen=True)
class Classifier:
    """``network`` from the embedding to the readout, which reads one vector for each row, by ``pooling``.

    last  the state h after the last step of the row; both: of either direction, each after its own last step
    mean  p = sum of m_t h_t over the steps, m_t = 1/n on the n steps of the row, 0 on padding; back, dh_t = m_t dp

    The last state is what every run hands on, and its cotangent is given to ``backward`` as ``dlast``.
    """

    network: Model
    pooling: str

    def __str__(self) -> str:
        return f"{self.network}, pooled by {self.pooling}"

    @property
    def loss(self) -> Page:
        """That of the network."""
        return self.network.loss

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters: a tuple over layers."""
        return self.network.init(rng, dtype)

    def zero_carry(self, params: Any, rows: int) -> None:
        """Nothing is carried from batch to batch."""

    def masks(self, rng: np.random.Generator, batch: Any, dtype: Any) -> tuple[Any, ...] | None:
        """Dropout masks of one update, one for each layer (None without); the readout reads one step."""
        masks = self.network.masks(rng, batch, dtype)
        return masks and (*masks[:-1], None if masks[-1] is None else masks[-1][:1])

    def forward(self, params: Any, batch: Labelled, first: Any = None, masks: Any = None) -> Run:
        """The loss (1,B) of every row; the outputs ``run.hs`` (1,B,A) are logits."""
        stack = Stack(self.network.masked(masks))
        run, targets = self._read(params, batch.xs, batch.lengths, stack), tree.beside(batch.targets[None], params)
        reads = take(self.loss.Input, None, **dict(zip(self.loss.reads, (run.hs, targets), strict=True)))
        loss = each_step.forward(self.loss, self.loss.Params(), reads)
        return Run(loss.hs, None, stack, run, loss)

    def backward(self, params: Any, run: Run, dlosses: Any) -> Any:
        """The gradient of the parameters, from the cotangent (1,B) of the losses."""
        return self.backward_all(params, run, dlosses)[1].dparams

    def backward_all(self, params: Any, run: Run, dlosses: Any) -> tuple[scan.Backward, scan.Backward]:
        """Everything that the loss page and the layers give back."""
        loss = each_step.backward(self.loss, self.loss.Params(), run.loss, dlosses)
        *below, readout = run.stack.layers
        *parts, top = run.run.parts
        up = readout.backward(params[-1], top, getattr(loss.dxs, self.loss.reads[0]))
        under = wiring.Run(parts[-1].hs, tuple(part.last for part in parts), tuple(parts), run.run.lengths)
        dhs, dlast = self._spread(up.dxs, under)
        down = Stack(tuple(below)).backward(params[:-1], under, dhs, dlast=dlast)
        fields = ("dfirst", "dparams", "cotangents")
        return loss, scan.Backward(down.dxs, *((*getattr(down, k), getattr(up, k)) for k in fields))

    def outputs(self, params: Any, xs: Any, lengths: Any) -> Any:
        """Logits (B,A) of rows of codes ``xs`` (T,B)."""
        return self._read(params, xs, lengths, Stack(self.network.layers)).hs[0]

    def having(self, engine: str) -> "Classifier":
        """The same model, its cells by this engine."""
        return replace(self, network=self.network.having(engine))

    def full(self, params: Any) -> Any:
        """The parameters themselves: nothing is tied."""
        return params

    def walk(self, *trees: Any) -> Iterator[tuple[Any, ...]]:
        """See ``Model.walk``."""
        return self.network.walk(*trees)

    def _read(self, params: Any, xs: Any, lengths: Any, stack: Stack) -> wiring.Run:
        *below, readout = stack.layers
        run = Stack(tuple(below)).forward(params[:-1], tree.beside(xs, params), None, lengths)
        top = readout.forward(params[-1], self._pooled(run))
        return wiring.Run(top.hs, (*run.last, top.last), (*run.parts, top), run.lengths)

    def _pooled(self, run: wiring.Run) -> Any:
        """What the readout reads, (1,B,N)."""
        if self.pooling == "mean":
            return arrays.sum_axis(_shares(run) * run.hs, axis=0)[None]
        return arrays.concat([state.h for _, state in self._last(run)], axis=-1)[None]

    def _spread(self, dpooled: Any, run: wiring.Run) -> tuple[Any, Any]:
        """The cotangents of all outputs and of the last states, from that of what was pooled."""
        if self.pooling == "mean":
            return _shares(run) * dpooled, None
        found, start = [], 0
        for cell, state in self._last(run):
            stop = start + state.h.shape[-1]
            found.append(take(cell.State, None, h=dpooled[0, :, start:stop]))
            start = stop
        return None, (*[None] * (len(run.last) - 1), found[0] if len(found) == 1 else tuple(found))

    def _last(self, run: wiring.Run) -> list[tuple[Page, Any]]:
        """The cells of the upper layer, one for each direction, and their last states."""
        return [(leaf.cell, state) for _, leaf, state in wiring.walk(self.network.layers[-2], run.last[-1])]


def sequence_classifier(
    symbols: int,
    classes: int,
    cell: Page = pages.LSTM,
    layers: int = 1,
    hidden: int = 64,
    embedding: int = 32,
    pooling: str = "last",
    bidirectional: bool | None = None,
    dropout: float = 0.0,
    engine: str = "fast",
) -> Classifier:
    """Embedding, ``layers`` of ``hidden`` units in each direction, pooling, a linear readout, cross-entropy in nats.

    ``bidirectional``: the layers read both ways, as ``both`` needs; ``last`` reads one way, because the last output of
    a layer that reads backward has seen one symbol. Dropout acts on what every layer above the embedding reads.
    Raises TrainingError for what does not fit.
    """
    counts = {"symbols": symbols, "classes": classes, "layers": layers, "hidden": hidden, "embedding": embedding}
    symbols, classes, layers, hidden, embedding = (expect_count(name, n) for name, n in counts.items())
    dropout = expect_within("dropout", dropout, 0, 1)
    if pooling not in POOLINGS:
        raise TrainingError(f"pooling is {pooling!r}; expected {', '.join(POOLINGS)}")
    two = pooling == "both" if bidirectional is None else bool(bidirectional)
    if pooling != "mean" and two != (pooling == "both"):
        raise TrainingError(f"pooling {pooling!r} needs bidirectional={pooling == 'both'}; it is {two}")
    layer = both_ways(cell, engine) if two else Recurrent(cell, engine)
    network = Model(
        layers=(EachStep(pages.Embedding), *[layer] * layers, EachStep(pages.Linear)),
        sizes=(embedding, *[hidden] * layers, classes),
        inputs=symbols,
        loss=pages.CrossEntropy,
        dropout=(0.0, *[dropout] * (layers + 1)),
    )
    return Classifier(network, pooling)


def held_out_error(model: Classifier, data: Ragged, rows: int = 256) -> Callable[[Any], float]:
    """A function of the parameters: the share of the rows whose class is not the predicted one."""
    return lambda params: float(np.mean(predict(model, params, data, rows) != data.targets))


def predict(model: Classifier, params: Any, data: Ragged, rows: int = 256) -> Any:
    """The most probable class of each row (N,), read without dropout, ``rows`` at a time."""
    found = np.zeros(len(data.targets), int)
    for which in data.in_turn(rows):
        batch = data.batch(which)
        found[which] = np.argmax(arrays.on_host(model.outputs(params, batch.xs, batch.lengths)), axis=-1)
    return found


def confusion(targets: Any, predicted: Any, classes: int) -> Any:
    """How many rows of each class (down) were taken for each class (across): (A,A) integers."""
    return np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _shares(run: wiring.Run) -> Any:
    """m_t (T,B,1): 1/n on the n steps that are read, 0 on padding."""
    alive = np.arange(run.hs.shape[0])[:, None] < np.asarray(run.lengths)
    return arrays.like((alive / np.sum(alive, axis=0))[:, :, None].astype(run.hs.dtype), run.hs)
