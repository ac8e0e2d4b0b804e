"""Which values of a cell are gates, and what they do to the state: read off the page, not off their letters.

The page is run at one random point, where no two values agree by chance; so what agrees there, agrees always.
"""

from typing import Any, NamedTuple, cast

import numpy as np

from .. import arrays, tree
from ..activations import SIGMOID, Activation
from ..pages.page import Page
from ..scan import Forward
from ..shapes import apart
from .given import check_run, state_field
from .passes import every_step
from .step import Step


class Keeper(NamedTuple):
    """The gate that multiplies what is carried: by itself, or (``shuts``) by one minus it.

    ``bias`` is the parameter that adds to its pre-activation, or None if there is none.
    """

    gate: str
    shuts: bool
    bias: str | None


def gates(cell: Page, params: Any, run: Forward) -> tuple[str, ...]:
    """The fields of the cell's Trace that are gates: the logistic function, or another one from 0 to 1, of a field.

    Raises TypeError for what is no cell, or not its run.
    """
    check_run(cell, params, run)
    return _gates(cell, _values(_point(cell, params, run)))


def carry_factors(
    cell: Page, params: Any, run: Forward, start: int = 0, stop: int | None = None, signal: str | None = None
) -> Any:
    """By what each step from ``start`` to ``stop`` - 1 multiplies the state c through no parameter: (n,B,H).

    Of h for a cell without c, or as ``signal`` says: f in an LSTM, z in a GRU, 1 - f in a minimal gated unit; one on
    padding. Raises TypeError for a cell that has no such path, unit by unit.
    """
    check_run(cell, params, run)
    field = state_field(cell, signal)
    found = factors(cell, params, run, field, start, stop)
    if found is None:
        raise TypeError(
            f"{cell.name} has no direct path: no step multiplies {field} unit by unit, through no parameter"
        )
    return found


def factors(cell: Page, params: Any, run: Forward, field: str, start: int = 0, stop: int | None = None) -> Any:
    """See ``carry_factors``; None if there is no such path."""
    like, params, run = run.hs, tree.map(arrays.on_host, params), tree.map(arrays.on_host, run)
    alive, values = cast(Any, run.alive), tree.map(lambda a: a[start:stop], every_step(run))
    lead = getattr(values, field).shape[:2]
    rows = tree.map(lambda a: np.reshape(a, (lead[0] * lead[1], *a.shape[2:])), values)
    found = _factor(cell, params, rows, run.last, field, kept=True)
    if found is None:
        return None
    found = np.reshape(found, (*lead, found.shape[-1]))
    return arrays.like(found if alive is None else np.where(alive[start:stop], found, 1), like)


def keeper(cell: Page, params: Any, run: Forward, field: str) -> Keeper | None:
    """The gate that decides how much of ``field`` a step keeps, if the page has one."""
    point = _point(cell, params, run)
    values = _values(point)
    factor = _factor(cell, point[1], values, point[3], field, kept=False)
    for gate in () if factor is None else _gates(cell, values):
        value = getattr(values, gate)
        for shuts, expected in ((False, value), (True, 1 - value)):
            if _alike(factor, expected):
                return Keeper(gate, shuts, _bias(point, gate))
    return None


def _factor(cell: Page, params: Any, values: Any, state: Any, field: str, kept: bool) -> Any:
    """The multiplier of ``field``, or None: see ``factors``."""
    N = getattr(values, field).shape[0]
    ones = tree.map(lambda a: np.ones((N, a.shape[-1]), a.dtype), state)
    step = Step(cell, params, values, ones)
    one = getattr(ones, field)
    factor = step.carried(field, one, kept)
    if factor is None:
        return None
    x = np.random.default_rng(0).uniform(1, 2, one.shape).astype(one.dtype)
    near = 16 * np.finfo(one.dtype).eps * np.abs(factor)
    return factor if np.all(np.abs(step.carried(field, x, kept) / x - factor) <= near) else None


def _point(cell: Page, params: Any, run: Forward) -> tuple[Page, Any, Any, Any]:
    """The cell, parameters, input and state of a random point in the shapes of this run; masks are 0."""
    rng, v = np.random.default_rng(0), run.values
    params = tree.map(lambda a: rng.standard_normal(a.shape) / np.sqrt(a.shape[-1]), params)
    state = tree.map(lambda a: rng.standard_normal((2, a.shape[-1])), run.last)
    x = rng.standard_normal((2, v.x.shape[-1]))
    masks = {k: np.zeros((2, getattr(v, k).shape[-1])) for k in cell.reads if k != "x"}
    masks |= {k: rng.standard_normal((2, *a.shape[1:])) for k, a in apart(v)[1].items()}
    return cell, params, cell.input(cell.Input(x=x, **masks)), state


def _values(point: tuple[Page, Any, Any, Any]) -> Any:
    cell, *arguments = point
    return cell.step(*arguments)[1]


def _gates(cell: Page, values: Any) -> tuple[str, ...]:
    given = tree.leaves(cell.functions)
    functions = {SIGMOID, *(f for _, f in given if isinstance(f, Activation) and _from_0_to_1(f))}
    fields = values._asdict()

    def is_gate(name: str, value: Any) -> bool:
        others = [a for k, a in fields.items() if k != name and np.shape(a) == np.shape(value)]
        return name not in ("h", "h_new") and any(_alike(f(a), value) for f in functions for a in others)

    return tuple(name for name, value in fields.items() if is_gate(name, value))


def _alike(a: Any, b: Any) -> bool:
    """Equal but for rounding; random numbers are so by chance once in 10^9."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


def _from_0_to_1(f: Activation) -> bool:
    y: Any = f(cast(Any, np.linspace(-50, 50, 101)))
    return bool(np.all((y >= 0) & (y <= 1)) and {round(float(y[0])), round(float(y[-1]))} == {0, 1})


def _bias(point: tuple[Page, Any, Any, Any], gate: str) -> str | None:
    """The vector of Params that adds to the logit of this gate, to no other's."""
    cell, params, x, state = point

    def logits(params: Any) -> Any:
        value = getattr(_values((cell, params, x, state)), gate)
        with np.errstate(all="ignore"):  # a function that reaches 0 or 1 has no logit
            return np.log(value / (1 - value))

    before = logits(params)
    for field in params._fields:
        if getattr(params, field).ndim == 1:
            moved = logits(params._replace(**{field: getattr(params, field) + 0.5}))
            if np.all(np.isfinite(before) & np.isfinite(moved)) and np.allclose(moved - before, 0.5, rtol=1e-6):
                return str(field)
    return None
