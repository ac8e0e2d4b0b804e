"""The ONNX operators LSTM, GRU and RNN: attributes choose a page, inputs are its arrays, ``backward`` gives dX, dW, ...

All is as the operator text says (opset 7 to 22, layout since 14). Where shipping code departs from it, an option says:

clip_cell : True, the text: clip bounds the input of every activation, C before h among them; the C that is carried
    on and given out stays as it is. False, onnxruntime: C is not clipped.
clip_gradient : "true": nothing passes where clip acts. "straight_through": clip counts as the identity in the
    backward pass, as in TensorFlow's block kernels; that is the gradient of no function.
output_peephole : "new", the text: o looks at C_t. "old", the published decomposition of WebNN: o looks at C_{t-1}.

Where the text leaves a choice, it is made here:

input_forget = 1 is f = 1 - i, as in onnxruntime. The forget blocks of W, R, B, P are unused; their gradient is zero.
activation_alpha and activation_beta hold one value for each activation that takes one, in order, as in onnxruntime.
    Where a list ends early, the rest have the operators' defaults, ScaledTanh 1 and 1. A surplus is refused.
ThresholdedRelu(x) is x where x >= alpha, as the text of LSTM says; the operator of that name, and onnxruntime, have
    x > alpha. They differ at a whole region of inputs if clip equals alpha.
A row of length 0 ends in its initial state, where onnxruntime gives zeros.
"""

from .attributes import OnnxError
from .model import Node, constants, read
from .operators import ACTIVATIONS
from .running import Run, run

__all__ = ["ACTIVATIONS", "Node", "OnnxError", "Run", "constants", "read", "run"]
