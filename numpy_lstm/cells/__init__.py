"""One page per published equation set, each with its derivation (``.md``) beside it."""

from .cell import Cell
from .lstm import LSTM
from .rnn import RNN

__all__ = ["LSTM", "RNN", "Cell"]
