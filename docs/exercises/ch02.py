"""Chapter 2, R2': what reaches the pre-activation a of h = tanh a.

dh is the whole cotangent of h; v.a and v.h are the values of the step; F.h.d is the derivative of tanh. Return da.
Mistakes that are known here: rnn-derivative-missing, rnn-derivative-of-output, rnn-derivative-of-pre-activation,
rnn-derivative-not-squared.
"""

from marking import Exercise, row

import numpy_lstm as nl


def pre_activation(F, v, dh):
    return ...


EXERCISE = Exercise(nl.RNN, pre_activation, row("R2'"))
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
