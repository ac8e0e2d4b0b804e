"""``python -m analysis clinic``: every symptom shown and named, and healthy runs that are not called sick."""

from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm import progress

from .. import figures, output
from .runs import SICK, Ran, healthy

HEALTHY = 3  # runs, one for each cell


def run(out: Path, seed: int) -> list[str]:
    """Print what was named of each run, write clinic.md, .csv, .json and the figure; returns what was wrong."""
    cases = {name: show for name, show in SICK.items() if name != "vanishing"}  # which the plateau shows too
    cases |= {f"healthy {k + 1}": lambda seed, k=k: healthy(3 * seed + k) for k in range(HEALTHY)}
    ran = {name: show(seed) for name, show in progress.bar(cases.items(), desc="clinic")}
    rows = [[name, *(str(k) for k in _numbers(one)), _said(one)] for name, one in ran.items()]
    table = output.table(["run", "updates", "first loss", "last loss", "largest norm", "named"], rows)
    found = {name: [s._asdict() for s in one.symptoms] for name, one in ran.items()}
    print(table, "", *(f"{name}\n{_told(one)}\n" for name, one in ran.items() if one.symptoms), sep="\n")
    output.write_text(out / "clinic.md", f"{table}\n")
    output.write_json(out / "clinic.json", {"seed": seed, "runs": found})
    curves = [
        [name, k + 1, *(float(a[k]) for a in one.history)]
        for name, one in ran.items()
        for k in range(len(one.history[0]))
    ]
    output.write_csv(out / "clinic.csv", ["run", "update", "loss", "norm", "clipped", "rate", "held out"], curves)
    figures.drawn(lambda figure: draw(ran, figure), (190, 120), out / "clinic")
    return wrong(ran)


def wrong(ran: dict[str, Ran]) -> list[str]:
    """Symptoms shown and not named, and healthy runs that are called sick."""
    named = {name: [s.name for s in one.symptoms] for name, one in ran.items()}
    missed = [f"{name} was not named" for name in named if name in SICK and name not in named[name]]
    if "vanishing" not in named["plateau"]:
        missed.append("vanishing was not named")
    return missed + [f"{name} is called {', '.join(n)}" for name, n in named.items() if name not in SICK and n]


def _numbers(one: Ran) -> list[str]:
    loss, norm = one.history.loss, one.history.norm
    return [str(len(loss)), *(f"{v:.3g}" for v in (loss[0], np.median(loss[-len(loss) // 4 :]), np.max(norm)))]


def _said(one: Ran) -> str:
    return ", ".join(s.name for s in one.symptoms) or "nothing"


def _told(one: Ran) -> str:
    return "\n".join(f"  {s}" for s in one.symptoms)


def draw(ran: dict[str, Ran], figure: Any) -> None:
    """A panel for each run: loss, held-out loss, and the norm of the gradient; of ``memory`` what is in use."""
    panels = figure.subplots(3, 4)
    for axes, (name, one) in zip(panels.ravel(), ran.items(), strict=True):
        x = np.arange(1, len(one.history.loss) + 1)
        axes.plot(x, one.history.loss, color=figures.COLORS[0], linewidth=0.9, label="loss, nats (left)")
        looks = np.flatnonzero(np.isfinite(one.history.held_out))
        axes.plot(
            looks + 1, one.history.held_out[looks], "o", color=figures.COLORS[1], markersize=2.5, label="held out"
        )
        if name == "divergence":
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)
        beside = axes.twinx()
        beside.spines.right.set_visible(True)
        if name == "memory":
            beside.plot(x, np.array(one.more["memory"]) / 2**20, **figures.style(3) | {"linewidth": 0.9}, label="MiB")
            beside.set_ylabel("MiB in use", fontsize=6)
        else:
            beside.semilogy(x, one.history.norm, **figures.style(2) | {"linewidth": 0.7}, label="norm (right)")
            if name != "divergence":
                beside.set_ylim(1e-2, 1e4)
        beside.tick_params(labelsize=5)
        axes.tick_params(labelsize=5)
        axes.set_title(f"{name}\nnamed: {_said(one)}", loc="left", fontsize=6)
    for axes in panels[-1]:
        axes.set_xlabel("update")
    handles = [*axes.get_lines(), *beside.get_lines()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=6.5)
