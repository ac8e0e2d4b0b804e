"""Cells of one's own in every instrument of gradient flow, and pages that no split can follow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from own_cells import CHUNG, MGU, chung_adjoint, mgu_adjoint
from test_flow import seen

import numpy_lstm as nl
from cases import standard
from numpy_lstm import check, flow

OWN = [MGU, CHUNG]


@pytest.mark.parametrize("cell", OWN, ids=lambda cell: cell.name)
def test_the_paths_of_ones_own_cell_are_those_of_its_equations(cell: nl.Page) -> None:
    """Each part written out by hand; the page is right to begin with."""
    problem = standard(cell)
    assert check.normwise(problem.gradient(), check.complex_step(problem.loss, problem.point)) <= 2e-15
    p, _ = seen(cell)
    v, d, w = p.run.values, p.cotangents, p.params
    if cell is MGU:
        expected = {"carry": d.h * (1 - v.f), "gate f": d.a_f @ w.U_f, "gate n": (d.a_n @ w.U_n) * v.f}
    else:
        expected = {"carry": d.h * (1 - v.b), "gate Ka": d.z1 @ w.Ka, "gate Kb": d.z2 @ w.Kb}
        expected["gate Km"] = (d.z3 @ w.Km) * v.a
    parts = flow.split(p)
    assert list(parts) == ["given", *expected]
    for name, hop in expected.items():
        assert check.normwise(parts[name][:-1], hop[1:]) <= 2e-15, name
        assert not np.any(parts[name][-1])


@pytest.mark.parametrize("cell", OWN, ids=lambda cell: cell.name)
def test_ones_own_cell_in_the_instruments_that_need_no_names(cell: nl.Page) -> None:
    (params, xs, first), (_, last) = standard(cell, T=30, B=3)[1:3]
    run = nl.forward(cell, params, xs, first)
    exponents = flow.lyapunov_exponents(cell, params, run)
    volume = np.linalg.slogdet(flow.step_jacobians(cell, params, run)).logabsdet
    np.testing.assert_allclose(exponents.sum(axis=1), volume.mean(axis=0), rtol=1e-10)
    seen = flow.sensitivity_map(cell, params, run, outputs=[29])
    back = [nl.backward(cell, params, run, dlast=cell.State(h=np.tile(e, (3, 1)))) for e in np.eye(7)]
    np.testing.assert_allclose(seen[0], np.sqrt(sum(np.sum(b.dxs**2, axis=-1) for b in back)), rtol=1e-13)
    (p,) = flow.passes(cell, params, xs, first, dlast=last)
    assert flow.norms(p)["h"].shape == (30, 3)
    assert "gate" in str(flow.saturation(p))


def test_what_a_split_cannot_follow_raises() -> None:
    def dropped(F: Any, p: Any, v: Any, ds: Any) -> Any:
        d = chung_adjoint(F, p, v, ds)
        return d._replace(h=2 * d.h)  # not all of dL/dh_t

    def clipped(F: Any, p: Any, v: Any, ds: Any) -> Any:
        return mgu_adjoint(F, p, v, ds._replace(h=np.clip(ds.h, -1, 1)))

    def copied(F: Any, p: Any, v: Any, ds: Any) -> Any:
        return mgu_adjoint(F, p, v, ds._replace(h=np.array(ds.h)))

    for page, adjoint, error, message in (
        (
            CHUNG,
            dropped,
            ValueError,
            "Wrong: the parts of dL/dh miss the pass's own by 5e-01 of their size at step 19",
        ),
        (MGU, clipped, TypeError, "np.clip of a cotangent is not linear here"),
        (MGU, copied, TypeError, "a cotangent is copied into a plain array"),
    ):
        cell = replace(page, title="Wrong", adjoint=adjoint)
        with pytest.raises(error, match=message):
            flow.split(seen(cell)[0])
    p, _ = seen(nl.LSTM)
    other = p._replace(params=p.params._replace(U_f=p.params.U_f * 1.000001))
    with pytest.raises(ValueError, match="expected cotangents that the adjoint of LSTM gives with this run and these"):
        flow.split(other)


def test_operations_of_a_page_that_split_knows() -> None:
    """One matrix for all gates, stacked, cut and summed, as many write it: the same parts, but for their names."""

    def blocked(F: Any, p: Any, v: Any, ds: Any) -> Any:
        d = chung_adjoint(F, p, v, ds)
        both = np.concatenate([d.z1, d.z2], axis=-1) @ np.concatenate([p.Ka, p.Kb])
        z3 = np.where(v.a > 2, 0 * d.z3, np.stack([d.z3, d.z3]).mean(axis=0))
        halves = np.split(z3, [3], axis=-1)
        w = np.einsum("...i,ij->...j", np.concatenate(halves, -1), p.Km)
        total = np.zeros_like(v.h)
        total += sum([ds.h - d.m, w * v.a, both.reshape(both.shape).copy()])
        return d._replace(h_prev=total)

    cell = replace(CHUNG, adjoint=blocked)
    (params, xs, first), (states, last) = standard(CHUNG)[1:3]
    (p,) = flow.passes(cell, params, xs, first, dhs=states.h, dlast=last)
    found, known = flow.split(p), flow.split(seen(CHUNG)[0])
    assert list(found) == ["given", "carry", "gate Ka", "gate Km"]
    assert check.normwise(found["carry"], known["carry"]) <= 1e-13
    assert check.normwise(found["gate Ka"], known["gate Ka"] + known["gate Kb"]) <= 1e-13
    assert check.normwise(found["gate Km"], known["gate Km"]) <= 1e-13
