"""The operators LSTM, GRU and RNN as data: inputs, attributes, axes and activations, opset 7 to 22."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .. import activations


class Operator(NamedTuple):
    """What tells the operators apart: the blocks of W, and which functions of the page each activation serves."""

    blocks: int
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    serves: tuple[str, ...]
    activations: tuple[str, ...]


INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h")
COMMON: dict[str, Any] = {"hidden_size": None, "direction": "forward", "layout": 0, "clip": None}
COMMON |= {"activations": None, "activation_alpha": (), "activation_beta": ()}
LSTM_INPUTS, LSTM_ATTRIBUTES = (*INPUTS, "initial_c", "P"), {**COMMON, "input_forget": 0}
QUANTISED_INPUTS = (*LSTM_INPUTS, "W_scale", "W_zero_point", "R_scale", "R_zero_point")  # of DynamicQuantizeLSTM
OUTPUTS = ("Y", "Y_h", "Y_c")
OPERATORS = {
    "LSTM": Operator(4, LSTM_INPUTS, LSTM_ATTRIBUTES, ("i o f", "g", "y"), ("Sigmoid", "Tanh", "Tanh")),
    "GRU": Operator(3, INPUTS, {**COMMON, "linear_before_reset": 0}, ("z r", "n"), ("Sigmoid", "Tanh")),
    "RNN": Operator(1, INPUTS, COMMON, ("h",), ("Tanh",)),
}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
CHOICES: dict[str, Iterable[Any]] = {"op_type": OPERATORS, "direction": DIRECTIONS, "layout": (0, 1)}
CHOICES |= {"input_forget": (0, 1), "linear_before_reset": (0, 1)}
CHOICES |= {"clip_gradient": ("true", "straight_through"), "output_peephole": ("new", "old")}

# The axes of each array in layout 0: K directions, g all blocks of W, s of B, p of P. In layout 1, the batch is first.
AXES = {"X": "TBD", "W": "KgD", "R": "KgH", "B": "Ks", "P": "Kp", "initial_h": "KBH", "initial_c": "KBH"}
AXES |= {"Y": "TKBH", "Y_h": "KBH", "Y_c": "KBH", "C": "TKBH"}
BATCH_FIRST = {"TBD": "BTD", "KBH": "BKH", "TKBH": "BTKH"}
DIRECTION_FIRST = {"TKBH": "KTBH"}


# Each activation of the text: a pair, or how to make it from those of alpha and beta that it takes.
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "Relu": (activations.RELU,),
    "Tanh": (activations.TANH,),
    "Sigmoid": (activations.SIGMOID,),
    "Affine": (activations.affine, "alpha", "beta"),
    "LeakyRelu": (activations.leaky_relu, "alpha"),
    "ThresholdedRelu": (activations.thresholded_relu, "alpha"),
    "ScaledTanh": (activations.scaled_tanh, "alpha", "beta"),
    "HardSigmoid": (activations.hard_sigmoid, "alpha", "beta"),
    "Elu": (activations.elu, "alpha"),
    "Softsign": (activations.SOFTSIGN,),
    "Softplus": (activations.SOFTPLUS,),
}
