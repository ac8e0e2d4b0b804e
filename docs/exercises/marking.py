"""How an exercise is marked: what you wrote makes an answer to a case, and ``numpy-lstm judge`` reads it."""

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import cli
from numpy_lstm.cases import Case, Network, files
from numpy_lstm.cases.network import Parts
from numpy_lstm.command import BAD_INPUT, NO_VERDICT


class Exercise(NamedTuple):
    """``answer(case, yours)`` is the whole answer; ``yours`` the function with dots in it; ``shift`` moves biases."""

    page: nl.Page
    yours: Callable[..., Any]
    answer: Callable[[Case, Callable[..., Any]], dict[str, Any]]
    shift: dict[str, float] | None = None

    def case(self) -> Case:
        """Six steps, two rows, three inputs, four units; random first states, cotangents everywhere."""
        sizes, rng = {"T": 6, "B": 2, "D": 3, "H": 4}, np.random.default_rng(0)
        case = Case.random(Network(self.page), "records", sizes, rng, shift=self.shift, name="exercise")
        return case._replace(expected=case.run())

    def mark(self) -> int:
        """Write case and answer below out/exercises and judge them; the exit status is that of the judge."""
        place = Path(inspect.getfile(self.yours))
        if ... in self.yours.__code__.co_consts:
            print(f"{place.name}: put code in place of the dots in {self.yours.__name__}, save, and run this again")
            return NO_VERDICT
        case, folder = self.case(), Path("out", "exercises")
        try:
            answer = self.answer(case, self.yours)
        except Exception as error:
            frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
            did = "raised" if self.yours.__code__ in frames else "returned what does not fit:"
            print(f"{place.name}: {self.yours.__name__} {did} {type(error).__name__}: {error}", file=sys.stderr)
            return BAD_INPUT
        written = files.write_case(folder / f"{place.stem}.json", case)
        return cli.main(["judge", str(written), str(files.write_answer(folder / f"{place.stem}-answer.json", answer))])


def row(tag: str, target: str = ".+?") -> Callable[[Case, Callable[..., Any]], dict[str, Any]]:
    """The answer of the page whose line of this tag, and target, is yours: its arguments are names that stand above."""

    def answer(case: Case, yours: Callable[..., Any]) -> dict[str, Any]:
        adjoint = case.network.page.adjoint
        line, names = rf"(?m)^    ({target}) = [^#\n]*# \({tag}\).*$", ", ".join(inspect.signature(yours).parameters)
        source = re.sub(line, rf"    \1 = yours({names})", inspect.getsource(adjoint), count=1)
        exec(source, space := {**adjoint.__globals__, "yours": yours})
        return case.run(parts=Parts(cell=lambda page: replace(page, adjoint=space[adjoint.__name__])))

    return answer
