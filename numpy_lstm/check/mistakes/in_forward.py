"""Another network: forward and backward pass agree with each other, so that no difference quotient of its own helps."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from ...activations import IDENTITY, SIGMOID, complement
from ...pages import GRU, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM
from ...pages.page import Page
from ..network import Parts
from .blocks import parameters, reordered, second_biases, stored_order
from .in_lstm import plain_cell
from .in_places import exchanged
from .workbench import Mistake, Workbench, once

Answer = Callable[[Workbench, str], dict[str, Any]]


def other(name: str, says: str, source: str, where: Callable[[Workbench], list[str]], answer: Answer) -> Mistake:
    """A mistake in both passes."""
    return Mistake(name, says, source, where, answer, None, True)


def _read_in_order(b: Workbench, order: str) -> dict[str, Any]:
    answer = b.case._replace(arrays=b.case.arrays | _only(b, reordered(b, b.case.arrays, order))).run()
    return answer | reordered(b, {k: answer[k] for k in parameters(b)}, order, prefix="d_", back=True)


def _only(b: Workbench, arrays: dict[str, Any]) -> dict[str, Any]:
    return {k: arrays[k] for k in (f"{place}{name}" for place in b.case.network.places() for name in b.case.names())}


def _params(b: Workbench, change: Callable[[Any], Any]) -> dict[str, Any]:
    nest, unnest = b.case.network.nest, b.case.network.unnest
    return b.wrong_throughout(params=nest([change(p) for p in unnest(b.call.params)]))


def _without_second_bias(b: Workbench, _: str) -> dict[str, Any]:
    first = {(place, k): 1 - a for place, arrays in second_biases(b).items() for k, a in arrays.items()}
    arrays = {f"{place}{k}": b.case.arrays[f"{place}{k}"] * a for (place, k), a in first.items()}
    answer = b.case._replace(arrays=b.case.arrays | arrays).run()
    return answer | {f"{place}d_{k}": answer[f"{place}d_{k}"] * a for (place, k), a in first.items()}


def _second_bias(b: Workbench) -> bool:
    places = second_biases(b).items()
    return any(np.any(b.case.arrays[f"{place}{k}"] * a) for place, arrays in places for k, a in arrays.items())


def _states_exchanged(b: Workbench, _: str) -> dict[str, Any]:
    nest, unnest = b.case.network.nest, b.case.network.unnest
    first = nest([s._replace(h=s.c, c=s.h) for s in unnest(b.call.first)])
    return exchanged(b, b.wrong_throughout(first=first))


WEIGHTS = [
    other(
        "gate-order-of-weights",
        "the stored weights are read in another order of gates; named by the order in which they should have stood",
        "coremltools PR 93; tensorflow 29308; keras 3088; magenta PR 1015",
        lambda b: ["".join(p) for p in permutations(stored_order(b)) if list(p) != stored_order(b)],
        _read_in_order,
    ),
    other(
        "forget-bias-added-twice",
        "a forget bias of 1 is added while running, though the stored bias has it already",
        "~pytorch 20102; ~jcjohnson/torch-rnn 63; ~karpathy/char-rnn 60; ~jax PR 21749",
        lambda b: once("b_f" in b.cell.Params._fields),
        lambda b, _: _params(b, lambda p: p._replace(b_f=p.b_f + 1)),
    ),
    other(
        "second-bias-ignored",
        "of two biases that are added only the first is read",
        "derived; two biases as in onnx 1127, pytorch 750",
        lambda b: once(_second_bias(b)),
        _without_second_bias,
    ),
    other(
        "initial-states-exchanged",
        "h_0 is taken for c_0 and c_0 for h_0",
        "common",
        lambda b: once("c" in b.states and b.sizes["R"] == b.sizes["H"]),
        _states_exchanged,
    ),
]


def _by_name(record: Any, like: Any, **renamed: str) -> Any:
    return like(**{k: getattr(record, renamed.get(k, k)) for k in like._fields})


def _page(cell: Page, other: Page, there: Any, back: Any, **renamed: str) -> Page:
    """``other`` in the records of ``cell``: ``there`` takes its Params there, ``back`` their gradients back.

    ``renamed`` says which field of the other Trace is kept in a field that it lacks.
    """
    inverse = {v: k for k, v in renamed.items()}

    def values(_: Any, p: Any, x: Any, prev: Any) -> Any:
        return _by_name(other.values(other.functions, there(p), x, prev), cell.Trace, **renamed)

    def adjoint(_: Any, p: Any, v: Any, d: Any) -> Any:
        v, d = (_by_name(r, other.Trace, **inverse) for r in (v, d))
        return _by_name(other.adjoint(other.functions, there(p), v, d), cell.Trace, **renamed)

    def gradients(_: Any, p: Any, v: Any, d: Any) -> Any:
        v, d = (_by_name(r, other.Trace, **inverse) for r in (v, d))
        return back(other.gradients(other.functions, there(p), v, d))

    return replace(cell, values=values, adjoint=adjoint, gradients=gradients)


def _reset_before(cell: Page) -> Page:
    return _page(
        cell,
        GRUResetBefore,
        lambda p: GRUResetBefore.Params(
            **{k: a for k, a in p._replace(b_n=p.b_n + p.b_hn)._asdict().items() if k != "b_hn"}
        ),
        lambda dp: GRU.Params(*dp, b_hn=dp.b_n),
        u="s",
    )


def _reset_after(cell: Page) -> Page:
    return _page(cell, GRU, lambda p: GRU.Params(*p, b_hn=0 * p.b_n), lambda dp: GRUResetBefore.Params(*dp[:-1]), s="u")


def _other_peephole(cell: Page) -> Page:
    page = PeepholeOldLSTM if cell is PeepholeLSTM else PeepholeLSTM
    return _page(cell, page, lambda p: page.Params(*p), lambda dp: cell.Params(*dp))


def _throughout(edit: Callable[[Page], Page]) -> Answer:
    return lambda b, _: b.wrong_throughout(Parts(cell=edit))


PAGES = [
    other(
        "gru-reset-before-the-product",
        "the reset gate acts on the state, not on its product with U_n; both biases of the candidate outside",
        "keras 3701; nntrainer PR 1644; root-project/root PR 5367",
        lambda b: once(b.cell is GRU),
        _throughout(_reset_before),
    ),
    other(
        "gru-reset-after-the-product",
        "the reset gate acts on the product with U_n, not on the state",
        "keras 3701; nntrainer PR 1644; root-project/root PR 5367",
        lambda b: once(b.cell is GRUResetBefore),
        _throughout(_reset_after),
    ),
    other(
        "gru-update-polarity",
        "z lets the new state in and 1 - z keeps the old one",
        "keras PR 22115",
        lambda b: once(b.cell in (GRU, GRUResetBefore)),
        _throughout(lambda cell: cell.having(z=complement(SIGMOID))),
    ),
    other(
        "output-without-tanh",
        "h = o c in place of o tanh(c) (L10)",
        "nicodjimenez 7, 9, 43, 47, PR 30",
        lambda b: once(plain_cell(b)),
        _throughout(lambda cell: cell.having(y=IDENTITY)),
    ),
    other(
        "output-peephole-on-the-other-cell",
        "o looks at c_{t-1} in place of c_t, or the other way round (P8)",
        "WebNN's decomposition against the text of ONNX",
        lambda b: once(b.cell in (PeepholeLSTM, PeepholeOldLSTM)),
        _throughout(_other_peephole),
    ),
    other(
        "peepholes-ignored",
        "peephole weights are read and not used; their gradient is zero",
        "derived",
        lambda b: once("p_f" in b.cell.Params._fields),
        lambda b, _: b.right | _peepholes_off(b),
    ),
]


def _peepholes_off(b: Workbench) -> dict[str, Any]:
    def edit(cell: Page) -> Page:
        def off(p: Any) -> Any:
            return p._replace(**{k: 0 * getattr(p, k) for k in p._fields if k.startswith("p_")})

        return replace(
            cell,
            values=lambda F, p, x, prev: cell.values(F, off(p), x, prev),
            adjoint=lambda F, p, v, d: cell.adjoint(F, off(p), v, d),
            gradients=lambda F, p, v, d: off(cell.gradients(F, p, v, d)),
        )

    return b.wrong_throughout(Parts(cell=edit))


MISTAKES = [*WEIGHTS, *PAGES]
