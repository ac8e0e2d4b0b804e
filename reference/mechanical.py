"""Whole gradients from the rows: reverse mode, forward mode, and real-time recurrent learning."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from numpy_lstm import check, tree

from .chain_rule import Row, Values, evaluate, pull, push, rows


def reverse_mode(problem: check.Problem) -> check.Point:
    """The chain rule backward through the rows of every step."""
    problem = problem.dense()
    equations, fields = rows(problem.cell), problem.cell.State._fields
    steps = list(_steps(equations, problem))
    carried = problem.cotangents.last._asdict()
    total = dict.fromkeys(problem.point.params._fields, 0.0)
    dxs = []
    for t in reversed(range(len(steps))):
        arriving = {k: carried[k] + d for k, d in _arriving(problem, t).items()}
        d = pull(equations, steps[t], arriving)
        carried = {k: d[f"{k}_prev"] for k in fields}
        total = {name: total[name] + d[name] for name in total}
        dxs.append(d["x"])
    like = problem.point
    params = type(like.params)(**{k: np.reshape(total[k], a.shape) for k, a in like.params._asdict().items()})
    return check.Point(params, np.stack(dxs[::-1]), problem.cell.State(**carried))


def jvp(problem: check.Problem, directions: check.Point) -> check.Outputs:
    """Forward mode: the tangents of every state, for directions along a leading axis of every leaf."""
    equations, fields = rows(problem.cell), problem.cell.State._fields
    dots = {f"{k}_prev": getattr(directions.first, k) for k in fields} | _matrices(directions.params)
    states = []
    for t, names in enumerate(_steps(equations, problem)):
        pushed = push(equations, names, dots | {"x": directions.xs[:, t]})
        dots |= {f"{k}_prev": pushed[k] for k in fields}
        states.append(problem.cell.State(**{k: pushed[k] for k in fields}))
    seen = {k: np.stack([getattr(s, k) for s in states], axis=1) for k in fields}
    return check.Outputs(problem.cell.Outputs(**seen), states[-1])


def forward_mode(problem: check.Problem) -> check.Point:
    """The gradient as <cotangents, J e_j>, all basis directions e_j at once."""
    basis = tree.unflatten(np.eye(tree.size(problem.point)), problem.point)
    columns = tree.flatten(jvp(problem, basis), lead=1)
    return tree.unflatten(columns @ tree.flatten(problem.dense().cotangents), problem.point)


def rtrl(problem: check.Problem) -> check.Point:
    """Real-time recurrent learning (Williams & Zipser 1989): no tape, the influence matrix is carried forward.

    J_t = A_t J_{t-1} + F_t for each batch row, where J holds d state / d (params, first state), A_t the step's
    state Jacobian and F_t its immediate parameter Jacobian. It has no gradient for ``xs``: that entry is None.
    """
    problem = problem.dense()
    equations, fields = rows(problem.cell), problem.cell.State._fields
    params, first = problem.point.params, problem.point.first
    n_params, n_rows = tree.size(params), problem.point.xs.shape[1]
    states = [first._asdict()[k] for k in fields]
    widths = [a.shape[1] for a in states]
    n_state = sum(widths)

    influence = np.zeros((n_rows, n_state, n_params + n_rows * n_state))
    for b in range(n_rows):  # the first state of each row influences that row
        influence[b, :, n_params + b * n_state : n_params + (b + 1) * n_state] = np.eye(n_state)
    seeds = _seeds(fields, widths, n_rows)
    param_seeds = _matrices(tree.unflatten(np.eye(n_params), params))

    gradient = np.zeros(influence.shape[2])
    for t, names in enumerate(_steps(equations, problem)):
        A = _by_row(push(equations, names, seeds), fields)
        F = _by_row(push(equations, names, param_seeds), fields)
        influence = A @ influence
        influence[:, :, :n_params] += F
        arriving = np.concatenate(list(_arriving(problem, t).values()), axis=1)
        if t == problem.point.xs.shape[0] - 1:
            arriving = arriving + np.concatenate(problem.cotangents.last, axis=1)
        gradient += np.einsum("bs,bsp->p", arriving, influence)

    by_row = gradient[n_params:].reshape(n_rows, n_state)
    parts = np.split(by_row, np.cumsum(widths)[:-1], axis=1)
    return check.Point(tree.unflatten(gradient[:n_params], params), None, type(first)(*parts))


def _arriving(problem: check.Problem, t: int) -> Values:
    """The cotangent of each field of the state at step t; only h and c can have one."""
    states, last = problem.cotangents
    return {
        k: np.zeros_like(getattr(last, k)) if getattr(states, k) is None else getattr(states, k)[t]
        for k in last._fields
    }


def _steps(equations: tuple[Row, ...], problem: check.Problem) -> Iterator[Values]:
    """The values of every row at every step."""
    fields = problem.cell.State._fields
    fixed = {k: np.atleast_2d(a) for k, a in problem.point.params._asdict().items()}
    state = {f"{k}_prev": getattr(problem.point.first, k) for k in fields}
    for x in problem.point.xs:
        names = evaluate(equations, fixed | state | {"x": x})
        yield names
        state = {f"{k}_prev": names[k] for k in fields}


def _matrices(params: Any) -> Values:
    """Directions of parameters as the rows want them: biases (n,H) become (n,1,H)."""
    return {k: a[:, None, :] if a.ndim == 2 else a for k, a in params._asdict().items()}


def _seeds(fields: tuple[str, ...], widths: list[int], n_rows: int) -> Values:
    """Unit tangents of the previous state, one direction per component, the same in every batch row."""
    units = np.split(np.eye(sum(widths)), np.cumsum(widths)[:-1], axis=1)
    return {f"{k}_prev": np.repeat(e[:, None, :], n_rows, axis=1) for k, e in zip(fields, units, strict=True)}


def _by_row(pushed: Values, fields: tuple[str, ...]) -> Any:
    """Tangents (n,B,N) of all state fields as one Jacobian per batch row: (B, N summed, n)."""
    return np.concatenate([pushed[k] for k in fields], axis=2).transpose(1, 2, 0)
