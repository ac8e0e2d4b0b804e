"""Rows read from the pages, and the terms that follow from them, against the pages' own adjoints."""

import ast
import linecache
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import own_cells
import pytest

import numpy_lstm as nl
from numpy_lstm import activations, shapes
from numpy_lstm.explain import Equations, rows, terms
from numpy_lstm.explain.evaluate import backward, forward, value
from numpy_lstm.explain.held import drawn
from numpy_lstm.flow.step import Step
from numpy_lstm.ops import linear, row
from numpy_lstm.pages.page import take
from reference import chain_rule

LAYERS = (nl.Linear, nl.Embedding, nl.Dropout, nl.Attention, nl.SquaredError, nl.AdditiveAttentionLSTM)
OTHER = (
    nl.ReLURNN,
    nl.projected(nl.LSTM, 3),
    nl.projected(nl.PeepholeLSTM, 3).having(out=activations.clip(0.1)),
    nl.zoneout(nl.GRU),
    nl.zoneout(nl.projected(nl.CoupledLSTM, 3)),
    nl.LSTM.having("two hard", i=activations.hard_sigmoid(), f=activations.hard_sigmoid(1 / 6)),
    nl.GRU.having("turned", z=activations.complement(activations.SIGMOID)),
    nl.CoupledLSTM.having("hard", f=activations.hard_sigmoid()),
    nl.LayerNormLSTM.having("apart", norm=activations.APART),
    nl.LayerNormCarriedLSTM.having("unchanged", norm_c=activations.UNCHANGED),
)
PAGES = {p.name: p for p in (*nl.PAGES, *nl.VARIANTS, *nl.ABLATIONS.values(), *LAYERS, *OTHER)}


@pytest.mark.parametrize("scale", [1, 40])
@pytest.mark.parametrize("name", PAGES)
def test_rows_and_terms_give_what_the_page_gives(name: str, scale: float) -> None:
    page = PAGES[name]
    scale = min(scale, 5) if "Attention" in name else scale  # beyond, gradients are roundings of sums that cancel
    equations, (p, v, arriving) = rows(page), drawn(page, np.random.default_rng(0), scale)
    given = {*page.reads, *(f"{k}_prev" for k in page.carries)}
    names = p._asdict() | {k: a for k, a in v._asdict().items() if k in given}
    found = forward(equations, names)
    assert all(np.allclose(found[k], a, rtol=1e-12, atol=0) for k, a in v._asdict().items())
    d = page.adjoint(page.functions, p, v, arriving)
    right = d._asdict() | page.gradients(page.functions, p, v, d)._asdict()
    total, _ = backward(equations, found, {k: a for k, a in arriving._asdict().items() if a is not None})
    for k, a in right.items():
        assert a is None or np.linalg.norm(total[k] - a) <= 1e-12 * np.linalg.norm(a), k


@pytest.mark.parametrize("page", [*nl.PAGES, *nl.VARIANTS, nl.zoneout(nl.projected(nl.LSTM, 3))], ids=str)
def test_rows_are_those_that_the_reference_states(page: nl.Page) -> None:
    """Same tags, targets and operands as reference/equations, which no page knows."""
    found = [(r.tag, set(r.targets), set(r.operands())) for r in rows(page).rows]
    assert found == [(r.tag, set(r.targets), set(r.operands())) for r in chain_rule.rows(page)]


def parts_of(field: str, equations: Equations, names: Any, total: Any) -> dict[str | None, np.ndarray]:
    """The terms of a cotangent by the parameter met first on the way up to a field of the state, or None."""
    found: dict[str | None, np.ndarray] = {}
    for term in terms(equations):
        if term.target != field:
            continue
        met = {n.id for n in ast.walk(term.expression) if isinstance(n, ast.Name)} & set(equations.page.Params._fields)
        above: dict[str | None, Any] = {min(met, default=None): total}
        if not met and not set(term.sources) & set(equations.page.carries):
            above = {}
            for source in term.sources:
                for label, part in parts_of(source, equations, names, total).items():
                    above[label] = dict.fromkeys(term.sources, np.zeros_like(part)) | {source: part}
        for label, d in above.items():
            found[label] = found.get(label, 0) + value(term.expression, names, d, equations)
    return found


@pytest.mark.parametrize("page", [*nl.PAGES, *nl.VARIANTS, nl.projected(nl.LSTM, 3)], ids=str)
def test_flow_splits_a_step_as_the_terms_do(page: nl.Page) -> None:
    """flow.split follows the page's own adjoint, which needs no tags and no source; where there are, both are one."""
    equations, (p, v, arriving) = rows(page), drawn(page, np.random.default_rng(0))
    arriving = page.State(**{k: getattr(arriving, k) for k in page.carries})
    names, step = p._asdict() | v._asdict(), Step(page, p, v, arriving)
    total, _ = backward(equations, names, arriving._asdict())
    for k in page.carries:
        mine, flows = parts_of(f"{k}_prev", equations, names, total), step.hops(k)
        assert len(mine) == len(flows)
        for label, part in mine.items():
            name = "carry" if label is None else label.partition("_")[2]
            same = [a for n, a in flows.items() if n.endswith(name) or len(flows) == 1]
            assert any(np.linalg.norm(a - part) <= 1e-13 * np.linalg.norm(part) for a in same), (k, label)
        arrived = {j: {"given": getattr(arriving, j)} for j in page.carries}
        added = {name: a for name, a in step.parts(k, arrived).items() if name != "given"}
        mine = parts_of(k, equations, names, total)
        assert bool(added) == bool(mine)
        if added:
            np.testing.assert_allclose(sum(mine.values()), sum(added.values()), rtol=1e-13, atol=1e-14)


TYPED = """def values(F, p, x, prev):
    a = linear(x, p.W)  # (R1)
    h = F.h(a)  # (R2)
    return Trace(x=x, h_prev=prev.h, a=a, h=h)
"""


def typed(file: str) -> nl.Page:
    """An RNN without memory, as code that was typed in has it."""
    known: dict[str, Any] = {"linear": linear, "Trace": nl.RNN.Trace}
    exec(compile(TYPED, file, "exec"), known)
    return replace(nl.RNN, values=known["values"])


def test_a_cell_typed_into_a_notebook_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file = "<ipython-input-1>"  # whose lines a notebook puts there
    monkeypatch.setitem(linecache.cache, file, (len(TYPED), None, TYPED.splitlines(keepends=True), file))
    assert [str(row) for row in rows(typed(file)).rows] == ["R1  a = linear(x, W)", "R2  h = tanh(a)"]


def test_what_cannot_be_read_is_refused_in_one_line() -> None:
    def no_rule(F: Any, p: Any, x: Any, prev: Any) -> Any:
        h = np.sort(F.h(prev.h))  # (R1)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=h, h=h)

    def missing(F: Any, p: Any, x: Any, prev: Any) -> Any:
        a = linear(x, p.W)  # (R1)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=a, h=F.h(a))

    def twice(F: Any, p: Any, x: Any, prev: Any) -> Any:
        a = linear(x, p.W)  # (R1)
        h = F.h(a)  # (R2)
        h = h * a  # (R3)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=a, h=h)

    def branches(F: Any, p: Any, x: Any, prev: Any) -> Any:
        a = linear(x, p.W)  # (R1)
        if F:
            a = a * 2
        h = F.h(a)  # (R2)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=a, h=h)

    def scaled(F: Any, p: Any, x: Any, prev: Any) -> Any:
        a = linear(x, p.W)  # (R1)
        h = F.h(a)  # (R2)
        return nl.RNN.Trace(x=x, h_prev=2 * prev.h, a=a, h=h)

    def again(F: Any, p: Any, x: Any, prev: Any) -> Any:
        a = linear(x, p.W)  # (R1)
        a += row(p.b)  # (R2)
        h = F.h(a)  # (R2)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=a, h=h)

    def lost(F: Any, p: Any, x: Any, prev: Any) -> Any:
        u = linear(x, p.W)
        u = np.sort(u)
        a = u + row(p.b)  # (R1)
        h = F.h(a)  # (R2)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=a, h=h)

    for page, said in (
        (own_cells.MGU, "MGU: no line in values has a tag"),
        (nl.CrossEntropy, "CrossEntropy, X1: no rule for x_top"),
        (typed("<string>"), "RNN: the source of values is not at hand"),
        (replace(nl.RNN, values=no_rule), r"RNN, R1: no rule for np\.sort"),
        (replace(nl.RNN, values=missing), r"RNN: h is returned as F.h\(a\); expected"),
        (replace(nl.RNN, values=branches), "RNN: no rule for if F"),
        (replace(nl.RNN, values=scaled), r"RNN: h_prev is returned as 2 \* prev.h; expected it as it came"),
        (replace(nl.RNN, values=again), r"RNN, R2: no rule for a \+= row"),
        (replace(nl.RNN, values=lost), "RNN, R1: no rule for u;"),
        (replace(nl.RNN, values=twice), "RNN: h has more than one tagged line"),
    ):
        with pytest.raises(nl.check.CaseError, match=said) as caught:
            rows(page)
        assert "\n" not in str(caught.value)


def test_a_user_s_own_lines_are_read() -> None:
    """Division, x @ W.T, numbers among the functions, intermediates without tag, other names than the fields."""

    class Functions(NamedTuple):
        scale: float = 0.5
        h: Any = activations.TANH

    def values(F: Any, par: Any, inp: Any, before: Any) -> Any:
        u = inp @ par.W.T
        pre = F.scale * (u + linear(before.h, par.U)) / (3 - before.h * before.h) + row(par.b)  # (R1)
        new = F.h(pre)  # (R2)
        return nl.RNN.Trace(inp, before.h, pre, new)

    page = replace(nl.RNN, values=values, functions=Functions())
    p, v, arriving = drawn(page, np.random.default_rng(0))
    total, _ = backward(rows(page), p._asdict() | v._asdict(), {"h": arriving.h})
    step = 1e-30j

    def loss(h: np.ndarray) -> np.ndarray:
        return np.sum(arriving.h * page.values(page.functions, p, v.x, nl.RNN.State(h)).h)

    for place in np.ndindex(v.h_prev.shape):
        e = np.zeros(v.h_prev.shape, complex)
        e[place] = step
        assert abs(loss(v.h_prev + e).imag / 1e-30 - total["h_prev"][place]) < 1e-14


def test_a_user_s_own_combinator_is_read() -> None:
    """A residual around any cell: what it calls the cell's fields is in its return."""

    class Functions(NamedTuple):
        cell: Any

    letters = {("m" if k == "h" else k): a for k, a in shapes.declared(nl.GRU.Trace).items()} | {"h": "BH"}
    Outer = shapes.record("Trace", letters)

    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        v = F.cell.values(F.cell.functions, p, x, prev)
        h = v.h + 0.5 * prev.h  # (S1)
        return take(Outer, v, m=v.h, h=h)

    def elsewhere(F: Any, p: Any, x: Any, prev: Any) -> Any:
        v = F.cell.values(F.cell.functions, p, 2 * x, prev)
        h = v.h + 0.5 * prev.h  # (S1)
        return take(Outer, v, m=v.h, h=h)

    page = replace(nl.GRU, title="residual", Trace=Outer, functions=Functions(nl.GRU), values=values)
    found = rows(page)
    assert [str(row) for row in found.rows[-2:]] == ["G9  m = q * n + z * h_prev", "S1  h = m + 0.5 * h_prev"]
    p, v, _ = drawn(page, np.random.default_rng(0))
    names = forward(found, p._asdict() | {"x": v.x, "h_prev": v.h_prev})
    assert all(np.allclose(names[k], a, rtol=1e-12) for k, a in v._asdict().items())
    with pytest.raises(nl.check.CaseError, match="residual: no rule for this combinator"):
        rows(replace(page, values=elsewhere))
