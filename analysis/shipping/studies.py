"""The case studies: what is run, on which inputs, and what the judge is to say first."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm.cases.network import Network, Parts
from numpy_lstm.mistakes import Edits, Mistake
from numpy_lstm.mistakes.network_cells import carried_tanh

from . import course_table, retyped

HERE = Path(__file__).parent
RIGHT, UNNAMED = "right", "no single mistake"
Arrays = dict[str, Any]


class Carried(Network):
    """The LSTM that carries tanh(c), for a reference of its own."""

    def of_cell(self, edit: Any = lambda cell: cell) -> Any:
        """The cell; edits are made to the page before."""
        return super().of_cell(lambda cell: carried_tanh(edit(cell)))


def past_tanh(cell: Any) -> Any:
    """The page whose adjoint adds what comes from step t+1 to dc as it is, not through tanh'."""

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        return cell.adjoint(F, p, v._replace(c=v.f * v.c_prev + v.i * v.g), d)  # v.c is tanh(c) where it is carried

    return replace(cell, adjoint=adjoint)


LSTM, PEEPHOLES, OWN = Network("LSTM"), Network("PeepholeLSTM"), Carried("LSTM")
PAST_TANH = Mistake(  # of that recurrence only, so not in the catalogue
    "carry-past-tanh-derivative",
    "dc = o dh tanh'(c) + dy: what step t+1 hands to y = tanh(c) does not go through tanh'",
    lambda b: isinstance(b.case.network, Carried),
    Edits(layer=lambda _: LSTM.layer(parts=Parts(cell=past_tanh))),
)


class Trial(NamedTuple):
    """One way in which software is tried: ``options`` of its script or function, and the name to hear first.

    ``network`` is the reference. ``only`` these results are judged; all if none is given. ``change`` makes the inputs
    special.
    """

    what: str
    options: tuple[str, ...]
    expected: str
    network: Network = LSTM
    only: tuple[str, ...] = ()
    change: Callable[[Arrays], Arrays] = lambda arrays: arrays


class CaseStudy(NamedTuple):
    """Software, its ``trials``, and what ``avoids`` the defect. ``script`` needs the environment of this name.

    ``fit`` makes the inputs such as the software can take; ``answer`` computes it here where no package is needed.
    """

    name: str
    about: str
    trials: tuple[Trial, ...]
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
    """A change of the inputs: these are zero."""
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
CASE_STUDIES = (
    CaseStudy(
        "tensorflow",
        "TensorFlow, raw_ops.BlockLSTMV2 under autodiff (python/ops/rnn_grad.py)",
        (
            Trial("tape", (), "gates-exchanged-in-backward[fg]"),
            Trial("tape, peepholes", ("--peepholes",), "gates-exchanged-in-backward[fg]", PEEPHOLES),
            Trial("tf.function", ("--how", "graph"), "gates-exchanged-in-backward[fg]"),
            Trial("BlockLSTMGradV2 by hand", ("--how", "by_hand"), RIGHT),
            Trial("BlockLSTM, tape", ("--how", "v1"), RIGHT),
        ),
        "BlockLSTMGradV2 called by hand; the older BlockLSTM",
        "tensorflow_block_lstm_v2.py",
    ),
    CaseStudy(
        "onnxruntime",
        "onnxruntime-training, LSTMGrad with peepholes (lstm_grad_compute.cc, microsoft/onnxruntime PR 15034)",
        (
            Trial("gradient graph, peepholes", (), "no-peephole-in-cell", PEEPHOLES),
            Trial("nodes by hand, peepholes", ("--how", "by_hand"), "no-peephole-in-cell", PEEPHOLES),
            Trial("gradient graph, P of zeros", (), RIGHT, PEEPHOLES, change=zeros("p_i", "p_f", "p_o")),
            Trial("gradient graph, no P", ("--no-peepholes",), RIGHT),
        ),
        "no input P, or P of zeros",
        "onnxruntime_lstm_grad.py",
    ),
    CaseStudy(
        "thinc",
        "thinc, LSTM layer (backends/numpy_ops.pyx backprop_lstm, explosion/thinc PR 459)",
        (
            Trial("NumpyOps", (), THINC),
            Trial("NumpyOps, zero first state", (), THINC, change=zeros("h_0", "c_0")),
            Trial("NumpyOps, one row", (), THINC, change=one_row),
        ),
        "nothing that was tried",
        "thinc_lstm.py",
        one_state,
    ),
    CaseStudy(
        "course",
        "deeplearning.ai, Sequence Models week 1: printed entries of lstm_backward and lstm_cell_backward",
        (
            Trial("revised table", ("sequence_revised",), RIGHT),
            Trial("table of circulating solutions", ("sequence_solutions",), "truncated-windows[1]"),
            Trial("first notebook", ("sequence_first",), "steps-apart-biases-of-forget-gate"),
            Trial("forum topic 67533", ("sequence_topic_67533",), "first-df-from-new-cell"),
            Trial("forum topic 8480", ("sequence_topic_8480",), UNNAMED),
            Trial("cell table", ("cell_expected",), RIGHT),
            Trial("forum topic 22398, cell", ("cell_topic_22398",), UNNAMED),
            Trial("question of May 2023, cell", ("cell_question_2023",), UNNAMED),
        ),
        "carrying dh and dc, as in the revised table",
        answer=lambda arrays, name: course_table.printed(name, arrays),
    ),
    CaseStudy(
        "hipsternet",
        "hipsternet, class LSTM (hipsternet/neuralnet.py at 563de65), equations typed again",
        (
            Trial("values, against the LSTM", (), "tanh-of-cell-carried", only=VALUES),
            Trial("all, against its own recurrence", (), "carry-past-tanh-derivative", OWN),
            Trial("T = 1, d_c_n = 0, against its own recurrence", (), RIGHT, OWN, change=one_step),
            Trial("put right, against its own recurrence", ("--repaired",), RIGHT, OWN),
            Trial("put right, against the LSTM", ("--repaired",), "tanh-of-cell-carried"),
        ),
        "T = 1 without a cotangent of the last cell",
        answer=lambda arrays, *options: retyped.hipsternet(arrays, bool(options)),
    ),
    CaseStudy(
        "tmva",
        "TMVA, rememberState (ROOT, tmva/tmva/inc/TMVA/DNN/RNN/LSTMLayer.h at 07f10ce), equations typed again",
        (
            Trial("state carried over", (), "initial-state-zero-in-backward"),
            Trial("zero first state", (), RIGHT, change=zeros("h_0", "c_0")),
            Trial("put right", ("--repaired",), RIGHT),
        ),
        "a first state of zeros",
        fit=without_cell_cotangent,
        answer=lambda arrays, *options: retyped.tmva(arrays, bool(options)),
    ),
)
