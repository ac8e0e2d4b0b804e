"""``python -m analysis tasks``: which networks learn what was a long time ago, and after how many updates."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy_lstm import command, train

from .. import figures, output, sweep, text
from . import drawings, runs
from .problems import PROBLEMS, Problem

ENDS = ["network", "delay", "seed", "updates", "solved", "loss", "right"]
CURVES = ["network", "delay", "seed", "update", "loss", "right"]
USES = ["network", "seed", "when", "marked", "marked_std", "elsewhere", "elsewhere_std", "first_step"]
TRACES = ["network", "when", "sequence", "step", "marked", "slope", "carried"]


class Study(NamedTuple):
    """One task at several delays: so many updates at most, at this ``rate``, and a look after ``every`` of them."""

    task: str
    symbols: int
    delays: tuple[int, ...]
    updates: int
    every: int
    rate: float

    @property
    def stem(self) -> str:
        """The name of its files."""
        return f"copy{self.symbols}" if self.task == "copy" else self.task

    def problem(self, delay: int) -> Problem:
        """The task at one of its delays."""
        return PROBLEMS[self.task](delay, self.symbols)


# Copying one symbol is the cheap one, in which most is seen.
STUDIES = {
    "copy": Study("copy", 1, (10, 50, 100, 200), 900, 25, 1e-2),
    "copy5": Study("copy", 5, (50,), 2500, 50, 5e-3),
    "order": Study("order", 1, (20, 50, 100), 2000, 50, 1e-3),
    "adding": Study("adding", 1, (100, 200), 2500, 50, 1.5e-3),
}


class Run(NamedTuple):
    """One network with one seed in a study."""

    study: Study
    network: str
    delay: int
    seed: int

    @property
    def point(self) -> dict[str, Any]:
        """What is to be measured."""
        s = self.study
        own = {"network": self.network, "delay": self.delay, "seed": self.seed}
        return own | {"task": s.task, "symbols": s.symbols, "updates": s.updates, "every": s.every, "rate": s.rate}


Found = dict[Run, dict[str, Any]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("names", nargs="*", metavar="TASK", help="copy, order, adding, or all of them; default: copy")
    parser.add_argument(
        "--symbols", metavar="K", type=command.within(1, 100), help="to be copied; default: 1, of all both 1 and 5"
    )
    parser.add_argument("--delays", metavar="T", nargs="+", type=command.within(1, 10**4), help="default: of the task")
    parser.add_argument("--updates", type=command.positive, help="at most; default: 900 to 2500, by the task")
    parser.add_argument("--rate", type=command.number, help="of Adam; default: 0.001 to 0.01, by the task")
    parser.add_argument("--seeds", type=command.positive, default=3, help="networks of each kind; default: 3")
    sweep.arguments(parser)


def run(out: Path, o: argparse.Namespace) -> list[str]:
    """Train, print and save tables and figures; nothing here can fail, so the list is empty."""
    studies = planned(o)
    every = [
        Run(s, network, delay, o.seed + k)
        for s in studies
        for delay in s.delays
        for network in runs.NETWORKS
        for k in range(o.seeds)
    ]
    every.sort(key=lambda r: -r.study.updates * r.delay * (r.network != "RNN"))  # long ones first, for several jobs
    results = sweep.sweep(runs.measure, [r.point for r in every], out / "sweep" / "tasks", o.jobs, o.dask)
    found = dict(zip(every, results, strict=True))
    told = []
    for study in studies:
        told.append(_told(study, {r: found[r] for r in sorted(found, key=_order) if r.study == study}, out))
        print(told[-1])
    output.write_text(out / "tasks.md", "\n".join(told))
    return []


def planned(o: argparse.Namespace) -> list[Study]:
    """The studies asked for. Raises InputError for a task that there is not, or an option that it cannot take."""
    names = o.names or ["copy"]
    if unknown := [name for name in names if name not in (*PROBLEMS, "all")]:
        raise text.InputError(f"no task {unknown[0]!r}; expected {', '.join(PROBLEMS)} or all")
    if o.symbols and not {"copy", "all"} & set(names):
        raise text.InputError(f"{names[0]} does not read --symbols; copy does")
    chosen = [STUDIES["copy"]] if {"copy", "all"} & set(names) else []
    chosen += [STUDIES["copy5"]] if "all" in names else []
    if o.symbols:
        usual = STUDIES["copy" if o.symbols == 1 else "copy5"]
        chosen = [usual._replace(symbols=o.symbols)]
    chosen += [STUDIES[name] for name in ("order", "adding") if {name, "all"} & set(names)]
    if o.delays:
        chosen = [s._replace(delays=tuple(sorted(set(o.delays)))) for s in chosen]
    if o.updates:
        chosen = [s._replace(updates=o.updates, every=min(s.every, o.updates)) for s in chosen]
    if o.rate is not None:
        chosen = [s._replace(rate=train.constant(o.rate)(0)) for s in chosen]
    for s in chosen:
        s.problem(s.delays[0])
    return chosen


def _order(run: Run) -> tuple[int, int, int]:
    return run.delay, list(runs.NETWORKS).index(run.network), run.seed


def _told(study: Study, found: Found, out: Path) -> str:
    """Files and figures of a study, and what is to be printed."""
    stem = out / study.stem
    ends = [
        [r.network, r.delay, r.seed, *(int(f[k]) for k in ENDS[3:5]), *(f[k] for k in ENDS[5:])]
        for r, f in found.items()
    ]
    curves = [[r.network, r.delay, r.seed, *look] for r, f in found.items() for look in f["looks"]]
    output.write_csv(stem.with_suffix(".csv"), ENDS, _short(ends))
    output.write_csv(stem.with_name(f"{study.stem}_curves.csv"), CURVES, _short(curves))
    figures.drawn(lambda figure: drawings.curves(figure, study, ends, curves), drawings.size(study), stem)
    told = [caption(study), *tables(study, ends)]
    if study.task == "adding":
        told += _uses(study, found, out)
    return "\n\n".join(told) + "\n"


def _short(rows: list[list[Any]]) -> list[list[Any]]:
    """Six digits of each number: as many as two processors may agree in, and more."""
    return [[float(f"{v:.6g}") if isinstance(v, float) else v for v in row] for row in rows]


def caption(study: Study) -> str:
    """The recipe, and how the tables are to be read."""
    p = study.problem(study.delays[0])
    what = f"copy, K={study.symbols}" if study.task == "copy" else study.task
    return (
        f"{what}: {p.hidden} units, batches of {p.rows}, Adam at {study.rate:g}, norm clipped at 1, float32, at most "
        f"{study.updates} updates. One number for each seed: @n, solved at update n; else what 1000 other sequences "
        "gave at the end."
    )


def tables(study: Study, ends: Sequence[Sequence[Any]]) -> Iterator[str]:
    """A table for each measure, networks by delays: of rows as in ``ENDS``."""
    problems = [study.problem(delay) for delay in study.delays]
    for measure in dict.fromkeys((problems[0].end, problems[0].curve)):
        nothing = [f"{p.floor:.4f}" if measure == "loss" else f"{p.chance:.3f}" for p in problems]
        rows = [["nothing read", *nothing]]
        for network in dict.fromkeys(end[0] for end in ends):
            cells = [[end for end in ends if end[:2] == [network, delay]] for delay in study.delays]
            rows.append([network, *(", ".join(_cell(end, measure) for end in cell) for cell in cells)])
        yield output.table([f"{'share right' if measure == 'right' else 'loss'}, T =", *map(str, study.delays)], rows)


def _cell(end: Sequence[Any], measure: str) -> str:
    *_, updates, solved, loss, right = end
    return f"@{updates}" if solved else f"{loss:.4f}" if measure == "loss" else f"{right:.3f}"


def _uses(study: Study, found: Found, out: Path) -> list[str]:
    """F14 at the shortest delay: files, figure, and a table of the medians over seeds."""
    some = {r: f["uses"] for r, f in found.items() if r.delay == study.delays[0]}
    rows = [
        [r.network, r.seed, when, *u["marked"], *u["elsewhere"], u["lags"][-1]]
        for r, both in some.items()
        for when, u in both.items()
    ]
    first = {r.network: both for r, both in reversed(some.items()) if r.network in drawings.TRACED}
    traces = [
        [network, when, b, t, mark, slope, u["lags"][-1 - t]]
        for network, both in first.items()
        for when, u in both.items()
        for b, row in enumerate(u["shown"])
        for t, (mark, slope) in enumerate(row)
    ]
    output.write_csv(out / "uses.csv", USES, _short(rows))
    output.write_csv(out / "uses_traces.csv", TRACES, _short(traces))
    figures.drawn(lambda figure: drawings.uses(figure, traces), (160, 100), out / "uses")
    told = [
        [row[0], str(row[1]), row[2], f"{row[3]:.3f} ± {row[4]:.3f}", f"{row[5]:.4f} ± {row[6]:.3f}", f"{row[7]:.1e}"]
        for row in rows
    ]
    header = ["network", "seed", "training", "where marked", "elsewhere", "cell, first step"]
    says = (
        f"Derivative of the sum by each number read, T={study.delays[0]}; 1 where marked, 0 elsewhere would be right."
    )
    return [says, str(output.table(header, told))]
