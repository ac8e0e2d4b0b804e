"""Which units follow the text: correlations with candidates, corrected for having looked at every unit."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import figures
from ..flow.study import Found
from .forgetting import named
from .opened import WARM, Opened, places, read

LEVEL = 0.05
TRACED, TRACES = 120, 3  # steps of each trace, and how many are drawn


def _counter(reset: Callable[[str], bool], counts: Callable[[str], bool] = lambda c: True) -> Callable[[str], Any]:
    """How many characters that count there were since one that resets."""

    def found(text: str) -> Any:
        values, now = np.zeros(len(text)), 0
        for t, c in enumerate(text):
            now = 0 if reset(c) else now + counts(c)
            values[t] = now
        return values

    return found


def _ends_with_a_colon(text: str) -> Any:
    """1 along a line whose last character is a colon: a speaker of a play, the head of a list."""
    return np.array([float(line.rstrip().endswith(":")) for line in text.split("\n") for _ in f"{line}\n"])[: len(text)]


def _indented(text: str) -> Any:
    """1 along a line that begins with a space."""
    return np.array([float(line.startswith(" ")) for line in text.split("\n") for _ in f"{line}\n"])[: len(text)]


def _depth(text: str) -> Any:
    """Open brackets, none of which outlives its paragraph."""
    values, now = np.zeros(len(text)), 0
    for t, c in enumerate(text):
        now = 0 if text[t - 1 : t + 1] == "\n\n" else max(0, now + (c in "([{") - (c in ")]}"))
        values[t] = now
    return values


def _line_of_paragraph(text: str) -> Any:
    """Lines since an empty one."""
    values, now = np.zeros(len(text)), 0
    for t, c in enumerate(text):
        now = 0 if text[t - 1 : t + 1] == "\n\n" else now + (c == "\n")
        values[t] = now
    return values


CANDIDATES: dict[str, Callable[[str], Any]] = {
    "position in line": _counter(lambda c: c == "\n"),
    "place in word": _counter(lambda c: not c.isalpha()),
    "line ends with a colon": _ends_with_a_colon,
    "line is indented": _indented,
    "open brackets": _depth,
    "line of paragraph": _line_of_paragraph,
}


def correlations(values: Any, candidate: Any) -> Any:
    """Pearson's r of values (T,B,N) with the candidate (T,B), shifted against them by every s: (T,N); no shift is s=0.

    Each row is shifted round its end, so that both keep their means, variances and autocorrelations. Units that do not
    vary have r = 0.
    """
    values, candidate = (a - np.mean(a, axis=(0, 1)) for a in (values, candidate))
    spectra = np.fft.rfft(values, axis=0), np.fft.rfft(candidate, axis=0)
    together = np.einsum("fbn,fb->fn", spectra[0], np.conj(spectra[1]))
    norms = np.linalg.norm(values, axis=(0, 1)), np.linalg.norm(candidate)
    size = norms[0] * norms[1]
    return np.fft.irfft(together, len(values), axis=0) / np.where(size > 0, size, np.inf)


def followers(values: Any, candidates: dict[str, Any]) -> list[dict[str, Any]]:
    """For each candidate the unit that follows it best in the even rows, and what it does in the odd ones.

    ``p`` is the share of all shifts (that of 0 counted) at which any unit follows the candidate as well, times the
    number of candidates: corrected for having looked at all of both. ``again`` is r in the odd rows, ``p_again`` the
    share at which this one unit follows as well there. ``confirmed``: both at most LEVEL, and r of the same sign.
    """
    halves = [{k: correlations(values[:, h::2], c[:, h::2]) for k, c in candidates.items()} for h in (0, 1)]
    found = []
    for name, r in halves[0].items():
        unit = int(np.argmax(np.abs(r[0])))
        here, again = float(r[0, unit]), halves[1][name][:, unit]
        p = min(1.0, len(candidates) * float(np.mean(np.max(np.abs(r), axis=1) >= abs(here))))
        p_again = float(np.mean(np.abs(again) >= abs(again[0])))
        one = {"candidate": name, "unit": unit, "r": here, "p": p, "again": float(again[0]), "p_again": p_again}
        found.append(one | {"confirmed": max(p, p_again) <= LEVEL and here * again[0] > 0})
    return found


def units(run: Opened, characters: int) -> Found | str:
    """Which unit of which layer follows which candidate, and its trace along the text."""
    at = places(run, characters)
    layers, text = read(run, run.after, at), "".join(run.symbols[c] for c in run.held)
    at = at[WARM:]
    values = np.concatenate([one.state for one in layers], axis=2).astype(np.float64)
    owners = [(one.layer, one.field, k) for one in layers for k in range(one.state.shape[2])]
    told = {name: follows(text)[at] for name, follows in CANDIDATES.items()}
    told = {name: a for name, a in told.items() if all(np.ptp(a[:, half::2]) > 0 for half in (0, 1))}
    found = followers(values, told)
    rows, summary, traces = [], [], []
    for one in sorted(found, key=lambda one: (not one["confirmed"], -abs(one["r"]))):
        layer, field, k = owners[one["unit"]]
        numbers = [one["r"], one["p"], one["again"], one["p_again"]]
        rows.append([one["candidate"], layer, field, k, *numbers, one["confirmed"]])
        said = f"{one['p']:.3f}", f"{one['again']:+.2f}", f"{one['p_again']:.3f}", "yes" if one["confirmed"] else "no"
        summary.append([one["candidate"], f"{layer}.{k}", f"{one['r']:+.2f}", *said])
        changes = np.abs(np.diff(told[one["candidate"]][:, 1])) > 0
        start = int(np.argmax(np.convolve(changes, np.ones(min(TRACED, len(changes))), "valid")))
        window = slice(start, start + TRACED)
        trace = values[window, 1, one["unit"]], told[one["candidate"]][window, 1]
        traces.append((f"{field} of unit {layer}.{k}", one["candidate"], *trace, [text[j] for j in at[window, 1]]))
    without = [name for name in CANDIDATES if name not in told]
    caption = (
        f"Units whose {layers[0].field} follows the text: for each candidate the best of {values.shape[2]} units in "
        f"half of the stretches (Pearson's r; p against all shifts of the candidate along the text, of each of "
        "which the largest |r| over all units counts, times the number of candidates), and the same unit in the other "
        f"half (r again, p again). {values[..., 0].size} held-out characters. {run.said}."
    )
    caption += f" Not in this text: {', '.join(without)}." * bool(without)
    header = ["candidate", "layer", "field", "unit", "r", "p", "r again", "p again", "confirmed"]
    short = ["candidate", "unit", "r", "p", "r again", "p again", "confirmed"]
    lines = [[j, named(t[4][j]), t[0], t[1], *map(float, (t[2][j], t[3][j]))] for t in traces for j in range(len(t[4]))]
    tables = {"traces": (["step", "character", "unit", "candidate", "value", "of candidate"], lines)}
    sure = sum(one["confirmed"] for one in found) or len(traces)  # they come first
    return Found(caption, header, rows, short, summary, traces[: min(sure, TRACES)], tables)


def draw_units(traces: Any, figure: Any) -> None:
    """Each unit beside what it follows, over a stretch in which that changes often; characters below."""
    panels = figure.subplots(len(traces), 1, squeeze=False)
    for axes, (unit, candidate, value, other, said) in zip(panels[:, 0], traces, strict=True):
        x = np.arange(len(said))
        axes.plot(x, value, color=figures.COLORS[2], linewidth=0.9)
        beside = axes.twinx()
        beside.plot(x, other, **figures.style(1) | {"linewidth": 0.9})
        beside.tick_params(labelsize=5)
        axes.tick_params(labelsize=5, length=1.5)
        axes.set_title(f"{unit} (line, left), and {candidate} (dashed, right)", loc="left")
        axes.set_xticks(x, [named(c).replace("$", r"\$") for c in said], fontsize=3.6, family="monospace")
        axes.set_xlim(-1, len(said))
