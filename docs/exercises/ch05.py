"""Chapter 5, L1' to L4': the gradient of U_k (H,H), a sum over all steps and rows.

da (T,B,H) holds the cotangents of a_k, hs (T,B,H) the outputs h_1 to h_T, h_0 (B,H) the first state. Return dU_k.
Mistakes that are known here: recurrent-gradient-from-new-state, initial-state-missing-in-recurrent-gradient,
state-of-another-step, square-gradient-transposed.
"""

import numpy as np  # noqa: F401  for you
from marking import Exercise

import numpy_lstm as nl


def recurrent(da, hs, h_0):
    return ...


def answer(case, yours):
    run = case.run()
    return run | {f"d_U_{k}": yours(run[f"cotangents.a_{k}"], run["output"], case.arrays["h_0"]) for k in "ifgo"}


EXERCISE = Exercise(nl.LSTM, recurrent, answer)
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
