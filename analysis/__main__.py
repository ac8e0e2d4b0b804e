"""The command line of the studies: ``python -m analysis``."""

import argparse
import sys
from pathlib import Path

from . import accuracy, benchmark, coverage, gpu, gradient_flow, memory, peers, routes, text, verification

MEASURING = ("accuracy", "benchmark", "memory", "gpu")
LONGEST = {"verify": routes.SIZES, "flow": gradient_flow.SIZES}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; exits with 2 on bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="A next-symbol loss through an RNN and LSTMs on real text: verify every gradient by every route, "
        "check every cell, wiring and layout, and draw how far back gradients flow. "
        "Exit status: 0 all passed, 1 a route failed, 2 bad input.",
    )
    parser.add_argument(
        "study",
        nargs="?",
        choices=["all", "verify", "flow", "coverage", *MEASURING],
        default="all",
        help="default: all, which is verify, coverage and flow; the others measure the fast path",
    )
    parser.add_argument("--text", metavar="FILE", help="a UTF-8 text; default: the topics that ship with Python's help")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out"), help="where to write; default: out")
    parser.add_argument("--seed", type=_natural, default=0, help="seed of all random numbers; default: 0")
    parser.add_argument("--seeds", type=_positive, default=20, help="networks per curve in the flow study; default: 20")
    only = parser.add_argument_group("benchmark only")
    only.add_argument("--shapes", metavar="T,B,D,H", nargs="+", type=benchmark.shape, help="default: seven of them")
    only.add_argument("--threads", metavar="N", nargs="+", type=_positive, help="default: 1 and all processors")
    only.add_argument("--cells", nargs="+", choices=list(peers.CELLS), help="default: LSTM")
    only.add_argument("--peers", nargs="+", choices=list(peers.PEERS), help="default: all that are installed")
    only.add_argument("--no-scaling", dest="scaling", action="store_false", help="tables only, no scaling figure")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the studies asked for."""
    options = arguments(argv)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.study in MEASURING:
            return 0 if _measure(options) else 1
        corpus = text.load(options.text)
        text.require(
            corpus, max((1 + s["T"] for study, s in LONGEST.items() if options.study in {"all", study}), default=0)
        )
        print(f"{corpus}\n")
        passed = True
        if options.study in {"all", "verify"}:
            passed = verification.run(corpus, options.out, options.seed)
        if options.study in {"all", "coverage"}:
            passed = coverage.run(options.out, options.seed) and passed
        if options.study in {"all", "flow"}:
            gradient_flow.run(corpus, options.out, options.seed, options.seeds)
    except (text.InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written to {options.out}")
    return 0 if passed else 1


def _measure(options: argparse.Namespace) -> bool:
    passed = True
    if options.study == "benchmark":
        benchmark.run(options.out, options)
    elif options.study == "accuracy":
        passed = accuracy.run(options.out, options.seed)
    elif options.study == "memory":
        memory.run(options.out)
    else:
        passed = gpu.run(options.out, options.seed)
    print(f"written to {options.out}")
    return passed


def _natural(value: str) -> int:
    number = int(value)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
