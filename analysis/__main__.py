"""The command line of the studies: ``python -m analysis``."""

import argparse
import sys
import time
from collections.abc import Sequence
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


class Command(NamedTuple):
    """What the command line can run: ``run`` of a module, which is imported when the command is asked for.

    It may have WINDOW, the longest stretch of text that it reads, and ``arguments``, which adds options of its own to a
    parser. ``takes`` are the options that ``run`` takes, all of them together if none is named. ``needs`` are modules
    that a plain installation lacks; ``judges`` tells whether anything here can fail.
    """

    says: str
    module: str
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    judges: bool = True
    in_all: bool = False

    def run(self, module: Any, options: argparse.Namespace, corpus: Any) -> list[str]:
        """What failed, nothing if all passed."""
        reads = [corpus] if hasattr(module, "WINDOW") else []
        given = [getattr(options, name) for name in self.takes] or [options]
        failed: list[str] = module.run(*reads, options.out, *given)
        return failed


COMMANDS = {
    "verify": Command(
        "every gradient of an RNN and four LSTMs on text, by every route",
        "verify.verification",
        ("seed",),
        ("mpmath",),
        in_all=True,
    ),
    "coverage": Command(
        "every cell, wiring and layout against oracles that do not know them",
        "verify.coverage",
        ("seed",),
        ("mpmath",),
        in_all=True,
    ),
    "flow": Command(
        "how far back gradients flow: on text, or the flow studies by name",
        "flow.command",
        needs=("matplotlib",),
        judges=False,
        in_all=True,
    ),
    "kill_matrix": Command(
        "which way of checking a gradient catches which known mistake",
        "mistakes.kill_matrix",
        ("seed",),
        ("mpmath", "matplotlib"),
    ),
    "case_studies": Command(
        "wrong gradients in shipping software, named by the judge",
        "shipping.case_studies",
        ("seed", "names", "environments", "install", "record"),
        ("mpmath",),
    ),
    "accuracy": Command(
        "the fast path where gates saturate, against 50-digit truth", "verify.accuracy", ("seed",), ("mpmath",)
    ),
    "charlm": Command(
        "train a character model on a text, beside n-grams; continue a run, or sample from it",
        "charlm.command",
        judges=False,
    ),
    "dashboard": Command(
        "the figure of a run that charlm recorded", "charlm.dashboard", needs=("matplotlib",), judges=False
    ),
    "inside": Command(
        "what a run of charlm has learnt: its gates, its units, and how far its gradients reach",
        "inside.command",
        needs=("matplotlib",),
        judges=False,
    ),
    "clinic": Command(
        "small runs that show what goes wrong in training, and whether the diagnosis names it",
        "clinic.command",
        ("seed",),
        ("matplotlib",),
    ),
    "classify": Command(
        "classes of texts by an LSTM, depths and poolings compared, beside naive Bayes",
        "classify.command",
        needs=("matplotlib",),
        judges=False,
    ),
    "tasks": Command(
        "memory tasks: who learns to copy, to add, to tell an order, and after how long a delay",
        "tasks.command",
        needs=("matplotlib",),
        judges=False,
    ),
    "updates": Command(
        "updates per second of a character model, beside PyTorch", "charlm.updates", needs=("torch",), judges=False
    ),
    "translate": Command(
        "train an encoder and a decoder with attention: reversal, dates, phonemes, or pairs of your own",
        "translate.command",
        needs=("matplotlib", "rapidfuzz", "sacrebleu"),
        judges=False,
    ),
    "calibration": Command(
        "how often the judge fails right answers and passes mistakes",
        "verify.calibration",
        ("seed", "cases"),
        ("mpmath",),
    ),
    "benchmark": Command("speed beside PyTorch, JAX and autograd", "speed.benchmark", judges=False),
    "memory": Command("memory of one forward and backward pass", "speed.memory", ("seed",), judges=False),
    "gpu": Command(
        "every room on CuPy arrays, checked, and the CUDA kernels timed beside cuDNN", "speed.gpu", needs=("cupy",)
    ),
}
ALL = "all"
REFUSED = (text.InputError, SweepError, nl.check.CaseError, nl.layouts.LayoutError)
REFUSED += (nl.train.TrainingError, nl.train.Diverged)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the commands asked for; returns the exit status."""
    return command.run(_main, argv, REFUSED)


def parse(argv: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The name of a command, or all, and its options; leaves with status 3 on bad usage."""
    name, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (ALL, argv)
    if name not in (ALL, *COMMANDS):
        _parser(ALL).error(f"no command {name!r}; expected {ALL}, {', '.join(COMMANDS)}")
    return name, _parser(name).parse_args(rest)


def _main(argv: Sequence[str] | None) -> int:
    start = time.perf_counter()
    name, options = parse(sys.argv[1:] if argv is None else argv)
    chosen = {k: s for k, s in COMMANDS.items() if k == name or (name == ALL and s.in_all)}
    command.need(*dict.fromkeys(module for one in chosen.values() for module in one.needs))
    modules = {k: _module(k) for k in chosen}
    corpus = None
    if window := max(getattr(module, "WINDOW", 0) for module in modules.values()):
        corpus = text.load(options.text)
        text.require(corpus, window)
        print(f"{corpus}\n", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    failed, without = [], []
    for k, one in chosen.items():
        own = argparse.Namespace(**vars(_parser(k).parse_args([])) | vars(options))  # all has no options of flow
        try:
            failed += one.run(modules[k], own, corpus)
        except command.NoVerdict as error:
            without.append(f"{k}: {error}")
    print(_end(chosen, failed, without, f"{options.out} in {time.perf_counter() - start:.0f} s"))
    return WRONG if failed else NO_VERDICT if without else RIGHT


def _end(chosen: dict[str, Command], failed: list[str], without: list[str], where: str) -> str:
    """One line: all passed, or what did not."""
    if failed:
        more = f"; and {len(failed) - 8} more" if len(failed) > 8 else ""
        return f"FAILED: {'; '.join(failed[:8])}{more}. Written to {where}"
    if without:
        return f"no verdict: {'; '.join(without)}"
    judged = [k for k, one in chosen.items() if one.judges]
    other = [k for k, one in chosen.items() if not one.judges]
    said = [f"all passed: {', '.join(judged)}"] * bool(judged) + [f"done: {', '.join(other)}"] * bool(other)
    return f"{'; '.join(said)}. Written to {where}"


def _module(name: str) -> Any:
    return import_module(f"{__package__}.{COMMANDS[name].module}")


def _parser(name: str) -> Parser:
    if name == ALL:
        width = max(map(len, COMMANDS))
        listed = "\n".join(f"  {k:{width}}  {one.says}" for k, one in COMMANDS.items())
        parser = Parser(
            prog="python -m analysis",
            usage="python -m analysis [COMMAND] [options]",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            description=command.wrapped(DESCRIPTION),
            epilog=f"commands (python -m analysis COMMAND --help lists the options of one):\n{listed}\n\n"
            + command.wrapped(command.STATUSES),
        )
        parser.add_argument("--version", action="version", version=f"numpy-lstm {nl.__version__}")
        reads, module = True, None
    else:
        module = _module(name)
        says = COMMANDS[name].says
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
