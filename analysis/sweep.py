"""One task at many points: in turn, on all cores (joblib), or on a Dask cluster; the results are the same.

Every result is saved to a file of its own as soon as it is known. A sweep that was interrupted, or lost a worker,
resumes from the saved results unless the code changed: the name of a file covers the point and the code of this
project. A file holds a digest of its name and its result: one that was damaged, or is of another point, counts as
absent.
"""

import hashlib
import json
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy_lstm
from numpy_lstm.command import jobs as jobs_of
from numpy_lstm.files import regular
from numpy_lstm.progress import bar

from . import output

Point = dict[str, Any]
Task = Callable[[Point], Any]
ATTEMPTS = 3  # a dead worker ends its pool; so many pools in all are started for what is left


class SweepError(RuntimeError):
    """The workers could not be reached, or died in every attempt."""


def arguments(parser: Any) -> None:
    """The options ``jobs`` and ``dask``."""
    parser.add_argument("--jobs", type=jobs_of, default=1, help="processes here, -1 for all cores; default: 1")
    parser.add_argument("--dask", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead")


def sweep(task: Task, points: list[Point], folder: Path, jobs: int = 1, dask: str | None = None) -> list[Any]:
    """``[task(p) for p in points]``; points and results hold what JSON holds.

    Parameters
    ----------
    task : a function at the top level of a module, so that a worker can find it
    folder : where the results are kept, one file for each point
    jobs : processes on this machine; -1 for all cores
    dask : address of a Dask scheduler, whose workers can import ``analysis``; ``jobs`` then does not count

    Raises SweepError if the workers died in every attempt or cannot be reached, or a file of a result can be neither
    read nor replaced; what the task raises is raised here.
    """
    paths = [folder / f"{_key(task, point)}.json" for point in points]
    found = {str(path): _saved(path) for path in paths}
    left = {str(path): point for path, point in zip(paths, points, strict=True) if found[str(path)] is None}
    with bar(total=len(left), desc=folder.name) as shown:
        for path, result in _results(task, left, jobs, dask):
            text = json.dumps(result)
            output.write_text(Path(path), f'{{"sha256": "{_digest(path, text)}", "result": {text}}}\n')
            found[path] = [json.loads(text)]
            shown.update()
    return [found[str(path)][0] for path in paths]


def _saved(path: Path) -> Any:
    """The result in a file, in a list; None where there is none, or it is not what was written there."""
    try:
        said = json.loads(regular(path).read_text(encoding="utf-8"))
        return [said["result"]] if said["sha256"] == _digest(path, json.dumps(said["result"])) else None
    except (FileNotFoundError, ValueError, TypeError, LookupError, RecursionError):
        return None
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror}; expected a result, or nothing") from None


def _digest(path: Path | str, text: str) -> str:
    return hashlib.sha256(f"{Path(path).name} {text}".encode()).hexdigest()


@cache
def _code() -> str:
    """A digest of every source file of the package and the studies."""
    folders = [Path(__file__).parent, Path(numpy_lstm.__file__).parent]
    sources = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def _key(task: Task, point: Point) -> str:
    text = json.dumps([_code(), task.__module__, task.__qualname__, point], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _named(task: Task, path: str, point: Point) -> tuple[str, Any]:
    return path, task(point)


def _results(task: Task, left: dict[str, Point], jobs: int, dask: str | None) -> Iterator[tuple[str, Any]]:
    if not left:
        return
    if jobs == 1 and dask is None:
        yield from (_named(task, path, point) for path, point in left.items())
        return
    try:
        import joblib
        from joblib.externals.loky import get_reusable_executor
        from joblib.externals.loky.process_executor import BrokenProcessPool
    except ImportError as error:
        extra = "analysis" if dask is None else "cluster"
        raise SweepError(f"several jobs need joblib: pip install 'numpy-lstm[{extra}]'") from error
    left = dict(left)
    warnings.filterwarnings("ignore", "[0-9]+ tasks which were still being processed", UserWarning)  # of Ctrl-C
    for _ in range(ATTEMPTS):
        try:
            with _workers(jobs, dask) as options:
                parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, **options)
                for path, result in parallel(joblib.delayed(_named)(task, path, p) for path, p in left.copy().items()):
                    del left[path]
                    yield path, result
        except BrokenProcessPool:
            continue
        except (KeyboardInterrupt, GeneratorExit):
            if dask is None:
                get_reusable_executor().shutdown(wait=False, kill_workers=True)  # none goes on by itself
            raise
        return
    raise SweepError(f"worker processes died {ATTEMPTS} times; {len(left)} points are left, run again to resume")


def _ignore_interrupts() -> None:
    """In a worker: Ctrl-C reaches every process of a terminal; the one that was started ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _workers(jobs: int, dask: str | None) -> Iterator[dict[str, Any]]:
    """The arguments of joblib.Parallel: processes here, or the workers of a Dask scheduler."""
    if dask is None:
        yield {"n_jobs": jobs, "backend": "loky", "initializer": _ignore_interrupts}
        return
    try:
        import joblib
        from distributed import Client
    except ImportError as error:
        raise SweepError("--dask needs a client: pip install 'numpy-lstm[cluster]'") from error
    try:
        client = Client(dask, timeout="4s", set_as_default=True)
    except (OSError, ValueError) as error:
        raise SweepError(f"no Dask scheduler at {dask}: {error}") from error
    with client, joblib.parallel_config(backend="dask", wait_for_workers_timeout=60):
        yield {}
