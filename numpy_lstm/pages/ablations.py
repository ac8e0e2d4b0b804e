"""The LSTM search space of Greff et al. 2017 (arXiv:1503.04069): the LSTM with one thing taken away or added.

Five of the eight are the page of the LSTM with another activation; a gate that is always open has a derivative of
zero, so the gradients of its parameters are exactly zero. "V" is the paper's vanilla LSTM, with peepholes.
"""

from ..activations import IDENTITY, ONE
from .coupled_lstm import CoupledLSTM
from .full_gate_lstm import FullGateLSTM
from .lstm import LSTM
from .peephole_lstm import PeepholeLSTM

ABLATIONS = {
    "V": PeepholeLSTM,
    "NP": LSTM,
    "NIG": LSTM.having("NIG", i=ONE),
    "NFG": LSTM.having("NFG", f=ONE),
    "NOG": LSTM.having("NOG", o=ONE),
    "NIAF": LSTM.having("NIAF", g=IDENTITY),
    "NOAF": LSTM.having("NOAF", y=IDENTITY),
    "CIFG": CoupledLSTM,
    "FGR": FullGateLSTM,
}
