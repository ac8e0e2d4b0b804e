"""The vocabulary of the pages: gate functions, their accurate derivatives, and contractions.

Local derivatives are taken from the *pre-activation* a. The familiar s(1-s) and 1-t^2 lose every digit once
s or t has rounded to 1; e/(1+e)^2 with e = exp(-|a|) and 4e/(1+e)^2 with e = exp(-2|a|) keep all of them.
Every function accepts real, complex (value + i*tangent) and object arrays; branches look at the real part
only, and nothing conjugates.
"""

from .arrays import Array, exp, real, sum_axis, tanh, transpose, where

__all__ = ["affine", "contract", "dsigmoid", "dtanh", "sigmoid", "sum_rows", "tanh"]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), in the form that never overflows. Any shape."""
    e = exp(-_away_from_zero(a))
    return where(real(a) >= 0, 1 / (1 + e), e / (1 + e))


def dsigmoid(a: Array) -> Array:
    """The derivative of the logistic function at the pre-activation a: e/(1+e)^2, e = exp(-|a|)."""
    e = exp(-_away_from_zero(a))
    return e / ((1 + e) * (1 + e))


def dtanh(a: Array) -> Array:
    """The derivative of tanh at the pre-activation a: sech^2(a) = 4e/(1+e)^2, e = exp(-2|a|)."""
    e = exp(-2 * _away_from_zero(a))
    return 4 * e / ((1 + e) * (1 + e))


def affine(x: Array, W: Array, h: Array, U: Array, b: Array) -> Array:
    """x W^T + h U^T + b for rows x (B,D), h (B,R); W (H,D), U (H,R), b (H,). Gives (B,H).

    All five may carry the same leading axes: one set of arrays per direction of a batched check.
    """
    return x @ transpose(W) + h @ transpose(U) + b[..., None, :]


def contract(d: Array, x: Array) -> Array:
    """d^T x: the sum over rows of the outer products of d (N,H) and x (N,D). Gives (H,D)."""
    return transpose(d) @ x


def sum_rows(d: Array) -> Array:
    """The sum over the rows of d (N,H). Gives (H,)."""
    return sum_axis(d, axis=-2)


def _away_from_zero(a: Array) -> Array:
    """|a| for reals; for complex numbers a or -a, whichever has the non-negative real part."""
    return where(real(a) >= 0, a, -a)
