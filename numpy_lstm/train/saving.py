"""A training run as one file: every array of its Progress, and the settings that it must agree with. Never a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, files, tree
from ..command import need
from .errors import TrainingError
from .loop import Progress, Task, begin
from .protocols import Trainable

KEY = "numpy_lstm.train"  # under which the settings stand
FORMAT = 1
GROWING = "history."  # arrays whose length is the number of updates
BEST = "best.params"


class Saved(NamedTuple):
    """What a file holds: ``settings`` by name, ``arrays`` by path (``params.1.W_i``)."""

    settings: dict[str, Any]
    arrays: dict[str, Any]


def save(path: Path, task: Task, progress: Progress) -> Path:
    """Write ``.safetensors`` (extra ``files``) or ``.npz``, by the name; whole, or not at all."""
    header = json.dumps({"format": FORMAT, "settings": _described(task)})
    arrays = {name: np.asarray(a, order="C") for name, a in tree.leaves(tree.on_host(progress))}
    if objects := [name for name, a in arrays.items() if a.dtype.hasobject]:
        raise TrainingError(f"{objects[0]} is no array of plain numbers; only those are saved")
    return files.write(Path(path), lambda temporary: _writer(path)(temporary, arrays, header))


def load(path: Path, task: Task, progress: Progress | None = None) -> Progress:
    """The progress saved there, to go on with ``task``.

    ``progress`` is any of this task: it says what is expected; if absent, ``begin(task)`` in the dtype of the file.
    Raises TrainingError for a file that cannot be read, is damaged, or was written with another model, other settings,
    another dtype or number of threads: says which, and what it was.
    """
    found = read(path)
    like, here = begin(task, dtype=_dtype(found)) if progress is None else progress, _described(task)
    for name in {**here, **found.settings}:
        if (came := found.settings.get(name)) != (expected := here.get(name)):
            raise TrainingError(f"{path}: {name} was {came!r}; here it is {expected!r}")
    loaded: Progress = _restored(path, found, like, "")
    if surplus := found.arrays.keys() - {name for name, _ in tree.leaves(like)}:
        raise TrainingError(f"{path} is of another model: it has {min(surplus)}, which this one has not")
    if min(loaded.step, loaded.seed) < 0 or {a.shape for a in loaded.history} != {(loaded.step,)}:
        raise TrainingError(f"{path} is damaged: step {loaded.step}, seed {loaded.seed}, or another history")
    if loaded.threads != like.threads:
        same = f"OPENBLAS_NUM_THREADS={loaded.threads} gives the same"
        if not loaded.threads or not like.threads:
            same = "0 on a GPU; begin(task, params=...) starts there from any parameters, those of load_best say"
        raise TrainingError(
            f"{path}: threads was {loaded.threads}; here it is {like.threads}, which gives other bits ({same})"
        )
    return loaded


def load_best(path: Path, model: Trainable) -> Any:
    """The best parameters saved there, by held-out loss. Raises TrainingError as ``load``."""
    found = read(path)
    return _restored(path, found, model.init(np.random.default_rng(0), _dtype(found)), BEST)


def _described(task: Task) -> dict[str, Any]:
    """The settings as JSON gives them back."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TrainingError(f"settings hold a {type(value).__name__}; expected plain values, which JSON has")

    settings: dict[str, Any] = json.loads(json.dumps(task.described(), default=plain))
    return settings


def _dtype(found: Saved) -> Any:
    """That of the parameters saved."""
    kinds = [a.dtype for name, a in found.arrays.items() if name.startswith(BEST)]
    return kinds[0] if kinds and kinds[0] in (np.float32, np.float64, np.longdouble) else np.dtype(np.float64)


def _restored(path: Path, found: Saved, like: Any, prefix: str) -> Any:
    """``like`` with what was saved under the names of its leaves."""
    names = iter([name for name, _ in tree.leaves(like, prefix)])

    def restored(a: Any) -> Any:
        name, expected = next(names), a if arrays.is_cupy(a) else np.asarray(a)
        if (came := found.arrays.get(name)) is None:
            raise TrainingError(f"{path} is of another model: it has no {name}")
        if came.shape != expected.shape and not name.startswith(GROWING):
            raise TrainingError(f"{path} is of another model: {name} was {came.shape}; here it is {expected.shape}")
        if came.dtype != expected.dtype:
            raise TrainingError(f"{path}: {name} was {came.dtype}; here it is {expected.dtype}")
        if "params" in name and not np.all(np.isfinite(came)):
            raise TrainingError(f"{path}: {name} is not finite: that run has diverged, or the file is damaged")
        return arrays.like(came, a) if isinstance(a, np.ndarray) or arrays.is_cupy(a) else type(a)(came)

    return tree.map(restored, like)


def read(path: Path) -> Saved:
    """Settings and arrays of a saved run, whatever its model. Raises TrainingError if it cannot be read."""
    reader = _reader(path)
    try:
        header, arrays = reader(files.regular(Path(path)))
        said = json.loads(header)
    except Exception as error:  # there are many ways to be damaged
        reason = error.strerror if isinstance(error, OSError) and error.strerror else files.shortened(str(error))
        raise TrainingError(f"cannot read {path} as a saved training run: {reason}") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT or not isinstance(said.get("settings"), dict):
        raise TrainingError(f"{path} is no saved training run of format {FORMAT}")
    return Saved(said["settings"], arrays)


def sweep(path: Path) -> list[Path]:
    """Remove what a killed run left half written beside ``path``; nobody else may be writing it.

    Raises TrainingError for a name under which ``save`` writes nothing.
    """
    _writer(path)
    return files.sweep(Path(path))


def _writer(path: Any) -> Any:
    return _by_suffix(path, _write_safetensors, _write_npz)


def _reader(path: Any) -> Any:
    return _by_suffix(path, _read_safetensors, _read_npz)


def _by_suffix(path: Any, safetensors: Any, npz: Any) -> Any:
    kinds = {".safetensors": safetensors, ".npz": npz}
    if (suffix := Path(path).suffix) not in kinds:
        raise TrainingError(f"{path} ends in {suffix or 'nothing'}; expected {' or '.join(kinds)}")
    if suffix == ".safetensors":
        need("safetensors")
    return kinds[suffix]


def _write_safetensors(path: Path, arrays: Mapping[str, Any], header: str) -> None:
    from safetensors.numpy import save_file

    save_file(dict(arrays), path, metadata={KEY: header})


def _read_safetensors(path: Path) -> tuple[str, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return (file.metadata() or {})[KEY], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _write_npz(path: Path, arrays: Mapping[str, Any], header: str) -> None:
    whole: dict[str, Any] = {KEY: np.frombuffer(header.encode(), np.uint8), **arrays}
    np.savez(path, **whole)


def _read_npz(path: Path) -> tuple[str, dict[str, Any]]:
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        if any(entry.compress_type for entry in file.zip.infolist()):  # a small file may unpack to any size
            raise ValueError("it is compressed; a saved run is not")
        return bytes(file[KEY]).decode(), {name: file[name] for name in file.files if name != KEY}
