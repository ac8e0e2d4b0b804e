"""A run of charlm, opened: its record, its model before and after training, and the text that it has not seen."""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm import flow, train, tree

from .. import text
from ..charlm import settings

ROWS = 8  # stretches of the held-out text, read side by side; the odd ones check what the even ones find
WINDOW = 100  # steps of which all values are kept at once
WARM = 50  # characters of each stretch that are read, and not counted


class Opened(NamedTuple):
    """``before`` and ``after`` are the parameters at the start and the best ones; ``held`` codes, held out."""

    record: dict[str, Any]
    model: train.Model
    before: Any
    after: Any
    symbols: str
    corpus: text.Corpus
    held: Any

    @property
    def said(self) -> str:
        """What a caption says of the run."""
        s, best = self.record["settings"], self.record["best"]
        return (
            f"{s['cell']}, {s['layers']} x {s['hidden']} units, {self.corpus.name}, seed {s['seed']}, best after "
            f"{best['update']} updates"
        )


class Read(NamedTuple):
    """What one cell did while it read: ``gates`` by name and ``state`` (c, or h without c), (steps, rows, units).

    ``kept`` is what each step multiplies the state by; None where no step does so unit by unit.
    """

    layer: str
    cell: str
    field: str
    gates: dict[str, Any]
    kept: Any
    state: Any


def opened(path: Path, file: str | None) -> Opened:
    """The run at ``path``, its record beside it, and its text: the file, or the topics that ship with Python.

    Raises TrainingError for what is no such run, a record of another run, or another text.
    """
    model, symbols = settings.saved_model(path)
    own, record = train.read(path).settings, train.record.read(path.with_suffix(".json"))
    said = record["settings"]
    for name in sorted(settings.SETTINGS.keys() - {"schedule", "optimiser"}):  # the model names these with numbers
        if said.get(name) != own[name]:
            raise train.TrainingError(
                f"{path.with_suffix('.json')} is of another run than {path}: {name} is {said.get(name)!r}; expected "
                f"{own[name]!r}"
            )
    corpus, expected = text.load(file), record["text"]
    if corpus.sha256 != expected["sha256"]:
        raise train.TrainingError(
            f"{path} was trained on {expected['name']}, sha256 {expected['sha256'][:12]}; expected the same, got "
            f"{corpus.name}, sha256 {corpus.sha256[:12]} (--text FILE)"
        )
    explicit = model.having("explicit")
    before = explicit.init(np.random.default_rng(said["seed"]), said["dtype"])
    held = corpus.codes[-expected["held_out"] :]
    if len(held) < ROWS * 2 * WARM:
        raise train.TrainingError(
            f"{len(held)} characters of {corpus.name} were held out; {ROWS * 2 * WARM} are needed"
        )
    return Opened(record, explicit, before, train.load_best(path, model), symbols, corpus, held)


def places(run: Opened, characters: int) -> Any:
    """Of so many characters in all, as stretches (steps, ROWS) of equal distance: where each stands in ``held``."""
    stride = len(run.held) // ROWS
    steps = min(characters // ROWS, stride)
    return np.arange(ROWS) * stride + np.arange(steps)[:, None]


def read(run: Opened, params: Any, places: Any) -> list[Read]:
    """What every cell does while it reads these places from zero states, from the bottom up; WARM steps left out."""
    found: dict[str, list[Any]] = {}
    carry, codes, full = None, run.held[places], run.model.full(params)
    for t in range(0, len(codes), WINDOW):
        window = train.Batch(codes[t : t + WINDOW], codes[t : t + WINDOW])  # its losses do not count here
        done = run.model.forward(params, window, carry)
        carry = done.last
        for name, leaf, p, r in run.model.walk(full, done.run):
            if leaf.cell.carries:
                found.setdefault(name, []).append(_seen(leaf.cell, p, r))
    return [_joined(name, parts) for name, parts in found.items()]


def _seen(cell: Any, params: Any, run: Any) -> tuple[str, dict[str, Any]]:
    field = "c" if "c" in cell.State._fields else "h"
    seen = {f"gate {k}": getattr(run.values, k) for k in flow.gates(cell, params, run)}
    with contextlib.suppress(TypeError):  # no step multiplies the state unit by unit
        seen["kept"] = flow.carry_factors(cell, params, run)
    return cell.name, seen | {field: getattr(run.values, field)}


def _joined(name: str, parts: list[Any]) -> Read:
    cell = parts[0][0]
    whole = {k: np.concatenate([seen[k] for _, seen in parts])[WARM:] for k in parts[0][1]}
    field = "c" if "c" in whole else "h"
    gates = {k.removeprefix("gate "): a for k, a in whole.items() if k.startswith("gate ")}
    return Read(name, cell, field, gates, whole.get("kept"), whole[field])


def stretch(run: Opened, steps: int, rows: int) -> train.Batch:
    """So many steps at the start of ``rows`` stretches of the held-out text, or of as many as it has."""
    rows = min(rows, (len(run.held) - 1) // steps)
    at = np.arange(rows) * ((len(run.held) - 1) // rows) + np.arange(steps)[:, None]
    return train.Batch(run.held[at], run.held[at + 1])


def exact(params: Any) -> Any:
    """Parameters in float64: small gradients keep their digits."""
    return tree.map(lambda a: a.astype(np.float64), params)
