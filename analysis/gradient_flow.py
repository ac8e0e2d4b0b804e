"""How far back a gradient reaches: |dL/dh_t| and |dL/dc_t| against lag, for networks at initialisation."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl

from . import figures, next_symbol, output, text
from .progress import bar

FIT = (10, 60)  # lags over which the rate is fitted
SIZES = {"T": 100, "B": 16, "D": 16, "H": 64}


class Curve(NamedTuple):
    """One signal of one network: quartiles over seeds and batch rows at each lag, relative to lag 0."""

    network: str
    signal: str
    lower: Any
    median: Any
    upper: Any
    rate: float

    @property
    def half_life(self) -> float:
        """Steps in which the gradient halves; infinite if it grows."""
        return float(np.log(2) / -np.log(self.rate)) if self.rate < 1 else float("inf")


def curves(corpus: text.Corpus, seed: int, seeds: int) -> list[Curve]:
    """The loss is the surprise at the symbol after the last step alone, so that lag is distance to the loss."""
    found = []
    with bar(total=len(next_symbol.NETWORKS) * seeds, desc="gradient flow") as shown:
        for index, network in enumerate(next_symbol.NETWORKS):
            cell, _ = next_symbol.NETWORKS[network]
            norms: dict[str, list[Any]] = {}
            for k in range(seeds):
                rng = np.random.default_rng([seed, index, k])
                for signal, values in _norms(cell, network, corpus, rng).items():
                    norms.setdefault(signal, []).append(values)
                shown.update()
            found += [_curve(network, signal, np.concatenate(v, axis=1)) for signal, v in norms.items()]
    return found


def _norms(cell: nl.Page, network: str, corpus: text.Corpus, rng: np.random.Generator) -> dict[str, Any]:
    """The norm of each row's cotangent at each lag, (T,B)."""
    T, B, D, H = (SIZES[k] for k in "TBDH")
    codes = text.windows(corpus, T + 1, B, rng)
    w = next_symbol.weights(network, len(corpus.symbols), B, D, H, T, rng)
    run = nl.forward(cell, w.params, next_symbol.embed(w, codes[:-1]), w.first)
    dhs = np.zeros_like(run.hs)
    dhs[-1:] = next_symbol.cross_entropy_gradient(w, run.hs[-1:], codes[-1:])[0]
    d = nl.backward(cell, w.params, run, dhs=dhs).cotangents
    return {signal: np.linalg.norm(getattr(d, signal)[::-1], axis=-1) for signal in cell.State._fields}


def _curve(network: str, signal: str, norms: Any) -> Curve:
    relative = norms / norms[0]
    lower, median, upper = np.quantile(relative, [0.25, 0.5, 0.75], axis=1)
    lags = np.arange(FIT[0], FIT[1] + 1)
    if np.any(median[lags] == 0):
        return Curve(network, signal, lower, median, upper, float("nan"))
    slope = np.polyfit(lags, np.log(median[lags]), 1)[0]
    return Curve(network, signal, lower, median, upper, float(np.exp(slope)))


def run(corpus: text.Corpus, out: Path, seed: int, seeds: int) -> bool:
    """Compute, print the rates, and save the figure with its numbers; there is nothing here that could fail."""
    found = curves(corpus, seed, seeds)
    rows = [[c.network, c.signal, f"{c.rate:.3f}", f"{c.half_life:.1f}", f"{c.median[-1]:.1e}"] for c in found]
    print(f"Gradient flow at initialisation, fitted over lags {FIT[0]} to {FIT[1]}.\n")
    print(output.table(["network", "dL/d", "rate per step", "half-life", f"lag {SIZES['T'] - 1}"], rows), "\n")
    header = ["network", "signal", "lag", "lower_quartile", "median", "upper_quartile"]
    output.write_csv(
        out / "gradient_flow.csv",
        header,
        [
            [c.network, c.signal, lag, *(float(q[lag]) for q in (c.lower, c.median, c.upper))]
            for c in found
            for lag in range(len(c.median))
        ],
    )
    output.write_csv(
        out / "gradient_flow_rates.csv",
        ["network", "signal", "rate_per_step", "half_life"],
        [[c.network, c.signal, c.rate, c.half_life] for c in found],
    )
    caption = (
        f"Loss: surprise at the symbol after the last of {SIZES['T']} steps. Text {corpus.name}; H = {SIZES['H']}, "
        f"D = {SIZES['D']}; W, U uniform in ±1/√H; {seeds} seeds × {SIZES['B']} rows; float64; seed {seed}."
    )
    figures.gradient_flow(found, FIT, caption, out / "gradient_flow")
    return True
