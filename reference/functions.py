"""The functions that the rows of ``chain_rule`` apply, with their derivatives: of single numbers, and of whole rows."""

from typing import Any

import numpy as np
from scipy.special import expit

FUNCTIONS = {
    "sigmoid": expit,
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "identity": lambda a: a,
    "one": np.ones_like,
    "clip_3": lambda a: np.clip(a, -3, 3),
    "exp": np.exp,
    "log1p": np.log1p,
    "top": lambda a: np.eye(a.shape[1])[np.argmax(a, axis=1)],
}
DERIVATIVES = {
    "sigmoid": lambda a: expit(a) * expit(-a),
    "tanh": lambda a: np.cosh(a) ** -2.0,
    "relu": lambda a: (a > 0).astype(float),
    "identity": np.ones_like,
    "one": np.zeros_like,
    "clip_3": lambda a: (np.abs(a) < 3).astype(float),
    "exp": np.exp,
    "log1p": lambda a: 1 / (1 + a),
    "top": np.zeros_like,
}


def normal(v: Any, eps: float) -> tuple[Any, Any]:
    """(v - mean)/s for each row of v (B,N), and its Jacobian (B,N,N) written out: (1 - 1/N - n n^T/N) / s."""
    N = v.shape[1]
    s = np.sqrt(np.var(v, axis=1) + eps)
    n = (v - np.mean(v, axis=1, keepdims=True)) / s[:, None]
    return n, (np.eye(N) - 1 / N - n[:, :, None] * n[:, None, :] / N) / s[:, None, None]


def softmax(v: Any) -> tuple[Any, Any]:
    """The weights of each row of v (B,N), and their Jacobian (B,N,N): diag(w) - w w^T."""
    w = np.exp(v - v.max(axis=1, keepdims=True))
    w = w / w.sum(axis=1, keepdims=True)
    return w, w[:, :, None] * (np.eye(v.shape[1]) - w[:, None, :])


ROWWISE = {"normalise": normal, "softmax": softmax}  # functions of a whole row: value, Jacobian
