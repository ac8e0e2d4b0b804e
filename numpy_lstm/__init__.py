"""numpy-lstm: the reference for LSTM gradients, forward and hand-derived backward passes in NumPy.

    import numpy as np, numpy_lstm as nl

    params = nl.LSTM.init(D, H, np.random.default_rng(0))   # a Params: W_i (H,D), U_i (H,H), b_i (H,), and so on
    run = nl.forward(nl.LSTM, params, xs, first)            # xs (T,B,D); run.hs (T,B,H), run.last, run.values.c (T,B,H)
    back = nl.backward(nl.LSTM, params, run, dhs=dhs)       # dhs (T,B,H); back.dparams, .dxs, .dfirst, .cotangents

T steps, B rows, D inputs, H units. help(nl.LSTM) has the equations and records of a cell, help(nl.LSTM.step) one step.

cells         RNN LSTM GRU GRUResetBefore PeepholeLSTM PeepholeOldLSTM CoupledLSTM LayerNormLSTM FullGateLSTM ReLURNN,
              all in PAGES but the last; ClippedLSTM LayerNormCarriedLSTM LayerNormSumLSTM, in VARIANTS; ABLATIONS;
              AdditiveAttentionLSTM, which reads a memory; projected(cell, R) and zoneout(cell) make a cell of a cell
one step      Embedding Linear Dropout Attention CrossEntropy SquaredError carry nothing; losses give a number a row
time          forward, backward; fast and checkpointed have the same two, for speed and for bounded memory; Steps
layers        Recurrent EachStep Masked Reversed Parallel Stack bidirectional: .forward(...), .backward(...); walk
weights       init (initialisers), nn (torch's LSTM, GRU, RNN by name and shape), layouts (24), onnx
checks        check: complex steps, differences, dot and Taylor tests, K, 50-digit truth
judging       cases: a network as a file; mistakes: the catalogue, and sets of cases; judge: the verdict on an answer
training      train: optimisers, schedules, a pure loop, saved runs, a language model, translation
explaining    explain: a page's equations as rows, the terms of its adjoint, derivations, every number of a run
instruments   flow: norms, paths, Jacobians, Lyapunov exponents, diagnosis
ground        ops, activations, shapes (ShapeError names who fixed a size), tree (records as vectors), arrays

Values, gradients and cotangents are the same three records: Params, State, Trace. Nothing passed in is written to.
On the command line: numpy-lstm --help. Setting NUMPY_LSTM_TRACEBACK=1 shows the traceback of an error there.
"""

__version__ = "0.1.0"  # the one place where it stands

from . import arrays, tree, shapes, ops, activations  # isort: skip
from .pages import RNN, ReLURNN, LSTM, GRU, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM
from .pages import CoupledLSTM, LayerNormLSTM, FullGateLSTM, PAGES, ABLATIONS, Page, projected, zoneout, zoneout_input
from .pages import VARIANTS, ClippedLSTM, LayerNormCarriedLSTM, LayerNormSumLSTM
from .pages import AdditiveAttentionLSTM, Embedding, Linear, Dropout, Attention, CrossEntropy, SquaredError
from . import init  # isort: skip
from .scan import Backward, Forward, backward, forward
from . import checkpointed, fast, layouts
from .layers import EachStep, Layer, Masked, Parallel, Recurrent, Reversed, Stack, bidirectional, dropout_mask
from .steps import Steps
from .wiring import walk
from . import nn, onnx
from . import check, flow, cases, mistakes, judge  # isort: skip
from . import explain, train  # isort: skip
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
    "LayerNormCarriedLSTM",
    "LayerNormSumLSTM",
    "ClippedLSTM",
    "FullGateLSTM",
    "AdditiveAttentionLSTM",
    "Embedding",
    "Linear",
    "Dropout",
    "Attention",
    "CrossEntropy",
    "SquaredError",
    "PAGES",
    "VARIANTS",
    "ABLATIONS",
    "Page",
    "Backward",
    "EachStep",
    "Forward",
    "Layer",
    "Masked",
    "Parallel",
    "Recurrent",
    "Reversed",
    "Stack",
    "Steps",
    "bidirectional",
    "dropout_mask",
    "projected",
    "zoneout",
    "zoneout_input",
    "walk",
    "ShapeError",
    "activations",
    "arrays",
    "backward",
    "check",
    "explain",
    "flow",
    "cases",
    "mistakes",
    "judge",
    "checkpointed",
    "fast",
    "forward",
    "init",
    "layouts",
    "nn",
    "onnx",
    "ops",
    "shapes",
    "train",
    "tree",
]
