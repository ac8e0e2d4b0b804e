"""Another network, in both passes alike: a cell with other equations. No difference quotient of its own shows it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import tree
from ..activations import IDENTITY, ONE, RELU, SIGMOID, SOFTSIGN, TANH, Activation, activation, clipped, hard_sigmoid
from ..pages import LSTM, LayerNormLSTM, PeepholeLSTM, zoneout
from ..pages.page import Page, take
from ..scan import Backward, Forward
from .edits import fields, having, reading
from .mistake import Mistake
from .page_factors import plain_cell
from .workbench import Edits, Workbench, throughout


def other(name: str, says: str, where: Any, edit: Any) -> Mistake:
    """A mistake in both passes."""
    return Mistake(name, says, where, edit, None, True)


def with_equations(
    values: Callable[[Page, Any, Any], Any],
    adjoint: Callable[[Page, Any, Any, Any], Any],
    gradients: Callable[[Any, Any, Any], Any] = lambda v, d, dp: dp,
) -> Edits:
    """The page with other equations in both passes.

    ``values(cell, p, v)`` are those after the right ones, ``adjoint(cell, p, v, d)`` gives the arguments p, v, d of
    the right adjoint, ``gradients(v, d, dp)`` the parameter gradients after the right ones.
    """

    def edit(cell: Page) -> Page:
        return replace(
            cell,
            values=lambda F, p, x, prev: values(cell, p, cell.values(F, p, x, prev)),
            adjoint=lambda F, p, v, d: cell.adjoint(F, *adjoint(cell, p, v, d)),
            gradients=lambda F, p, v, d: gradients(v, d, cell.gradients(F, p, v, d)),
        )

    return throughout(Edits(page=edit))


def carried_tanh(cell: Page) -> Page:
    """The page with y = tanh(c) carried to the next step, where it says c."""

    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        v = cell.values(F, p, x, prev)
        return v._replace(c=v.y)

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        c = v.f * v.c_prev + v.i * v.g
        back = cell.adjoint(F, p, v._replace(c=c), d._replace(c=d.c * F.y.d(c)))
        return back._replace(y=back.y + d.c)

    return replace(cell, values=values, adjoint=adjoint)


def _out(cell: Page, v: Any, c: Any) -> Any:
    """The values with another cell, and what leaves it."""
    y = cell.functions.y(c)
    return v._replace(c=c, y=y, h=v.o * y)


TANH_CARRIED = throughout(Edits(page=carried_tanh))
_ADDED = with_equations(
    lambda cell, p, v: _out(cell, v, v.f * v.c_prev + v.i + v.g),
    lambda cell, p, v, d: (p, fields(i=1.0, g=1.0)(v), d),
)


def ignoring(*names: str) -> Edits:
    """A page that takes these parameters for zero, whose gradient is zero then."""
    zero = fields(**dict.fromkeys(names, 0.0))

    def edit(cell: Page) -> Page:
        return replace(
            cell,
            values=lambda F, p, x, prev: cell.values(F, zero(p), x, prev),
            adjoint=lambda F, p, v, d: cell.adjoint(F, zero(p), v, d),
            gradients=lambda F, p, v, d: zero(cell.gradients(F, zero(p), v, d)),
        )

    return throughout(Edits(page=edit))


def _through(first: Activation) -> Callable[[Activation], Activation]:
    """The activation after another one."""
    return lambda f: activation(
        f"{f.name} of {first.name}", lambda a: f(first(a)), lambda a: f.d(first(a)) * first.d(a)
    )


def _after(f: Activation, added: float, before: float) -> Activation:
    return activation("sigmoid and a constant", lambda a: f(a - before) + added, lambda a: f.d(a - before))


def _all(bench: Workbench, make: Callable[[Activation], Activation], name: str = "") -> Edits:
    """Another function made of that of each gate, or of each function of this name."""
    gates = [k for k in bench.cell.functions._fields if k in bench.gates and bench.function(k)]
    return having(**dict.fromkeys(bench.acting(name) if name else gates, make))


def _named(bench: Workbench, k: str) -> Edits:
    """``"o=tanh"``: the function of one field."""
    field, _, name = k.partition("=")
    return having(**{field: OTHERS[name]})


OTHERS = {"identity": IDENTITY, "relu": RELU, "sigmoid": SIGMOID, "softsign": SOFTSIGN, "tanh": TANH}


def _in_place(cell: Page) -> tuple[Any, Any]:
    """Time loops in which unit after unit of a step is computed from the state in which the units before are new.

    That is zoneout over H times as many steps, with masks that keep all units but one.
    """
    page = zoneout(cell)

    def fine(run: Any, xs: Any) -> Any:
        T, H = xs.shape[0], run
        x = np.repeat(xs, H, axis=0)
        keep = np.broadcast_to(np.tile(1 - np.eye(H), (T, 1))[:, None, :], (T * H, xs.shape[1], H))
        return page.Input(x=x, **{f"keep_{k}": keep for k in cell.carries})

    def gathered(record: Any, H: int) -> Any:
        """Of each step the values of unit j after the step of unit j."""

        def one(a: Any) -> Any:
            split = a.reshape(-1, H, *a.shape[1:])
            return np.stack([split[:, j, :, j] for j in range(H)], axis=-1) if a.shape[-1] == H else split[:, -1]

        inner = take(cell.Trace, record, **{k: getattr(record, f"{k}_new") for k in cell.carries})
        return tree.map(one, inner)

    def ahead(forward: Any) -> Any:
        def other(_: Page, params: Any, xs: Any, first: Any, lengths: Any) -> Any:
            H = first.h.shape[-1]
            run = forward(page, params, fine(H, xs), first)
            values = gathered(run.values, H)._replace(x=xs)
            return Forward(run.hs[H - 1 :: H], run.last, values, run)

        return other

    def back(loop: Any) -> Any:
        def other(_: Page, params: Any, run: Any, dhs: Any, dlast: Any) -> Any:
            H, (T, B, D) = dhs.shape[-1], run.values.x.shape
            spread = np.zeros((T * H, *dhs.shape[1:]), dhs.dtype)
            spread[H - 1 :: H] = dhs
            found = loop(page, params, run.alive, spread, dlast=dlast)
            dx = found.dxs.x.reshape(T, H, B, D).sum(axis=1)
            return Backward(dx, found.dfirst, found.dparams, gathered(found.cotangents, H)._replace(x=dx))

        return other

    return ahead, back


def _unit_by_unit(bench: Workbench, _: str) -> Edits:
    ahead, back = _in_place(bench.cell)
    return Edits(ahead=ahead, back=back)


def _by_units(bench: Workbench) -> bool:
    """Whether the units of a step can be computed one after the other: a plain cell, and not too many of them."""
    network, sizes = bench.case.network, bench.sizes
    plain = (
        bench.plain
        and not network.zoneout
        and not network.projection
        and bench.call.lengths is None
        and bench.call.dcs is None
    )
    cell = bench.printed and bench.cell != LayerNormLSTM and len(bench.cell.reads) == 1
    return (
        plain and cell and "h" in bench.states and set(bench.states) <= {"h", "c"} and sizes["T"] * sizes["H"] <= 1000
    )


def _tied(p: Any) -> Any:
    """f = 1 - i, as sigmoid(-a) = 1 - sigmoid(a)."""
    return fields(**{k: (lambda a, k=k: -getattr(p, k[0] + "_i")) for k in p._fields if k[1:] == "_f"})(p)


def _untied(dp: Any) -> Any:
    of_f = [k for k in dp._fields if k[1:] == "_f"]
    more = {k[0] + "_i": getattr(dp, k[0] + "_i") - getattr(dp, k) for k in of_f}
    return dp._replace(**{k: 0 * getattr(dp, k) for k in of_f}, **more)


# fmt: off
CELLS = [
    other("output-without-tanh", "h = o c in place of o tanh(c) (L10)", plain_cell, having(y=IDENTITY)),
    other("output-through-sigmoid", "h = o sigmoid(c) in place of o tanh(c) (L10)", plain_cell, having(y=SIGMOID)),
    other("tanh-of-cell-carried", "another recurrence: tanh(c_t), not c_t, is carried to step t+1 (L9, L10)",
          lambda b: b.cell == LSTM and not b.case.network.zoneout, TANH_CARRIED),
    other("input-gate-added", "c = f c + i + g in place of f c + i g (L9)", lambda b: b.cell == LSTM, _ADDED),
    other("gate-left-out", "one gate is always open (L5, L6, L8)",
          lambda b: [k for k in b.gates if b.function(k) == "sigmoid"], lambda b, k: having(**{k: ONE})),
    other("another-activation", "one gate or candidate has another function (L5-L8)",
          lambda b: [f"{k}={n}" for k in b.gates for n in OTHERS if b.function(k) and n != b.function(k)], _named),
    other("hard-sigmoid", "0.2 a + 0.5, or a/6 + 0.5, cut at 0 and 1, in place of the logistic function (L5, L6, L8)",
          lambda b: ["0.2", "1/6"] if b.acting("sigmoid") else [],
          lambda b, k: _all(b, lambda f: hard_sigmoid(0.2 if k == "0.2" else 1 / 6), "sigmoid")),
    other("relu-for-tanh", "max(0, a) in place of tanh(a), everywhere (L7, L10)",
          lambda b: bool(b.acting("tanh")), lambda b, _: _all(b, lambda f: RELU, "tanh")),
    other("gate-activated-twice", "sigmoid(tanh(a)) or sigmoid(sigmoid(a)) in place of sigmoid(a) (L5, L6, L8)",
          lambda b: [f"{k}:{n}" for k in b.acting("sigmoid") for n in ("tanh", "sigmoid")],
          lambda b, k: having(**{k[:-len(k.partition(":")[2]) - 1]: _through(OTHERS[k.partition(":")[2]])})),
    other("candidate-activated-twice", "tanh(tanh(a)) in place of tanh(a) (L7)",
          lambda b: [k for k in b.gates if b.function(k) == "tanh"], lambda b, k: having(**{k: _through(TANH)})),
    other("forget-bias-after-the-gate",
          "sigmoid(a) + 1 in place of sigmoid(a + 1): beside the stored bias, or moved (L6)",
          lambda b: ["added", "moved"] if b.function("f") == "sigmoid" else [],
          lambda b, k: having(f=lambda f: _after(f, 1.0, 1.0 if k == "moved" else 0.0))),
    other("forget-gate-tied", "f = 1 - i in place of a gate of its own (L2, L6)",
          lambda b: b.has("i", "f") and b.weighs("W_i", "W_f") and b.cell.values in (LSTM.values, PeepholeLSTM.values),
          reading(_tied, _untied)),
    other("pre-activations-clipped", "pre-activations clipped to [-limit, limit] (L5-L8)",
          lambda b: ["0.5", "1", "3"], lambda b, k: _all(b, lambda f: clipped(f, float(k)))),
    other("state-updated-in-place",
          "h_t overwrites h_{t-1} unit by unit, and later units of the step read it (L1-L4, L11)",
          _by_units, _unit_by_unit),
]



# fmt: on
