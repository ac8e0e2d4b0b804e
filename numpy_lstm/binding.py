"""What is given to forward and backward, held against one another before anything is computed."""

from typing import Any

from . import arrays, steps, tree
from .pages.page import Page, take
from .sequences import where_alive
from .shapes import Sizes, axes, codes, declared


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
