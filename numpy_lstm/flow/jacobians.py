"""Jacobians of the state: of one step, of many, and of the direct path alone. States are h and c (and more) in a row.

Row j of a step's Jacobian is the step's own adjoint of the unit cotangent e_j, all j at once; so every page has one.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np

from .. import arrays
from ..pages.page import Page
from ..scan import Forward
from ..sequences import at
from .given import check_run, state_field
from .passes import every_step
from .roles import carry_factors

Progress = Callable[[Iterable[int]], Iterable[int]]  # tqdm, say


def step_jacobian(cell: Page, params: Any, run: Forward, t: int) -> Any:
    """ds_t/ds_{t-1} at step t of ``run``: (B,S,S), S the size of a state; rows are s_t. Identity on padding.

    Raises TypeError for what is no cell or not its run, ValueError for a step that the run does not have.
    """
    check_run(cell, params, run)
    T, B = run.hs.shape[:2]
    if isinstance(t, bool) or not isinstance(t, int | np.integer) or not 0 <= t < T:
        raise ValueError(f"t is {t!r}; expected a step from 0 to {T - 1}")
    S = sum(a.shape[-1] for a in run.last)
    eye = arrays.like(np.eye(S, dtype=run.hs.dtype), run.hs)
    basis = np.broadcast_to(eye[:, None, :], (S, B, S))
    ends = np.cumsum([a.shape[-1] for a in run.last])[:-1].tolist()
    values = at(every_step(run), t)
    before, _ = cell.step_back(params, values, type(run.last)(*np.split(basis, ends, axis=-1)))
    J, alive = np.swapaxes(np.concatenate(before, axis=-1), 0, 1), cast(Any, run.alive)
    if run.resets is not None and run.resets.kept is not None:
        J = J * run.resets.kept[t][..., None]
    return J if alive is None else np.where(alive[t][..., None], J, eye)


def step_jacobians(cell: Page, params: Any, run: Forward, progress: Progress | None = None) -> Any:
    """ds_t/ds_{t-1} of every step: (T,B,S,S). That is T B S^2 numbers. Raises as ``step_jacobian``."""
    check_run(cell, params, run)
    return np.stack([step_jacobian(cell, params, run, t) for t in over(0, run.hs.shape[0], progress)])


def jacobian_product(
    cell: Page, params: Any, run: Forward, start: int = 0, stop: int | None = None, progress: Progress | None = None
) -> Any:
    """ds_stop/ds_start = J_{stop-1} ... J_start: (B,S,S), from the state before step ``start`` to that before ``stop``.

    The defaults span the run, from its first state to its last. Equal bounds give the identity. Raises ValueError for
    bounds out of order.
    """
    check_run(cell, params, run)
    T, B = run.hs.shape[:2]
    stop = T if stop is None else stop
    if not 0 <= start <= stop <= T:
        raise ValueError(f"start, stop are {start}, {stop}; expected 0 <= start <= stop <= {T}")
    S = sum(a.shape[-1] for a in run.last)
    product = np.broadcast_to(arrays.like(np.eye(S, dtype=run.hs.dtype), run.hs), (B, S, S))
    for t in over(start, stop, progress):
        product = step_jacobian(cell, params, run, t) @ product
    return product


def singular_values(jacobian: Any) -> Any:
    """The singular values of Jacobians (...,S,S), largest first: (...,S)."""
    return np.linalg.svd(jacobian, compute_uv=False)


def spectral_radius(matrix: Any) -> Any:
    """The largest absolute eigenvalue of square matrices (...,S,S), Jacobians or recurrent weights U: (...)."""
    found = np.max(np.abs(np.linalg.eigvals(arrays.on_host(matrix))), axis=-1)  # CuPy has none before version 14
    return arrays.like(found, matrix)


def direct_path(
    cell: Page, params: Any, run: Forward, start: int = 0, stop: int | None = None, signal: str | None = None
) -> tuple[Any, Any]:
    """The direct path from ``start`` to ``stop``, (B,H), and the whole dc_stop/dc_start, (B,H,H).

    Both are of c; of h for a cell without c, or of the field ``signal``. The direct path goes through no parameter. It
    is the product over the steps of what the page multiplies the state by: of the forget gates f of an LSTM, of z in a
    GRU. Read as a diagonal matrix, it is what is left of the whole when nothing flows through parameters. Raises
    TypeError for a cell without such a path, unit by unit; ValueError as ``jacobian_product``.
    """
    check_run(cell, params, run)
    field = state_field(cell, signal)
    total = jacobian_product(cell, params, run, start, stop)
    kept = carry_factors(cell, params, run, start, stop, field)
    sizes = [a.shape[-1] for a in run.last]
    at = run.last._fields.index(field)
    own = slice(sum(sizes[:at]), sum(sizes[: at + 1]))
    return np.prod(kept, axis=0), total[:, own, own]


def over(start: int, stop: int, progress: Progress | None) -> Iterable[int]:
    """The steps from ``start`` to ``stop``, handed to ``progress`` first if there is one."""
    return range(start, stop) if progress is None else progress(range(start, stop))
