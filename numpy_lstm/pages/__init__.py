"""One page per published equation set, each with its derivation (``.md``) beside it."""

from .ablations import ABLATIONS
from .additive_attention_lstm import AdditiveAttentionLSTM
from .attention import Attention
from .clipped_lstm import ClippedLSTM
from .coupled_lstm import CoupledLSTM
from .cross_entropy import CrossEntropy
from .dropout import Dropout
from .embedding import Embedding
from .full_gate_lstm import FullGateLSTM
from .gru import GRU
from .gru_reset_before import GRUResetBefore
from .layer_norm_carried_lstm import LayerNormCarriedLSTM
from .layer_norm_lstm import LayerNormLSTM
from .layer_norm_sum_lstm import LayerNormSumLSTM
from .linear import Linear
from .lstm import LSTM
from .page import Page
from .peephole_lstm import PeepholeLSTM
from .peephole_old_lstm import PeepholeOldLSTM
from .projected import projected
from .rnn import RNN, ReLURNN
from .squared_error import SquaredError
from .zoneout import zoneout, zoneout_input

PAGES = (RNN, LSTM, GRU, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM, CoupledLSTM, LayerNormLSTM, FullGateLSTM)
VARIANTS = (ClippedLSTM, LayerNormCarriedLSTM, LayerNormSumLSTM)  # equations that other libraries ship
LAYERS = (Embedding, Linear, Dropout, Attention, CrossEntropy, SquaredError)  # of one step: they carry nothing

__all__ = [
    "ABLATIONS",
    "GRU",
    "LAYERS",
    "LSTM",
    "PAGES",
    "RNN",
    "VARIANTS",
    "AdditiveAttentionLSTM",
    "Attention",
    "ClippedLSTM",
    "CoupledLSTM",
    "CrossEntropy",
    "Dropout",
    "Embedding",
    "FullGateLSTM",
    "GRUResetBefore",
    "LayerNormCarriedLSTM",
    "LayerNormLSTM",
    "LayerNormSumLSTM",
    "Linear",
    "Page",
    "PeepholeLSTM",
    "PeepholeOldLSTM",
    "ReLURNN",
    "SquaredError",
    "projected",
    "zoneout",
    "zoneout_input",
]
