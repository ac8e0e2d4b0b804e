"""Clipping: a gradient as it is, or made smaller; and the share of it that was clipped."""

import math
from typing import Any

import numpy as np

from .. import arrays, tree
from .errors import expect_within


def norm(grads: Any) -> float:
    """The Euclidean norm of all components, at any scale."""
    with np.errstate(over="ignore"):
        found = float(arrays.on_host(np.linalg.norm(tree.flatten(grads))))
    kind = np.finfo(next(a.dtype for _, a in tree.leaves(grads)))
    least = math.sqrt(tree.size(grads) * float(kind.tiny) / float(kind.eps))  # above it no square is missed that counts
    return found if least < found < math.inf else tree.norm(grads)


def by_norm(grads: Any, limit: float, size: float | None = None) -> tuple[Any, float]:
    """``grads`` times min(1, limit/(norm + 1e-6)), as torch.nn.utils.clip_grad_norm_; 1.0 if that shrank it, else 0.0.

    ``size`` is their ``norm``, if it is known. Pascanu et al. 2013. Raises TrainingError unless limit > 0.
    """
    limit = expect_within("clip", limit, 0, open_low=True)
    factor = min(1.0, limit / (float(norm(grads) if size is None else size) + 1e-6))
    return (tree.scale(factor, grads), 1.0) if factor < 1 else (grads, 0.0)


def by_value(grads: Any, limit: float) -> tuple[Any, float]:
    """Each component cut to -limit..limit; the share of components that were beyond. Raises unless limit > 0."""
    limit = expect_within("clip_value", limit, 0, open_low=True)
    beyond = sum(int(arrays.on_host(np.sum(abs(a) > limit))) for a in tree.every(grads))
    cut = tree.map(lambda a: arrays.namespace(a).clip(a, -limit, limit), grads)
    return cut, beyond / tree.size(grads)
