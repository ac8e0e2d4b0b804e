"""What layers share: runs, trees in the shape of a network, time reversed, and what fits what."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from . import arrays, steps, tree
from .arrays import Array
from .scan import Backward, Forward
from .shapes import ShapeError
from .steps import Steps


class Run(NamedTuple):
    """A run of a wiring: ``hs`` (T,B,N), ``last`` states, the ``parts`` it is made of, and the lengths."""

    hs: Array
    last: Any
    parts: Any
    lengths: Any = None


def walk(layer: Any, *trees: Any) -> Iterator[tuple[Any, ...]]:
    """Each leaf of a network, from the bottom up, with what the trees hold there: ``(path, leaf, ...)``.

    ``path`` is the position in each tuple on the way: (1, 0) is direction 0 of layer 1. ``trees`` are parameters,
    states, cotangents or runs of the network; None stands for all of one.
    """
    if hasattr(layer, "layers"):
        each = [_branches(one, len(layer.layers)) for one in trees]
        for k, (child, *parts) in enumerate(zip(layer.layers, *each, strict=True)):
            for path, *found in walk(child, *parts):
                yield ((k, *path), *found)
    elif hasattr(layer, "layer"):
        inner = [one.parts if isinstance(one, Run) else one for one in trees]
        yield from walk(layer.layer, *inner)
    else:
        yield ((), layer, *trees)


def cells(layer: Any, run: Any) -> Any:
    """Every c_t (T,B,H) of a run, at the step it belongs to, in a tree of the network's shape; None without a c.

    Raises TypeError for an engine that keeps none.
    """
    if hasattr(layer, "layers"):
        return tuple(cells(child, part) for child, part in zip(layer.layers, run.parts, strict=True))
    if hasattr(layer, "layer"):
        inner = cells(layer.layer, run.parts if isinstance(run, Run) else run)
        return reverse(inner, run.lengths) if isinstance(run, Run) else inner
    if "c" not in layer.cell.carries:
        return None
    if not isinstance(run.values, layer.cell.Trace):
        raise TypeError(f"a run of the engine {layer.engine!r} keeps no c of single steps; expected 'explicit'")
    return run.values.c


def rebuilt(layer: Any, change: Callable[[Any], Any]) -> Any:
    """The same wiring with ``change`` applied to every leaf."""
    if hasattr(layer, "layers"):
        return replace(layer, layers=tuple(rebuilt(each, change) for each in layer.layers))
    return replace(layer, layer=rebuilt(layer.layer, change)) if hasattr(layer, "layer") else change(layer)


def map_run(change: Callable[[Any], Any], run: Any) -> Any:
    """The run with ``change`` applied to its arrays: outputs and values, of all its parts."""
    if isinstance(run, Forward):
        return run._replace(hs=change(run.hs), values=tree.map(change, run.values))
    parts = (
        tuple(map_run(change, part) for part in run.parts) if type(run.parts) is tuple else map_run(change, run.parts)
    )
    return run._replace(hs=change(run.hs), parts=parts)


def _branches(one: Any, count: int) -> tuple[Any, ...]:
    if one is None:
        return (None,) * count
    return tuple(one.parts if isinstance(one, Run) else one)


def reverse(xs: Any, lengths: Any = None) -> Any:
    """xs (T,B,N), or a tree of such, with time reversed: each row within its length, its padding left in place.

    With Steps, all of a row.
    """
    if lengths is None or isinstance(lengths, Steps) or next(tree.leaves(xs), None) is None:
        return tree.map(arrays.flip, xs)
    lengths = own_lengths(lengths, xs)

    def one(a: Array) -> Array:
        rows = [arrays.concat([arrays.flip(a[:n, b, ...]), a[n:, b, ...]], axis=0) for b, n in enumerate(lengths)]
        return arrays.stack(rows, axis=1)

    return tree.map(one, xs)


def own_lengths(lengths: Any, xs: Any) -> Any:
    """``lengths`` held against xs and copied, so that the run does not change when the caller's array does."""
    return None if lengths is None else steps.checked(lengths, *shape("xs", xs)[:2])


def trees(layer: Any, **given: Any) -> list[tuple[Any, ...]]:
    """Each tree as a tuple with one entry for each of the layers; None stands for none at all."""
    found = []
    for name, one in given.items():
        plain = isinstance(one, tuple | list) and not hasattr(one, "_fields")  # a State is not a tuple of states
        if one is not None and (not plain or len(one) != len(layer.layers)):
            came = f"a tuple of {len(one)}" if plain else f"a {arrays.type_name(one)}"
            raise TypeError(f"{name} is {came}; expected a tuple of {len(layer.layers)}, one for each layer")
        found.append((None,) * len(layer.layers) if one is None else tuple(one))
    return found


def sizes(layer: Any, H: Any) -> tuple[Any, ...]:
    """H for each of the layers: one for all, or one for each."""
    if isinstance(H, tuple | list):
        if len(H) != len(layer.layers):
            raise ValueError(f"H has {len(H)} sizes; expected {len(layer.layers)}, one for each layer")
        return tuple(H)
    return (H,) * len(layer.layers)


@contextmanager
def naming(k: int) -> Iterator[None]:
    """An error from within says in which layer."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"layer {k}: {error}") from None


def check_layers(layers: Sequence[Any]) -> None:
    """Raise ValueError if there is none, TypeError for what is no layer."""
    if not layers:
        raise ValueError("expected at least one layer")
    for layer in layers:
        if not hasattr(layer, "backward"):
            raise TypeError(f"a layer is a {arrays.type_name(layer)}; expected one such as Recurrent(cell)")


def expect_shape(name: str, array: Any, like: Array) -> None:
    """Raise ShapeError unless ``array``, if there is one, has the shape of hs."""
    if array is not None and (came := shape(name, array)) != tuple(like.shape):
        raise ShapeError(f"{name} has shape {came}; expected {tuple(like.shape)}, the shape of hs")


def expect_run(layer: Any, run: Any) -> None:
    """Raise TypeError unless ``run`` may come from this layer's ``forward``."""
    layers = getattr(layer, "layers", None)
    of_it = isinstance(run, Run) and (type(run.parts) is tuple) == (layers is not None)
    if layers is not None and of_it:
        beside = sum(part.hs.shape[-1] for part in run.parts) == run.hs.shape[-1]
        alone = len(layers) == 1  # then the two wirings are the same
        of_it = len(run.parts) == len(layers) and (alone or beside == (type(layer).__name__ == "Parallel"))
    if not of_it:
        came = "of another layer" if isinstance(run, Run) else f"a {arrays.type_name(run)}"
        raise TypeError(f"run is {came}; expected the Run that forward() of this {type(layer).__name__} returned")


def or_zeros(dhs: Any, others: Any, run: Any) -> Any:
    """``dhs``, or zeros where nothing at all arrives at a layer."""
    if dhs is None and next(tree.leaves(others), None) is None:
        return arrays.zeros(run.hs.shape, run.hs)
    return dhs


def gathered(dxs: Any, backs: list[Any]) -> Backward:
    """One Backward of several, in trees."""
    fields = ("dfirst", "dparams", "cotangents")
    return Backward(dxs, *(tuple(getattr(back, k) for back in backs) for k in fields))


def shape(name: str, value: Any) -> tuple[int, ...]:
    """The shape of an array, or of the first of a tree; raises TypeError for what has none."""
    array = next((a for _, a in tree.leaves(value)), None) if isinstance(value, tuple) else value
    try:
        arrays.namespace(array)
    except TypeError as error:
        raise TypeError(f"{name} {error}") from None
    return tuple(array.shape)  # type: ignore[union-attr]
