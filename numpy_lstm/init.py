"""Initialisers: a record of parameters from sizes and a Generator. The only room that sets a forget-gate bias.

A field's first letter says what it is: W and V input weights (H,D), U and R recurrent weights (H,R), M a
projection (R,H), b biases (H,), p peepholes (H,); gain and shift belong to layer normalisation.
Numbers are drawn in float64 and rounded once, so that one seed gives one network in every dtype.
"""

from typing import Any

import numpy as np

from .shapes import axes


def glorot_orthogonal(
    Params: Any, sizes: dict[str, int], rng: np.random.Generator, dtype: Any = np.float64, forget_bias: float = 1.0
) -> Any:
    """The default of every cell: Glorot-uniform W, orthogonal U, gains 1, all else 0, and ``b_f = forget_bias``.

    W_k is drawn block by block from U(-l, l), l = sqrt(6/(D+H)) (Glorot & Bengio 2010); U_k has orthonormal
    rows or columns, uniformly distributed (Saxe et al. 2014). A forget bias of 1 keeps 73 % of the cell per
    step (Gers et al. 2000; Jozefowicz et al. 2015); a cell without ``b_f`` has none.
    """
    _check_generator(rng)

    def draw(field: str, shape: tuple[int, ...]) -> Any:
        if field[0] in "WVM":
            limit = np.sqrt(6 / sum(shape))
            return rng.uniform(-limit, limit, shape)
        if field[0] in "UR":
            return _orthogonal(shape, rng)
        if field.startswith("gain"):
            return np.ones(shape)
        return np.full(shape, forget_bias if field == "b_f" else 0.0)

    return _fill(Params, sizes, dtype, draw)


def uniform(Params: Any, sizes: dict[str, int], rng: np.random.Generator, dtype: Any = np.float64) -> Any:
    """Every component from U(-1/sqrt(H), 1/sqrt(H)): what torch.nn.RNN, LSTM and GRU do.

    torch adds two such biases per gate; here there is one.
    """
    _check_generator(rng)
    return _fill(Params, sizes, dtype, lambda field, shape: rng.uniform(-1, 1, shape) / np.sqrt(sizes["H"]))


def chrono(params: Any, T_max: int, rng: np.random.Generator) -> Any:
    """``params`` with b_f = log U(1, T_max - 1) and b_i = -b_f (Tallec & Ollivier 2018, arXiv:1804.11188).

    The forget gates then hold memories for between 2 and ``T_max`` steps. Raises ValueError if T_max < 3 or
    the cell lacks one of the two gates.
    """
    _check_generator(rng)
    if T_max < 3:
        raise ValueError(f"T_max is {T_max}; expected at least 3, so that U(1, T_max - 1) has room")
    if not {"b_i", "b_f"} <= set(params._fields):
        raise ValueError(f"chrono sets b_i and b_f; the parameters have only {', '.join(params._fields)}")
    b_f = np.log(rng.uniform(1, T_max - 1, params.b_f.shape)).astype(params.b_f.dtype)
    return params._replace(b_f=b_f, b_i=-b_f)


def _fill(Params: Any, sizes: dict[str, int], dtype: Any, draw: Any) -> Any:
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dtype is {np.dtype(dtype)}; expected a floating one: float32, float64 or longdouble")
    fields = {}
    for field, letters in axes(Params).items():
        shape = tuple(sizes[letter] for letter in letters)
        if min(shape) < 1:
            raise ValueError(f"{field} would have shape {shape}; every size must be at least 1")
        fields[field] = draw(field, shape).astype(dtype)
    return Params(**fields)


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """QR of a normal matrix, with the signs that make Q uniformly distributed (Mezzadri 2007)."""
    rows, columns = shape
    Q, R = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
    return Q if rows >= columns else Q.T


def _check_generator(rng: object) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a {type(rng).__name__}; expected a Generator: numpy.random.default_rng(seed)")
