"""Which BLAS, kernels and threads NumPy's matrix products use here, and what would be faster.

The time of a recurrent network is the time of its products. A NumPy wheel brings OpenBLAS, which looks at the processor
and picks a set of kernels; some wheels pick narrower ones than the processor has. ``OPENBLAS_CORETYPE`` overrides the
choice, but only before NumPy is imported: so every candidate is measured in a process of its own.

This file needs NumPy only and is also run by its path.
"""

import argparse
import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CANDIDATES = {
    "x86_64": ("Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"),
    "aarch64": ("NEOVERSEN1", "NEOVERSEV1", "NEOVERSEN2", "ARMV8SVE"),
}
SHAPES = ((512, 128, 32), (512, 512, 512))  # a step of H=128, B=32, and a plain product
SECONDS = 0.05  # of measuring for each shape and dtype
PASSES = 2
WORTH = 1.1  # a gain that is worth a line of advice


class Blas(NamedTuple):
    """What NumPy multiplies with: names are None where the library does not tell."""

    library: str
    kernel: str | None
    threads: int | None


class Speed(NamedTuple):
    """Gflop/s, the geometric mean over ``SHAPES``, on one thread."""

    kernel: str | None
    float64: float
    float32: float


class Diagnosis(NamedTuple):
    """``here`` is the kernel in use; ``others`` are those that run on this processor, by what was asked for."""

    blas: Blas
    processors: int
    here: Speed
    others: dict[str, Speed]


def blas() -> Blas:
    """The BLAS of this process."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    name = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    found = _openblas()
    return Blas(name, None, None) if found is None else Blas(name, found.kernel, int(found.threads()))


def kernel_and_threads() -> tuple[str | None, int | None]:
    """What ``blas`` says of them, in a microsecond."""
    found = _openblas()
    return (None, None) if found is None else (found.kernel, int(found.threads()))


class _OpenBlas(NamedTuple):
    """Its kernel, which does not change, and a function that tells the threads, which may."""

    kernel: str
    threads: Callable[[], int]


@cache
def _openblas() -> _OpenBlas | None:
    for path in _shared_objects():
        try:
            library = ctypes.CDLL(path)
        except OSError:  # no library, though mapped and so named
            continue
        for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("", ""), ("scipy_", "")):
            corename = getattr(library, f"{prefix}openblas_get_corename{suffix}", None)
            threads = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
            if corename is not None and threads is not None:
                corename.restype = ctypes.c_char_p
                return _OpenBlas(corename().decode(), threads)
    return None


def _shared_objects() -> list[str]:
    """OpenBLAS as it lies in NumPy's wheel, or as this process has mapped it."""
    root = Path(np.__file__).parent
    found = [str(p) for d in (root.parent / "numpy.libs", root / ".dylibs") for p in sorted(d.glob("*openblas*"))]
    maps = Path("/proc/self/maps")
    if not found and maps.exists():
        paths = {line.split()[-1] for line in maps.read_text().splitlines() if "blas" in line.lower()}
        found = sorted(p for p in paths if p.startswith("/"))
    return found


def speed() -> Speed:
    """Measure the kernels of this process."""
    found = []
    for dtype in (np.float64, np.float32):
        logs = []
        for m, k, n in SHAPES:
            a, b, c = (np.ones(shape, dtype) for shape in ((m, k), (k, n), (m, n)))
            best, until = np.inf, time.perf_counter() + SECONDS
            while best == np.inf or time.perf_counter() < until:
                start = time.perf_counter()
                np.matmul(a, b, out=c)
                best = min(best, time.perf_counter() - start)
            logs.append(np.log(2e-9 * m * k * n / best))
        found.append(float(np.exp(np.mean(logs))))
    return Speed(blas().kernel, *found)


def child_environment(threads: int = 1, kernel: str | None = None) -> dict[str, str]:
    """The environment of a new process with so many threads and these kernels (None: those that OpenBLAS picks)."""
    found = os.environ | {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL")}
    return found if kernel is None else found | {"OPENBLAS_CORETYPE": kernel}


def measure(kernel: str | None = None) -> Speed | None:
    """``speed`` in a new process with these kernels on one thread; None if they do not run on this processor."""
    command = [sys.executable, __file__, "--speed"]
    try:
        done = subprocess.run(command, env=child_environment(1, kernel), capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        return None
    return Speed(*json.loads(done.stdout)) if done.returncode == 0 else None


def diagnose() -> Diagnosis:
    """Measure the kernels in use, and the others if OpenBLAS is there to choose from.

    In turn, ``PASSES`` times, the best of each: a busy machine slows one measurement and not its neighbour.
    """
    found = blas()
    names = CANDIDATES.get(platform.machine().replace("AMD64", "x86_64"), ()) if found.kernel else ()
    best: dict[str | None, Speed] = {}
    for name in (None, *names) * PASSES:
        if (s := measure(name)) is None:
            continue
        before = best.get(name, s)
        best[name] = Speed(s.kernel, max(s.float64, before.float64), max(s.float32, before.float32))
    if None not in best:
        raise RuntimeError("a new Python process cannot multiply matrices with NumPy")
    others = {name: s for name, s in best.items() if name is not None and s.kernel is not None}
    return Diagnosis(found, len(affinity()), best[None], others)


def affinity() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def widest(found: Diagnosis) -> str | None:
    """What to ask OPENBLAS_CORETYPE for: the fastest in float64, or None if that is what is in use already."""
    name = max(found.others, key=lambda k: found.others[k].float64, default=None)
    if name is None or found.others[name].float64 < WORTH * found.here.float64:
        return None
    return name


def report(found: Diagnosis | None = None) -> str:
    """What is in use, what each kernel reaches, and advice, as lines of text."""
    found = diagnose() if found is None else found
    kernel, threads = found.blas.kernel or "not told", found.blas.threads or "not told"
    lines = [
        f"NumPy {np.__version__} with {found.blas.library}; kernels {kernel}; threads {threads} of {found.processors}",
        "Gflop/s on one thread, float64 and float32, products of a step (H=128, B=32) and of 512 x 512 matrices:",
        f"  {'in use':14} {found.here.float64:6.0f} {found.here.float32:6.0f}",
    ]
    lines += [
        f"  {name:14} {s.float64:6.0f} {s.float32:6.0f}" + ("" if s.kernel == name else f"   ({s.kernel} kernels)")
        for name, s in found.others.items()
    ]
    if (name := widest(found)) is not None:
        gain = found.others[name].float64 / found.here.float64
        lines.append(f"Faster by {gain:.1f}x in float64: set OPENBLAS_CORETYPE={name} before Python starts.")
    elif found.others:
        lines.append("Nothing measured is faster by a tenth or more.")
    if found.blas.threads is not None and found.blas.threads < found.processors:
        lines.append(f"{found.processors} processors: unset OPENBLAS_NUM_THREADS and OMP_NUM_THREADS to use them all.")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """This file run by its path: print the report, or as JSON with ``--json``."""
    parser = argparse.ArgumentParser(prog="numpy-lstm doctor", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--speed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.speed:
        print(json.dumps(speed()))
        return 0
    found = diagnose()
    print(json.dumps(plain(found), indent=1) if options.json else report(found))
    return 0


def plain(value: Any) -> Any:
    """Records as dicts, which JSON can hold."""
    if hasattr(value, "_asdict"):
        return {k: plain(v) for k, v in value._asdict().items()}
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    sys.exit(main())
