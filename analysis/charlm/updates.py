"""Updates per processor second of a character model beside the same model in PyTorch, in turn, on one thread."""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import doctor, train
from numpy_lstm.command import positive

from .. import output

SHAPES = ((50, 50, 128, 1), (32, 100, 256, 2))  # rows, steps, units, layers
SYMBOLS = 100


@dataclass(frozen=True)
class Timed:
    """A layer, and the processor seconds spent in it."""

    layer: Any
    spent: list[float] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def forward(self, *arguments: Any) -> Any:
        """``forward`` of the layer, timed."""
        return self._timed(self.layer.forward, *arguments)

    def backward(self, *arguments: Any) -> Any:
        """``backward`` of the layer, timed."""
        return self._timed(self.layer.backward, *arguments)

    def _timed(self, call: Any, *arguments: Any) -> Any:
        start = time.process_time()
        found = call(*arguments)
        self.spent.append(time.process_time() - start)
        return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--rounds", type=positive, default=15, help="updates of each, in turn; default: 15")


def run(out: Path, options: argparse.Namespace) -> list[str]:
    """Measure in a process of one thread, print and save the table; nothing can fail, so the list is empty."""
    call = [sys.executable, "-m", "analysis.charlm.updates", str(options.rounds), str(options.seed)]
    done = subprocess.run(call, env=doctor.child_environment(), stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout)
    output.write_text(out / "updates.md", done.stdout)
    return []


def measure(rounds: int, seed: int) -> str:
    """The table, measured in this process."""
    rows = []
    for shape in SHAPES:
        for dtype in ("float64", "float32"):
            ours, theirs, *inside = _one(shape, dtype, rounds, seed)
            a, b = statistics.median(ours), statistics.median(theirs)
            shares = [
                1 - statistics.median(i / whole for i, whole in zip(part, all_of_it, strict=True))
                for part, all_of_it in zip(inside, (ours, theirs), strict=True)
            ]
            numbers = [f"{1 / a:.2f}", f"{1 / b:.2f}", f"{b / a:.2f}", *(f"{100 * share:.0f} %" for share in shares)]
            rows.append([",".join(map(str, shape)), dtype, *numbers])
    header = ["rows,steps,units,layers", "dtype", "updates / s", "torch", "torch / ours"]
    header += ["outside the cells", "torch's"]
    return str(output.table(header, rows))


def job(shape: tuple[int, ...], seed: int) -> train.Task:
    """A character model of that shape: rows, steps, units, layers."""
    batch, steps, hidden, layers = shape
    model = train.language_model(SYMBOLS, layers=layers, hidden=hidden, embedding=64)
    codes = np.random.default_rng(seed).integers(0, SYMBOLS, 4 * batch * steps)
    streams, rate = train.Streams(codes, batch, steps), train.constant(1e-3)
    return train.Task(model, streams, train.adam(), rate, 10**9, clip=1.0, every=10**9)


def _one(shape: tuple[int, ...], dtype: str, rounds: int, seed: int) -> tuple[list[float], ...]:
    """Processor seconds of each update: ours, torch's, those in our recurrent layers, and of torch's alone."""
    from reference import torch_training

    task = job(shape, seed)
    bottom, *between, top = task.model.layers
    cells = [Timed(layer) for layer in between]
    task = replace(task, model=replace(task.model, layers=(bottom, *cells, top)))
    now = train.begin(task, seed, dtype)
    language = torch_training.Language(now.params)
    update = torch_training.updates(language, "adam", 1.0, lr=1e-3)
    read = np.random.default_rng(seed).standard_normal((shape[1], shape[0], now.params[1].W_i.shape[1])).astype(dtype)
    ours, theirs, inside, their_inside = [], [], [], []
    for step in range(rounds + 2):
        for cell in cells:
            cell.spent.clear()
        start = time.process_time()
        now, _ = train.advance(task, now)
        middle = time.process_time()
        update(task.batches(seed, step))
        theirs.append((end := time.process_time()) - middle)
        torch_training.recurrent(language, read)
        their_inside.append(time.process_time() - end)
        ours.append(middle - start)
        inside.append(sum(map(sum, (cell.spent for cell in cells))))
    return ours[2:], theirs[2:], inside[2:], their_inside[2:]


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
