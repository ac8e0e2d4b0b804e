"""Training on CuPy arrays, for ``rooms``: a run there against the same on NumPy arrays, and all that is read off it."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import check, train, tree

from .instruments import EXACT, Probe

UPDATES, ROWS, STEPS = 20, 4, 5
BOUND = 1e-12  # normwise, of the parameters after so many updates


def trainings(there: Any, gap: Any, seed: int) -> Iterator[tuple[str, Probe]]:
    """Every optimiser and what stands around it; see ``rooms.cases`` for ``there`` and ``gap``."""
    symbols = "abcdef"
    codes = np.random.default_rng([seed, 1]).integers(0, len(symbols), 700)

    def task(
        optimiser: train.Optimiser, tied: bool = False, engine: str = "fast", updates: int = UPDATES, **options: Any
    ) -> train.Task:
        width = 7 if tied else 5
        model = train.language_model(
            len(symbols), layers=2, hidden=7, embedding=width, dropout=0.3, tied=tied, engine=engine
        )
        given = {"clip": 0.14, "every": 10, "plateau": train.Plateau(0.5, 0)} | options
        streams, schedule = train.Streams(codes, ROWS, STEPS), train.constant(1e-3)
        job = train.Task(model, streams, optimiser, schedule, updates, **given)
        return replace(job, held_out=train.held_out_loss(model, codes[-40:], 2, STEPS))

    def run(job: train.Task, progress: train.Progress) -> Any:
        *_, last = train.train(job, progress)
        return last

    def both(job: train.Task) -> tuple[Any, Any]:
        """The run there, and the same here."""
        start = train.begin(job, seed)
        return run(job, train.begin(job, seed, params=there(start.params))), run(job, start)

    def trained(job: train.Task) -> float:
        (got, said), (want, expected) = both(job)
        errors = [gap(getattr(got, k), getattr(want, k)) for k in ("params", "carry")]
        errors += [gap(got.best.params, want.best.params)]
        errors += [check.normwise(*(tree.map(np.nan_to_num, one.history) for one in (got, want)))]
        moments = [[a for _, a in tree.leaves(one.moments) if a.ndim] for one in (got, want)]
        gates = [[table.columns for table in report.gates.values()] for report in (said, expected)]
        errors += [gap(*moments), check.normwise(*gates)]
        return max(errors) * (EXACT / BOUND)

    def resumed() -> float:
        """Saved half way, loaded to the device, and on: the same bits as without."""
        job = task(train.adam())
        half = train.begin(job, seed, params=there(train.begin(job, seed).params))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.npz"
            for _ in range(UPDATES // 2):
                half, _report = train.advance(job, half)
            train.save(path, job, half)
            loaded = train.load(path, job, half)
            best = train.load_best(path, job.model)
        whole, again = (run(job, one)[0] for one in (half, loaded))
        return max(gap(again.params, tree.on_host(whole.params)), gap(there(best), tree.on_host(half.best.params)))

    def read_off() -> float:
        """Samples, held-out loss and the map of the gates."""
        job = task(train.adam())
        (got, _), (want, _) = both(job)
        texts, losses, maps = [], [], []
        for params in (got.params, want.params):
            texts.append("".join(train.sample(job.model, params, symbols, "ab", 30, np.random.default_rng(seed))))
            losses.append([job.held_out(params)] if job.held_out else [])
            maps.append(train.gate_map(job.model, params, codes[:40], 3))
        (chosen, got_map), (units, want_map) = maps
        same = texts[0] == texts[1] and chosen == units
        return max(check.normwise(*losses), check.normwise(got_map, want_map)) * (EXACT / BOUND) if same else 1.0

    def diverged() -> float:
        """The first array that is not finite is named alike."""
        job, said = task(train.adam()), []
        for move in (there, lambda params: params):
            params = train.begin(job, seed).params
            params[1].U_f[2, 3] = np.inf
            try:
                train.advance(job, train.begin(job, seed, params=move(params)))
            except train.Diverged as error:
                said.append(str(error))
        return 0.0 if len(said) == 2 and said[0] == said[1] else 1.0

    yield "train, Adam", lambda: trained(task(train.adam()))
    yield "train, AdamW, tied", lambda: trained(task(train.adamw(weight_decay=0.1), tied=True))
    yield "train, SGD, clipped by value", lambda: trained(task(train.sgd(0.9), clip_value=0.01, clip=None))
    yield (
        "train in parts, explicit",
        lambda: trained(task(train.adam(), engine="explicit", updates=4, every=2, parts=2)),
    )
    yield "train.save, load", resumed
    yield "train.sample, gate_map", read_off
    yield "train, diverged", diverged
