"""Training by the hand-derived gradients, from the first parameters to a saved model.

    model = train.language_model(symbols=65, hidden=128)
    task = train.Task(model, train.Streams(codes, rows=50, steps=50), train.adam(), train.constant(1e-2), updates=500)
    progress = train.begin(task, seed=0, dtype=np.float32)
    for progress, report in train.train(task, progress):
        ...
    train.save("model.npz", task, progress)

model        Model (layers and a loss page), Batch, gradient; Trainable and Rows: what any model and batch must have
language     language_model, held_out_loss, sample, encode, gate_map
classifier   sequence_classifier, predict, confusion, held_out_error: the class of each row
ragged       Ragged (rows of unequal length), Labelled (a batch), Buckets (batches of like length)
translation  EncoderDecoder, Parts; Pairs, paired, padded, Shuffled, mean_loss, BOUNDARY
search       search (greedy, beam), Found, log_probabilities
batches      Streams: truncated back-propagation with carried state; split
optimisers   sgd, adam, adamw, as PyTorch's; clipping by_norm, by_value; schedules constant, cosine, warmup, Plateau
loop         Task, Progress, Report; begin, advance (pure), train (a generator)
clinic       symptoms of a history, with causes and remedies
files        save, load, load_best, read, sweep: a run to go on with; record: what it did, as JSON

There is no derivative in this room: they stand on the pages. Errors are TrainingError and Diverged.
"""

from . import clipping, record
from .batches import Streams, split
from .classifier import Classifier, confusion, held_out_error, predict, sequence_classifier
from .clinic import Symptom, symptoms
from .encoder_decoder import EncoderDecoder, Parts
from .errors import Diverged, TrainingError
from .language import encode, gate_map, held_out_loss, language_model, sample
from .loop import Best, History, Progress, Report, Task, advance, begin, perplexity, train
from .model import Batch, Model, gradient
from .optimisers import Optimiser, adam, adamw, sgd
from .pairs import BOUNDARY, Pairs, Shuffled, mean_loss, padded, paired
from .protocols import Rows, Trainable
from .ragged import Buckets, Labelled, Ragged
from .saving import Saved, load, load_best, read, save, sweep
from .schedules import Plateau, Schedule, Watch, constant, cosine, warmup
from .search import Found, log_probabilities, search

__all__ = [
    "BOUNDARY",
    "Batch",
    "Best",
    "Buckets",
    "Classifier",
    "Diverged",
    "EncoderDecoder",
    "Found",
    "History",
    "Labelled",
    "Model",
    "Optimiser",
    "Pairs",
    "Parts",
    "Plateau",
    "Progress",
    "Ragged",
    "Report",
    "Rows",
    "Saved",
    "Schedule",
    "Shuffled",
    "Streams",
    "Symptom",
    "Task",
    "Trainable",
    "TrainingError",
    "Watch",
    "adam",
    "adamw",
    "advance",
    "begin",
    "clipping",
    "confusion",
    "constant",
    "cosine",
    "encode",
    "gate_map",
    "gradient",
    "held_out_error",
    "held_out_loss",
    "language_model",
    "load",
    "load_best",
    "log_probabilities",
    "mean_loss",
    "padded",
    "paired",
    "read",
    "perplexity",
    "predict",
    "record",
    "sample",
    "save",
    "sgd",
    "sequence_classifier",
    "search",
    "split",
    "sweep",
    "symptoms",
    "train",
    "warmup",
]
