"""What a distance from the truth means: one of three verdicts, with a reason.

pass         rounding           K <= 16, and normwise within 16 times what rounding the inputs does, if that is known
             cancellation       K <= 16 once S counts what a textbook adds up: s (1 - s) and 1 - t^2 as differences; and
                                normwise within 16 times what a textbook code is seen to lose, if that is known
             forward-error      no farther than the same network moves when its inputs are rounded differently
             within-tolerance   where a tolerance was asked for
cannot tell  cancellation       the same, where a textbook code loses more than half its digits
             below-resolution   the error is smaller than what the judging route itself can resolve
             noise-limited      rounding the inputs moves the truth by more than half its digits, and the answer no more
fail         not-finite, all-zero, single-precision (float64 was promised), different
"""

from typing import Any, NamedTuple

import numpy as np

from .metrics import Metrics

BOUND = 16.0  # of K, for codes that are right
VERDICTS = ("pass", "cannot tell", "fail")  # from good to bad


class Allowed(NamedTuple):
    """What is known of an array beside its distance from the truth, and so what passes.

    ``K``: the largest that does without more ado; ``K_textbook``: K once S counts what a textbook adds up, infinite
    where that is not known. ``noise``: how far rounding the inputs moves the truth, and ``lost`` a textbook code,
    normwise, infinite where nobody has tried. ``resolution`` of the route that gave the truth, and the ``tolerance``
    asked for.
    """

    K: float
    K_textbook: float
    noise: float
    lost: float
    resolution: float
    tolerance: float | None


def verdict(found: Metrics, got: Any, allowed: Allowed, unit_roundoff: float) -> tuple[str, str]:
    """The verdict on the array ``got`` at this distance from the truth, and the reason."""
    half = np.sqrt(unit_roundoff)  # of the digits
    # S may grow beyond all bounds over many steps, so the norm counts too
    near = not found.normwise > BOUND * max(allowed.noise, 64 * unit_roundoff)
    if found.nonfinite:
        return "fail", "not-finite"
    if allowed.tolerance is not None:
        if found.normwise <= allowed.tolerance >= allowed.resolution:
            return "pass", "within-tolerance"
    elif found.K <= BOUND and near:
        return "pass", "rounding"
    elif allowed.K_textbook <= BOUND and not found.normwise > BOUND * max(allowed.lost, 64 * unit_roundoff):
        return "cannot tell" if found.normwise > half else "pass", "cancellation"
    elif allowed.K >= found.K and near:
        return ("cannot tell", "noise-limited") if allowed.noise > half else ("pass", "forward-error")
    if found.normwise <= allowed.resolution:
        return "cannot tell", "below-resolution"
    return "fail", _reason(found, got, unit_roundoff)


def _reason(found: Metrics, got: Any, unit_roundoff: float) -> str:
    if found.zeros and not np.any(got):
        return "all-zero"
    single = unit_roundoff < 2.0**-24 and found.normwise > 2.0**-31 and found.K * unit_roundoff <= BOUND * 2.0**-24
    return "single-precision" if single else "different"
