"""Which steps of each row are read, and where a row starts anew: S1, S2 forward, S1', S2' back. Derivation: steps.md.

    s'  = s_0 where restart_t, else 0 where reset_t, else s_{t-1}   (S1)   the state that step t reads
    s_t = the page's new state where read_t, else s_{t-1}           (S2)

``lengths`` are the special case in which every row is read from step 0 to its own end, and never starts anew.
"""

import operator
from typing import Any, NamedTuple

import numpy as np

from . import arrays
from .arrays import Array
from .shapes import ShapeError, Sizes


class Steps(NamedTuple):
    """Masks (T,B) of booleans, to be given as ``lengths``; one that is absent (None) leaves all as it is.

    A step that is not ``read`` holds the state; its output is zero, and its ``xs`` has no influence, NaN included:
    padding on the left, or holes. ``reset``: the next step that is read starts from a state of zeros, ``restart``: from
    the first state; both cut the row in two, so a layer that reads backward starts anew on the other side of the cut.
    """

    read: Any = None
    reset: Any = None
    restart: Any = None

    def reversed(self) -> "Steps":
        """The same masks in reverse order: a cut before step t is one after it."""

        def cut(mask: Any) -> Any:
            return None if mask is None else np.concatenate([np.zeros_like(mask[:1]), mask[:0:-1]])

        return Steps(None if self.read is None else self.read[::-1], cut(self.reset), cut(self.restart))


class Resets(NamedTuple):
    """Cuts (T,B,1) as the scan needs them: where the state is ``kept``, and where it is the ``first`` again."""

    kept: Array | None
    first: Array | None

    def cut(self, start: int, stop: int) -> "Resets":
        """The cuts at the steps from ``start`` to ``stop``."""
        return Resets(*(None if a is None else a[start:stop, ...] for a in self))


def checked(lengths: Any, T: int, B: int) -> Any:
    """``lengths`` as our own: None, B integers, or Steps of NumPy masks. Raises TypeError, or ShapeError."""
    if lengths is None or not isinstance(lengths, Steps):
        return None if lengths is None else as_lengths(lengths, T, B)
    for name, mask in lengths._asdict().items():
        if mask is None:
            continue
        a = arrays.as_numpy(mask)
        if a.dtype.kind != "b":
            raise TypeError(f"lengths.{name} has dtype {a.dtype}; expected booleans (T={T}, B={B})")
        if a.shape != (T, B):
            raise ShapeError(f"lengths.{name} has shape {a.shape}; expected (T={T}, B={B})")
    return Steps(*(None if mask is None else arrays.as_numpy(mask).copy() for mask in lengths))


def as_lengths(lengths: Any, T: int, B: int) -> tuple[int, ...]:
    """The lengths of B rows of at most T steps as integers of our own; None stands for T. Raises if they do not fit."""
    if lengths is None:
        return (T,) * B
    try:
        given = tuple(operator.index(n) for n in arrays.on_host(lengths))
    except TypeError:
        raise TypeError(
            f"lengths is {lengths!r}; expected B={B} integers from 0 to T={T}, or Steps of masks (T, B)"
        ) from None
    if len(given) != B or not all(0 <= n <= T for n in given):
        raise ShapeError(f"lengths is {list(given)}; expected B={B} integers from 0 to T={T}")
    return given


def masks(lengths: Any, T: int, B: int) -> Steps:
    """All as Steps of NumPy masks, in which a cut stands at a step that is read: None where there is none."""
    given = checked(lengths, T, B)
    if not isinstance(given, Steps):
        return Steps() if given is None else Steps(np.arange(T)[:, None] < np.array(given, int))
    if given.read is None:
        return given
    late: list[Any] = [None if mask is None else mask & given.read for mask in (given.reset, given.restart)]
    for mask, cut in zip((given.reset, given.restart), late, strict=True):
        pending = np.zeros(B, bool)
        for t in range(T if mask is not None else 0):
            pending |= mask[t]
            cut[t], pending = pending & given.read[t], pending & ~given.read[t]
    return Steps(given.read, *late)


def bind(lengths: Any, sizes: Sizes) -> tuple[Array | None, Resets | None]:
    """(T,B,1): whether step t of row b is read, None if all are; and the Resets, None unless Steps were given."""
    T, B = sizes["T"], sizes["B"]
    given = masks(lengths, T, B)

    def array(mask: Any) -> Any:
        return None if mask is None else arrays.booleans(mask, (T, B, 1), sizes.like)

    cuts = [mask for mask in (given.reset, given.restart) if mask is not None]
    kept = ~np.any(cuts, axis=0) if cuts else None
    resets = Resets(array(kept), array(given.restart)) if isinstance(lengths, Steps) else None
    return array(given.read), resets
