"""numpy-lstm: the reference for LSTM gradients. Public names, in reading order."""

from . import arrays, ops, shapes, tree  # isort: skip
from .cells import LSTM, RNN, Cell
from . import init  # isort: skip
from .scan import Backward, Forward, backward, forward
from .compose import Recurrent
from . import check  # isort: skip
from .shapes import ShapeError

__all__ = [
    "LSTM",
    "RNN",
    "Backward",
    "Cell",
    "Forward",
    "Recurrent",
    "ShapeError",
    "arrays",
    "backward",
    "check",
    "forward",
    "init",
    "ops",
    "shapes",
    "tree",
]
