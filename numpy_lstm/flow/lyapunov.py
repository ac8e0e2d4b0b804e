"""Lyapunov exponents: how fast nearby states part, forward in time, and so how fast a gradient grows going back."""

from typing import Any

import numpy as np

from .. import arrays
from ..pages.page import Page
from ..scan import Forward
from .given import check_run
from .jacobians import Progress, over, step_jacobian


def lyapunov_exponents(
    cell: Page, params: Any, run: Forward, count: int | None = None, skip: int = 0, progress: Progress | None = None
) -> Any:
    """The ``count`` largest exponents (all S if absent) of each row, in nats per step, largest first: (B,count).

    Forward tangents are multiplied by each step's Jacobian and made orthonormal again by QR (Benettin et al. 1980); an
    exponent is the mean of log|R_jj| over the steps from ``skip`` on, padding left out. No backward pass takes part
    beyond that of a single step. Raises ValueError if a row has no step left, or count is not between 1 and S.
    """
    check_run(cell, params, run)
    T, B = run.hs.shape[:2]
    S = sum(a.shape[-1] for a in run.last)
    count = S if count is None else count
    if not 1 <= count <= S:
        raise ValueError(f"count is {count}; expected 1 to {S}, the size of a state of {cell.name}")
    if not 0 <= skip < T:
        raise ValueError(f"skip is {skip}; expected 0 to {T - 1}, so that a step is left")
    alive: Any = run.alive
    steps = np.full(B, T - skip) if alive is None else np.sum(arrays.on_host(alive)[skip:, :, 0], axis=0)
    if not np.all(steps):
        raise ValueError(f"skip is {skip}; row {int(np.argmin(steps))} has no step left after them")
    start = np.random.default_rng(0).standard_normal((S, count))  # in general position, and the same in every call
    first = arrays.like(np.linalg.qr(start)[0].astype(run.hs.dtype), run.hs)
    Q, total = np.broadcast_to(first, (B, S, count)), arrays.like(np.zeros((B, count)), run.hs)
    for t in over(0, T, progress):
        Q, R = np.linalg.qr(step_jacobian(cell, params, run, t) @ Q)
        if t >= skip:
            with np.errstate(divide="ignore"):  # a direction that is lost altogether has exponent -inf
                total += np.log(np.abs(np.diagonal(R, axis1=-2, axis2=-1)))
    return -np.sort(-total / arrays.like(steps, total)[:, None], axis=-1)
