"""Gradients before and after training: how far back they reach, which characters count, and F19, their norm."""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from numpy_lstm import flow, layers, progress, train

from .. import figures, runs
from ..charlm import settings
from ..flow.study import Found
from .forgetting import named
from .opened import Opened, exact, stretch

STEPS, WINDOWS = 100, 16  # of which the surprise at the last character is differentiated
SKIP = 20  # steps that the Lyapunov exponents leave out
CHARACTERS = 60  # of the connectivity map
DEPTH = 6  # decades of its colours


def last_surprise(run: Opened, params: Any, steps: int, windows: int) -> tuple[flow.Pass, ...]:
    """Forward and back through the windows where the loss is the surprise at the last character alone."""
    return runs.of_the_last_loss(run.model, exact(params), stretch(run, steps, windows))


def reach(run: Opened, _: int) -> Found:
    """How the gradient of the surprise at the last character falls going back, before training and after."""
    rows, summary, curves = [], [], []
    for when, params in (("before training", run.before), ("trained", run.after)):
        for p in last_surprise(run, params, STEPS, WINDOWS):
            told = flow.diagnose(p)
            norms = flow.norms(p, [told.signal])[told.signal][::-1]
            relative = np.median(norms / norms[0], axis=1)
            name = f"layer {p.name}, {when}"
            curves.append((name, relative))
            rows += [[p.name, when, lag, float(v)] for lag, v in enumerate(relative)]
            numbers = f"{told.rate:.3f}", f"{told.half_life:.1f}", f"{told.reach:.0f}", f"{told.end:.1e}"
            summary.append([p.name, when, f"dL/d{told.signal}", *numbers])
    caption = (
        "Norm of the gradient of the surprise at the last character, against lag, relative to lag 0; median over "
        f"{WINDOWS} stretches of {STEPS} held-out characters. {run.said}."
    )
    short = ["layer", "when", "signal", "rate per step", "half-life", "1 % left after", f"at lag {STEPS - 1}"]
    return Found(caption, ["layer", "when", "lag", "relative norm"], rows, short, summary, curves)


def draw_reach(curves: Any, figure: Any) -> None:
    """One curve for each layer, before and after."""
    axes = figure.subplots()
    for k, (name, relative) in enumerate(curves):
        axes.plot(relative, **figures.style(k), label=name)
    figures.log_axis(axes, [v for _, relative in curves for v in relative])
    axes.set_xlabel("lag: characters back from the loss")
    axes.set_ylabel("gradient norm, relative to lag 0")
    axes.legend(frameon=False, fontsize=6.5)


def connectivity(run: Opened, _: int) -> Found:
    """|d logit of the character that came, after each character, by the embedding of each character before|."""
    batch, rows, maps, summary = stretch(run, CHARACTERS, 1), [], [], []
    for when, params in (("before training", run.before), ("trained", run.after)):
        found = sensitivity(run, params, batch)
        relative = found / np.max(found, axis=1, keepdims=True)
        maps.append((when, relative))
        rows += [[when, s, t, float(found[s, t])] for s in range(CHARACTERS) for t in range(s + 1)]
        counts = [int(np.sum(row > 0.1)) for row in relative][CHARACTERS // 2 :]
        largest = [s - int(np.argmax(row)) for s, row in enumerate(relative)][CHARACTERS // 2 :]
        summary.append([when, f"{np.median(counts):.0f}", f"{np.median(largest):.0f}"])
    letters = [named(run.symbols[c]) for c in batch.xs[:, 0]]
    caption = (
        "How strongly the logit of the character that came next depends on the embedding of each character read, "
        f"relative to the largest of each row, log scale; white: the future, or below 1e-{DEPTH}. {run.said}."
    )
    short = ["when", "characters above 10 %", "the strongest: characters back"]
    return Found(caption, ["when", "output step", "input step", "sensitivity"], rows, short, summary, (letters, maps))


def sensitivity(run: Opened, params: Any, batch: train.Batch) -> Any:
    """The norm of d logit_s / d embedding_t, (S,T), the logit of the target at step s; of the only row of a batch."""
    full = run.model.full(exact(params))
    xs = run.model.forward(exact(params), batch).run.parts[0].hs
    above = layers.Stack(run.model.layers[1:])
    done = above.forward(full[1:], xs)
    eye = np.eye(run.model.sizes[-1])
    each = [
        flow.sensitivity_map(above, full[1:], done, eye[[target]], [s])[0, :, 0]
        for s, target in enumerate(batch.targets[:, 0])
    ]
    return np.stack(each)


def norms(run: Opened, _: int) -> Found:
    """F19: the norm of the gradient at each update before clipping, the threshold, and the share clipped so far."""
    curves = {k: np.array(v, float) for k, v in run.record["curves"].items()}
    clip, clipped = run.record["settings"]["clip"], curves["clipped"] > 0
    share = np.cumsum(clipped) / np.arange(1, len(clipped) + 1)
    norm, tenth = curves["norm"], max(1, len(share) // 10)
    rows = [[k + 1, float(norm[k]), bool(clipped[k]), float(share[k])] for k in range(len(share))]
    parts = {"first tenth": slice(tenth), "the rest": slice(tenth, None), "all": slice(None)}
    summary = [
        [part, f"{np.median(norm[at]):.3g}", f"{np.max(norm[at]):.3g}", f"{np.mean(clipped[at]):.1%}"]
        for part, at in parts.items()
        if len(norm[at])
    ]
    caption = (
        f"Norm of the gradient of the mean loss in nats per character, before clipping at {clip:g}, and the share of "
        f"updates clipped so far. {run.said}."
    )
    header = ["update", "norm", "clipped", "share clipped so far"]
    short = ["updates", "median norm", "largest norm", "clipped"]
    return Found(caption, header, rows, short, summary, (norm, clip, clipped, share))


def draw_norms(data: Any, figure: Any) -> None:
    """Norms over updates with the threshold; below, the share that was clipped."""
    norm, clip, clipped, share = data
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    x = np.arange(1, len(norm) + 1)
    figures.log_axis(upper, [*norm, clip])
    upper.plot(x, norm, color=figures.COLORS[2], linewidth=0.6)
    upper.plot(x[clipped], norm[clipped], ".", color=figures.COLORS[1], markersize=3, label="clipped")
    upper.axhline(clip, color=figures.GREY, linewidth=0.8, linestyle="--", label=f"clip at {clip:g}")
    upper.set_title("gradient norm before clipping", loc="left")
    upper.legend(frameon=False, fontsize=6.5)
    lower.plot(x, 100 * share, **figures.style(1))
    lower.set_title("clipped so far, % of updates", loc="left")
    lower.set_xlabel("update")


def lyapunov(run: Opened, replayed: int) -> Found:
    """The largest Lyapunov exponent of each cell while the first updates are done again, and of the best model."""
    fit = run.corpus.codes[: -len(run.held)]
    own, rates = run.record["settings"], run.record["curves"]["rate"]
    updates = min(replayed, len(rates))
    wanted = {0, updates} | {n for n in (1, 3, 10, 30, 100, 300, 1000, 3000) if n < updates}
    rows, apart = _exponents(run, run.before, 0), 0.0
    if updates:
        given = argparse.Namespace(updates=updates, patience=None)
        whole = settings.task(own | {"schedule": "constant"}, given, fit, run.held)
        as_then = train.Schedule("as recorded", lambda k: rates[k])
        task = replace(whole, schedule=as_then, held_out=None, plateau=None, every=updates)
        start = train.begin(task, own["seed"], own["dtype"])
        for now, report in progress.bar(train.train(task, start), desc="updates again", total=updates):
            apart = max(apart, abs(float(now.history.loss[-1]) - run.record["curves"]["loss"][now.step - 1]))
            if report.step in wanted:
                rows += _exponents(run, now.params, now.step)
    rows += _exponents(run, run.after, run.record["best"]["update"])
    caption = (
        f"Largest Lyapunov exponent of each cell, in nats per step, over {STEPS - SKIP} held-out characters: below "
        "zero, gradients vanish going back; the last point is of the best parameters. The first updates were done "
        f"again from the record; their losses differ by {apart:.1g} nats at most. {run.said}."
    )
    summary = [[r[0], str(r[1]), f"{r[2]:+.3f}", f"{np.exp(r[2]):.3f}"] for r in rows]
    return Found(caption, ["layer", "update", "exponent"], rows, ["layer", "update", "exponent", "rate"], summary, rows)


def _exponents(run: Opened, params: Any, update: int) -> list[list[Any]]:
    params, found = exact(params), []
    done = run.model.forward(params, stretch(run, STEPS, 1))
    for name, leaf, p, r in run.model.walk(run.model.full(params), done.run):
        if leaf.cell.carries:
            along = lambda steps: progress.bar(steps, desc=f"exponents, update {update}")  # noqa: E731
            largest = flow.lyapunov_exponents(leaf.cell, p, r, 1, SKIP, along)
            found.append([name, update, float(largest[0, 0])])
    return found


def draw_lyapunov(rows: Any, figure: Any) -> None:
    """One marked curve for each layer, over the logarithm of the update."""
    axes = figure.subplots()
    for k, layer in enumerate(dict.fromkeys(r[0] for r in rows)):
        x, y = np.array([r[1:] for r in rows if r[0] == layer]).T
        axes.plot(x, y, **figures.style(k), marker=figures.marker(k), markersize=3.5, label=f"layer {layer}")
    axes.set_xscale("symlog", linthresh=1)
    axes.axhline(0, color="0.7", linewidth=0.6)
    axes.set_xlim(0, None)
    axes.set_xlabel("update")
    axes.set_ylabel("largest exponent, nats per step")
    axes.legend(frameon=False, fontsize=6.5)
