"""The vocabulary of the pages: gate functions, their accurate derivatives, and contractions.

Local derivatives are taken from the *pre-activation* a. The familiar s(1-s) and 1-t^2 lose every digit once
s or t has rounded to 1; e/(1+e)^2 with e = exp(-|a|) and 4e/(1+e)^2 with e = exp(-2|a|) keep all of them.
Every function accepts real, complex (value + i*tangent) and object arrays; branches look at the real part
only, and nothing conjugates.
"""

from collections.abc import Sequence

from . import arrays
from .arrays import (
    Array,
    exchange,
    exp,
    gather_rows,
    keep_last,
    largest,
    pick,
    real,
    replaced,
    scatter_rows,
    sqrt,
    sum_axis,
    tanh,
    transpose,
    unread,
    where,
)

__all__ = [
    "affine",
    "contract",
    "dsigmoid",
    "dtanh",
    "exp_difference",
    "gather_rows",
    "keep_last",
    "largest",
    "linear",
    "magnitude",
    "mixture",
    "normalise",
    "normalise_adjoint",
    "others",
    "outer",
    "pick",
    "replaced",
    "row",
    "scatter_rows",
    "scores",
    "sigmoid",
    "softmax",
    "softmax_adjoint",
    "sum_columns",
    "sum_rows",
    "tanh",
    "unread",
    "without",
]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), in the form that never overflows. Any shape."""
    e = exp(arrays.minus_magnitude(a))
    s = 1 + e
    return where(real(a) >= 0, 1 / s, e / s)


def dsigmoid(a: Array) -> Array:
    """The derivative of the logistic function at the pre-activation a: e/(1+e)^2, e = exp(-|a|)."""
    e = exp(arrays.minus_magnitude(a))
    s = 1 + e
    return e / (s * s)


def dtanh(a: Array) -> Array:
    """The derivative of tanh at the pre-activation a: sech^2(a) = 4e/(1+e)^2, e = exp(-2|a|)."""
    e = exp(2 * arrays.minus_magnitude(a))
    s = 1 + e
    return 4 * e / (s * s)


def affine(x: Array, W: Array, h: Array, U: Array, b: Array) -> Array:
    """x W^T + h U^T + b for rows x (B,D), h (B,R); W (H,D), U (H,R), b (H,). Gives (B,H).

    All five may carry the same leading axes: one set of arrays per direction of a batched check.
    """
    return linear(x, W) + linear(h, U) + row(b)


def linear(x: Array, W: Array) -> Array:
    """x W^T for rows x (B,D) and W (H,D). Gives (B,H)."""
    return x @ transpose(W)


def row(b: Array) -> Array:
    """A vector (H,) as a row (1,H), which serves every row of a batch."""
    return b[..., None, :]


def contract(d: Array, x: Array) -> Array:
    """d^T x: the sum over rows of the outer products of d (N,H) and x (N,D). Gives (H,D)."""
    return transpose(d) @ x


def sum_rows(d: Array) -> Array:
    """The sum over the rows of d (N,H). Gives (H,)."""
    return sum_axis(d, axis=-2)


def sum_columns(a: Array) -> Array:
    """The sum of each row of a (...,B,N). Gives (...,B)."""
    return sum_axis(a, axis=-1)


def without(a: Array, codes: Array) -> Array:
    """The rows of a (...,B,N) with zero in the column that the code of each names."""
    return replaced(a, codes, arrays.zeros(a.shape[:-1], a))


def others(a: Array, codes: Array) -> Array:
    """The sum of each row of a (...,B,N) but for the column that its code names, which may hold anything."""
    return sum_columns(without(a, codes))


def exp_difference(a: Array, b: Array) -> Array:
    """exp(a - b) of a (...,B,N) and b (...,B,1), any size: what a - b rounds away (Knuth's TwoSum) is put back.

    exp(a - b) alone is off by as many units as a - b is large. An a far below b, -inf say, gives 0. Of float32 numbers
    nothing that counts is rounded away in float64.
    """
    if (wide := arrays.widened(a)) is not None:
        return arrays.astype(exp(wide - where(b < -3e38, arrays.zeros(b.shape, b), b)), a)
    return arrays.in_blocks(_exp_difference, a, b)


def _exp_difference(a: Array, b: Array) -> Array:
    b = where(real(b) < -3e38, arrays.zeros(b.shape, b), b)
    far = 0.5 * real(a) - 0.5 * real(b) < -1e30  # exp is 0 there, and a - b may overflow
    a = where(far, b, a)
    d = a - b
    back = d - a
    lost = (a - (d - back)) - (b + back)
    found = exp(d) * (1 + lost)
    return where(far, arrays.zeros(found.shape, found), found)


def softmax(e: Array) -> Array:
    """Weights exp(e_j) / sum of exp(e_k) along the last axis, accurate at any size; all 0 in a row of -inf alone."""
    top = largest(e)
    u = exp_difference(e, keep_last(pick(e, top)))
    return u / (1 + keep_last(others(u, top)))


def softmax_adjoint(dw: Array, w: Array) -> Array:
    """The cotangent of e from that of w = softmax(e): w (dw - sum of w dw), dw counted from that of the largest weight.

    Without that shift a row with one weight near 1 subtracts two numbers that are almost equal.
    """
    dw = dw - keep_last(pick(dw, largest(w)))
    return w * (dw - keep_last(sum_columns(w * dw)))


def scores(q: Array, memory: Array) -> Array:
    """The product of q (...,B,N) with each of S places of a memory (...,B,S,N). Gives (...,B,S).

    Here, in ``mixture`` and in ``outer`` T steps may share one memory: q (T,B,N), memory (B,S,N).
    """
    if q.ndim < memory.ndim:
        return (memory @ keep_last(q))[..., 0]
    return exchange(exchange(q) @ transpose(memory))


def mixture(w: Array, memory: Array) -> Array:
    """The places of a memory (...,B,S,N) weighted by w (...,B,S) and summed. Gives (...,B,N)."""
    if w.ndim < memory.ndim:
        return (w[..., None, :] @ memory)[..., 0, :]
    return exchange(exchange(w) @ memory)


def outer(w: Array, r: Array) -> Array:
    """The products of all of w (B,S) with all of r (B,N): (B,S,N). Of T steps, (T,B,S) and (T,B,N), their sum."""
    if w.ndim == 2:
        return keep_last(w) * r[..., None, :]
    return transpose(exchange(w)) @ exchange(r)


def magnitude(a: Array) -> Array:
    """|a| for reals; for complex numbers a or -a, whichever has the non-negative real part."""
    return where(real(a) >= 0, a, -a)


def normalise(blocks: Sequence[Array], eps: float) -> list[Array]:
    """(v - mean) / sqrt(variance + eps), the statistics of each row taken over all ``blocks`` (...,B,N) together."""
    centred, scale = _centre(blocks, eps)
    return [v / scale for v in centred]


def normalise_adjoint(d: Sequence[Array], blocks: Sequence[Array], eps: float) -> list[Array]:
    """The cotangents of ``blocks`` from those of ``normalise(blocks, eps)``: (d - mean d - n mean(d n)) / s."""
    centred, scale = _centre(blocks, eps)
    n = [v / scale for v in centred]
    mean_d, mean_dn = _mean(d), _mean([a * b for a, b in zip(d, n, strict=True)])
    return [(a - mean_d - b * mean_dn) / scale for a, b in zip(d, n, strict=True)]


def _centre(blocks: Sequence[Array], eps: float) -> tuple[list[Array], Array]:
    mean = _mean(blocks)
    centred = [v - mean for v in blocks]
    return centred, sqrt(_mean([v * v for v in centred]) + eps)


def _mean(blocks: Sequence[Array]) -> Array:
    """The mean of each row over all blocks, with a last axis of 1."""
    total, count = keep_last(sum_axis(blocks[0], axis=-1)), blocks[0].shape[-1]
    for v in blocks[1:]:
        total, count = total + keep_last(sum_axis(v, axis=-1)), count + v.shape[-1]
    return total / count
