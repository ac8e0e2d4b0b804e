"""Every gradient of a next-symbol network by every route: how far apart, in how many roundings, in what time."""

import platform
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpy_lstm import check
from numpy_lstm.check import truth
from numpy_lstm.progress import bar
from reference import regimes

from .. import next_symbol, output, text
from . import routes, softmax

WINDOW = 1 + routes.SIZES["T"]


class Comparison(NamedTuple):
    """``error`` is normwise unless the route says otherwise; ``K`` is None where S is not defined."""

    network: str
    route: str
    error: float
    K: float | None
    seconds: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the error is within its bound (NaN is not)."""
        return self.error <= self.bound


def verify(corpus: text.Corpus, seed: int) -> list[Comparison]:
    """All routes on all networks."""
    rows = []
    with bar(total=len(next_symbol.NETWORKS) * len(routes.ROUTES), desc="verify") as shown:
        for index, network in enumerate(next_symbol.NETWORKS):
            subject = routes.subject(network, corpus, np.random.default_rng([seed, index]))
            for route, (compare, bound) in routes.ROUTES.items():
                start = time.perf_counter()
                error, K = compare(subject)
                rows.append(Comparison(network, route, error, K, time.perf_counter() - start, bound))
                shown.update()
    return rows


def saturated(seed: int, seeds: int = 3) -> dict[str, dict[str, float]]:
    """Worst K against 50-digit truth in each regime, for us and for torch where it is installed."""
    codes = {"numpy-lstm": lambda p: p.gradient(), "complex step": routes.by_complex_step}
    if routes.HAS_TORCH:
        codes |= {
            "torch tensor operations": routes.torch_oracle.tensor_cell,
            "torch.nn.LSTM": routes.torch_oracle.module,
        }
    worst = {regime: dict.fromkeys(codes, 0.0) for regime in regimes.REGIMES}
    for regime in bar(worst, desc="saturated gates"):
        for k in range(seeds):
            p = regimes.lstm_problem(regime, seed + k)
            exact, paths = truth.gradient(p), p.absolute_paths()
            for name, route in codes.items():
                worst[regime][name] = check.worst([worst[regime][name], check.K(route(p), exact, paths)])
    return worst


def environment() -> dict[str, str]:
    """Versions that the numbers depend on."""
    packages = ["numpy", "scipy", "mpmath", *(["torch"] if routes.HAS_TORCH else [])]
    versions = {package: metadata.version(package) for package in packages}
    return {"python": platform.python_version(), "machine": platform.machine()} | versions


def markdown(compared: list[Comparison], worst: dict[str, dict[str, float]], margins: softmax.Worst) -> str:
    """The tables of routes and networks, of saturated gates, and of the softmax."""
    by = {(o.network, o.route): o for o in compared}

    def entry(o: Comparison) -> str:
        error = f"{o.error:.3f}" if o.bound > 1e-3 else f"{o.error:.1e}"
        return error + ("" if o.K is None else f" · {o.K:.2g}") + ("" if o.passed else " FAILED")

    rows = []
    for route, (_, bound) in routes.ROUTES.items():
        seconds = sum(by[network, route].seconds for network in next_symbol.NETWORKS)
        rows.append([route, *(entry(by[n, route]) for n in next_symbol.NETWORKS), f"{bound:g}", f"{seconds:.2f} s"])
    agreement = output.table(["route", *next_symbol.NETWORKS, "bound", "time"], rows)
    names = list(next(iter(worst.values())))
    saturation = output.table(
        ["LSTM regime", *names], [[regime, *(f"{k[n]:.2g}" for n in names)] for regime, k in worst.items()]
    )
    missing = "" if routes.HAS_TORCH else "\ntorch is not installed: its routes were left out.\n"
    return (
        "Hand-derived gradient against each route: normwise error · K.\n\n"
        f"{agreement}\n{missing}\nWorst K against 50-digit truth when gates saturate; "
        f"bound of numpy-lstm: {check.BOUND:g}.\n\n{saturation}\n\n"
        "Cross-entropy against 50-digit truth: worst normwise error of the loss · of its gradient; "
        f"bound of numpy-lstm: {softmax.BOUND:g}.\n\n{softmax.table(margins)}\n"
    )


def run(corpus: text.Corpus, out: Path, seed: int) -> list[str]:
    """Verify, print and save; returns what failed."""
    compared, worst, margins = verify(corpus, seed), saturated(seed), softmax.measure(seed)
    report = markdown(compared, worst, margins)
    print(report)
    output.write_text(out / "verification.md", report)
    output.write_json(
        out / "verification.json",
        {
            "schema": 1,
            "environment": environment(),
            "text": str(corpus),
            "seed": seed,
            "sizes": routes.SIZES,
            "routes": [o._asdict() | {"passed": o.passed} for o in compared],
            "saturated": worst,
            "softmax": margins,
        },
    )
    failed = [f"{o.network}, {o.route}: {o.error:.3g}, bound {o.bound:g}" for o in compared if not o.passed]
    for regime, k in worst.items():
        if not k["numpy-lstm"] <= check.BOUND:
            failed.append(f"saturated gates, {regime}: K {k['numpy-lstm']:.3g}, bound {check.BOUND:g}")
    return failed + softmax.failed(margins)
