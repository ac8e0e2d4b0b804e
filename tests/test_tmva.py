"""TMVA's known defects: our result is right, the defect is reproduced from public records, and it differs."""

import numpy as np
import pytest

import numpy_lstm as nl
from cases import seeds, standard
from numpy_lstm import check, tree


def relative(wrong: object, right: object, prefix: str) -> float:
    """Relative L2 error over all parameter gradients whose name starts with ``prefix``."""
    w, r = ([a for k, a in tree.leaves(record) if k.startswith(prefix)] for record in (wrong, right))
    return check.normwise(w, r)


def forgetting(run: nl.Forward) -> nl.Forward:
    """The run with zeros in place of the state before the first step."""
    before = {k: np.concatenate([0 * getattr(run.values, k)[:1], getattr(run.values, k)[1:]]) for k in BEFORE}
    return run._replace(values=run.values._replace(**before))


BEFORE = ("h_prev", "c_prev")


def test_state_carried_over_but_zero_in_backward() -> None:
    """rememberState: the forward pass starts from the old H and C, the backward pass takes zeros for them at t = 1."""
    errors = []
    for seed in seeds(20, 5):
        problem = standard(nl.LSTM, seed, T=4, B=3, D=5, H=6)
        (params, xs, first), (states, last) = problem.point, problem.cotangents
        run = nl.forward(nl.LSTM, params, xs, first)
        right = nl.backward(nl.LSTM, params, run, states.h, states.c, last)
        assert check.normwise(right.dparams, check.complex_step(problem.loss, problem.point).params) <= 2e-15

        wrong = nl.backward(nl.LSTM, params, forgetting(run), states.h, states.c, last)
        errors.append([relative(wrong.dparams, right.dparams, kind) for kind in "WUb"])
        np.testing.assert_array_equal(wrong.dfirst.c, right.dfirst.c)
        np.testing.assert_array_equal(wrong.dxs[1:], right.dxs[1:])
        assert check.normwise(wrong.dxs, right.dxs) > 0.01
    dW, dU, db = np.median(errors, axis=0)
    assert dU > 0.3, "the recurrent weights lose the whole first step"
    assert min(dW, db) > 0.05, "the forget gate's cotangent at t = 1 is zero"

    run = nl.forward(nl.LSTM, params, xs)  # a zero state hides it
    wrong, right = (nl.backward(nl.LSTM, params, r, states.h, states.c, last) for r in (forgetting(run), run))
    assert check.normwise(wrong.dparams, right.dparams) == 0


@pytest.mark.parametrize(("H", "symmetric"), [(6, False), (6, True), (1, False)])
def test_transposed_recurrent_weights(H: int, symmetric: bool) -> None:
    """The 2017 reference multiplied the state's cotangent by U transposed: invisible for H = 1 or symmetric U."""
    problem = standard(nl.RNN, T=4, B=3, D=5, H=H)
    (params, xs, first), (states, last) = problem.point, problem.cotangents
    if symmetric:
        params = params._replace(U=params.U + params.U.T)
    run = nl.forward(nl.RNN, params, xs, first)
    right = nl.backward(nl.RNN, params, run, states.h, dlast=last)
    wrong = nl.backward(nl.RNN, params._replace(U=params.U.T), run, states.h, dlast=last)
    error = check.normwise(wrong.dparams, right.dparams)
    assert error == 0 if symmetric or H == 1 else error > 0.05
    at = check.Point(params, xs, first)
    assert check.normwise(right.dparams, check.complex_step(problem.loss, at).params) <= 2e-15


def test_bias_gradient_overwritten_instead_of_summed() -> None:
    """The 2017 reference kept only the bias gradient of the step it visited last, t = 1."""
    problem = standard(nl.RNN, T=4, B=3, D=5, H=6)
    (params, xs, first), (states, last) = problem.point, problem.cotangents
    run = nl.forward(nl.RNN, params, xs, first)
    back = nl.backward(nl.RNN, params, run, states.h, dlast=last)
    right = check.complex_step(problem.loss, problem.point).params.b
    assert check.normwise(back.dparams.b, right) <= 2e-15
    overwritten = back.cotangents.a[0].sum(axis=0)
    assert check.normwise(overwritten, right) > 0.1
    summed = back.cotangents.a.sum(axis=(0, 1))
    assert check.normwise(summed, right) <= 2e-15
