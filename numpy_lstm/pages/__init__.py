"""One page per published equation set, each with its derivation (``.md``) beside it."""

from .ablations import ABLATIONS
from .coupled_lstm import CoupledLSTM
from .full_gate_lstm import FullGateLSTM
from .gru import GRU
from .gru_reset_before import GRUResetBefore
from .layer_norm_lstm import LayerNormLSTM
from .lstm import LSTM
from .page import Page
from .peephole_lstm import PeepholeLSTM
from .peephole_old_lstm import PeepholeOldLSTM
from .projected import projected
from .rnn import RNN, ReLURNN
from .zoneout import zoneout, zoneout_input

PAGES = (RNN, LSTM, GRU, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM, CoupledLSTM, LayerNormLSTM, FullGateLSTM)

__all__ = [
    "ABLATIONS",
    "GRU",
    "LSTM",
    "PAGES",
    "RNN",
    "CoupledLSTM",
    "FullGateLSTM",
    "GRUResetBefore",
    "LayerNormLSTM",
    "Page",
    "PeepholeLSTM",
    "PeepholeOldLSTM",
    "ReLURNN",
    "projected",
    "zoneout",
    "zoneout_input",
]
