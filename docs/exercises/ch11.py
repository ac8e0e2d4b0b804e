"""Chapter 11: the five factors by which the fast form multiplies on its way back.

da_o = dh P_o; dc = d.c + dh P_c; da_i, da_f, da_g = dc P_i, dc P_f, dc P_g. All are known after the forward pass: v has
its values, F.i.d, F.f.d, F.g.d, F.o.d and F.y.d are the derivatives of its functions. Return P_o, P_c, P_i, P_f, P_g.
Mistakes that are known here: output-tanh-missing, output-gate-missing, tanh-derivative-missing, candidate-missing,
old-cell-missing, df-from-new-cell, input-gate-missing, candidate-derivative-missing.
"""

from dataclasses import replace

from marking import Exercise

import numpy_lstm as nl
from numpy_lstm.cases.network import Parts


def factors(F, v):
    return ...


def answer(case, yours):
    def adjoint(F, p, v, d):
        P_o, P_c, P_i, P_f, P_g = yours(F, v)
        dc = d.c + d.h * P_c
        a = {"a_o": d.h * P_o, "a_i": dc * P_i, "a_f": dc * P_f, "a_g": dc * P_g}
        x, h = (sum(a[f"a_{k}"] @ getattr(p, f"{w}_{k}") for k in "ifgo") for w in "WU")
        return d._replace(x=x, h_prev=h, c_prev=dc * v.f, c=dc, **a, **dict.fromkeys("ifgoy", 0 * dc))

    run = case.run(parts=Parts(cell=lambda page: replace(page, adjoint=adjoint)))
    return {k: a for k, a in run.items() if "." not in k}


EXERCISE = Exercise(nl.LSTM, factors, answer)
if __name__ == "__main__":
    raise SystemExit(EXERCISE.mark())
