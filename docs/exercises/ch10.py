"""Chapter 10, G9': what h = q n + z h_prev of a GRU hands on; q = 1 - z.

dh is the whole cotangent of h; v.q, v.n, v.z, v.h_prev and v.h are the values of the step. Return dq, dn, dz, dh_prev:
here z and q count as two separate numbers, and dh_prev is what passes by this row alone.
Mistakes that are known here: gru-kept-state-forgotten, gru-kept-state-by-candidate-share, gru-candidate-share-missing,
gru-candidate-by-update-gate, gru-update-forgets-candidate, gru-update-from-new-state.
"""

from marking import Exercise, row

import numpy_lstm as nl


def share(v, dh):
    return ...


EXERCISE = Exercise(nl.GRU, share, row("G9'"))
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
