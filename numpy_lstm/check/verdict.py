"""What a distance from the truth means: one of three verdicts, with a reason.

Every component is held against the largest of the errors that it may have, and the array as a whole against its norm:

pass         rounding           16 u S; normwise, 16 times what rounding the inputs does, if that is known; whatever
                                the range of the precision does not hold
             cancellation       or 16 u S once S counts what a textbook adds up: s (1 - s) and 1 - t^2 as differences;
                                normwise, 16 times what a textbook code is seen to lose, if that is known
             forward-error      or 16 times, in K, what the same network moves when its inputs are rounded differently
             within-tolerance   where a tolerance was asked for
cannot tell  cancellation       the same, where a textbook code loses more than half its digits
             below-resolution   the error is smaller than what the judging route itself can resolve
             noise-limited      rounding the inputs moves the truth by more than half its digits, and the answer no more
             kink, damaged-case where the truth is not one number, and where our own run does not find it
fail         not-finite, all-zero, single-precision (float64 was promised), different
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .metrics import difference, ratio, worst

BOUND = 16.0  # of K, for codes that are right
LEAST = {2.0**-53: 2.0**-1022, 2.0**-24: 2.0**-126}  # the smallest normal number of a precision
FREE = 64.0  # unit roundoffs that an array may always be off, normwise, before the bound
VERDICTS = ("pass", "cannot tell", "fail")  # from good to bad


class Yardstick(NamedTuple):
    """All that is known of one array, and so what passes.

    ``truth``, and of each component its S: ``paths``, and ``wide``, the paths of a textbook (None: not known).
    ``noise``: how far, normwise, rounding the inputs moves the truth, and ``lost`` a textbook code, infinite where
    nobody has tried; ``K``: the former for the worst component, in K. ``resolution`` of the route that gave the truth,
    and the ``tolerance`` asked for.
    """

    truth: Any
    paths: Any
    wide: Any
    unit_roundoff: float
    noise: float
    lost: float
    K: float
    resolution: float = 0.0
    tolerance: float | None = None

    @classmethod
    def of(
        cls, truth: Any, paths: Any, wide: Any, u: float, noise: Sequence[Any], textbook: Sequence[Any], *limits: Any
    ) -> "Yardstick":
        """``noise`` is our own run, then runs from inputs rounded differently; ``textbook``: such runs of its code."""
        paths = np.max(np.abs(truth), initial=0.0) if paths is None else paths
        moved, lost = ([difference(run, noise[0]) for run in runs] for runs in (noise[1:], textbook))
        moves = worst(ratio(a, truth) for a in moved) if moved else np.inf
        loses = max(moves, worst(ratio(a, truth) for a in lost)) if lost else np.inf
        K = worst(np.max(roundings(np.abs(a), paths, u), initial=0.0) for a in moved)
        return cls(truth, paths, wide, u, moves, loses, max(1.0, K), *limits)

    def judged(self, got: Any, gap: Any, normwise: float) -> tuple[str, str]:
        """The verdict on an array at this distance, component by component, from the truth, and the reason."""
        half = np.sqrt(self.unit_roundoff)  # of the digits
        if not np.all(np.isfinite(got.astype(np.float64))):
            return "fail", "not-finite"
        gap = np.where(gap <= self._out_of_range(), 0, gap)
        if self.tolerance is not None:
            if normwise <= self.tolerance >= self.resolution:
                return "pass", "within-tolerance"
        elif not np.any(gap):
            return "pass", "rounding"
        else:
            for reason, may, norm in self._allowed():
                if np.all(gap <= may) and not normwise > BOUND * max(norm, FREE * self.unit_roundoff):
                    if reason == "forward-error" and self.noise > half:
                        return "cannot tell", "noise-limited"
                    return "cannot tell" if reason == "cancellation" and normwise > half else "pass", reason
        if normwise <= self.resolution:
            return "cannot tell", "below-resolution"
        if not np.any(got):
            return "fail", "all-zero"
        single = self.unit_roundoff < 2.0**-24 and normwise > 2.0**-31 and np.all(gap <= BOUND * 2.0**-24 * self.paths)
        return "fail", "single-precision" if single else "different"

    def _out_of_range(self) -> float:
        """What a sum may lose where its terms underflow: 16 least numbers, times the largest path."""
        return BOUND * LEAST.get(self.unit_roundoff, 0.0) * max(1.0, worst([np.max(self.paths, initial=0)]))

    def _allowed(self) -> Iterator[tuple[str, Any, float]]:
        """A reason, what each component may be off, and the whole array, normwise, before the bound."""
        unit = BOUND * self.unit_roundoff
        textbook = self.paths if self.wide is None else np.maximum(self.paths, self.wide)
        # S may grow beyond all bounds over many steps, so the norm counts too
        yield "rounding", unit * self.paths, self.noise
        if self.wide is not None:
            yield "cancellation", unit * textbook, self.lost
        yield "forward-error", unit * self.K * self.paths, self.noise
        if self.wide is not None:
            yield "forward-error", unit * np.maximum(self.K * self.paths, textbook), self.lost


def roundings(gap: Any, paths: Any, u: float) -> Any:
    """K of every component. NaN counts as infinitely far."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(gap == 0, 0 * paths, gap / (u * paths))
    return np.where(np.isnan(found), np.inf, found)
