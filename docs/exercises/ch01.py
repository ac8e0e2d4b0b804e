"""Chapter 1, R1': what an affine map a = x W^T + h_prev U^T + b hands to the two arrays that it multiplies.

da (B,H) is the cotangent of a; p.W (H,D) and p.U (H,H) are the weights. Return dx (B,D) and dh_prev (B,H).
Mistakes that are known here: recurrent-weights-transposed, gate-omitted-in-dx, hidden-carry-dropped, carry-sign.
"""

from marking import Exercise, row

import numpy_lstm as nl


def operands(p, da):
    return ...


EXERCISE = Exercise(nl.RNN, operands, row("R1'"))
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
