"""Mistakes against recipes: which way of checking a gradient catches which mistake."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from numpy_lstm.mistakes import CATALOGUE, Mistake
from numpy_lstm.progress import bar

from .. import figures, output
from ..verify.routes import HAS_TORCH
from .homes import HOMES, Home, suite
from .node_cases import HAS_ONNX
from .recipes import recipes

FOOTNOTES = (
    "A mistake with variants (a gate, an order of gates, a length) is caught if each of at most six of them is.",
    "In the form of TMVA's: sizes are ours; the LSTM test of TMVA itself discards its result and returns 0.",
    "Consistent: forward and backward pass are wrong alike. No difference of such a network's own values shows it.",
)


class Row(NamedTuple):
    """A mistake, the network in which it was made, its variants, and by recipe how many of them were caught."""

    mistake: str
    network: str
    consistent: bool
    variants: list[str]
    caught: dict[str, int]


def home_of(mistake: Mistake, seed: int, most: int = 6) -> tuple[Home, list[str]]:
    """The first home in which the mistake can be made, and its variants there; of many, ``most`` evenly chosen."""
    for home in HOMES:
        benches = suite(home, seed, 1.0)
        variants = list(dict.fromkeys(v for b in benches for v in mistake.conceivable(b)))
        chosen = variants[:: -(-len(variants) // most)] if variants else []
        shown = [v for v in chosen if any(v in mistake.conceivable(b) and mistake.shows(b, v) for b in benches)]
        if shown:
            return home, shown
    raise LookupError(f"{mistake.name} can be made in no network")


def matrix(seed: int, mistakes: Iterable[Mistake] = CATALOGUE.values()) -> list[Row]:
    """One row for each mistake, all of the catalogue if no others are given."""
    rows, columns = [], recipes()
    for mistake in bar(list(mistakes), desc="kill matrix"):
        home, variants = home_of(mistake, seed)
        caught = {r.name: sum(r.catches(home, mistake, v, seed) for v in variants) for r in columns}
        rows.append(Row(mistake.name, home.name, mistake.consistent, variants, caught))
    order = [home.name for home in HOMES]
    return sorted(rows, key=lambda row: order.index(row.network))


def counts(rows: list[Row]) -> dict[str, dict[str, int]]:
    """By recipe, the number of mistakes ``caught``, caught ``partly`` (some variants), and ``missed``."""
    found = {}
    for name in rows[0].caught:
        caught = sum(row.caught[name] == len(row.variants) for row in rows)
        missed = sum(row.caught[name] == 0 for row in rows)
        found[name] = {"caught": caught, "partly": len(rows) - caught - missed, "missed": missed}
    return found


def markdown(rows: list[Row]) -> str:
    """The counts, and what every recipe catches."""
    about = {r.name: r.about for r in recipes()}
    table = [
        [f"{k + 1} {name}", *map(str, c.values()), about[name]] for k, (name, c) in enumerate(counts(rows).items())
    ]
    summary = output.table(["recipe", "caught", "partly", "missed", "what it is"], table)

    def entry(row: Row, name: str) -> str:
        n, of = row.caught[name], len(row.variants)
        return "x" if n == of else f"{n}/{of}" if n else "-"

    whole = output.table(
        ["mistake", "network", *(str(k + 1) for k in range(len(about)))],
        [[row.mistake, row.network, *(entry(row, name) for name in row.caught)] for row in rows],
    )
    left = [name for name, there in (("torch", HAS_TORCH), ("onnx", HAS_ONNX)) if not there]
    missing = f"\n{' and '.join(left)} not installed: their recipes were left out.\n" if left else ""
    notes = "\n".join(f"- {note}" for note in FOOTNOTES)
    return (
        f"{len(rows)} mistakes, {sum(len(row.variants) for row in rows)} with all variants.\n\n{summary}\n{missing}\n"
        f"x caught, - missed, 2/3 two of three variants caught:\n\n{whole}\n\n{notes}\n"
    )


def caption(rows: list[Row]) -> str:
    """One sentence of counts for the figure."""
    found = counts(rows)
    ours = [name for name in found if name.startswith("ours")]
    worst = max(found[name]["missed"] + found[name]["partly"] for name in ours)
    kills = f"our suite catches all {len(rows)}" if not worst else f"our suite misses {worst} of {len(rows)}"
    others = {name: c["missed"] + c["partly"] for name, c in found.items() if name not in ours}
    least, most = min(others, key=others.__getitem__), max(others, key=others.__getitem__)
    return (
        f"{len(rows)} mistakes: {kills} at each of three loss scales; the others miss "
        f"between {others[least]} ({least}) and {others[most]} ({most}), wholly or in part"
    )


def draw(rows: list[Row], stem: Path) -> None:
    """One line for each mistake, one column for each recipe: pale where it is caught, dark where it is missed."""
    from matplotlib.patches import Patch

    found = counts(rows)
    names = list(found)
    width, height = len(names), len(rows)
    with figures.look_of(figures.RC):
        drawing = figures.figure(8.2, 0.118 * height + 2.6)
        axes = drawing.subplots()
        for y, row in enumerate(rows):
            for x, name in enumerate(names):
                _square(axes, x, y, row.caught[name] / len(row.variants))
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height + 0.2, -0.5)
        axes.set_xticks(range(width), names, rotation=55, ha="left", rotation_mode="anchor", fontsize=7)
        axes.xaxis.tick_top()
        axes.set_yticks(range(height), [row.mistake for row in rows], fontsize=5.6, family="monospace")
        axes.tick_params(length=0, pad=2)
        axes.spines[:].set_visible(False)
        starts = [y for y in range(height) if y == 0 or rows[y].network != rows[y - 1].network]
        for y, stop in zip(starts, [*starts[1:], height], strict=True):
            axes.plot([-0.5, width - 0.5], [y - 0.5, y - 0.5], color="0.35", linewidth=0.5, clip_on=False)
            axes.text(width - 0.3, (y + stop - 1) / 2, rows[y].network, fontsize=6, va="center", color="0.25")
        for x, name in enumerate(names):
            missed = found[name]["missed"] + found[name]["partly"]
            axes.text(x, height + 0.4, str(missed), ha="center", va="center", fontsize=7, fontweight="bold")
        axes.text(-0.7, height + 0.4, "not caught, or not in every variant", ha="right", va="center", fontsize=6)
        key = [(0.0, "missed"), (0.5, "some variants missed"), (1.0, "caught")]
        handles = [Patch(facecolor=_SHADES[share], edgecolor="0.6", linewidth=0.4, label=text) for share, text in key]
        drawing.legend(handles=handles, loc="outside upper left", ncols=1, frameon=False, fontsize=7)
        drawing.supxlabel(caption(rows), fontsize=6.5, color="0.35")
        figures.save(drawing, stem)


_SHADES = {0.0: "#A33B00", 0.5: "#E9A36F", 1.0: "#F2F2F2"}  # vermilion, darker and lighter: apart in grey, too


def _square(axes: Any, x: float, y: float, share: float) -> None:
    from matplotlib.patches import Rectangle

    shade = _SHADES[share if share in (0.0, 1.0) else 0.5]
    axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, facecolor=shade, linewidth=0))


def run(out: Path, seed: int, mistakes: Iterable[Mistake] = CATALOGUE.values()) -> list[str]:
    """Make, print and save the matrix; returns what our suite misses at one loss scale or more."""
    start = time.perf_counter()
    rows = matrix(seed, mistakes)
    report = f"{caption(rows)}.\n\n{markdown(rows)}"
    print(f"{report}\n{time.perf_counter() - start:.0f} s")
    output.write_text(out / "kill_matrix.md", report)
    names = list(rows[0].caught)
    output.write_csv(
        out / "kill_matrix.csv",
        ["mistake", "network", "consistent", "variants", *names],
        [[r.mistake, r.network, int(r.consistent), len(r.variants), *r.caught.values()] for r in rows],
    )
    saved: dict[str, Any] = {"schema": 1, "seed": seed, "counts": counts(rows), "rows": [r._asdict() for r in rows]}
    output.write_json(out / "kill_matrix.json", saved)
    draw(rows, out / "kill_matrix")
    survivors = {
        r.mistake for r in rows for name in names if name.startswith("ours") and r.caught[name] < len(r.variants)
    }
    return [f"our suite misses {name}" for name in sorted(survivors)]
