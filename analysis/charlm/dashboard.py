"""The figure of a run record: losses, perplexity, norm, rate, gates, samples."""

import argparse
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numpy_lstm import train

from .. import figures
from .command import RECORD

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("record", metavar="RUN", nargs="?", type=Path, help="a run record; default: DIR/charlm.json")


def run(out: Path, options: argparse.Namespace) -> list[str]:
    """Draw the record as ``out``/dashboard.svg and .png; nothing here can fail, so the list is empty."""
    found = train.record.read(options.record or out / RECORD)
    figures.drawn(lambda figure: _draw(figure, found), (240, 150), out / "dashboard")
    return []


def _draw(figure: "Figure", found: dict[str, Any]) -> None:
    panels = figure.subplots(2, 3)
    curves = {k: np.array(v, float) for k, v in found["curves"].items()}
    updates = np.arange(1, len(curves["loss"]) + 1)
    looks = np.flatnonzero(np.isfinite(curves["held_out"]))
    _losses(panels[0, 0], updates, curves, looks, found["baselines"])
    axes = panels[0, 1]
    axes.plot(updates, _perplexity(curves["loss"]), color="0.8", linewidth=0.6, label="training")
    axes.plot(updates[looks], _perplexity(curves["held_out"][looks]), **figures.style(1), label="held out")
    axes.set_yscale("log")
    axes.set_title("perplexity", loc="left")
    axes = panels[0, 2]
    axes.semilogy(updates, curves["norm"], **figures.style(2) | {"linewidth": 0.6}, label="norm before clipping")
    axes.semilogy(updates, curves["rate"], **figures.style(3), label="learning rate")
    axes.set_title(f"gradient norm ({np.mean(curves['clipped'] > 0):.0%} clipped), and rate", loc="left")
    for axes in panels[0]:
        axes.set_xlabel("update")
        axes.legend(frameon=False, fontsize=6)
    _gates(panels[1, 0], found["looks"])
    _gate_map(panels[1, 1], found["gate_map"])
    _samples(panels[1, 2], found["looks"])
    text, s, best = found["text"], found["settings"], found["best"]
    figure.supxlabel(
        f"{s['cell']}, {s['layers']} x {s['hidden']}, {text['name']} (sha256 {text['sha256'][:12]}), seed {s['seed']}; "
        f"best held-out loss {best['held_out'] or math.nan:.3f} nats after update {best['update']}",
        fontsize=6,
        color=figures.GREY,
    )


def _perplexity(losses: Any) -> Any:
    return np.exp(np.minimum(losses, 100))  # no figure has room for more


def _losses(axes: Any, updates: Any, curves: dict[str, Any], looks: Any, baselines: dict[str, float]) -> None:
    axes.plot(updates, curves["loss"], color="0.8", linewidth=0.6, label="training")
    axes.plot(updates[looks], curves["held_out"][looks], **figures.style(1), label="held out")
    for name, loss in baselines.items():
        axes.axhline(loss, color=figures.GREY, linewidth=0.5, linestyle=":")
        axes.annotate(name, (1.01, loss), xycoords=("axes fraction", "data"), fontsize=5.5, va="center")
    axes.set_title("loss, nats per character", loc="left")


def _gates(axes: Any, looks: list[dict[str, Any]]) -> None:
    curves = [(layer, gate) for layer, gates in looks[-1]["gates"].items() for gate in gates] if looks else []
    for k, (layer, gate) in enumerate(curves):
        means = [look["gates"][layer][gate]["mean"] for look in looks]
        axes.plot([look["update"] for look in looks], means, **figures.style(k), label=f"{gate}, layer {layer}")
    axes.set_ylim(0, 1)
    axes.set_xlabel("update")
    axes.set_title("mean of each gate", loc="left")
    if curves:
        axes.legend(frameon=False, fontsize=6, ncols=2)


def _gate_map(axes: Any, found: dict[str, Any]) -> None:
    for name, values in list(found["values"].items())[:1]:  # by which the state is kept
        shown = axes.imshow(np.array(values, float).T, aspect="auto", cmap="viridis", interpolation="nearest")
        axes.figure.colorbar(shown, ax=axes, fraction=0.04)
        axes.set_title(f"{name}, while it reads", loc="left")
    text = found["text"]
    axes.set_xticks(range(len(text)), [c if c.isprintable() else "¶" for c in text], fontsize=3.5, family="monospace")
    axes.set_yticks(range(len(found["units"])), found["units"])
    axes.set_ylabel("unit")


def _samples(axes: Any, looks: list[dict[str, Any]]) -> None:
    axes.axis("off")
    axes.set_title("samples", loc="left")
    said = []
    for look in [looks[k] for k in sorted({0, len(looks) // 2, len(looks) - 1})] if looks else []:
        text = "".join(c if c.isprintable() else " " for c in look["sample"])
        said.append(f"update {look['update']}\n" + "\n".join(textwrap.wrap(text, 44)[:5]))
    axes.text(0, 1, "\n\n".join(said).replace("$", r"\$"), va="top", fontsize=5.5, family="monospace")
