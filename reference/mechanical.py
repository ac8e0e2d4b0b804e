"""Whole gradients from the rows: reverse mode, forward mode, and real-time recurrent learning."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from numpy_lstm import binding, check, tree
from numpy_lstm.pages.page import take
from numpy_lstm.shapes import axes, codes, shared

from .chain_rule import Row, Values, evaluate, pull, push, rows


def reverse_mode(problem: check.Problem) -> check.Point:
    """The chain rule backward through the rows of every step."""
    problem = problem.dense()
    cell, reads = problem.cell, _differentiable(problem.cell)
    equations, fields = rows(cell), cell.State._fields
    steps = list(_steps(equations, problem))
    carried = problem.cotangents.last._asdict()
    total = dict.fromkeys(problem.point.params._fields, 0.0)
    dxs = []
    for t in reversed(range(len(steps))):
        arriving = {k: carried.get(k, 0.0) + d for k, d in _arriving(problem, t).items()}
        d = pull(equations, steps[t], arriving)
        carried = {k: d[f"{k}_prev"] for k in fields}
        total = {name: total[name] + d[name] for name in total}
        dxs.append([d[k] for k in reads])
    like = problem.point
    params = type(like.params)(**{k: np.reshape(total[k], a.shape) for k, a in like.params._asdict().items()})
    stacked = dict(zip(reads, map(np.stack, zip(*dxs[::-1], strict=True)), strict=True))
    read = {k: a.sum(axis=0) if k in shared(cell.Input) else a for k, a in stacked.items()}
    return check.Point(params, cell.input(take(cell.Input, None, **read)), cell.State(**carried))


def jvp(problem: check.Problem, directions: check.Point) -> check.Outputs:
    """Forward mode: the tangents of every output, for directions along a leading axis of every leaf."""
    cell, outputs = problem.cell, axes(problem.cell.Outputs)
    equations, fields, xs = rows(cell), cell.State._fields, cell.as_input(directions.xs)
    dots = {f"{k}_prev": getattr(directions.first, k) for k in fields} | _matrices(directions.params)
    steps = []
    for t, names in enumerate(_steps(equations, problem)):
        at = {k: getattr(xs, k) for k in _differentiable(cell)}
        at = {k: a if k in shared(cell.Input) else a[:, t] for k, a in at.items()}
        steps.append(push(equations, names, dots | at))
        dots |= {f"{k}_prev": steps[-1][k] for k in fields}
    stacked = {k: np.stack([step[k] for step in steps], axis=1) for k in outputs}
    seen = {k: a[..., 0] if outputs[k] == "B" else a for k, a in stacked.items()}
    return check.Outputs(cell.Outputs(**seen), take(cell.State, None, **{k: steps[-1][k] for k in fields}))


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
    """The cotangent of each output at step t, of a dense problem."""
    return {k: a[t] if a.ndim == 3 else a[t][:, None] for k, a in problem.cotangents.states._asdict().items()}


def _differentiable(cell: Any) -> list[str]:
    """What the cell reads, but for integers."""
    return [k for k in cell.reads if k not in codes(cell.Input)]


def inputs(problem: check.Problem) -> list[Values]:
    """What each step reads, by name, integers as the rows want them."""
    cell, point, xs = problem.cell, problem.point, problem.inputs(problem.point)
    sizes, _ = binding.bind_inputs(cell, point.params, xs, point.first, problem.lengths)
    read = cell.as_input(xs)._asdict()
    read |= {k: np.eye(sizes[letter])[read[k]] for k, letter in codes(cell.Input).items()}
    held = shared(cell.Input)
    return [{k: a if k in held else a[t] for k, a in read.items()} for t in range(sizes["T"])]


def _steps(equations: tuple[Row, ...], problem: check.Problem) -> Iterator[Values]:
    """The values of every row at every step."""
    fields = problem.cell.State._fields
    fixed = {k: np.atleast_2d(a) for k, a in problem.point.params._asdict().items()}
    state = {f"{k}_prev": getattr(problem.point.first, k) for k in fields}
    for read in inputs(problem):
        names = evaluate(equations, fixed | state | read)
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
