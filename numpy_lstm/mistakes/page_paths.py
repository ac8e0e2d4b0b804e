"""Mistakes on the page of an LSTM: a wrong factor, a wrong value, a derivative that is missing or taken elsewhere."""

from typing import Any

from ..cases.names import COTANGENT, parse
from ..cases.network import Parts
from .page_edits import (
    PageEdit,
    apart,
    has_cell,
    on_page,
    plain_cell,
    with_arriving,
    with_derivative,
    with_leaving,
    with_values,
)
from .workbench import Mistake, Workbench


def _values(**sources: str) -> PageEdit:
    """The adjoint reads other values: ``_values(g="i")`` sees i in place of g."""
    return with_values(lambda v: v._replace(**{k: getattr(v, s) for k, s in sources.items()}))


def _value(name: str, number: float) -> PageEdit:
    """The adjoint reads a constant in place of a value."""
    return with_values(lambda v: v._replace(**{name: 0 * getattr(v, name) + number}))


def _zero(state: Any, *names: str) -> Any:
    return state._replace(**{k: 0 * getattr(state, k) for k in names})


CARRIES = [
    on_page(
        "cell-carry-dropped",
        "dL/dc_t is not handed to step t-1 (L9')",
        "apache/mxnet 4057; CaptainE 1; cthorey/CS231 1",
        has_cell,
        with_leaving(lambda v, ds, before: _zero(before, "c")),
        ("c", 1),
    ),
    on_page(
        "cell-cotangent-overwritten",
        "dc = dh o tanh'(c) assigned, not added to what comes from step t+1 (L10')",
        "apache/mxnet 4057; arunmallya 3; nicodjimenez 2, 33",
        has_cell,
        with_arriving(lambda v, ds: _zero(ds, "c")),
        ("c", 0),
    ),
    on_page(
        "hidden-carry-dropped",
        "dL/dh_{t-1} through the gates is lost: no recurrent path (L1'-L4')",
        "sagarnildass/andrew_ng 1; CaptainE 1; AiDotNet PR 722",
        lambda bench: bench.printed and "h" in bench.states,
        with_leaving(lambda v, ds, before: _zero(before, "h")),
        ("h", 1),
    ),
    on_page(
        "immediate-derivative",
        "the derivative at each step alone: neither dh nor dc is handed back",
        "d2l-en 2616",
        lambda bench: has_cell(bench) and "h" in bench.states,
        with_leaving(lambda v, ds, before: _zero(before, "h", "c")),
        ("h", 1),
    ),
    on_page(
        "output-path-to-cell-missing",
        "dc from step t+1 only, nothing from h_t = o tanh(c_t) (L10')",
        "derived",
        plain_cell,
        with_derivative(lambda f: lambda a: 0 * a, "y"),
        ("c", 0),
    ),
    on_page(
        "forget-gate-missing-in-carry",
        "dc_{t-1} = dc, without the factor f (L9')",
        "~dl4j PR 519",
        lambda bench: has_cell(bench) and bench.has("f"),
        _value("f", 1.0),
        ("c", 1),
    ),
    on_page(
        "carry-through-tanh-derivative",
        "dc = (dc + dh o) tanh'(c): the carry, too, goes through the derivative of tanh (L10')",
        "~hipsternet",
        plain_cell,
        lambda cell: with_arriving(lambda v, ds: ds._replace(c=ds.c * cell.functions.y.d(v.c)))(cell),
        ("c", 0),
    ),
]

FACTORS = [
    on_page(
        "output-gate-missing",
        "dc = dh tanh'(c), without the factor o (L11')",
        "~cuTAGI 77, PR 78",
        lambda bench: has_cell(bench) and bench.has("o"),
        _value("o", 1.0),
        ("y", 0),
    ),
    on_page(
        "df-from-new-cell",
        "df = dc c_t in place of dc c_{t-1} (L9'); an update of c in place does this too",
        "common",
        has_cell,
        _values(c_prev="c"),
        ("f", 0),
    ),
    on_page(
        "di-from-input-gate",
        "di = dc i in place of dc g (L9')",
        "wvabrinskas/Neuron PR 181",
        apart,
        _values(g="i"),
        ("i", 0),
    ),
    on_page(
        "dg-from-candidate",
        "dg = dc g in place of dc i (L9')",
        "derived",
        lambda bench: has_cell(bench) and bench.has("i", "g"),
        _values(i="g"),
        ("g", 0),
    ),
    on_page(
        "do-from-cell",
        "do = dh c in place of dh tanh(c) (L11')",
        "derived",
        lambda bench: plain_cell(bench) and bench.has("o"),
        _values(y="c"),
        ("o", 0),
    ),
    on_page(
        "coupled-share-forgotten",
        "df = dc c_{t-1}: the share of i = 1 - f is left out (C7')",
        "derived",
        lambda bench: has_cell(bench) and bench.has("i", "g") and "a_i" not in bench.fields,
        _value("g", 0.0),
        ("i", 0),
    ),
    on_page(
        "coupled-share-added",
        "df = dc (c_{t-1} + g) in place of dc (c_{t-1} - g) (C7')",
        "derived",
        lambda bench: has_cell(bench) and bench.has("i", "g") and "a_i" not in bench.fields,
        with_values(lambda v: v._replace(g=-v.g)),
        ("i", 0),
    ),
]


def _sharpest(bench: Workbench) -> float:
    """The largest cotangent of the page's own output."""
    d = bench.right
    own = next((k for k in ("m", "h_new") if k in bench.whole.Trace._fields), bench.whole.gives[0])
    names = [k for k in d if parse(k)[1:] == (COTANGENT, own)]
    return max((float(abs(d[k]).max(initial=0)) for k in names), default=0.0)


CLIPPED = [
    Mistake(
        "clipped-on-the-way",
        "dh_t clipped to [-limit, limit] at each step: clipping belongs after the backward pass",
        "derived; min-char-rnn clips after it; ~graphstorm 1366, onsets-and-frames 24, VGRNN 4",
        lambda bench: [
            k for k in ("1", "5") if bench.printed and "h" in bench.states and _sharpest(bench) > 1.01 * float(k)
        ],
        lambda bench, k: bench.wrong_backward(
            Parts(cell=with_arriving(lambda v, ds: ds._replace(h=ds.h.clip(-float(k), float(k)))))
        ),
    )
]
