"""``python -m analysis flow NAME``: the studies by name."""

import argparse
import textwrap
from pathlib import Path

from .. import gradient_flow, text
from . import gates, networks, rates, scalar, spectra, ungated
from . import study as _study
from .study import options, run

STUDIES = {**rates.STUDIES, **spectra.STUDIES, **ungated.STUDIES, **scalar.STUDIES, **gates.STUDIES}
NAMES = ["text", *STUDIES]
WINDOW = 1 + gradient_flow.SIZES["T"]

SAYS = {"text": "|dL/dh_t| and |dL/dc_t| against lag, of an RNN and four LSTMs on text"}
SAYS |= {name: study.title for name, study in STUDIES.items()}
READS = {"text": ("text", "seeds")} | {name: study.reads for name, study in STUDIES.items()}

__all__ = ["NAMES", "STUDIES", "arguments", "study"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The studies by name, their options, and what each shows."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, or some of the studies below; default: text")
    _study.arguments(parser)
    lines = [f"  {name:{max(map(len, NAMES))}}  {SAYS[name]}{_options(name)}" for name in NAMES]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(parser.description or "", 100)
    parser.epilog = "\n".join(["flow studies, what each shows, and the options that it reads beside --seed:", *lines])


def _options(name: str) -> str:
    return f" [{' '.join('--' + option.replace('_', '-') for option in READS[name])}]" if READS[name] else ""


def study(given: argparse.Namespace, corpus: text.Corpus) -> bool:
    """Run the flow studies named on the command line: the figure on text if none is, every one for ``all``.

    Raises InputError for a name that does not exist, and for an option that a study does not read.
    """
    names = NAMES if "all" in given.names else given.names or ["text"]
    if unknown := [name for name in names if name not in NAMES]:
        raise text.InputError(f"no flow study {unknown[0]!r}; expected all or some of {', '.join(NAMES)}")
    _study.refuse_unread(given, {name: READS[name] for name in names}, "all" in given.names)
    chosen = options(given, corpus)
    for name in names:
        if chosen.networks and name != "text" and (takes := STUDIES[name].takes) is not None:
            networks.require(chosen.networks, takes)
    for name in names:
        if name == "text":
            gradient_flow.run(corpus, Path(given.out), given.seed, given.seeds)
        else:
            run(name, STUDIES[name], chosen)
    return True
