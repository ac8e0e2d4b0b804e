"""Mistakes around a loss: softmax, means, padding, dropout, embeddings, tied weights.

They stand beside the catalogue, since a case of the judge is a network without its loss. Each is made in a
``Training``, a small network with all of these in it, and gives numbers of its own, as those of the catalogue do.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import exp, keep_last
from ..ops import pick, replaced, sum_columns
from ..pages import CrossEntropy, Dropout, Embedding
from ..pages.page import Page
from .edits import with_arriving, with_gradients, with_values
from .loss_workbench import LENGTHS, B, H, LossMistake, P, T
from .workbench import Edits


def _unshifted(page: Page) -> Page:
    """Softmax, then minus its logarithm; probability less one. exp overflows at 710."""

    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        with np.errstate(all="ignore"):
            e = exp(x.x)
            s = sum_columns(e)
            loss = -np.log(np.asarray(pick(e, x.target) / s))
            return page.Trace(x=x.x, target=x.target, m=0 * s, e=e, s=s, loss=loss)

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        with np.errstate(all="ignore"):
            share = v.e / keep_last(v.s)
            dx = keep_last(d.loss) * replaced(share, v.target, pick(share, v.target) - 1)
            return page.Trace(x=dx, target=None, m=d.loss, e=0 * dx, s=0 * v.s, loss=d.loss)

    return replace(page, values=values, adjoint=adjoint)


def _twice(page: Page) -> Page:
    """The loss reads probabilities, as if they were logits."""

    def share(x: Any) -> Any:
        e = exp(x - keep_last(np.max(x.real, axis=-1)))
        return e / keep_last(sum_columns(e))

    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        return page.values(F, p, x._replace(x=share(x.x)), prev)._replace(x=x.x)

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        y = share(v.x)
        back = page.adjoint(F, p, v._replace(x=y), d)
        return back._replace(x=y * (back.x - keep_last(sum_columns(y * back.x))))

    return replace(page, values=values, adjoint=adjoint)


def _overwritten(v: Any, d: Any, right: Any) -> Any:
    """``dW[x] += dy``: of the rows with one code the last alone is kept."""
    W = 0 * right.W
    W[v.x] += d.y
    return right._replace(W=W)


LOSSES = [
    LossMistake(
        "softmax-without-shift",
        "exp of the logits themselves: infinity over infinity once one is beyond 710",
        "common",
        lambda t: t.throughout({CrossEntropy: Edits(page=_unshifted)}),
        consistent=True,
        spread=1000.0,
    ),
    LossMistake(
        "softmax-twice",
        "probabilities, not logits, go into a loss that has a softmax of its own (X2)",
        "common",
        lambda t: t.throughout({CrossEntropy: Edits(page=_twice)}),
        consistent=True,
    ),
    LossMistake(
        "sum-gradient-of-a-mean",
        "the loss is the mean over tokens, its gradient that of the sum",
        "common",
        lambda t: t.answer(dcounts=1.0),
    ),
    LossMistake(
        "arriving-cotangent-ignored",
        "dx = p - 1 at the target, whatever each row counts (X4')",
        "derived",
        lambda t: t.back({CrossEntropy: with_arriving(lambda cell, v, d: d._replace(loss=0 * d.loss + 1))}),
    ),
    LossMistake(
        "padding-in-the-mean",
        "the mean divides by T B, padding counted, in the loss and in its gradient",
        "common",
        lambda t: t.answer(counts=1 / (T * B)),
        consistent=True,
    ),
    LossMistake(
        "padding-in-the-mean-of-the-gradient",
        "the loss divides by the number of tokens, its gradient by T B",
        "derived",
        lambda t: t.answer(dcounts=1 / (T * B)),
    ),
    LossMistake(
        "mean-of-sequence-means",
        "each sequence counts alike, not each token",
        "common",
        lambda t: t.answer(counts=1 / (np.array(LENGTHS) * B)),
        consistent=True,
    ),
    LossMistake(
        "tied-gradient-of-the-readout-only",
        "E is used twice, and has the gradient of one use (E1')",
        "common",
        lambda t: t.answer(tied=(0.0, 1.0)),
    ),
    LossMistake(
        "tied-gradient-of-the-embedding-only",
        "E is used twice, and has the gradient of one use (Y1')",
        "common",
        lambda t: t.answer(tied=(1.0, 0.0)),
    ),
    LossMistake(
        "rows-of-one-code-overwritten",
        "dW[x] += dy: of several rows with one code the last alone is kept (E1')",
        "common",
        lambda t: t.back({Embedding: with_gradients(_overwritten)}),
    ),
    LossMistake(
        "dropout-redrawn",
        "the backward pass draws a mask of its own (D1')",
        "common",
        lambda t: t.back({Dropout: with_values(lambda v: v._replace(mask=t.other_mask.reshape(-1, H)))}),
    ),
    LossMistake(
        "dropout-unscaled",
        "dx = dy where x was kept, without 1/(1-p) (D1')",
        "common",
        lambda t: t.back({Dropout: with_values(lambda v: v._replace(mask=(1 - P) * v.mask))}),
    ),
    LossMistake(
        "dropout-forward-only",
        "dx = dy, as if nothing had been dropped (D1')",
        "common",
        lambda t: t.back({Dropout: with_values(lambda v: v._replace(mask=0 * v.mask + 1))}),
    ),
    LossMistake(
        "dropout-never-scaled",
        "masks of 0 and 1 in both passes: what follows reads less in training than after it (D1)",
        "common",
        lambda t: t._replace(mask=(1 - P) * t.mask).answer(),
        consistent=True,
    ),
    LossMistake(
        "targets-not-shifted",
        "the target of each step is the symbol that was read: a network that copies has no loss",
        "common",
        lambda t: t._replace(targets=t.codes).answer(),
        consistent=True,
    ),
]
