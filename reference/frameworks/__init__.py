"""One step of a cell in each framework's own form: its names, its gate order, its way of writing the products.

Written from the frameworks' documentation and sources, without a look at ``numpy_lstm.layouts``: so they prove the
orders there. Every form accepts complex arrays, for complex steps with respect to the stored weights.
"""

from . import libraries, runtimes
from .forms import BEFORE, FORMS, GRU, LSTM, PEEPHOLE, PROJECTED, RNN, Arrays, B, D, H, R, T, sigmoid

__all__ = ["BEFORE", "FORMS", "GRU", "LSTM", "PEEPHOLE", "PROJECTED", "RNN", "Arrays", "B", "D", "H", "R", "T"]
__all__ += ["libraries", "runtimes", "sigmoid"]
