"""Updates per second of a character model on a GPU, beside the same model in PyTorch there, in turn."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from numpy_lstm import check, train, tree

from .. import output
from ..charlm import updates
from . import peers

UPDATES = 20  # after which the parameters are held against those of the same run on NumPy arrays
WARM = 3
BOUND = {"float64": 1e-12, "float32": 1e-3}


def cases(cupy: Any, seed: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]], float]]:
    """Name, measurement and bound of each."""
    for shape in updates.SHAPES:
        for dtype in ("float32", "float64"):
            yield f"training {shape} {dtype}", partial(measured, cupy, shape, dtype, seed), BOUND[dtype]


def measured(cupy: Any, shape: tuple[int, ...], dtype: str, seed: int) -> dict[str, Any]:
    """Seconds of an update, ours and PyTorch's, and the error of our parameters after all updates but the warm ones."""
    task = updates.job(shape, seed)
    start = train.begin(task, seed, dtype)
    now = {"ours": train.begin(task, seed, params=tree.map(cupy.asarray, start.params)), "numpy": start}

    def ours(step: int) -> None:
        now["ours"], _report = train.advance(task, now["ours"])

    calls: dict[str, Callable[[int], Any]] = {"ours": ours}
    if "torch" in peers.installed():
        from reference import torch_training

        if (theirs := torch_training.on_gpu(start.params)) is not None:
            update = torch_training.updates(theirs, "adam", 1.0, lr=1e-3)
            calls["torch"] = lambda step: update(task.batches(seed, step))
    seconds: dict[str, list[float]] = {k: [] for k in calls}
    for step in range(UPDATES):
        for k, call in calls.items():
            cupy.cuda.Device().synchronize()
            begun = time.perf_counter()
            call(step)
            cupy.cuda.Device().synchronize()
            seconds[k].append(time.perf_counter() - begun)
        now["numpy"], _report = train.advance(task, now["numpy"])
    error = check.normwise(tree.on_host(now["ours"].params), now["numpy"].params)
    medians = {k: float(np.median(v[WARM:])) for k, v in seconds.items()}
    return {"shape": list(shape), "dtype": dtype, "error": error, "seconds": medians}


def table(rows: list[dict[str, Any]]) -> str:
    """Updates a second and their ratio."""
    cells = []
    for row in rows:
        ours, theirs = row["seconds"]["ours"], row["seconds"].get("torch")
        numbers = [f"{1 / ours:.0f}", f"{1 / theirs:.0f}" if theirs else "", f"{theirs / ours:.2f}" if theirs else ""]
        cells.append([",".join(map(str, row["shape"])), row["dtype"], *numbers, f"{row['error']:.1e}"])
    return output.table(
        ["rows,steps,units,layers", "dtype", "updates / s", "torch on the GPU", "torch / ours", "error"], cells
    )
