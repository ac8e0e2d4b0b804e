"""Another network, in both passes alike: a GRU, a peephole cell or one with layer norm of another kind."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .. import ops
from ..activations import APART, ONE, complement
from ..pages import GRU, GRUResetBefore, LayerNormLSTM, PeepholeLSTM, PeepholeOldLSTM
from ..pages.page import Page
from .edits import exchanged, having, in_spans, reading
from .network_cells import ignoring, other, with_equations
from .page_cells import is_
from .workbench import Change, Edits, Workbench, throughout


def _by_name(record: Any, like: Any, **renamed: str) -> Any:
    return like(**{k: getattr(record, renamed.get(k, k)) for k in like._fields})


def _as(page: Page, there: Change, back: Change, **renamed: str) -> Callable[[Page], Page]:
    """``page`` in the records of the cell: ``there`` takes its Params there, ``back`` their gradients back.

    ``renamed`` says which field of the other Trace is kept in a field that it lacks.
    """
    inverse = {v: k for k, v in renamed.items()}

    def edit(cell: Page) -> Page:
        def values(_: Any, p: Any, x: Any, prev: Any) -> Any:
            return _by_name(page.values(page.functions, there(p), x, prev), cell.Trace, **renamed)

        def adjoint(_: Any, p: Any, v: Any, d: Any) -> Any:
            v, d = (_by_name(r, page.Trace, **inverse) for r in (v, d))
            return _by_name(page.adjoint(page.functions, there(p), v, d), cell.Trace, **renamed)

        def gradients(_: Any, p: Any, v: Any, d: Any) -> Any:
            v, d = (_by_name(r, page.Trace, **inverse) for r in (v, d))
            return back(page.gradients(page.functions, there(p), v, d))

        return replace(cell, values=values, adjoint=adjoint, gradients=gradients)

    return edit


def _merged(p: Any) -> Any:
    """Both biases of the candidate as one."""
    return GRUResetBefore.Params(*p._replace(b_n=p.b_n + p.b_hn)[:-1])


_RESET_BEFORE = _as(GRUResetBefore, _merged, lambda dp: GRU.Params(*dp, b_hn=dp.b_n), u="s")


_RESET_AFTER = _as(GRU, lambda p: GRU.Params(*p, b_hn=0 * p.b_n), lambda dp: GRUResetBefore.Params(*dp[:-1]), s="u")


def _other_peephole(cell: Page) -> Page:
    page = PeepholeOldLSTM if cell == PeepholeLSTM else PeepholeLSTM
    return _as(page, lambda p: page.Params(*p), lambda dp: cell.Params(*dp))(cell)


def _after_gate(cell: Page, p: Any, v: Any) -> Any:
    """o = sigmoid(a_o) + p_o c, where a_o is without its peephole."""
    a_o = v.a_o - ops.row(p.p_o) * v.c
    o = cell.functions.o(a_o) + ops.row(p.p_o) * v.c
    return v._replace(a_o=a_o, o=o, h=o * v.y)


_PEEPHOLE_AFTER = with_equations(
    _after_gate,
    lambda cell, p, v, d: (p._replace(p_o=0 * p.p_o), v, d._replace(c=d.c + d.h * v.y * ops.row(p.p_o))),
    lambda v, d, dp: dp._replace(p_o=ops.sum_rows(d.o * v.c)),
)


def _outside(p: Any) -> Any:
    """n = tanh(W_n x + b_n + r (U_n h) + b_hn): the second bias moves out of the reset gate, into the first."""
    return p._replace(b_n=p.b_n + p.b_hn, b_hn=0 * p.b_hn)


def _epsilon(_: Workbench, k: str) -> Edits:
    return throughout(Edits(page=lambda cell: cell.having(norm=replace(cell.functions.norm, eps=float(k)))))


# fmt: off
GRUS = [
    other("gru-reset-before-the-product",
          "the reset gate acts on the state, not on its product with U_n; both biases of the candidate outside",
          is_(GRU), throughout(Edits(page=_RESET_BEFORE))),
    other("gru-reset-after-the-product", "the reset gate acts on the product with U_n, not on the state",
          is_(GRUResetBefore), throughout(Edits(page=_RESET_AFTER))),
    other("gru-candidate-without-reset", "n = tanh(W_n x + U_n h): the reset gate is computed and not used",
          is_(GRU, GRUResetBefore), having(r=ONE)),
    other("gru-update-polarity", "z lets the new state in and 1 - z keeps the old one",
          is_(GRU, GRUResetBefore), having(z=complement)),
    other("gru-reset-polarity", "1 - r resets in place of r", is_(GRU, GRUResetBefore), having(r=complement)),
    other("gru-second-bias-outside-reset",
          "n = tanh(W_n x + b_n + r (U_n h) + b_hn): b_hn outside the reset gate (G3, G6)",
          is_(GRU), reading(_outside, lambda dp: dp._replace(b_hn=dp.b_n))),
    other("gru-second-bias-absent", "no b_hn at all (G3)", is_(GRU), ignoring("b_hn")),
    other("gru-second-bias-absent-at-first-step", "the first step, without a state, leaves b_hn out (G3)",
          lambda b: b.cell == GRU and not b.case.network.zoneout,
          in_spans(lambda T: [1], lambda start: Edits() if start else ignoring("b_hn"))),
]

PEEPHOLES = [
    other("output-peephole-on-the-other-cell", "o looks at c_{t-1} in place of c_t, or the other way round (P8)",
          is_(PeepholeLSTM, PeepholeOldLSTM), throughout(Edits(page=_other_peephole))),
    other("peepholes-ignored", "peephole weights are read and not used; their gradient is zero",
          lambda b: b.weighs("p_f"), ignoring("p_i", "p_f", "p_o")),
    other("one-peephole-ignored", "one gate does not look at the cell (P1, P2, P8)",
          lambda b: [*"ifo"] if b.weighs("p_f") else [], lambda b, k: ignoring(f"p_{k}")),
    other("peephole-after-the-gate", "o = sigmoid(a_o) + p_o c: the peephole is added after the activation (P8, P9)",
          is_(PeepholeLSTM), _PEEPHOLE_AFTER),
    other("peepholes-exchanged", "two gates look through each other's peepholes (P1, P2, P8)",
          lambda b: ["if", "io", "fo"] if b.weighs("p_f") else [], lambda b, k: reading(exchanged(k, "p_"))(b)),
]

LAYER_NORMS = [
    other("normalised-apart", "each gate's sums normalised by themselves, not all four together (N9, N10)",
          is_(LayerNormLSTM), throughout(Edits(page=lambda cell: cell.having(norm=APART)))),
    other("epsilon-of-another-library", "another epsilon under the root of a normalisation (N9, N10, N20)",
          lambda b: ["1e-3", "1e-6", "1e-8", "1e-12"] if b.cell == LayerNormLSTM else [], _epsilon),
]
# fmt: on
