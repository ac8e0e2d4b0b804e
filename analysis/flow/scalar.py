"""F8, F15, F17: one unit, or one number: the wall in the error surface, the best step, the curse of memory."""

from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import activations, check, tree

from .. import figures
from .study import SWEPT, Found, Options, Study
from .ungated import LINEAR

SIGMOID = nl.RNN.having("sigmoid", h=activations.SIGMOID)
GRID = {"w": (3.0, 8.0), "b": (-4.5, -1.0), "points": 401, "T": 50, "x0": 0.5, "target": 0.7}
STEPS = tuple(10.0**-k for k in range(1, 11))
MEMORIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)


def surface(w: Any, b: Any) -> tuple[Any, Any, Any]:
    """The error (h_T - target)^2 of x_t = w sigmoid(x_{t-1}) + b from x_0, h = sigmoid(x), and its gradient by w and b.

    w and b are vectors (N,): N networks of one unit, forward and back through the page of the simple cell.
    """
    ones = np.ones((len(w), 1, 1))
    p = nl.RNN.Params(W=0 * ones, U=w[:, None, None], b=b[:, None])
    state, values = nl.RNN.State(h=activations.SIGMOID(GRID["x0"] * ones)), []
    for _ in range(GRID["T"]):
        state, v = SIGMOID.step(p, 0 * ones, state)
        values.append(v)
    ds, dw, db = nl.RNN.State(h=2 * (state.h - GRID["target"])), 0.0, 0.0
    for v in reversed(values):
        ds, d = SIGMOID.step_back(p, v, ds)
        g = SIGMOID.gradients(SIGMOID.functions, p, v, d)
        dw, db = dw + g.U[:, 0, 0], db + g.b[:, 0]
    return (state.h[:, 0, 0] - GRID["target"]) ** 2, dw, db


def wall(o: Options) -> Found:
    """F8: error and gradient on a grid of (w, b), and along the cut w = 5."""
    n = GRID["points"]
    w, b = np.linspace(*GRID["w"], n), np.linspace(*GRID["b"], n)
    error, dw, db = (a.reshape(n, n) for a in surface(np.repeat(w, n), np.tile(b, n)))
    size = np.hypot(dw, db)
    k, m = np.unravel_index(np.argmax(size), size.shape)
    line_b = np.linspace(*GRID["b"], 35001)
    line, _, slope = surface(np.full(len(line_b), 5.0), line_b)
    at = int(np.argmax(np.abs(slope)))
    rows = [
        [float(w[i]), float(b[j]), float(error[i, j]), float(size[i, j])]
        for i in range(0, n, 10)
        for j in range(0, n, 10)
    ]
    numbers = [
        ["largest gradient on the grid", f"{size[k, m]:.0f} at w={w[k]:.2f}, b={b[m]:.2f}"],
        ["median gradient on the grid", f"{np.median(size):.3f}"],
        ["largest slope on w=5", f"{abs(slope[at]):.0f} at b={line_b[at]:.4f}"],
        ["share of w=5 with slope above 1", f"{np.mean(np.abs(slope) > 1):.2%}"],
    ]
    caption = (
        f"Error (h_T - {GRID['target']})^2 of one unit, x_t = w sigmoid(x_(t-1)) + b, x_0 = {GRID['x0']}, T = "
        f"{GRID['T']} (Pascanu et "
        f"al. 2013), and the norm of its gradient by w and b, on {n} x {n} points; below, the cut w = 5. No random "
        "numbers."
    )
    return Found(
        caption,
        ["w", "b", "error", "gradient_norm"],
        rows,
        ["number", "value"],
        numbers,
        (w, b, error, size, line_b, line, slope),
    )


def draw_wall(data: Any, figure: Any) -> None:
    """Error and gradient norm over the plane; error along w = 5."""
    w, b, error, size, line_b, line, slope = data
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.35, 1])
    panels = top.subplots(1, 2, sharey=True)
    for axes, values, title in zip(panels, (error, np.log10(size)), ("error", r"log$_{10}$ |gradient|"), strict=True):
        low = -2.5 if axes is panels[1] else 0
        image = axes.imshow(
            values.T, origin="lower", extent=(w[0], w[-1], b[0], b[-1]), aspect="auto", cmap="cividis", vmin=low,
        )  # fmt: skip
        axes.axvline(5, color="white", linewidth=0.7, linestyle=":")
        axes.set_title(title, loc="left")
        axes.set_xlabel("w")
        figure.colorbar(image, ax=axes, orientation="horizontal", aspect=25, extend="min" if low else "neither")
    panels[0].set_ylabel("b")
    axes = bottom.subplots()
    axes.plot(line_b, line, **figures.style(0))
    axes.set_xlabel("b, at w = 5")
    axes.set_ylabel("error")
    axes.set_xlim(line_b[0], line_b[-1])
    right = axes.twinx()
    right.plot(line_b, np.maximum(np.abs(slope), 1e-4), **figures.style(1))
    right.set_yscale("log")
    right.set_ylim(1e-4, 3e3)
    right.set_ylabel("|slope|, dashed", color=figures.COLORS[1])
    right.spines["right"].set_visible(True)


def step_size(o: Options) -> Found:
    """F15: the error of central and forward differences in float64 and float32, and of the complex step."""
    cell = nl.LSTM
    rows: list[list[Any]] = []
    for T in (5, 50):
        problem = check.Problem.random(cell, T=T, B=2, D=3, H=5, rng=np.random.default_rng(o.seed))
        truth = _recurrent(problem.gradient().params)

        def gap(found: Any, truth: Any = truth) -> float:
            difference = tree.flatten(tree.map(lambda a, b: np.float64(a) - b, found, truth))
            return float(np.max(np.abs(difference)) / np.max(np.abs(tree.flatten(truth))))

        def loss(U: Any, problem: check.Problem = problem) -> Any:
            return problem.loss(problem.point._replace(params=problem.point.params._replace(**U)))

        def loss32(U: Any, problem: check.Problem = problem) -> Any:
            return loss(U, problem.astype(np.float32))

        U = _recurrent(problem.point.params)
        U32 = tree.map(lambda a: a.astype(np.float32), U)
        for step in STEPS:
            central = gap(check.finite_difference(loss, U, step, chunk=100))
            forward = gap(_forward_difference(loss, U, step))
            rows.append(
                [T, step, central, forward, gap(check.finite_difference(loss32, U32, np.float32(step), chunk=100))]
            )
        rows.append([T, 0.0, gap(check.complex_step(loss, U, chunk=100)), None, None])
    best = {T: [(min((r[c], r[1]) for r in rows if r[0] == T and r[1])) for c in (2, 3, 4)] for T in (5, 50)}
    summary = [
        [
            f"T={T}",
            *(f"{e:.0e} at {s:.0e}" for e, s in best[T]),
            f"{next(r[2] for r in rows if r[0] == T and not r[1]):.1e}",
        ]
        for T in (5, 50)
    ]
    caption = (
        "Error of difference quotients of U's gradient (largest error over largest component) against the step; "
        "LSTM, H=5, D=3, B=2; "
        "complex step at 1e-30 as a line. Weights uniform in +-1/sqrt(H), normal states, inputs and cotangents; "
        f"seed {o.seed}."
    )
    header = ["T", "step", "central_float64", "forward_float64", "central_float32"]
    names = ["best", "central", "forward", "central, float32", "complex step"]
    return Found(caption, header, [[*r[:4], r[4]] for r in rows], names, summary, rows)


def _recurrent(params: Any) -> dict[str, Any]:
    return {k: getattr(params, k) for k in params._fields if k[0] == "U"}


def _forward_difference(loss: Any, U: Any, step: float) -> Any:
    vector = tree.flatten(U)
    moved = loss(tree.unflatten(vector + step * np.eye(len(vector)), U))
    return tree.unflatten((moved - loss(U)) / step, U)


def draw_step_size(rows: Any, figure: Any) -> None:
    """Error against step at T=5; the central difference at T=50 too."""
    axes = figure.subplots()
    steps = [r[1] for r in rows if r[0] == 5 and r[1]]
    names = {2: "central, T={}", 3: "forward, T={}", 4: "central, float32, T={}"}
    curves = [(5, 2), (50, 2), (5, 3), (5, 4)]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e-17, 1e3)
    axes.set_xlim(steps[0] * 1.5, steps[-1] / 1.5)
    labels = []
    for k, (T, column) in enumerate(curves):
        values = [r[column] for r in rows if r[0] == T and r[1]]
        axes.plot(steps, values, marker=figures.marker(k), markersize=3.5, **figures.style(k))
        labels.append((values[-1], names[column].format(T), k))
    exact = [r[2] for r in rows if not r[1]]
    axes.axhline(exact[0], **figures.style(4))
    figures.label_ends(axes, [*labels, (exact[0], f"complex step: {exact[0]:.0e}", 4)], gap=0.07)
    axes.set_xlabel("step (complex step: 1e-30)")
    axes.set_ylabel("relative error of the quotient")


def measure_curse(point: dict[str, Any]) -> dict[str, float]:
    """Mean squares of h_T and dh_T/dlambda of h = lambda h_prev + x, x ~ N(0,1), over independent rows."""
    lam, B = point["lambda"], point["B"]
    T = int(np.ceil(12 / (1 - lam)))
    rng = np.random.default_rng(point["seed"])
    p = nl.RNN.Params(W=np.ones((1, 1)), U=np.full((1, 1), lam), b=np.zeros(1))
    run = nl.forward(LINEAR, p, rng.standard_normal((T, B, 1)))
    back = nl.backward(LINEAR, p, run, dlast=LINEAR.State(h=np.ones((B, 1))))
    slope = np.sum(back.cotangents.a * run.values.h_prev, axis=0)  # dh_T/dlambda of each row
    return {"h": float(np.mean(run.last.h**2)), "slope": float(np.mean(slope**2))}


def curse(o: Options) -> Found:
    """F17: the mean squares of h and dh/dlambda beside their theory, for each memory lambda."""
    found = o.sweep("curse", measure_curse, [{"lambda": m, "B": 500} for m in MEMORIES])
    rows = []
    for m, part in zip(MEMORIES, found, strict=True):
        h, slope = (float(np.mean([f[k] for f in part])) for k in ("h", "slope"))
        rows.append([m, h, 1 / (1 - m**2), slope, (1 + m**2) / (1 - m**2) ** 3])
    summary = [[f"{r[0]:g}", *(f"{v:.4g}" for v in r[1:])] for r in rows]
    header = ["lambda", "mean_h2", "theory_h2", "mean_slope2", "theory_slope2"]
    caption = (
        "Mean squares of h and of dh/dlambda for h = lambda h_prev + x, x white noise, against the memory "
        "1/(1-lambda^2); lines: "
        f"1/(1-l^2) and (1+l^2)/(1-l^2)^3 (Zucchet & Orvieto 2024). {500 * o.seeds} rows of 12/(1-lambda) steps, "
        f"seed {o.seed}."
    )
    return Found(caption, header, rows, ["lambda", "E h^2", "theory", "E (dh/dl)^2", "theory "], summary, rows)


def draw_curse(rows: Any, figure: Any) -> None:
    """Both mean squares on logarithmic axes, where theory has slopes 1 and 3."""
    axes = figure.subplots()
    lam, h, h_theory, slope, slope_theory = np.array(rows).T
    memory = 1 / (1 - lam**2)
    for k, (got, theory) in enumerate(((h, h_theory), (slope, slope_theory))):
        axes.plot(memory, theory, **figures.style(k))
        axes.plot(memory, got, figures.marker(k), color=figures.COLORS[k], markerfacecolor="white", markersize=4.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(memory[0] / 1.2, memory[-1] * 1.2)
    axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    labels = [(h[-1], r"$E\,h^2$: slope 1", 0), (slope[-1], r"$E(dh/d\lambda)^2$: slope 3", 1)]
    figures.label_ends(axes, labels)
    axes.set_xlabel(r"memory $1/(1-\lambda^2)$")
    axes.set_ylabel("mean square")


STUDIES = {
    "wall": Study("F8: the wall in the error surface", wall, draw_wall, (120, 120), ()),
    "step-size": Study("F15: the step of a difference quotient", step_size, draw_step_size, (100, 68), ()),
    "curse": Study("F17: the curse of memory", curse, draw_curse, (100, 65), SWEPT),
}
