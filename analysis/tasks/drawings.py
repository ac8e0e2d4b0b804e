"""Figures of the memory tasks: F10 to F12 with F13 beside them, and F14."""

from typing import Any

import numpy as np

from .. import figures

TRACED = ("LSTM, chrono", "RNN")  # in F14
SAYS = {"loss": "loss", "right": "share right"}


def size(study: Any) -> tuple[float, float]:
    """Of the figure of a study, in mm."""
    rows, columns = _grid(study)
    return 60.0 * columns + 30, 52.0 * rows + 10


def _grid(study: Any) -> tuple[int, int]:
    """Rows and columns of panels: one for each delay, and one for all if there are several."""
    panels = len(study.delays) + (len(study.delays) > 1)
    columns = min(panels, 2 if panels == 4 else 3)
    return -(-panels // columns), columns


def curves(figure: Any, study: Any, ends: list[list[Any]], looks: list[list[Any]]) -> None:
    """One panel for each delay, against the update; one of all against the delay, if there are several."""
    networks = list(dict.fromkeys(r[0] for r in ends))
    panels = list(figure.subplots(*_grid(study), squeeze=False).ravel())
    for axes, delay in zip(panels, study.delays, strict=False):
        problem = study.problem(delay)
        for k, network in enumerate(networks):
            rows = [r for r in looks if r[:2] == [network, delay]]
            for seed in dict.fromkeys(r[2] for r in rows):
                x, loss, right = np.array([r[3:] for r in rows if r[2] == seed], float).T
                axes.plot(x, loss if problem.curve == "loss" else right, **figures.style(k) | {"linewidth": 0.8})
        _nothing_read(axes, [0, study.updates], [problem] * 2, problem.curve)
        axes.set_title(f"T = {delay}", loc="left")
        axes.set_xlabel("update")
        axes.set_ylabel(SAYS[problem.curve])
    for k, network in enumerate(networks):
        panels[0].plot([], [], **figures.style(k), marker=figures.marker(k), markersize=3.5, label=network)
    used = len(study.delays)
    if used > 1:
        _against_delay(panels[used], study, ends)
        used += 1
    for axes in panels[used:]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    labels = [label.replace("b_f", "$b_f$") for label in labels]
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=6 if _grid(study)[1] == 3 else 3,
        frameon=False,
        handlelength=3,
    )


def _against_delay(axes: Any, study: Any, ends: list[list[Any]]) -> None:
    problems = [study.problem(delay) for delay in study.delays]
    measure = problems[0].end
    for k, network in enumerate(dict.fromkeys(r[0] for r in ends)):
        values = [[r[5 if measure == "loss" else 6] for r in ends if r[:2] == [network, T]] for T in study.delays]
        x = np.array(study.delays) * 1.02 ** (k - 2)  # side by side
        look = figures.style(k) | {"marker": figures.marker(k)}
        axes.plot(x, [np.median(v) for v in values], **look, markersize=4)
        axes.plot(x, values, **look | {"linestyle": "", "markerfacecolor": look["color"]}, markersize=2, alpha=0.6)
    axes.set_xscale("log")
    axes.set_xticks(study.delays, map(str, study.delays))
    axes.set_xticks([], minor=True)
    _nothing_read(axes, study.delays, problems, measure)
    axes.set_xlabel("delay T")
    axes.set_ylabel(SAYS[measure])
    axes.set_title("at the end: median, and each seed", loc="left")


def _nothing_read(axes: Any, x: Any, problems: list[Any], measure: str) -> None:
    """What an answer is worth that has read nothing, and the axis."""
    level = [p.floor if measure == "loss" else p.chance for p in problems]
    axes.plot(x, level, color=figures.GREY, linewidth=0.8, linestyle=":", zorder=5, label="nothing read")
    if measure == "loss":
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.03)


def uses(figure: Any, traces: list[list[Any]]) -> None:
    """Slopes of the sum at each step before and after training, and the gradient of the cell against lag."""
    whens = list(dict.fromkeys(r[1] for r in traces))
    panels = figure.subplots(len(TRACED), 3, sharex="col", squeeze=False)
    for row, network in zip(panels, TRACED, strict=True):
        for k, (axes, when) in enumerate(zip(row, whens, strict=False)):
            sequence, step, marked, slope, carried = np.array(
                [r[2:] for r in traces if r[:2] == [network, when]], float
            ).T
            for mark, look in ((0, figures.style(0)), (1, figures.style(1))):
                at = marked == mark
                said = "marked" if mark else "elsewhere"
                axes.plot(step[at], slope[at], "os"[mark], color=look["color"], markersize=1.5 + mark, label=said)
            for truth in (0, 1):
                axes.axhline(truth, color=figures.GREY, linewidth=0.6, linestyle=":", zorder=0)
            axes.set_ylim(-0.4, 1.6)
            axes.set_title(f"{network}, {when}", loc="left")
            one = sequence == 0
            row[2].plot(step[one][::-1], carried[one], **figures.style(k), label=when)
        row[0].set_ylabel("d sum / d number")
        row[2].set_yscale("log")
        row[2].set_title(f"{network}: d sum / d {'c' if 'LSTM' in network else 'h'}", loc="left")
        row[2].legend(frameon=False)
    for axes in panels[-1, :2]:
        axes.set_xlabel("step")
    panels[-1, 2].set_xlabel("lag")
    panels[0, 0].legend(frameon=False, loc="upper left", markerscale=2)
