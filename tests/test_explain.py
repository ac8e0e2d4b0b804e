"""Rows read from the pages, and the terms that follow from them, against the pages' own adjoints."""

from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm import activations
from numpy_lstm.explain import rows
from numpy_lstm.explain.evaluate import backward, forward
from numpy_lstm.pages.page import take
from numpy_lstm.shapes import axes, codes
from reference import chain_rule

LAYERS = (nl.Linear, nl.Embedding, nl.Dropout, nl.Attention, nl.SquaredError)
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


def drawn(page: nl.Page, scale: float = 1.0) -> tuple[Any, Any, Any]:
    """Random parameters, values of a step, and cotangents that arrive; ``scale`` saturates."""
    rng, size = np.random.default_rng(0), {"B": 3, "D": 4, "H": 5, "R": page.R or 5, "N": 4, "S": 6}

    def draw(record: Any, by: float = 1.0) -> Any:
        made = {k: by * rng.standard_normal([size[n] for n in a]) for k, a in axes(record).items()}
        return record(**made | {k: rng.integers(0, 4, size["B"]) for k in codes(record)})

    p, x, prev = draw(page.Params, scale), draw(page.Input), draw(page.State)
    v = page.values(page.functions, p, page.input(x), prev)
    return p, v, take(page.Trace, draw(page.Outputs))


@pytest.mark.parametrize("scale", [1, 40])
@pytest.mark.parametrize("name", PAGES)
def test_rows_and_terms_give_what_the_page_gives(name: str, scale: float) -> None:
    page = PAGES[name]
    equations, (p, v, arriving) = rows(page), drawn(page, scale)
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
