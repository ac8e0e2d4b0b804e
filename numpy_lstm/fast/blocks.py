"""Blocks of steps: which rows end where, and buffers kept between calls.

Buffers are reused, and nothing that a caller receives is a view of one.
"""

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import arrays
from .layout import Layout

KEEP = 2**26  # bytes of buffers kept
LOANS = 64  # tapes whose blocks come back


class Padding(NamedTuple):
    """Which steps of which rows are padding, (T,B), or None if none is; the rows (B,1) that end at a step, by step.

    Padding stands at the end of rows alone, as ``lengths`` has it: ``Steps`` go the explicit way.
    """

    dead: Any
    ends: dict[int, Any]

    @classmethod
    def of(cls, alive: Any) -> "Padding":
        """From ``alive``, (T,B,1) or None."""
        if alive is None or bool(alive.all()):
            return cls(None, {})
        dead, ends = ~alive, alive.copy()
        ends[:-1] &= dead[1:]
        return cls(
            dead[..., 0], {t: ends[t] for t, any_row in enumerate(arrays.on_host(ends.any(axis=(1, 2)))) if any_row}
        )

    def within(self, t: int, n: int) -> "Padding":
        """That of n steps from t on."""
        if self.dead is None:
            return self
        dead = None if not self.dead[t + n - 1].any() else self.dead[t : t + n]
        return Padding(dead, {k: self.ends[t + k] for k in range(n) if t + k in self.ends})


class Loan(NamedTuple):
    """Buffers of one kind that come back when the tape that uses them is gone."""

    tape: Callable[[], Any]
    layout: Layout
    buffers: list[Any]


class Pool:
    """Free buffers by kind and layout, at most ``KEEP`` bytes of them, those on loan to tapes included.

    Whoever takes a buffer is the only one to hold it. There is no account to drift when a call is interrupted, no lock
    that a forked child could inherit closed, and no finaliser of a tape, where an interrupt would be lost: every change
    is one operation of the interpreter, and the pool looks whether a tape is still there.
    """

    def __init__(self) -> None:
        self._free: dict[Any, list[Any]] = {}
        self._lent: deque[Loan] = deque(maxlen=LOANS)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        kept = [*self._free.values(), *(loan.buffers for loan in self._lent.copy())]
        return sum(buffers[0].nbytes * len(buffers) for buffers in map(tuple, kept) if buffers)

    def take(self, kind: Callable[[Layout], Any], layout: Layout) -> Any:
        """A buffer of that kind and layout; its content is whatever was left in it."""
        try:
            return self._free[kind, layout].pop()
        except (KeyError, IndexError):
            return kind(layout)

    def give(self, layout: Layout, *buffers: Any) -> None:
        """Keep buffers of one kind that nobody else holds, unless they are too many."""
        if self._room(buffers):
            self._free.setdefault((type(buffers[0]), layout), []).extend(buffers)

    def lend(self, tape: "Tape") -> None:
        """Have the blocks of the tape back once it is gone, or as many as may be kept."""
        blocks = [block for _, _, block in tape.blocks]
        if blocks and self._room(blocks := blocks[: KEEP // blocks[0].nbytes]):
            self._lent.append(Loan(weakref.ref(tape), tape.layout, blocks))

    def collect(self) -> None:
        """Take back what was lent to tapes that are gone."""
        for _ in range(len(self._lent)):
            try:
                loan = self._lent.popleft()
            except IndexError:  # another thread was here
                return
            if loan.tape() is None:
                self.give(loan.layout, *loan.buffers)
            else:
                self._lent.append(loan)

    def _room(self, buffers: Sequence[Any]) -> bool:
        """Whether these, all alike, may be kept; all others are forgotten where together they would be too many."""
        size = buffers[0].nbytes * len(buffers) if buffers else 0
        if size <= KEEP < size + self.nbytes:
            self._free = {}
            self._lent.clear()
        return 0 < size <= KEEP


POOL = Pool()


class Tape:
    """What a fast run keeps for its backward pass, in blocks of steps: ``blocks`` holds (first step, steps, block).

    The local factors and [h x 1]. Its arrays are reused once the tape is gone, so they are nobody else's business.
    """

    def __init__(self, cell: Any, layout: Layout, T: int) -> None:
        self.cell, self.layout, self.T = cell, layout, T
        self.blocks: list[tuple[int, int, Any]] = []

    def shapes(self) -> list[tuple[str, str, Any]]:
        """Name and axis letters of what a Trace would hold, and a stand-in of its shape, to be held against others."""
        L, zero = self.layout, self.layout.xp.zeros((), self.layout.dtype)
        widths = (("x", "TBD", L.D), ("h_prev", "TBR", L.H))
        return [(name, letters, L.xp.broadcast_to(zero, (self.T, L.B, N))) for name, letters, N in widths]

    def __repr__(self) -> str:
        return f"<Tape of {self.T} steps of {self.cell.name}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Tape cannot be copied or pickled, for its buffers have one owner; run forward again")
