"""The LSTM search space of Greff et al. 2017 (arXiv:1503.04069): the LSTM with one thing taken away or added.

Five of the eight are the page of the LSTM with another activation; a gate that is always open has a derivative of
zero, so the gradients of its parameters are exactly zero. "V" is the paper's vanilla LSTM, with peepholes.
"""

from ..activations import IDENTITY, ONE
from .coupled_lstm import CoupledLSTM
from .full_gate_lstm import FullGateLSTM
from .lstm import LSTM, lstm
from .peephole_lstm import PeepholeLSTM

ABLATIONS = {
    "V": PeepholeLSTM,
    "NP": LSTM,
    "NIG": lstm("NIG", i=ONE),
    "NFG": lstm("NFG", f=ONE),
    "NOG": lstm("NOG", o=ONE),
    "NIAF": lstm("NIAF", g=IDENTITY),
    "NOAF": lstm("NOAF", y=IDENTITY),
    "CIFG": CoupledLSTM,
    "FGR": FullGateLSTM,
}
