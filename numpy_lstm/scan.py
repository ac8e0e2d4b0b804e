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
from .binding import bind_cotangents, bind_inputs, bind_params
from .pages.page import Page, before, take
from .sequences import at, folded, stack, where, where_alive, where_ever, with_shared
from .shapes import apart, codes, shared
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
    cell: Page, params: Any, run: Forward, dhs: Any = None, dcs: Any = None, dlast: Any = None, *, dstates: Any = None
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
    xs, held = where_alive(alive, xs), where_ever(alive, tree.map(arrays.copy, held))
    state, traces, start = first, [], first if start is None else start
    for t in range(next(a.shape[0] for _, a in tree.leaves(xs))):
        prev = state if resets is None else where(resets.kept, t, state)  # (S1)
        if resets is not None and resets.first is not None:
            prev = where(resets.first, t, start, prev)  # (S1)
        v = cell.values(cell.functions, params, with_shared(at(xs, t), held), prev)
        state = where(alive, t, take(cell.State, v), state)  # (S2)
        traces.append(apart(v)[0])
    values = with_shared(stack(traces, alive), held)
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
        arriving = tree.add(take(cell.Outputs, zeros, **dstate._asdict()), at(given, t))
        d = take(cell.Trace, where(alive, t, arriving, zeros))  # (S2') at what is given and carried; None elsewhere
        d = cell.adjoint(cell.functions, params, with_shared(at(values, t), held), d)
        handed = before(cell, d) if resets is None else where(resets.kept, t, before(cell, d))  # (S1')
        dstate = where(alive, t, handed, dstate)  # (S2')
        d, more = apart(d)
        shares = tree.add(more, shares)
        traces.append(d)
    ds = stack(traces[::-1])
    for t in reversed(range(0, T, GRAIN)):
        stop = min(t + GRAIN, T)
        part = cell.gradients(cell.functions, params, folded(values, t, stop), folded(ds, t, stop))
        sums = part if sums is None else tree.add(sums, part)
    ds = with_shared(ds, shares)
    return cell.input(ds), dstate, sums, ds


def restarted(cell: Page, resets: Resets | None, ds: Any, dfirst: Any) -> Any:
    """``dfirst`` and, from the last step to the first, what goes back to the first state where a row restarted."""
    if resets is not None and resets.first is not None:
        for t in reversed(range(resets.first.shape[0])):
            dfirst = tree.add(dfirst, where(resets.first, t, before(cell, at(apart(ds)[0], t))))  # (S1')
    return dfirst


def total(cell: Page, params: Any, sums: Any) -> Any:
    """The gradient of the parameters, a Params: ``sums``, or zeros if there was no step (None)."""
    return tree.map(lambda a: arrays.zeros(a.shape, a), params) if sums is None else sums


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
