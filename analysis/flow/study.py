"""What a study is, how it is asked for, and what it leaves behind: numbers (CSV, JSON), a figure, a printed table."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from numpy_lstm import command

from .. import figures, output, sweep, text
from ..networks import SIZES, setting

SWEPT = ("seeds", "jobs", "dask")  # the options of a study that runs many networks
OWN = {"networks": None, "forget_bias": None, "gains": None, "seeds": 20, "jobs": 1, "dask": None, "text": None}


class Options(NamedTuple):
    """How a study is run: ``networks``, ``forget_bias`` and ``gains`` are None for the study's own."""

    out: Path
    seed: int = 0
    seeds: int = 20
    jobs: int = 1
    dask: str | None = None
    networks: tuple[str, ...] | None = None
    forget_bias: tuple[float, ...] | None = None
    gains: tuple[float, ...] | None = None
    corpus: text.Corpus | None = None
    sizes: dict[str, int] = SIZES

    @property
    def few(self) -> int:
        """Seeds of a study for which five are enough, unless another number is asked for."""
        return 5 if self.seeds == OWN["seeds"] else self.seeds

    def sweep(
        self, name: str, task: Callable[[Any], Any], points: list[dict[str, Any]], seeds: int | None = None
    ) -> list[list[Any]]:
        """For each point the results of the task with every seed (``seeds`` of them; default: all of the options).

        In parallel if asked for; kept under ``out``/sweep/``name``.
        """
        n = self.seeds if seeds is None else seeds
        every = [{**point, "seed": [self.seed, k]} for point in points for k in range(n)]
        found = sweep.sweep(task, every, self.out / "sweep" / name, self.jobs, self.dask)
        return [found[k : k + n] for k in range(0, len(found), n)]


class Found(NamedTuple):
    """The result of a study: a table of ``rows`` under ``header``, a short one to print, and what ``draw`` needs.

    ``tables`` are further ones, header and rows by the word that is added to the name of the file.
    """

    caption: str
    header: list[str]
    rows: list[list[Any]]
    summary_header: list[str]
    summary: list[list[str]]
    data: Any
    tables: dict[str, tuple[list[str], list[list[Any]]]] = {}  # noqa: RUF012


class Study(NamedTuple):
    """A figure of gradient flow: ``compute`` makes the numbers, ``draw`` the picture, ``size`` in mm.

    ``reads`` are the options that it takes beside ``seed``; ``takes``, called with the cell, parameters and run of a
    network, raises TypeError for one that it cannot show. ``stem`` names its files where its own name does not.
    """

    title: str
    compute: Callable[[Options], Found]
    draw: Callable[[Any, Any], None]
    size: tuple[float, float]
    reads: tuple[str, ...]
    takes: Callable[..., Any] | None = None
    stem: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the flow studies."""
    group = parser.add_argument_group("flow studies")
    group.add_argument("--networks", nargs="+", metavar="CELL[:INIT[:FORGET]]", help="RNN, LSTM:uniform:chrono, ...")
    group.add_argument("--forget-bias", nargs="+", type=command.number, metavar="B", help="of the forget-bias ladder")
    group.add_argument("--gains", nargs="+", type=command.number, metavar="G", help="factors of U in the gain studies")
    sweep.arguments(group)


def options(out: Path, given: argparse.Namespace, corpus: text.Corpus | None) -> Options:
    """From the command line; raises InputError for a network that does not exist."""
    for name in given.networks or ():
        setting(name)
    chosen = {k: None if getattr(given, k) is None else tuple(getattr(given, k)) for k in GROUPS}
    return Options(out, given.seed, given.seeds, given.jobs, given.dask, corpus=corpus, **chosen)


GROUPS = ("networks", "forget_bias", "gains")


def refuse_unread(given: argparse.Namespace, reads: dict[str, tuple[str, ...]], together: bool) -> None:
    """Raise InputError for an option that a named study (``together``: none of them) does not read."""
    chosen = [k for k, default in OWN.items() if getattr(given, k, default) != default]
    for option in chosen:
        without = [name for name, options in reads.items() if option not in options]
        if without and (not together or len(without) == len(reads)):
            raise text.InputError(f"flow {without[0]} does not read --{option.replace('_', '-')}: see flow --help")


def run(name: str, study: Study, o: Options) -> Found:
    """Compute, print, and save the figure and its numbers as ``name``.svg, .png, .csv and .json."""
    found, stem = study.compute(o), o.out / (study.stem or name)
    command = f"python -m analysis flow {name} --seed {o.seed} --seeds {o.seeds}"
    command += "".join(
        f" --{k.replace('_', '-')} {' '.join(map(str, v))}" for k in GROUPS if (v := getattr(o, k)) is not None
    )
    leave(study, found, stem, command, o.seed)
    return found


def leave(study: Any, found: Found, stem: Path, command: str, seed: int) -> None:
    """Print and save what was found by ``study``, which has a ``title``, ``draw`` and ``size``."""
    print(f"{study.title}\n\n{output.table(found.summary_header, found.summary)}\n\n{found.caption}\n")
    output.write_csv(stem.with_suffix(".csv"), found.header, found.rows)
    for more, (header, rows) in found.tables.items():
        output.write_csv(stem.with_name(f"{stem.name}_{more}.csv"), header, rows)
    numbers = [dict(zip(found.summary_header, row, strict=True)) for row in found.summary]
    told = {"title": study.title, "caption": found.caption, "command": command, "seed": seed, "numbers": numbers}
    output.write_json(stem.with_suffix(".json"), told)
    figures.drawn(lambda figure: study.draw(found.data, figure), study.size, stem)
