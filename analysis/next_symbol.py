"""A next-symbol loss: embedding, recurrent cell, linear readout, cross-entropy; and its gradient."""

from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl

from . import networks
from .networks import Setting

NETWORKS = {
    "RNN": Setting("RNN", "uniform", None),
    "LSTM, forget bias 0": Setting("LSTM", "uniform", 0.0),
    "LSTM, forget bias 1": Setting("LSTM", "uniform", 1.0),
    "LSTM, forget bias 2": Setting("LSTM", "uniform", 2.0),
    "LSTM, chrono": Setting("LSTM", "uniform", "chrono"),
}


class Weights(NamedTuple):
    """Embedding E (A,D) for an alphabet of A symbols; the cell's params and first state; readout V (A,H), v (A,)."""

    E: Any
    params: Any
    first: Any
    V: Any
    v: Any


def weights(setting: Setting, A: int, B: int, D: int, H: int, T_max: int, rng: np.random.Generator) -> Weights:
    """A network at initialisation; embeddings and the first state are normal, chrono holds memories up to ``T_max``."""
    params = networks.params(setting, D, H, T_max, rng)
    zero = setting.page.zero_state(B, H)
    first = type(zero)(*(0.5 * rng.standard_normal(a.shape) for a in zero))
    return Weights(rng.standard_normal((A, D)), params, first, rng.standard_normal((A, H)) / np.sqrt(H), np.zeros(A))


def embed(w: Weights, codes: Any) -> Any:
    """Codes (T,B) as inputs (...,T,B,D)."""
    return w.E[..., codes, :]


def cross_entropy(w: Weights, hs: Any, targets: Any) -> Any:
    """The sum over all steps and rows of -log p(target | h), in nats. hs (...,T,B,H), targets (T,B).

    Accepts complex numbers and leading axes, so that complex steps go through it.
    """
    logits = hs @ np.swapaxes(w.V, -1, -2)[..., None, :, :] + w.v[..., None, None, :]
    logits = logits - np.max(logits.real, axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, np.broadcast_to(targets[..., None], (*logits.shape[:-1], 1)), axis=-1)
    return np.sum(np.log(np.sum(np.exp(logits), axis=-1)) - chosen[..., 0], axis=(-2, -1))


def cross_entropy_gradient(w: Weights, hs: Any, targets: Any) -> tuple[Any, Any, Any]:
    """The gradient of ``cross_entropy`` with respect to hs, V and v; hs (T,B,H)."""
    logits = hs @ w.V.T + w.v
    p = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    d = p / np.sum(p, axis=-1, keepdims=True) - (targets[..., None] == np.arange(len(w.v)))
    return d @ w.V, np.einsum("tba,tbh->ah", d, hs), np.sum(d, axis=(0, 1))


def loss(cell: nl.Page, w: Weights, codes: Any) -> Any:
    """The loss of predicting codes[1:] from codes[:-1]; codes (T+1,B). Only the cell's forward step is used."""
    problem = nl.check.Problem(cell, None, None)
    states = problem.outputs(nl.check.Point(w.params, embed(w, codes[:-1]), w.first)).states
    return cross_entropy(w, states.h, codes[1:])


def gradient(cell: nl.Page, w: Weights, codes: Any) -> Weights:
    """The gradient of ``loss`` by every weight, by hand-derived formulas."""
    run = nl.forward(cell, w.params, embed(w, codes[:-1]), w.first)
    dhs, dV, dv = cross_entropy_gradient(w, run.hs, codes[1:])
    back = nl.backward(cell, w.params, run, dhs=dhs)
    dE = np.zeros_like(w.E)
    np.add.at(dE, codes[:-1], back.dxs)
    return Weights(dE, back.dparams, back.dfirst, dV, dv)


def last_surprise(cell: nl.Page, w: Weights, codes: Any) -> nl.flow.Pass:
    """Forward and back where the loss is the surprise at the last symbol alone: lag is then distance to the loss."""
    xs = embed(w, codes[:-1])
    last = nl.forward(cell, w.params, xs, w.first).hs[-1:]
    dlast = cell.partial_state(h=cross_entropy_gradient(w, last, codes[-1:])[0][0])
    return nl.flow.passes(cell, w.params, xs, w.first, dlast=dlast)[0]
