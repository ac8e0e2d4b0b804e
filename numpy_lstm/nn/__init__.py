"""Twins of torch.nn.RNN, LSTM and GRU: the same arguments, parameter names, shapes and order of outputs.

A twin owns its parameters under torch's names and nothing else. ``forward`` returns the run, and the run knows how
to go back; ``twin(x, hx)`` is torch's call. Where torch packs sequences, ``lengths`` is given (a length may be 0).
Unlike torch, a batch of no rows is refused. ``engine="fast"`` gives the same results by way of ``numpy_lstm.fast``.
Methods: see ``Twin``.
"""

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from ..activations import RELU, TANH
from ..layouts import LayoutError
from ..pages import GRU as GRU_CELL
from ..pages import LSTM as LSTM_CELL
from ..pages import RNN as RNN_CELL
from . import state_dict
from .twin import Gradients, Run, Twin

__all__ = ["GRU", "LSTM", "RNN", "Gradients", "Run", "Twin", "from_state_dict"]


class LSTM(Twin):
    """The twin of torch.nn.LSTM; ``proj_size`` is the width R of a projected output."""

    CELL, PROJECTED = LSTM_CELL, True


class GRU(Twin):
    """The twin of torch.nn.GRU: reset after the product, two biases in the candidate."""

    CELL = GRU_CELL


class RNN(Twin):
    """The twin of torch.nn.RNN, ``nonlinearity`` tanh or relu; the arguments behind it are those of the others."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *others: Any,
        **options: Any,
    ) -> None:
        functions = {"tanh": TANH, "relu": RELU}
        if nonlinearity not in functions:
            raise ValueError(f"nonlinearity is {nonlinearity!r}; expected 'tanh' or 'relu'")
        self.CELL = RNN_CELL.having("RNN", h=functions[nonlinearity])
        super().__init__(input_size, hidden_size, num_layers, *others, **options)


def from_state_dict(
    source: Mapping[str, Any] | str | PathLike[str],
    nonlinearity: str = "tanh",
    batch_first: bool = False,
    dropout: float = 0.0,
    *,
    prefix: str = "",
    dtype: Any = np.float64,
    rng: np.random.Generator | None = None,
    engine: str = "explicit",
) -> Twin:
    """The twin with these parameters, a mapping of torch's names to NumPy arrays or torch tensors, or a file of them.

    Kind, sizes, depth, directions, biases and projection are read off names and shapes; the other arguments are what
    shapes do not tell (``nonlinearity`` of an RNN). The names may be those of a torch cell; ``prefix`` stands before
    them, as for ``load_state_dict``. Raises LayoutError for names or shapes that fit none.
    """
    whole = state_dict.mapping(source)
    given = state_dict.Part(whole, prefix)
    end = "" if state_dict.is_cell(given) else "_l0"
    W, U, M = (f"weight_{kind}{end}" for kind in ("ih", "hh", "hr"))
    if W not in given or U not in given:
        names = ", ".join(map(str, [*given][:4])) or "nothing"
        said = f"no weight_ih_l0 and weight_hh_l0 among {names}, ...; expected the names of one torch layer"
        behind = [k[: k.rindex("weight_hh")] for k in map(str, whole) if k.endswith(("weight_hh", "weight_hh_l0"))]
        raise LayoutError(said + (f": prefix={' or '.join(map(repr, behind))}" if behind else ""))
    shapes = {name: tuple(a.shape) for name, a in given.items()}
    rows, R = shapes[U]
    H = shapes.get(M, (R, R))[1]
    options: dict[str, Any] = {
        "num_layers": len([k for k in shapes if re.fullmatch(rf"weight_hh{end and '_l[0-9]+'}", k)]),
        "bias": f"bias_ih{end}" in shapes,
        "batch_first": batch_first,
        "dropout": dropout,
        "bidirectional": f"{U}_reverse" in shapes,
        "proj_size": R if M in shapes else 0,
    }
    kinds: dict[int, type[Twin]] = {4 * H: LSTM, 3 * H: GRU, H: RNN}
    if rows not in kinds:
        raise LayoutError(f"{prefix}{U} has shape {rows, R}; expected 4, 3 or 1 times {H} rows: LSTM, GRU or RNN")
    more = {"nonlinearity": nonlinearity} if rows == H else {}
    twin: Any = kinds[rows]
    made: Twin = twin(shapes[W][1], H, **options, **more, dtype=dtype, rng=rng, engine=engine)
    made.load_state_dict({prefix + name: a for name, a in given.items()}, prefix)
    return made
