"""A model to be trained: layers from the bottom up, and a page that says how wrong each row of each step is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, binding, each_step, layers, scan, tree, wiring
from ..pages.page import Page, take
from ..scan import Forward
from .errors import TrainingError
from .protocols import Rows, Trainable


class Batch(NamedTuple):
    """What one update reads: ``xs`` and ``targets`` (T,B,...), and how much each loss counts.

    ``weights`` (T,B) of the losses: all 1 if absent, 0 on what does not count. ``lengths`` B integers, or None.
    All are NumPy's; a model moves ``xs`` and ``targets`` to where its parameters are.
    ``fresh``: whether the rows, each or all, begin anew, from zero states, or go on where the batch before ended.
    """

    xs: Any
    targets: Any
    weights: Any = None
    lengths: Any = None
    fresh: Any = True

    def rows(self, which: slice) -> "Batch":
        """Some of the rows."""
        arrays = {k: getattr(self, k) for k in ("xs", "targets", "weights")}
        some = {k: None if a is None else a[:, which] for k, a in arrays.items()}
        return self._replace(**some, lengths=None if self.lengths is None else self.lengths[which])

    def counts(self) -> Any:
        """How much each loss (T,B) counts: ``weights``, and 0 from a row's length on."""
        T, B = self.xs.shape[:2]
        weights = np.ones((T, B)) if self.weights is None else self.weights
        return weights if self.lengths is None else weights * (np.arange(T)[:, None] < np.asarray(self.lengths))


class Run(NamedTuple):
    """``losses`` (T,B), the ``last`` states, and what ``backward`` needs: the stack with its masks, and both runs."""

    losses: Any
    last: Any
    stack: layers.Stack
    run: wiring.Run
    loss: Forward


@dataclass(frozen=True)
class Model:
    """``layers`` of ``sizes`` units on ``inputs`` inputs, and the ``loss`` page, which reads the top and a target.

    ``dropout`` is the probability with which each layer's input is dropped (0 if absent), ``variational`` one mask for
    all steps. ``tied`` (bottom, top) names two layers and fields that are one array: ``((0, "W"), (2, "W"))`` makes a
    readout of an embedding; the gradients of both uses add.
    """

    layers: tuple[Any, ...]
    sizes: tuple[Any, ...]
    inputs: int
    loss: Page
    dropout: tuple[float, ...] | None = None
    variational: bool = False
    tied: tuple[tuple[int, str], tuple[int, str]] | None = None

    def __str__(self) -> str:
        leaves = [f"{leaf.cell.name} ({leaf.engine})" for _, leaf in self.walk()]
        said = f"{self.inputs} inputs, {', '.join(leaves)} of sizes {self.sizes}, {self.loss.name}"
        said += f", dropout {self.dropout}" if self.dropout and any(self.dropout) else ""
        return said + ", variational" * self.variational + f", tied {self.tied}" * (self.tied is not None)

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
        """Parameters: a tuple over layers; what is tied is absent (None) in the upper one."""
        params = layers.Stack(self.layers).init(self.inputs, self.sizes, rng, dtype)
        return params if self.tied is None else _with(params, self.tied[1], None)

    def zero_carry(self, params: Any, rows: int) -> Any:
        """States of zeros for so many rows."""
        return _zero_states(layers.Stack(self.layers), self.full(params), rows)

    def masks(self, rng: np.random.Generator, batch: Batch, dtype: Any) -> tuple[Any, ...] | None:
        """Dropout masks of one update, one for each layer (None without); every row has its own."""
        if not self.dropout or not any(self.dropout):
            return None
        widths = [layer.width(size) for layer, size in zip(self.layers, self.sizes, strict=True)]
        reads = [self.inputs, *widths]
        return tuple(
            layers.dropout_mask(rng, (*batch.xs.shape[:2], N), p, dtype, self.variational) if p else None
            for N, p in zip(reads, self.dropout, strict=False)
        )

    def forward(self, params: Any, batch: Batch, first: Any = None, masks: Any = None) -> Run:
        """The loss of every row at every step; ``first`` states are zeros if absent."""
        stack, full = layers.Stack(self.masked(masks)), self.full(params)
        xs, targets = tree.beside((batch.xs, batch.targets), params)
        run = stack.forward(full, xs, first, batch.lengths)
        reads = take(self.loss.Input, None, **dict(zip(self.loss.reads, (run.hs, targets), strict=True)))
        loss = each_step.forward(self.loss, self.loss.Params(), reads, lengths=batch.lengths)
        return Run(loss.hs, run.last, stack, run, loss)

    def backward(self, params: Any, run: Run, dlosses: Any) -> Any:
        """The gradient of the parameters, from the cotangent (T,B) of the losses."""
        return self.untied(self.backward_all(params, run, dlosses)[1].dparams)

    def backward_all(self, params: Any, run: Run, dlosses: Any) -> tuple[scan.Backward, scan.Backward]:
        """Everything that the loss page and the layers give back."""
        back = each_step.backward(self.loss, self.loss.Params(), run.loss, dlosses)
        dhs = getattr(back.dxs, self.loss.reads[0])
        return back, run.stack.backward(self.full(params), run.run, dhs)

    def outputs(self, params: Any, xs: Any, first: Any = None) -> tuple[Any, Any]:
        """What the top layer gives (T,B,N), logits say, and the last states."""
        run = layers.Stack(self.layers).forward(self.full(params), tree.beside(xs, params), first)
        return run.hs, run.last

    def having(self, engine: str) -> "Model":
        """The same model, its cells by this engine."""

        def change(leaf: Any) -> Any:
            return layers.Recurrent(leaf.cell, engine) if leaf.cell.carries else leaf

        return replace(self, layers=tuple(wiring.rebuilt(layer, change) for layer in self.layers))

    def walk(self, *trees: Any) -> Iterator[tuple[Any, ...]]:
        """Name, layer, and what the trees hold there, of each cell and page from the bottom up; see ``nl.walk``."""
        for path, *found in wiring.walk(layers.Stack(self.layers), *trees):
            yield ".".join(map(str, path)), *found

    def untied(self, dparams: Any) -> Any:
        """Gradients of all layers as those of ``params``: of what is tied, the sum."""
        if self.tied is None:
            return dparams
        (low, field), (high, other) = self.tied
        both = getattr(dparams[low], field) + getattr(dparams[high], other)
        return _with(_with(dparams, (low, field), both), (high, other), None)

    def full(self, params: Any) -> Any:
        """The parameters of all layers: what is tied stands in both."""
        if self.tied is None:
            return params
        (low, field), upper = self.tied
        return _with(params, upper, getattr(params[low], field))

    def masked(self, masks: Any) -> tuple[Any, ...]:
        """The layers, each with its mask of ``masks``, if there are any."""
        if masks is None:
            return self.layers
        pairs = zip(self.layers, masks, strict=True)
        return tuple(layer if m is None else layers.Masked(layer, {"x": m}) for layer, m in pairs)


def gradient(
    model: Trainable, params: Any, batch: Rows, carry: Any = None, masks: Any = None, parts: int = 1
) -> tuple[float, Any, Any]:
    """The mean loss over all that counts, its gradient, and the last states.

    The rows are taken in ``parts``, one after the other, and their gradients added: less memory, the same result.
    Raises TrainingError if nothing counts, or there are more parts than rows.
    """
    weights = batch.counts()
    B = weights.shape[1]
    total, loss, grads, lasts = float(np.sum(weights)), 0.0, None, []
    if not total > 0:
        raise TrainingError(f"the weights of the losses add up to {total:g}; expected more than 0")
    expect_parts(parts, B)
    for k in range(parts):
        which = slice(k * B // parts, (k + 1) * B // parts)
        own = tree.map(lambda m, w=which: m[:, w], masks)
        run = model.forward(params, batch.rows(which), tree.map(lambda a, w=which: a[w], carry), own)
        part = arrays.like((weights[:, which] / total).astype(run.losses.dtype), run.losses)
        summed = np.sum(run.losses * part, dtype=np.float64)
        found = model.backward(params, run, part)
        loss += float(arrays.on_host(summed))  # a GPU has begun the way back by now
        grads = found if grads is None else tree.add(grads, found)
        lasts.append(run.last)
    return loss, grads, lasts[0] if parts == 1 else tree.map(lambda *rows: arrays.concat(rows, axis=0), *lasts)


def expect_parts(parts: int, rows: int) -> None:
    """Raise TrainingError if there are more parts than rows."""
    if parts > rows:
        raise TrainingError(f"parts is {parts}; expected at most {rows}, the rows of a batch")


def _with(params: Any, place: tuple[int, str], value: Any) -> Any:
    """``params`` with another array in one layer and field."""
    k, field = place
    return (*params[:k], params[k]._replace(**{field: value}), *params[k + 1 :])


def _zero_states(layer: Any, params: Any, rows: int) -> Any:
    if hasattr(layer, "layers"):
        return tuple(_zero_states(one, p, rows) for one, p in zip(layer.layers, params, strict=True))
    if hasattr(layer, "layer"):
        return _zero_states(layer.layer, params, rows)
    cell = layer.cell
    if not cell.carries:
        return cell.State()
    dtype = next(a.dtype for _, a in tree.leaves(params))
    return tree.beside(cell.zero_state(rows, binding.bind_params(cell, params)["H"], dtype), params)
