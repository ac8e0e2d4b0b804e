"""The case studies: what is run, on which inputs, and what the judge is to say first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm.check.mistakes import Mistake
from numpy_lstm.check.mistakes.in_shipping import carried_tanh
from numpy_lstm.check.network import Network

from . import course_table, retyped

HERE = Path(__file__).parent
RIGHT, UNNAMED = "right", "no single mistake"
Arrays = dict[str, Any]


class Carried(Network):
    """The LSTM that carries tanh(c), for a reference of its own."""

    def of_cell(self, edit: Any = lambda cell: cell) -> Any:
        """The cell; edits are made to the page before."""
        return super().of_cell(lambda cell: carried_tanh(edit(cell)))


def _with_its_cell(run: Any) -> Any:
    """The run with c itself where the page of this network has what is carried, tanh(c)."""
    v = run.values
    return run._replace(values=v._replace(c=v.f * v.c_prev + v.i * v.g))


LSTM, PEEPHOLES, OWN = Network("LSTM"), Network("PeepholeLSTM"), Carried("LSTM")
PAST_TANH = Mistake(  # of that recurrence only, so not in the catalogue
    "carry-past-tanh-derivative",
    "dc = o dh tanh'(c) + dy: what step t+1 hands to y = tanh(c) does not go through tanh'",
    "hipsternet",
    lambda b: [""] * isinstance(b.case.network, Carried),
    lambda b, _: b.case.answer(b.run, b.backward(LSTM.layer(), _with_its_cell(b.run))),
)


class Run(NamedTuple):
    """One run of a study: ``options`` of its script or function, the network that is the reference, the name to hear.

    ``only`` these results are judged; all if none is given. ``change`` makes the inputs special.
    """

    what: str
    options: tuple[str, ...]
    expected: str
    network: Network = LSTM
    only: tuple[str, ...] = ()
    change: Callable[[Arrays], Arrays] = lambda arrays: arrays


class Study(NamedTuple):
    """Software, its ``runs``, and what ``avoids`` the defect. ``script`` needs the environment of this name.

    ``fit`` makes the inputs such as the software can take; ``answer`` computes it here where no package is needed.
    """

    name: str
    about: str
    runs: tuple[Run, ...]
    avoids: str
    script: str = ""
    fit: Callable[[Arrays], Arrays] = lambda arrays: arrays
    answer: Callable[..., Arrays] | None = None

    @property
    def requirements(self) -> Path:
        """The packages of the environment."""
        return HERE / f"requirements-{self.name}.txt"


def without_cell_cotangent(arrays: Arrays) -> Arrays:
    """No cotangent of the last cell."""
    return arrays | {"d_c_n": 0 * arrays["d_c_n"]}


def one_state(arrays: Arrays) -> Arrays:
    """Nor a state for each row: the first row's serves for all."""
    states = {k: np.repeat(arrays[k][:1], len(arrays[k]), axis=0) for k in ("h_0", "c_0")}
    return without_cell_cotangent(arrays) | states


def zeros(*names: str) -> Callable[[Arrays], Arrays]:
    """These inputs are zero."""
    return lambda arrays: arrays | {k: 0 * arrays[k] for k in names}


def one_row(arrays: Arrays) -> Arrays:
    """The first row of the batch alone."""
    rows = {k: arrays[k][:1] for k in ("h_0", "c_0", "d_h_n", "d_c_n")}
    return arrays | rows | {k: arrays[k][:, :1] for k in ("x", "d_output")}


def one_step(arrays: Arrays) -> Arrays:
    """The first step alone, without a cotangent of the last cell."""
    return without_cell_cotangent(arrays) | {k: arrays[k][:1] for k in ("x", "d_output")}


THINC = "first-step-skipped-new-state-added-to-weights"
VALUES = ("output", "h_n", "c_n")
STUDIES = (
    Study(
        "tensorflow",
        "TensorFlow, raw_ops.BlockLSTMV2 under autodiff (python/ops/rnn_grad.py)",
        (
            Run("tape", (), "gates-exchanged-in-backward[fg]"),
            Run("tape, peepholes", ("--peepholes",), "gates-exchanged-in-backward[fg]", PEEPHOLES),
            Run("tf.function", ("--how", "graph"), "gates-exchanged-in-backward[fg]"),
            Run("BlockLSTMGradV2 by hand", ("--how", "by_hand"), RIGHT),
            Run("BlockLSTM, tape", ("--how", "v1"), RIGHT),
        ),
        "BlockLSTMGradV2 called by hand; the older BlockLSTM",
        "tensorflow_block_lstm_v2.py",
    ),
    Study(
        "onnxruntime",
        "onnxruntime-training, LSTMGrad with peepholes (lstm_grad_compute.cc, microsoft/onnxruntime PR 15034)",
        (
            Run("gradient graph, peepholes", (), "no-peephole-in-cell", PEEPHOLES),
            Run("nodes by hand, peepholes", ("--how", "by_hand"), "no-peephole-in-cell", PEEPHOLES),
            Run("gradient graph, P of zeros", (), RIGHT, PEEPHOLES, change=zeros("p_i", "p_f", "p_o")),
            Run("gradient graph, no P", ("--no-peepholes",), RIGHT),
        ),
        "no input P, or P of zeros",
        "onnxruntime_lstm_grad.py",
    ),
    Study(
        "thinc",
        "thinc, LSTM layer (backends/numpy_ops.pyx backprop_lstm, explosion/thinc PR 459)",
        (
            Run("NumpyOps", (), THINC),
            Run("NumpyOps, zero first state", (), THINC, change=zeros("h_0", "c_0")),
            Run("NumpyOps, one row", (), THINC, change=one_row),
        ),
        "nothing that was tried",
        "thinc_lstm.py",
        one_state,
    ),
    Study(
        "course",
        "deeplearning.ai, Sequence Models week 1: printed entries of lstm_backward and lstm_cell_backward",
        (
            Run("revised table", ("sequence_revised",), RIGHT),
            Run("table of circulating solutions", ("sequence_solutions",), "truncated-windows[1]"),
            Run("first notebook", ("sequence_first",), "steps-apart-biases-of-forget-gate"),
            Run("forum topic 67533", ("sequence_topic_67533",), "first-df-from-new-cell"),
            Run("forum topic 8480", ("sequence_topic_8480",), UNNAMED),
            Run("cell table", ("cell_expected",), RIGHT),
            Run("forum topic 22398, cell", ("cell_topic_22398",), UNNAMED),
            Run("question of May 2023, cell", ("cell_question_2023",), UNNAMED),
        ),
        "carrying dh and dc, as in the revised table",
        answer=lambda arrays, name: course_table.printed(name, arrays),
    ),
    Study(
        "hipsternet",
        "hipsternet, class LSTM (hipsternet/neuralnet.py at 563de65), equations typed again",
        (
            Run("values, against the LSTM", (), "tanh-of-cell-carried", only=VALUES),
            Run("all, against its own recurrence", (), "carry-past-tanh-derivative", OWN),
            Run("T = 1, d_c_n = 0, against its own recurrence", (), RIGHT, OWN, change=one_step),
            Run("put right, against its own recurrence", ("--repaired",), RIGHT, OWN),
            Run("put right, against the LSTM", ("--repaired",), "tanh-of-cell-carried"),
        ),
        "T = 1 without a cotangent of the last cell",
        answer=lambda arrays, *options: retyped.hipsternet(arrays, bool(options)),
    ),
    Study(
        "tmva",
        "TMVA, rememberState (ROOT, tmva/tmva/inc/TMVA/DNN/RNN/LSTMLayer.h at 07f10ce), equations typed again",
        (
            Run("state carried over", (), "initial-state-zero-in-backward"),
            Run("zero first state", (), RIGHT, change=zeros("h_0", "c_0")),
            Run("put right", ("--repaired",), RIGHT),
        ),
        "a first state of zeros",
        fit=without_cell_cotangent,
        answer=lambda arrays, *options: retyped.tmva(arrays, bool(options)),
    ),
)
