"""Another network: forward and backward pass agree with each other, so that no difference quotient of its own helps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..activations import IDENTITY, SIGMOID, complement
from ..cases.network import Parts
from ..pages import GRU, LSTM, GRUResetBefore, PeepholeLSTM, PeepholeOldLSTM
from ..pages.page import Page
from .page_edits import plain_cell
from .workbench import Mistake, Workbench, when

Answer = Callable[[Workbench, str], dict[str, Any]]


def other(name: str, says: str, source: str, where: Callable[[Workbench], list[str]], answer: Answer) -> Mistake:
    """A mistake in both passes."""
    return Mistake(name, says, source, where, answer, None, True)


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
    page = PeepholeOldLSTM if cell == PeepholeLSTM else PeepholeLSTM
    return _page(cell, page, lambda p: page.Params(*p), lambda dp: cell.Params(*dp))


def _throughout(edit: Callable[[Page], Page]) -> Answer:
    return lambda bench, _: bench.wrong_throughout(Parts(cell=edit))


def _peepholes_off(bench: Workbench) -> dict[str, Any]:
    def edit(cell: Page) -> Page:
        def off(p: Any) -> Any:
            return p._replace(**{k: 0 * getattr(p, k) for k in p._fields if k.startswith("p_")})

        return replace(
            cell,
            values=lambda F, p, x, prev: cell.values(F, off(p), x, prev),
            adjoint=lambda F, p, v, d: cell.adjoint(F, off(p), v, d),
            gradients=lambda F, p, v, d: off(cell.gradients(F, p, v, d)),
        )

    return bench.wrong_throughout(Parts(cell=edit))


PAGES = [
    other(
        "gru-reset-before-the-product",
        "the reset gate acts on the state, not on its product with U_n; both biases of the candidate outside",
        "keras 3701; nntrainer PR 1644; root-project/root PR 5367",
        lambda bench: when(bench.cell == GRU),
        _throughout(_reset_before),
    ),
    other(
        "gru-reset-after-the-product",
        "the reset gate acts on the product with U_n, not on the state",
        "keras 3701; nntrainer PR 1644; root-project/root PR 5367",
        lambda bench: when(bench.cell == GRUResetBefore),
        _throughout(_reset_after),
    ),
    other(
        "gru-update-polarity",
        "z lets the new state in and 1 - z keeps the old one",
        "keras PR 22115",
        lambda bench: when(bench.cell in (GRU, GRUResetBefore)),
        _throughout(lambda cell: cell.having(z=complement(SIGMOID))),
    ),
    other(
        "output-without-tanh",
        "h = o c in place of o tanh(c) (L10)",
        "nicodjimenez 7, 9, 43, 47, PR 30",
        lambda bench: when(plain_cell(bench)),
        _throughout(lambda cell: cell.having(y=IDENTITY)),
    ),
    other(
        "output-peephole-on-the-other-cell",
        "o looks at c_{t-1} in place of c_t, or the other way round (P8)",
        "WebNN's decomposition against the text of ONNX",
        lambda bench: when(bench.cell in (PeepholeLSTM, PeepholeOldLSTM)),
        _throughout(_other_peephole),
    ),
    other(
        "peepholes-ignored",
        "peephole weights are read and not used; their gradient is zero",
        "derived",
        lambda bench: when("p_f" in bench.cell.Params._fields),
        lambda bench, _: bench.right | _peepholes_off(bench),
    ),
]


def carried_tanh(cell: Page, right: bool = True) -> Page:
    """The page with y = tanh(c) carried to the next step, where it says c; forward and backward pass are right.

    If not ``right``, what step t+1 hands back to y does not go through tanh'(c).
    """

    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        v = cell.values(F, p, x, prev)
        return v._replace(c=v.y)

    def adjoint(F: Any, p: Any, v: Any, d: Any) -> Any:
        c = v.f * v.c_prev + v.i * v.g
        back = cell.adjoint(F, p, v._replace(c=c), d._replace(c=d.c * F.y.d(c) if right else d.c))
        return back._replace(y=back.y + d.c)

    return replace(cell, values=values, adjoint=adjoint)


CARRIED = [
    Mistake(
        "tanh-of-cell-carried",
        "another recurrence: tanh(c_t), not c_t, is carried to step t+1 (L9, L10)",
        "hipsternet",
        lambda bench: when(bench.cell == LSTM and not bench.case.network.zoneout),
        lambda bench, _: bench.wrong_throughout(Parts(cell=carried_tanh)),
        None,
        True,
    ),
]
