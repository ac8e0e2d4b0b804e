"""PyTorch trains the models of ``numpy_lstm.train``: torch.nn, torch.optim, clip_grad_norm_.

torch.nn has two biases for each gate; the second is zero here and not trained, so that both have the same parameters.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import numpy_lstm as nl
from numpy_lstm import layouts

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
SUFFIXES = ("", "_reverse")


class Language(torch.nn.Module):
    """Embedding, LSTMs with a mask on what each and the readout reads, readout."""

    def __init__(self, params: Sequence[Any]) -> None:
        super().__init__()
        bottom, *cells, top = params
        self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(bottom.W), freeze=False)
        self.cells = torch.nn.ModuleList(_lstm(p) for p in cells)
        self.readout = torch.nn.Linear(*top.W.shape[::-1], dtype=self.embedding.weight.dtype)
        self.readout.load_state_dict({"weight": torch.tensor(top.W), "bias": torch.tensor(top.b)})

    def forward(self, codes: Any, states: Sequence[Any], masks: Any = None) -> tuple[Any, list[Any]]:
        """Logits (T,B,A) and the last states of ``codes`` (T,B); ``states`` (h, c) of each layer, or None."""
        x, last, masks = self.embedding(codes), [], masks or [None] * (len(self.cells) + 2)
        for cell, state, mask in zip(self.cells, states, masks[1:], strict=False):
            x, found = cell(x if mask is None else x * torch.tensor(mask, device=x.device), state)
            last.append(tuple(a.detach() for a in found))
        return self.readout(x if masks[-1] is None else x * torch.tensor(masks[-1], device=x.device)), last

    def params(self) -> tuple[Any, ...]:
        """The parameters as records."""
        read = {k: a.detach().numpy().copy() for k, a in self.named_parameters()}
        cells = [
            layouts.load("torch", {k: a.detach().numpy().copy() for k, a in cell.named_parameters()}, nl.LSTM)
            for cell in self.cells
        ]
        bottom = nl.Embedding.Params(read["embedding.weight"])
        return (bottom, *cells, nl.Linear.Params(read["readout.weight"], read["readout.bias"]))


def train(
    params: Sequence[Any], batches: Iterable[tuple[Any, Any]], optimiser: str, clip: float | None, **options: Any
) -> tuple[list[float], tuple[Any, ...], list[bool]]:
    """The loss before each update, the parameters after the last, and which updates were clipped.

    ``batches`` are pairs of a train.Batch and dropout masks. See ``updates`` for the options.
    """
    model = Language(params)
    update = updates(model, optimiser, clip, **options)
    losses, norms = zip(*(update(batch, masks) for batch, masks in batches), strict=True)
    return list(losses), model.params(), [clip is not None and norm > clip for norm in norms]


def updates(model: Language, optimiser: str, clip: float | None, **options: Any) -> Callable[..., tuple[float, float]]:
    """A function that updates the model: from a train.Batch and dropout masks, the loss before, and the gradient norm.

    ``options`` are those of torch.optim; ``weight_decay`` acts on matrices alone.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    decay = options.pop("weight_decay", 0.0)
    groups = [{"params": [p for p in trained if p.ndim > 1], "weight_decay": decay}]
    groups += [{"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0}]
    step, states = OPTIMISERS[optimiser](groups, **options), [None] * len(model.cells)
    device = trained[0].device

    def update(batch: Any, masks: Any = None) -> tuple[float, float]:
        kept = torch.tensor(~batch.fresh, device=device)[:, None]
        before = [state and tuple(a * kept for a in state) for state in states]
        logits, states[:] = model(torch.tensor(batch.xs, device=device), before, masks)
        loss = cross_entropy(logits.flatten(0, 1), torch.tensor(batch.targets, device=device).flatten())
        step.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, torch.inf if clip is None else clip)
        step.step()
        return loss.item(), float(norm)

    return update


def recurrent(model: Language, x: Any) -> None:
    """The LSTMs of the model alone, there and back, on inputs x (T,B,D)."""
    x = torch.tensor(x, requires_grad=True)
    for cell in model.cells:
        x, _ = cell(x)
    x.backward(torch.ones_like(x))


def classified(params: Sequence[Any], batch: Any, pooling: str) -> tuple[float, tuple[Any, ...]]:
    """The mean loss of a train.Classifier of LSTMs on a train.Labelled, as packed sequences, and its gradient."""
    bottom, *cells, top = params
    leaves = [torch.tensor(a, requires_grad=True) for a in (bottom.W, top.W, top.b)]
    lengths, layers = torch.tensor(batch.lengths), [_lstm(*(p if type(p) is tuple else (p,))) for p in cells]
    packed = pack_padded_sequence(leaves[0][torch.tensor(batch.xs)], lengths, enforce_sorted=False)
    for layer in layers:
        packed, (last, _) = layer(packed)
    hs = pad_packed_sequence(packed)[0]
    pooled = hs.sum(0) / lengths[:, None] if pooling == "mean" else torch.cat(list(last), dim=-1)
    loss = cross_entropy(linear(pooled, *leaves[1:]), torch.tensor(batch.targets))
    loss.backward()
    W, V, b = (a.grad.numpy() for a in leaves)
    return loss.item(), (nl.Embedding.Params(W), *map(_lstm_gradient, layers), nl.Linear.Params(V, b))


def _lstm_gradient(layer: torch.nn.LSTM) -> Any:
    """The gradient of each direction, as records."""
    grads = {k: torch.zeros_like(a) if a.grad is None else a.grad for k, a in layer.named_parameters()}
    found = []
    for suffix in SUFFIXES[: 1 + layer.bidirectional]:
        own = {k.removesuffix("_reverse"): a.numpy() for k, a in grads.items() if k.endswith(f"l0{suffix}")}
        found.append(layouts.load("torch", own, nl.LSTM))
    return tuple(found) if layer.bidirectional else found[0]


def _lstm(*directions: Any) -> torch.nn.LSTM:
    like = torch.tensor(directions[0].W_i)
    layer = torch.nn.LSTM(*like.shape[::-1], bidirectional=len(directions) == 2, dtype=like.dtype)
    named = [(layouts.dump("torch", p, nl.LSTM), suffix) for p, suffix in zip(directions, SUFFIXES, strict=False)]
    layer.load_state_dict({f"{k}{suffix}": torch.tensor(a) for own, suffix in named for k, a in own.items()})
    for suffix in SUFFIXES[: len(directions)]:
        getattr(layer, f"bias_hh_l0{suffix}").requires_grad_(False)
    return layer


def on_gpu(params: Sequence[Any]) -> Language | None:
    """The model on a GPU, where float32 is float32; None if torch has none."""
    if not torch.cuda.is_available():
        return None
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return Language(params).to("cuda")


class Translation(torch.nn.Module):
    """An encoder, and a decoder with Luong's attention or without; each row is read by itself, without padding."""

    def __init__(self, params: Any) -> None:
        super().__init__()
        (below, *each), _, (bottom, *cells, top) = params
        attention = cells.pop() if isinstance(cells[-1], nl.Attention.Params) else ()
        self.attention = torch.nn.ParameterList(torch.tensor(a) for a in attention)
        self.embeddings = torch.nn.ParameterList(torch.tensor(p.W) for p in (below, bottom))
        self.encoder = torch.nn.ModuleList(_lstm(p) for ways in each for p in ways)
        self.decoder = torch.nn.ModuleList(_lstm(p) for p in cells)
        self.readout = torch.nn.ParameterList(torch.tensor(a) for a in top)

    def loss(self, source: Any, inputs: Any, targets: Any) -> Any:
        """The sum over the symbols of one row."""
        x, ends = self.embeddings[0][torch.tensor(source)], []
        for ahead, back in zip(self.encoder[::2], self.encoder[1::2], strict=True):
            (one, state), (two, other) = ahead(x), back(x.flip(0))
            x = torch.cat([one, two.flip(0)], -1)
            ends.append(tuple(torch.cat(both, -1) for both in zip(state, other, strict=True)))
        memory, x = x, self.embeddings[1][torch.tensor(inputs)]
        for cell, state in zip(self.decoder, ends, strict=True):
            x, _ = cell(x, state)
        if len(self.attention):
            W_a, W_r, W_x, b = self.attention
            x = torch.tanh(torch.softmax(x @ W_a.T @ memory.T, -1) @ memory @ W_r.T + x @ W_x.T + b)
        W, b = self.readout
        return cross_entropy(x @ W.T + b, torch.tensor(targets), reduction="sum")

    def gradient(self, batch: Any) -> tuple[float, Any]:
        """The mean loss over the symbols of a train.Pairs, and its gradient as the parameters are."""
        rows = [self.loss(*row) for row in _rows(batch)]
        loss = sum(rows) / int(batch.counts().sum())
        self.zero_grad()
        loss.backward()
        d = [[a.grad.numpy() for a in one] for one in (self.embeddings, self.attention, self.readout)]
        ways, cells = ([_lstm_gradient(one) for one in part] for part in (self.encoder, self.decoder))
        pairs = zip(ways[::2], ways[1::2], strict=True)
        above = [*([nl.Attention.Params(*d[1])] if d[1] else []), nl.Linear.Params(*d[2])]
        below, bottom = map(nl.Embedding.Params, d[0])
        return loss.item(), nl.train.Parts((below, *pairs), None, (bottom, *cells, *above))


def _rows(batch: Any) -> Any:
    """Source, inputs and targets of each row, without padding."""
    for b, (S, T) in enumerate(zip(batch.lengths, batch.target_lengths, strict=True)):
        yield batch.sources[:S, b], batch.inputs[:T, b], batch.targets[:T, b]
