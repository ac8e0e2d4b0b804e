"""What every command line of this project shares: exit statuses, how a command ends, and types of options."""

import argparse
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from importlib import util
from typing import Any, NoReturn

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
    """One line and status 3 on bad usage."""

    def error(self, message: str) -> NoReturn:
        """Leave."""
        self.exit(BAD_INPUT, f"error: {message} (see {self.prog} --help)\n")


def run(
    command: Callable[[Sequence[str] | None], int],
    argv: Sequence[str] | None,
    refused: tuple[type[Exception], ...] = (),
) -> int:
    """The exit status of ``command(argv)``; whatever it raises becomes one line on stderr.

    ``refused`` are the errors, beside OSError, whose text says what was wrong with what was given; any other is called
    unexpected. The environment variable NUMPY_LSTM_TRACEBACK, if set, adds the traceback. Where the reader of stdout
    has gone (``| head -1``), the rest is thrown away and the command ends with the status it would have had.
    """
    stdout = sys.stdout
    try:
        if stdout is not None:
            sys.stdout = _Outlet(stdout)
        status = _status(command, argv, refused)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    finally:
        sys.stdout = stdout
    return status


def need(*modules: str) -> None:
    """Raise ModuleNotFoundError, which says what to install, if a module is missing."""
    if missing := [name for name in modules if util.find_spec(name) is None]:
        raise ModuleNotFoundError(install(missing), name=missing[0])


def install(missing: Sequence[str]) -> str:
    """``mpmath is not installed; pip install 'numpy-lstm[truth]'``."""
    extras = dict.fromkeys(EXTRAS[name] for name in missing)
    are = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {are} not installed; pip install 'numpy-lstm[{','.join(extras)}]'"


def wrapped(text: str) -> str:
    """For a help page whose lines argparse leaves alone."""
    return textwrap.fill(text, 100)


def natural(text: str) -> int:
    """An integer of at least 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a natural number")
    return int(text)


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    if (number := natural(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


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
        sys.stdout.flush() if sys.stdout is not None else None
        return status
    except SystemExit as left:  # argparse: 0 after --help, 3 from Parser.error
        return left.code if isinstance(left.code, int) else RIGHT if left.code is None else BAD_INPUT
    except NoVerdict as error:
        print(f"no verdict: {_line(error)}")
        return NO_VERDICT
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        print(f"error: {_said(error, refused)}", file=sys.stderr)
        return BAD_INPUT
    finally:
        if isinstance(sys.stdout, _Outlet):
            sys.stdout.close_quietly()


def _said(error: Exception, refused: tuple[type[Exception], ...]) -> str:
    if isinstance(error, (OSError, *refused)) or (isinstance(error, ImportError) and "pip install" in str(error)):
        return _line(error)
    if isinstance(error, ModuleNotFoundError) and (top := str(error.name).partition(".")[0]) in EXTRAS:
        return install([top])
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(os.path.dirname(last.filename))}/{os.path.basename(last.filename)}:{last.lineno}"
    said = f"{type(error).__name__}: {_line(error)}" if _line(error) else type(error).__name__
    return f"unexpected {said} ({place}; {TRACEBACK}=1 shows the traceback)"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


class _Outlet:
    """Standard output; what is written after its reader has gone is thrown away."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except BrokenPipeError:
            self._throw_away()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
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
