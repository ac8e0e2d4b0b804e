"""numpy-lstm: the reference for LSTM gradients. Public names, in reading order."""

__version__ = "0.1.0"  # the one place where it stands

from . import arrays, tree, shapes, ops, activations  # isort: skip
from .cells import RNN, ReLURNN, LSTM, GRU, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM
from .cells import CoupledLSTM, LayerNormLSTM, FullGateLSTM, PAGES, ABLATIONS, Cell, projected, zoneout, zoneout_input
from . import init  # isort: skip
from .scan import Backward, Forward, backward, forward
from . import checkpointed, fast, layouts
from .compose import Fast, Given, Parallel, Recurrent, Reversed, Stack, bidirectional, dropout_mask
from . import nn, onnx
from . import check, flow  # isort: skip
from .shapes import ShapeError

__all__ = [
    "RNN",
    "ReLURNN",
    "LSTM",
    "GRU",
    "GRUResetBefore",
    "PeepholeLSTM",
    "PeepholeOldLSTM",
    "CoupledLSTM",
    "LayerNormLSTM",
    "FullGateLSTM",
    "PAGES",
    "ABLATIONS",
    "Cell",
    "Backward",
    "Fast",
    "Forward",
    "Given",
    "Parallel",
    "Recurrent",
    "Reversed",
    "Stack",
    "bidirectional",
    "dropout_mask",
    "projected",
    "zoneout",
    "zoneout_input",
    "ShapeError",
    "activations",
    "arrays",
    "backward",
    "check",
    "flow",
    "checkpointed",
    "fast",
    "forward",
    "init",
    "layouts",
    "nn",
    "onnx",
    "ops",
    "shapes",
    "tree",
]
