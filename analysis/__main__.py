"""The command line of the studies: ``python -m analysis``."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy_lstm as nl
from numpy_lstm import command
from numpy_lstm.command import NO_VERDICT, RIGHT, WRONG, Parser, natural, positive

from . import text
from .sweep import SweepError

DESCRIPTION = (
    "Studies of the gradients of recurrent networks. Without a name, all of the main job: a next-symbol loss through "
    "an RNN and LSTMs on real text, every gradient verified by every route; every cell, wiring and layout checked; and "
    "how far back gradients flow."
)


class Study(NamedTuple):
    """What the command line can run: ``run(module, options, corpus)`` returns what failed, nothing if all passed.

    The module is imported when the study is asked for. It may have WINDOW, the longest stretch of text that it reads
    (without: it gets none), and ``arguments``, which adds options of its own to a parser. ``needs`` are modules that a
    plain installation lacks; ``judges`` tells whether anything here can fail.
    """

    says: str
    module: str
    run: Callable[[Any, argparse.Namespace, Any], list[str]]
    needs: tuple[str, ...] = ()
    judges: bool = True
    in_all: bool = False


STUDIES = {
    "verify": Study(
        "every gradient of an RNN and four LSTMs on text, by every route",
        "verification",
        lambda m, o, corpus: m.run(corpus, o.out, o.seed),
        ("mpmath",),
        in_all=True,
    ),
    "coverage": Study(
        "every cell, wiring and layout against oracles that do not know them",
        "coverage",
        lambda m, o, corpus: m.run(o.out, o.seed),
        ("mpmath",),
        in_all=True,
    ),
    "flow": Study(
        "how far back gradients flow: on text, or the flow studies by name",
        "flow.command",
        lambda m, o, corpus: [] if m.study(o, corpus) else ["flow"],
        ("matplotlib",),
        judges=False,
        in_all=True,
    ),
    "kill_matrix": Study(
        "which way of checking a gradient catches which known mistake",
        "kill_matrix",
        lambda m, o, corpus: m.run(o.out, o.seed),
        ("mpmath", "matplotlib"),
    ),
    "case_studies": Study(
        "wrong gradients in shipping software, named by the judge",
        "case_studies",
        lambda m, o, corpus: m.run(o.out, o.seed, o.names, o.environments, o.install, o.record),
        ("mpmath",),
    ),
    "accuracy": Study(
        "the fast path where gates saturate, against 50-digit truth",
        "accuracy",
        lambda m, o, corpus: m.run(o.out, o.seed),
        ("mpmath",),
    ),
    "benchmark": Study(
        "speed beside PyTorch, JAX and autograd", "benchmark", lambda m, o, corpus: m.run(o.out, o), judges=False
    ),
    "memory": Study(
        "memory of one forward and backward pass", "memory", lambda m, o, corpus: m.run(o.out, o.seed), judges=False
    ),
    "gpu": Study(
        "every room on CuPy arrays, checked, and the CUDA kernels timed beside cuDNN",
        "gpu",
        lambda m, o, corpus: m.run(o.out, o),
        ("cupy",),
    ),
}
ALL = "all"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the studies asked for; returns the exit status."""
    return command.run(_main, argv, (text.InputError, SweepError, nl.check.CaseError, nl.layouts.LayoutError))


def parse(argv: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The name of a study, or all, and its options; leaves with status 3 on bad usage."""
    name, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (ALL, argv)
    if name not in (ALL, *STUDIES):
        _parser(ALL).error(f"no study {name!r}; expected {ALL}, {', '.join(STUDIES)}")
    return name, _parser(name).parse_args(rest)


def _main(argv: Sequence[str] | None) -> int:
    start = time.perf_counter()
    name, options = parse(sys.argv[1:] if argv is None else argv)
    chosen = {k: s for k, s in STUDIES.items() if k == name or (name == ALL and s.in_all)}
    command.need(*dict.fromkeys(module for study in chosen.values() for module in study.needs))
    modules = {k: _module(k) for k in chosen}
    corpus = None
    if window := max(getattr(module, "WINDOW", 0) for module in modules.values()):
        corpus = text.load(options.text)
        text.require(corpus, window)
        print(f"{corpus}\n", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    failed, without = [], []
    for k, study in chosen.items():
        own = argparse.Namespace(**vars(_parser(k).parse_args([])) | vars(options))  # all has no options of flow
        try:
            failed += study.run(modules[k], own, corpus)
        except command.NoVerdict as error:
            without.append(f"{k}: {error}")
    print(_end(chosen, failed, without, f"{options.out} in {time.perf_counter() - start:.0f} s"))
    return WRONG if failed else NO_VERDICT if without else RIGHT


def _end(chosen: dict[str, Study], failed: list[str], without: list[str], where: str) -> str:
    """One line: all passed, or what did not."""
    if failed:
        more = f"; and {len(failed) - 8} more" if len(failed) > 8 else ""
        return f"FAILED: {'; '.join(failed[:8])}{more}. Written to {where}"
    if without:
        return f"no verdict: {'; '.join(without)}"
    judged = [k for k, study in chosen.items() if study.judges]
    other = [k for k, study in chosen.items() if not study.judges]
    said = [f"all passed: {', '.join(judged)}"] * bool(judged) + [f"done: {', '.join(other)}"] * bool(other)
    return f"{'; '.join(said)}. Written to {where}"


def _module(name: str) -> Any:
    return import_module(f"{__package__}.{STUDIES[name].module}")


def _parser(name: str) -> Parser:
    if name == ALL:
        width = max(map(len, STUDIES))
        listed = "\n".join(f"  {k:{width}}  {study.says}" for k, study in STUDIES.items())
        parser = Parser(
            prog="python -m analysis",
            usage="python -m analysis [STUDY] [options]",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            description=command.wrapped(DESCRIPTION),
            epilog=f"studies (python -m analysis STUDY --help lists the options of one):\n{listed}\n\n"
            + command.wrapped(command.STATUSES),
        )
        parser.add_argument("--version", action="version", version=f"numpy-lstm {nl.__version__}")
        reads, module = True, None
    else:
        module = _module(name)
        says = STUDIES[name].says
        parser = Parser(
            prog=f"python -m analysis {name}",
            description=f"{says[0].upper()}{says[1:]}. {command.STATUSES}",
        )
        reads = hasattr(module, "WINDOW")
    if reads:
        parser.add_argument(
            "--text", metavar="FILE", help="a UTF-8 text; default: the topics that ship with Python's help"
        )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out"), help="where to write; default: out")
    parser.add_argument("--seed", type=natural, default=0, help="seed of all random numbers; default: 0")
    if name in (ALL, "flow"):
        parser.add_argument("--seeds", type=positive, default=20, help="networks per curve of flow; default: 20")
    if hasattr(module, "arguments"):
        module.arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
