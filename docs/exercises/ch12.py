"""Chapter 12, L4': read a verdict. Write the line, then make each mistake below, and see what the judge says of it.

da_o is the cotangent of a_o = x W_o^T + h_prev U_o^T + b_o, p holds the parameters. Return what reaches x and h_prev.
Mistakes that are known here: recurrent-weights-transposed, gate-omitted-in-dh, gate-omitted-in-dx, gate-doubled-in-dh.
"""

from marking import Exercise, row

import numpy_lstm as nl


def through(p, da_o):
    return ...


EXERCISE = Exercise(nl.LSTM, through, row("L4'", "dx, dh_prev"))
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
