"""``python -m analysis flow NAME``: the studies by name."""

import argparse
import textwrap
from pathlib import Path

from .. import networks, text
from . import gates, rates, scalar, signals, spectra, study, ungated

STUDIES: dict[str, study.Study] = {}
for room in (signals, rates, spectra, ungated, scalar, gates):
    STUDIES |= room.STUDIES
WINDOW = 1 + networks.SIZES["T"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The studies by name, their options, and what each shows."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, or some of the studies below; default: text")
    study.arguments(parser)
    width = max(map(len, STUDIES))
    lines = [f"  {name:{width}}  {one.title}{_options(one)}" for name, one in STUDIES.items()]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(parser.description or "", 100)
    parser.epilog = "\n".join(["flow studies, what each shows, and the options that it reads beside --seed:", *lines])


def _options(one: study.Study) -> str:
    return f" [{' '.join('--' + option.replace('_', '-') for option in one.reads)}]" if one.reads else ""


def run(corpus: text.Corpus, out: Path, given: argparse.Namespace) -> list[str]:
    """Run the flow studies named on the command line: the figure on text if none is, every one for ``all``.

    Nothing can fail, so the list is empty.
    Raises InputError for a name that does not exist, and for an option that a study does not read.
    """
    names = list(STUDIES) if "all" in given.names else given.names or ["text"]
    if unknown := [name for name in names if name not in STUDIES]:
        raise text.InputError(f"no flow study {unknown[0]!r}; expected all or some of {', '.join(STUDIES)}")
    study.refuse_unread(given, {name: STUDIES[name].reads for name in names}, "all" in given.names)
    chosen = study.options(out, given, corpus)
    for name in names:
        one = STUDIES[name]
        if chosen.networks and "networks" in one.reads and one.takes is not None:
            networks.require(chosen.networks, one.takes)
    for name in names:
        study.run(name, STUDIES[name], chosen)
    return []
