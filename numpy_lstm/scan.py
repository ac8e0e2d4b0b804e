"""The time loop: values forward in time, cotangents backward in time, then one contraction.

Truncated BPTT is a composition of calls, not a mode. The state is carried, the cotangent is not::

    for chunk, dhs in zip(chunks, cotangents):
        run = forward(cell, params, chunk, state)
        dparams = tree.add(dparams, backward(cell, params, run, dhs=dhs).dparams)
        state = run.last

Handing ``dlast=State(h=..., c=...)`` of the following chunk's ``dfirst`` to ``backward`` instead gives the full
gradient, chunk by chunk.
"""

from typing import Any, NamedTuple

from . import arrays, steps, tree
from .arrays import Array
from .pages.page import Page, before, take
from .shapes import Sizes, apart, axes, codes, declared, shared
from .steps import Resets

GRAIN = 32


class Forward(NamedTuple):
    """A run: what ``backward`` needs and a reader may plot.

    ``hs`` (T,B,R) the outputs, the first of what the page gives; ``last`` the State after the final step (of each row);
    ``values`` a Trace with a time axis in front, so ``values.c`` (T,B,H) is every cell; ``alive`` (T,B,1), False on
    padding, or None; ``resets`` where Steps were given. A run shares no memory with what was given, nor ``hs`` and
    ``last`` with ``values``.
    """

    hs: Array
    last: Any
    values: Any
    alive: Array | None
    resets: Resets | None = None


class Backward(NamedTuple):
    """Gradients: ``dxs`` of the type of ``xs``, ``dfirst`` a State, ``dparams`` a Params.

    ``cotangents`` is a Trace with a time axis in front: its field ``h`` holds all of dL/dh_t, ``c`` all of
    dL/dc_t, ``a_f`` dL/da_f at each step, and so on.
    """

    dxs: Any
    dfirst: Any
    dparams: Any
    cotangents: Any


def forward(cell: Page, params: Any, xs: Any, first: Any = None, lengths: Any = None) -> Forward:
    """Run ``cell`` over a sequence.

    Parameters
    ----------
    params : cell.Params
    xs : (T,B,D) array, T >= 0; its library and dtype are those of ``params``. For a page that reads more than an
        array (``zoneout``), its Input with a time axis in front
    first : cell.State, the state before the first step; zeros if absent
    lengths : B integers in 0..T, the number of steps of each row; T for all if absent. Beyond its length a
        row keeps its state, ``hs`` is zero, and the content of ``xs`` has no influence, NaN included. Or ``Steps``:
        masks for padding anywhere, and for rows that start anew

    Where the page reads integers, codes of symbols or classes, they are of any integer dtype; their cotangent is None.
    What all steps share, a memory (B,S,N) say, has no time axis, and its cotangent is the sum over the steps.

    Raises
    ------
    ShapeError : a shape does not fit; says what came, what was expected and who fixed it
    TypeError : not an array, an integer array, mixed dtypes or libraries, not this cell's record
    ValueError : codes that are negative or too large
    """
    sizes, first = bind_inputs(cell, params, xs, first, lengths)
    (alive, resets), first = steps.bind(lengths, sizes), tree.map(arrays.copy, first)
    if not sizes["T"]:
        given = {k: arrays.copy(getattr(cell.as_input(xs), k)) for k in (*codes(cell.Input), *shared(cell.Input))}
        values = sizes.zeros(cell.Trace, "T")._replace(**given)
        return Forward(arrays.copy(getattr(values, cell.gives[0])), first, values, alive, resets)
    hs, last, values = span_forward(cell, params, xs, first, alive, resets)
    return Forward(arrays.copy(hs), last, values, alive, resets)


def backward(
    cell: Page,
    params: Any,
    run: Forward,
    dhs: Array | None = None,
    dcs: Array | None = None,
    dlast: Any = None,
    *,
    dstates: Any = None,
) -> Backward:
    """Back-propagate through ``run``, made by ``forward`` with the same cell and parameters.

    Parameters
    ----------
    dhs : (T,B,R) cotangent of every output h_t
    dcs : (T,B,H) cotangent of every cell c_t, for a cell that has one
    dlast : cell.State, cotangent of the last state; its fields may be None
    dstates : cell.Outputs (or cell.State) with a time axis in front, cotangents of all that the page gives or carries,
        in place of ``dhs`` and ``dcs``; its fields may be None

    An absent cotangent counts as zero, but one must be given. On the padding of ``run`` cotangents are ignored and the
    gradient is zero. Raises as ``forward`` does, and TypeError for a cotangent that is given twice, or a run that
    another ``backward`` takes.
    """
    sizes = bind_params(cell, params)
    expect_run(run, "numpy_lstm")
    sizes.bind_record("run.values", run.values, cell.Trace, lead="T")
    given = bind_cotangents(cell, sizes, dhs, dcs, dlast, dstates)

    dstate = tree.plain(tree.add(sizes.zeros(cell.State), dlast))
    if not sizes["T"]:
        ds = sizes.zeros(cell.Trace, "T")
        return Backward(tree.map(arrays.copy, cell.input(ds)), dstate, total(cell, params, None), ds)
    dxs, dfirst, sums, ds = span_backward(cell, params, run.values, run.alive, given, dstate, None, run.resets)
    dfirst = tree.add(dfirst, restarted(cell, run.resets, ds, sizes.zeros(cell.State)))
    return Backward(tree.map(arrays.copy, dxs), dfirst, total(cell, params, sums), ds)


def grain(cell: Page, like: Array, B: int, H: int) -> int:
    """Steps whose parameter gradients are summed at once. These sums are added from the last to the first.

    A sequence that is cut at multiples of it gives the same bits as the whole.
    """
    return GRAIN


def span_forward(
    cell: Page, params: Any, xs: Any, first: Any, alive: Array | None, resets: Resets | None = None, start: Any = None
) -> tuple[Array, Any, Any]:
    """``hs`` (T,B,R), ``last`` and ``values`` (a Trace with T in front) of T >= 1 steps; the arguments must fit.

    ``first`` is a State, ``alive`` (T,B,1) or None; ``start`` the State of restarts, ``first`` if absent. Nothing is
    checked here: ``forward`` does that.
    """
    params, xs, first = tree.plain((params, xs, first))
    xs, held = apart(xs)
    held = _where_ever(alive, tree.map(arrays.copy, held))
    state, traces, start = first, [], first if start is None else start
    for t in range(next(a.shape[0] for _, a in tree.leaves(xs))):
        prev = state if resets is None else _where(resets.kept, t, state)  # (S1)
        if resets is not None and resets.first is not None:
            prev = _where(resets.first, t, start, prev)  # (S1)
        v = cell.values(cell.functions, params, _with(_where(alive, t, _at(xs, t)), held), prev)
        state = _where(alive, t, take(cell.State, v), state)  # (S2)
        traces.append(_where(alive, t, apart(v)[0]))
    values = _with(_stack(traces), held)
    return getattr(values, cell.gives[0]), state, values


def span_backward(
    cell: Page,
    params: Any,
    values: Any,
    alive: Array | None,
    given: Any,
    dstate: Any,
    sums: Any,
    resets: Resets | None = None,
    shares: dict[str, Any] | None = None,
) -> tuple[Any, Any, Any, Any]:
    """``dxs``, the cotangent of the state before, the parameter gradient, and all cotangents, of one step or more.

    ``given`` is an Outputs with T in front: what the loss sends to every output, None where nothing. ``dstate`` is a
    State: what arrives after the last step. ``sums`` is the parameter gradient of the steps after it, or None, and
    ``shares`` the cotangents of what all steps share. A sequence cut at multiples of ``grain`` gives the same bits.
    """
    params, given, dstate = tree.plain((params, given, dstate))
    values, held = apart(values)
    traces: list[Any] = []
    T = next(a.shape[0] for _, a in tree.leaves(values))
    zeros = take(cell.Outputs, tree.map(lambda a: arrays.zeros(a.shape[1:], a), values))
    for t in reversed(range(T)):
        arriving = tree.add(take(cell.Outputs, zeros, **dstate._asdict()), _at(given, t))
        d = take(cell.Trace, _where(alive, t, arriving))  # (S2') at what is given and carried; None elsewhere
        d = cell.adjoint(cell.functions, params, _with(_at(values, t), held), d)
        handed = before(cell, d) if resets is None else _where(resets.kept, t, before(cell, d))  # (S1')
        dstate = _where(alive, t, handed, dstate)  # (S2')
        d, more = apart(d)
        shares = tree.add(more, shares)
        traces.append(d)
    ds = _stack(traces[::-1])
    for t in reversed(range(0, T, GRAIN)):
        stop = min(t + GRAIN, T)
        part = cell.gradients(cell.functions, params, _rows(values, t, stop), _rows(ds, t, stop))
        sums = part if sums is None else tree.add(sums, part)
    ds = _with(ds, shares)
    return cell.input(ds), dstate, sums, ds


def restarted(cell: Page, resets: Resets | None, ds: Any, dfirst: Any) -> Any:
    """``dfirst`` and, from the last step to the first, what goes back to the first state where a row restarted."""
    if resets is not None and resets.first is not None:
        for t in reversed(range(resets.first.shape[0])):
            dfirst = tree.add(dfirst, _where(resets.first, t, before(cell, _at(apart(ds)[0], t))))  # (S1')
    return dfirst


def total(cell: Page, params: Any, sums: Any) -> Any:
    """The gradient of the parameters, a Params: ``sums``, or zeros if there was no step (None)."""
    return tree.map(lambda a: arrays.zeros(a.shape, a), params) if sums is None else sums


def bind_params(cell: Any, params: Any) -> Sizes:
    """Hold cell and parameters against one another; the sizes that they fix.

    Raises TypeError for what is no Page or not its Params, ShapeError for a shape that does not fit.
    """
    if not isinstance(cell, Page):
        raise TypeError(f"cell is a {arrays.type_name(cell)}; expected a Page such as numpy_lstm.LSTM")
    sizes = Sizes(cell.name, cell.R)
    sizes.bind_record("params", params, cell.Params)
    return sizes


def bind_inputs(cell: Page, params: Any, xs: Any, first: Any, lengths: Any = None) -> tuple[Sizes, Any]:
    """Hold the arguments of ``forward`` against one another: the sizes that they agree on, and the first state.

    Raises as ``forward`` does. A ``first`` of None becomes a State of zeros.
    """
    sizes = bind_params(cell, params)
    if len(cell.reads) == 1:
        sizes.bind("xs", xs, "T" + declared(cell.Input)[cell.reads[0]])
    else:
        sizes.bind_record("xs", xs, cell.Input, lead="T")
    for k, letter in codes(cell.Input).items():  # beyond its length a row may hold anything
        name, array = ("xs", xs) if len(cell.reads) == 1 else (f"xs.{k}", getattr(xs, k))
        sizes.bind_range(name, where_alive(steps.bind(lengths, sizes)[0], array), letter)
    if first is None:
        first = sizes.zeros(cell.State)
    sizes.bind_record("first", first, cell.State)
    return sizes, tree.plain(first)


def bind_cotangents(cell: Page, sizes: Sizes, dhs: Any, dcs: Any, dlast: Any, dstates: Any = None) -> Any:
    """The cotangents of every output as one Outputs with a time axis in front; absent fields are None.

    Raises TypeError if none is given at all, one is given twice, or the cell lacks its field; ShapeError as ``bind``.
    """
    expect_any(dhs=dhs, dcs=dcs, dlast=dlast, **({} if dstates is None else {"dstates": dstates}))
    given = {
        k: ("dhs" if k == cell.gives[0] else "dcs", d) for k, d in ((cell.gives[0], dhs), ("c", dcs)) if d is not None
    }
    if dstates is not None:
        dstates = take(cell.Outputs, dstates) if isinstance(dstates, cell.State) else dstates
        sizes.bind_record("dstates", dstates, cell.Outputs, lead="T", partial=True)
        more = {k: (f"dstates.{k}", d) for k, d in dstates._asdict().items() if d is not None}
        if twice := given.keys() & more.keys():
            raise TypeError(f"the cotangent of {', '.join(sorted(twice))} is given twice, in dstates too")
        given |= more
    if unknown := given.keys() - set(cell.Outputs._fields):
        raise TypeError(f"{cell.name} has no {', '.join(unknown)} in its state, only {', '.join(cell.Outputs._fields)}")
    for field, (name, cotangent) in given.items():
        sizes.bind(name, cotangent, "T" + axes(cell.Outputs)[field])
    if dlast is not None:
        sizes.bind_record("dlast", dlast, cell.State, partial=True)
    return take(cell.Outputs, None, **{k: d for k, (_, d) in given.items()})


def expect_any(**cotangents: Any) -> None:
    """Raise TypeError if every one of these cotangents is absent."""
    if next(tree.leaves(list(cotangents.values())), None) is None:
        *names, last = cotangents
        raise TypeError(
            f"no cotangent was given, so there is nothing to propagate; expected {', '.join(names)} or {last}"
        )


def expect_run(run: Any, engine: str) -> None:
    """Raise TypeError unless ``run`` is a Forward of ``engine``, ``numpy_lstm.fast`` say; says who takes it back."""
    if hasattr(run, "backward"):
        raise TypeError(f"run is a {arrays.type_name(run)}, which goes back by itself: call run.backward(...)")
    if not isinstance(run, Forward):
        wired = ", which the layer that made it takes back" if hasattr(run, "parts") else ""
        name = f"{engine.removeprefix('numpy_lstm')}.forward()".lstrip(".")
        raise TypeError(f"run is a {arrays.type_name(run)}{wired}; expected the Forward that {name} returned")
    made = type(run.values).__module__
    maker = next((k for k in ("numpy_lstm.fast", "numpy_lstm.checkpointed") if made.startswith(k)), "numpy_lstm")
    if maker != engine:
        raise TypeError(f"run was made by {maker}.forward; call {maker}.backward, not {engine}.backward")


def where_alive(alive: Array | None, record: Any) -> Any:
    """Zeros on the padding of every field (T,B,...), and in the rows of what all steps share that have no step."""
    if alive is None:
        return record
    record, held = apart(record)

    def one(a: Array) -> Array:
        rows = arrays.reshape(alive, (*a.shape[:2], *(1,) * (a.ndim - 2)))
        return arrays.where(rows, a, arrays.zeros(a.shape, a))

    return _with(tree.map(one, record), _where_ever(alive, held))


def _where_ever(alive: Array | None, held: dict[str, Any]) -> dict[str, Any]:
    """What all steps share, with zeros in the rows of which no step is read."""
    return held if alive is None else _where(arrays.any_first(alive)[None, ...], 0, held)


def _with(record: Any, held: dict[str, Any] | None) -> Any:
    """The record together with what all steps share."""
    return record._replace(**held) if held else record


def _where(rows: Array | None, t: int, new: Any, old: Any = None) -> Any:
    """``new`` on the rows (T,B,1) of step t, all if None; elsewhere ``old`` (zeros if absent)."""
    if rows is None:
        return new

    def choose(a: Array, b: Any) -> Array:
        here = rows[t, ...] if a.ndim == 2 else arrays.reshape(rows[t, ...], (a.shape[0],) + (1,) * (a.ndim - 1))
        return arrays.where(here, a, arrays.zeros(a.shape, a) if b is None else b)

    return tree.map(choose, new, old)


def _at(record: Any, t: int) -> Any:
    """The record at step t of one with a time axis in front."""
    return tree.map(lambda a: a[t, ...], record)


def _stack(traces: list[Any]) -> Any:
    return tree.map(lambda *steps: arrays.stack(steps), *traces)


def _rows(trace: Any, start: int, stop: int) -> Any:
    """The steps from ``start`` to ``stop`` folded into the batch: (T,B,N) becomes (n*B,N)."""
    steps = tree.map(lambda a: a[start:stop, ...], trace)
    return tree.map(lambda a: arrays.reshape(a, (a.shape[0] * a.shape[1], *a.shape[2:])), steps)
