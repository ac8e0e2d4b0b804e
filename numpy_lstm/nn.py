"""Twins of torch.nn.RNN, LSTM and GRU: the same arguments, parameter names, shapes and order of outputs.

A twin owns its parameters under torch's names and nothing else. ``forward`` returns the run, and the run knows how
to go back; ``twin(x, hx)`` is torch's call. Where torch packs sequences, ``lengths`` is given (a length may be 0).
Unlike torch, a batch of no rows is refused. ``engine="fast"`` gives the same results by way of ``numpy_lstm.fast``.
Methods: see ``Twin``.
"""

from typing import Any

import numpy as np

from .activations import RELU, TANH
from .pages import GRU as GRU_CELL
from .pages import LSTM as LSTM_CELL
from .pages import RNN as RNN_CELL
from .pages import projected
from .twin import Gradients, Run, Twin

__all__ = ["GRU", "LSTM", "RNN", "Gradients", "Run", "Twin"]


class LSTM(Twin):
    """The twin of torch.nn.LSTM; ``proj_size`` is the width R of a projected output."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = np.float64,
        rng: np.random.Generator | None = None,
        engine: str = "explicit",
    ) -> None:
        if not isinstance(proj_size, int) or not isinstance(hidden_size, int):
            raise ValueError(f"hidden_size is {hidden_size!r} and proj_size is {proj_size!r}; expected integers")
        if not 0 <= proj_size < max(hidden_size, 1):
            raise ValueError(f"proj_size is {proj_size}; expected 0 (none) or less than hidden_size={hidden_size}")
        cell = projected(LSTM_CELL, proj_size) if proj_size else LSTM_CELL
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng, engine
        )


class GRU(Twin):
    """The twin of torch.nn.GRU: reset after the product, two biases in the candidate."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = np.float64,
        rng: np.random.Generator | None = None,
        engine: str = "explicit",
    ) -> None:
        _no_projection(proj_size)
        super().__init__(
            GRU_CELL, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng, engine
        )


class RNN(Twin):
    """The twin of torch.nn.RNN, ``nonlinearity`` tanh or relu."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = np.float64,
        rng: np.random.Generator | None = None,
        engine: str = "explicit",
    ) -> None:
        _no_projection(proj_size)
        functions = {"tanh": TANH, "relu": RELU}
        if nonlinearity not in functions:
            raise ValueError(f"nonlinearity is {nonlinearity!r}; expected 'tanh' or 'relu'")
        cell = RNN_CELL.having("RNN", h=functions[nonlinearity])
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng, engine
        )


def _no_projection(proj_size: int) -> None:
    if proj_size != 0:
        raise ValueError(f"proj_size is {proj_size}; only an LSTM can be projected")
