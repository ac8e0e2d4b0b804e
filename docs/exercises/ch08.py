"""Chapter 8: the derivative of the logistic function, from the pre-activation, to all digits.

The forget gates of this case stand near 15. Return the derivative at each number of a. The textbook's s (1 - s) is not
failed: the judge says what it loses. Your own should pass without such a line.
Mistakes that are known here: sigmoid-derivative-missing, sigmoid-derivative-of-activation,
sigmoid-in-place-of-its-derivative, sigmoid-complement-for-its-derivative, sigmoid-derivative-sign.
"""

from dataclasses import replace

import numpy as np  # noqa: F401  for you
from marking import Exercise

import numpy_lstm as nl
from numpy_lstm.cases.network import Parts


def slope(a):
    return ...


def answer(case, yours):
    return case.run(parts=Parts(cell=lambda page: page.having(f=replace(page.functions.f, d=yours))))


EXERCISE = Exercise(nl.LSTM, slope, answer, {"b_f": 15.0})
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
