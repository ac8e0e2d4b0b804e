"""``python -m analysis flow NAME``: the studies by name."""

import argparse
from pathlib import Path

from .. import gradient_flow, text
from . import gates, rates, scalar, spectra, ungated
from . import study as _study
from .study import options, run

STUDIES = {**rates.STUDIES, **spectra.STUDIES, **ungated.STUDIES, **scalar.STUDIES, **gates.STUDIES}
NAMES = ["text", *STUDIES]
WINDOW = 1 + gradient_flow.SIZES["T"]

__all__ = ["NAMES", "STUDIES", "arguments", "study"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The studies by name, and their options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, {', '.join(NAMES)}; default: text")
    _study.arguments(parser)


def study(given: argparse.Namespace, corpus: text.Corpus) -> bool:
    """Run the flow studies named on the command line: the figure on text if none is, every one for ``all``.

    Raises InputError for a name that does not exist.
    """
    names = NAMES if "all" in given.names else given.names or ["text"]
    if unknown := [name for name in names if name not in NAMES]:
        raise text.InputError(f"no flow study {unknown[0]!r}; expected all or some of {', '.join(NAMES)}")
    chosen = options(given, corpus)
    for name in names:
        if name == "text":
            gradient_flow.run(corpus, Path(given.out), given.seed, given.seeds)
        else:
            run(name, STUDIES[name], chosen)
    return True
