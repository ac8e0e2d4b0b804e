"""What a trained model writes: the most probable sequences, by beam search."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, tree, wiring
from ..arrays import keep_last, log1p
from ..ops import exp_difference, largest, others, pick
from .encoder_decoder import EncoderDecoder, Parts
from .errors import TrainingError, expect_count, expect_within
from .pairs import BOUNDARY, padded


class Found(NamedTuple):
    """The best sequence found for one source: its ``codes``, without the boundary, and its ``log_probability``.

    ``alignment`` (T,S) is what each step attended to (w of A3), the step that gave the boundary included; None without
    attention. ``ended``: whether it ends within the limit, or was cut off there.
    """

    codes: list[int]
    log_probability: float
    alignment: Any
    ended: bool


def log_probabilities(logits: Any) -> Any:
    """log softmax of each row of logits (...,A): minus what the page CrossEntropy gives for each symbol (X1 to X4)."""
    top = largest(logits)
    x_top = keep_last(pick(logits, top))
    return (logits - x_top) - log1p(keep_last(others(exp_difference(logits, x_top), top)))


def search(
    model: EncoderDecoder, params: Parts, sources: Sequence[Any], beam: int = 1, limit: int = 100, power: float = 0.0
) -> list[Found]:
    """The best sequence for each row of source codes, all rows at once; a ``beam`` of 1 is greedy search.

    At every step the ``beam`` most probable beginnings are kept; one that has ended stays among them with the
    probability it has. At the end those that ended come before those that did not, and the first is the one of the
    largest log-probability divided by length ** ``power``, the boundary counted: 0 is the most probable, 1 the one of
    the most probable symbols. Raises TrainingError for an empty source, or logits that are not finite.
    """
    beam, limit = expect_count("beam", beam), expect_count("limit", limit)
    power = expect_within("power", power, 0)
    model, (read, lengths) = model.having("explicit"), padded(sources)
    B, A = len(lengths), model.targets
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
        _, encoded = model.encode(params, read, lengths)
        decoder, state = model.decoder(encoded, copies=beam)
        total = np.where(np.arange(beam) > 0, -np.inf, np.zeros((B, beam)))  # one beginning: the others are none yet
        ended, codes = np.zeros((B, beam), bool), np.zeros((B, beam, 0), int)
        weights: list[Any] = []
        code = np.full(B * beam, BOUNDARY)
        for _ in range(limit):
            run = decoder.forward(params.decoder, tree.beside(code[None], params), state)
            logits = np.asarray(arrays.on_host(run.hs[0]), np.float64)
            if not np.all(np.isfinite(logits)):
                raise TrainingError("the logits of the model are not finite: there is nothing to search for")
            after = log_probabilities(logits).reshape(B, beam, A)
            after = np.where(ended[..., None], np.where(np.arange(A) == BOUNDARY, 0, -np.inf), after)
            scores = (total[..., None] + after).reshape(B, beam * A)
            best = np.argpartition(-scores, beam - 1, axis=1)[:, :beam]
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
            best = np.take_along_axis(best, order, 1)
            total, (came, now) = np.take_along_axis(scores, best, 1), np.divmod(best, A)
            rows = (np.arange(B)[:, None] * beam + came).ravel()
            kept, code = tree.beside(rows, params), now.ravel()
            state = tree.map(lambda a, kept=kept: a[kept], run.last)
            codes = np.concatenate([np.take_along_axis(codes, came[..., None], 1), now[..., None]], axis=-1)
            weights = [a[rows] for a in [*weights, *_weights(decoder, run)]]
            ended = np.take_along_axis(ended, came, 1) | (now == BOUNDARY)
            if np.all(ended if power else ended[:, 0]):  # those after the first are no more probable
                break
    sizes = np.sum(np.cumsum(codes == BOUNDARY, axis=-1) == 0, axis=-1) + ended  # the first boundary is counted
    scores = np.where(ended | ~np.any(ended, axis=1, keepdims=True), total / np.maximum(sizes, 1) ** power, -np.inf)
    aligned = np.stack(weights, axis=1).reshape(B, beam, len(weights), -1) if weights else None
    found = []
    for b, k in enumerate(np.argmax(scores, axis=1)):
        n = sizes[b, k]
        seen = None if aligned is None else aligned[b, k, :n, : lengths[b]]
        row = codes[b, k, : n - ended[b, k]].tolist()
        found.append(Found(row, float(total[b, k]), seen, bool(ended[b, k])))
    return found


def _weights(decoder: Any, run: Any) -> list[Any]:
    """What the page that reads the memory attended to in the one step of this run."""
    leaves = [r.values for _, leaf, r in wiring.walk(decoder, run) if "memory" in leaf.cell.reads]
    return [arrays.on_host(values.w[0]) for values in leaves]
