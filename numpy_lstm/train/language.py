"""A model of a language: the next symbol, given all before it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import arrays, flow, pages
from ..layers import EachStep, Recurrent
from .errors import TrainingError, expect_count, expect_within
from .model import Batch, Model


def language_model(
    symbols: int,
    cell: pages.Page = pages.LSTM,
    layers: int = 1,
    hidden: int = 128,
    embedding: int = 64,
    tied: bool = False,
    dropout: float = 0.0,
    engine: str = "fast",
) -> Model:
    """Embedding, ``layers`` of ``hidden`` units, a linear readout of logits, cross-entropy in nats.

    Dropout acts on what every layer above the embedding reads, the readout too. ``tied``: the readout's matrix is the
    embedding's (Press & Wolf 2017), which needs as many embedding dimensions as hidden units.
    """
    counts = {"symbols": symbols, "layers": layers, "hidden": hidden, "embedding": embedding}
    symbols, layers, hidden, embedding = (expect_count(name, count) for name, count in counts.items())
    dropout = expect_within("dropout", dropout, 0, 1)
    if tied and embedding != hidden:
        raise TrainingError(f"tied needs embedding = hidden; they are {embedding} and {hidden}")
    return Model(
        layers=(EachStep(pages.Embedding), *[Recurrent(cell, engine)] * layers, EachStep(pages.Linear)),
        sizes=(embedding, *[hidden] * layers, symbols),
        inputs=symbols,
        loss=pages.CrossEntropy,
        dropout=(0.0, *[dropout] * (layers + 1)),
        tied=((0, "W"), (layers + 1, "W")) if tied else None,
    )


def held_out_loss(model: Model, codes: Any, rows: int, steps: int) -> Callable[[Any], float]:
    """A function of the parameters: the mean loss in nats per symbol of ``codes``, read without dropout.

    The codes are read in so many rows side by side, from zero states that are carried from window to window.
    """
    rows, steps = expect_count("batch", rows), expect_count("steps", steps)
    rows = max(1, min(rows, (len(codes) - 1) // steps))
    stride = (len(codes) - 1) // rows
    if stride < 1:
        raise TrainingError(f"the held-out text has {len(codes)} characters; expected at least 2")
    places = np.arange(rows) * stride + np.arange(stride)[:, None]

    def loss(params: Any) -> float:
        carry, total = model.zero_carry(params, rows), 0.0
        for t in range(0, stride, steps):
            at = places[t : t + steps]
            run = model.forward(params, Batch(codes[at], codes[at + 1]), carry)
            carry, total = run.last, total + float(arrays.on_host(np.sum(run.losses, dtype=np.float64)))
        return total / places.size

    return loss


def encode(text: str, symbols: str) -> Any:
    """Each character as its place in ``symbols``. Raises TrainingError for one that is not among them."""
    place = {symbol: k for k, symbol in enumerate(symbols)}
    if unknown := sorted({c for c in text if c not in place}):
        listed = ", ".join(map(repr, unknown[:8]))
        raise TrainingError(f"the model knows no {listed}: the text it was trained on has {len(symbols)} symbols")
    return np.array([place[c] for c in text], dtype=np.int64)


def sample(
    model: Model, params: Any, symbols: str, prompt: str, length: int, rng: np.random.Generator, temperature: float = 1
) -> Iterator[str]:
    """``length`` characters that go on after ``prompt``, one by one; the state is carried from each to the next.

    The probabilities are those of the logits divided by ``temperature``. Raises TrainingError for an empty prompt, a
    character that the model does not know, symbols that do not fit it, a temperature that is not above 0, or logits
    that are not finite.
    """
    temperature = expect_within("temperature", temperature, 0, open_low=True)
    length = expect_count("length", length, 0)
    if len(symbols) != model.sizes[-1]:
        raise TrainingError(f"the vocabulary has {len(symbols)} symbols; the saved model has {model.sizes[-1]}")
    if not prompt:
        raise TrainingError("the prompt is empty; expected at least one character to begin with")
    return _sampled(model.having("explicit"), params, symbols, encode(prompt, symbols), length, rng, temperature)


def _sampled(
    model: Model, params: Any, symbols: str, codes: Any, length: int, rng: np.random.Generator, temperature: float
) -> Iterator[str]:
    carry = None
    for _ in range(length):
        code, carry = _drawn(model, params, codes, carry, rng, temperature)
        codes = np.array([code])
        yield symbols[code]


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused
def _drawn(
    model: Model, params: Any, codes: Any, carry: Any, rng: np.random.Generator, temperature: float
) -> tuple[int, Any]:
    logits, carry = model.outputs(params, codes[:, None], carry)
    scores = arrays.on_host(logits[-1, 0]).astype(np.float64)
    odds = np.exp((scores - np.max(scores)) / temperature)
    if not np.all(np.isfinite(odds)):
        raise TrainingError("the logits of the model are not finite: there is nothing to sample from")
    code = int(np.searchsorted(np.cumsum(odds), rng.random() * np.sum(odds), side="right"))
    return min(code, len(odds) - 1), carry


@np.errstate(over="ignore", invalid="ignore")
def gate_map(model: Model, params: Any, codes: Any, units: int = 10) -> tuple[list[int], dict[str, Any]]:
    """What ``units`` of the top cell do while it reads ``codes``: the units, and by name each value (T, units).

    First that by which each step multiplies the state: a gate (f of an LSTM, z of a GRU), else ``kept``; h for a cell
    without such a path. Then the other gates. The units are those in which the first varies most.
    """
    explicit = model.having("explicit")
    run = explicit.forward(params, Batch(codes[:-1, None], codes[1:, None]))
    *_, (leaf, p, r) = [found[1:] for found in explicit.walk(explicit.full(params), run.run) if found[1].cell.carries]
    gates = {k: arrays.on_host(getattr(r.values, k)[:, 0]) for k in flow.gates(leaf.cell, p, r)}
    try:
        kept = arrays.on_host(flow.carry_factors(leaf.cell, p, r)[:, 0])
        name = next((k for k, a in gates.items() if np.array_equal(a, kept)), "kept")
    except TypeError:
        name, kept = "h", arrays.on_host(r.hs[:, 0])
    chosen = np.argsort(-np.var(kept, axis=0))[:units]
    return chosen.tolist(), {k: a[:, chosen] for k, a in ({name: kept} | gates).items()}
