"""What a softmax loses when the target leads: loss and gradient of the cross-entropy against 50-digit truth."""

from typing import Any

import numpy as np

from numpy_lstm import check
from numpy_lstm.check import balls, truth
from numpy_lstm.progress import bar
from reference import regimes

from .. import output
from . import routes

BOUND = 2e-15
Worst = dict[str, dict[str, tuple[float, float]]]  # by margin and code: error of the loss, and of its gradient


def ours(p: check.Problem) -> tuple[Any, Any]:
    """The page's losses (T,B) and their gradient (T,B,D), that of their sum weighted by the cotangents."""
    run, back = p.passes()
    return run.hs, back.dxs.x


def usual(p: check.Problem) -> tuple[Any, Any]:
    """The logarithm of the sum less the target's logit, both shifted; and the probability less one."""
    x = p.point.xs.x - p.point.xs.x.max(axis=-1, keepdims=True)
    hot = np.eye(x.shape[-1])[p.codes.target]
    total = np.exp(x).sum(axis=-1, keepdims=True)
    losses = np.log(total) - (hot * x).sum(axis=-1, keepdims=True)
    return losses[..., 0], p.cotangents.states.loss[..., None] * (np.exp(x) / total - hot)


def theirs(p: check.Problem) -> tuple[Any, Any]:
    """torch.nn.functional.cross_entropy."""
    out, point = routes.torch_oracle.one_step(p)
    return out, point.xs.x


def exact(p: check.Problem) -> tuple[Any, Any]:
    """The page's in 50 digits, rounded."""

    def run(number: Any, array: Any) -> dict[str, Any]:
        loss, gradient = map(balls.value_of, ours(p.mapped(lambda a: array(number(a)))))
        return {"loss": loss, "gradient": gradient}

    found = truth.rounded(run).values
    return found["loss"], found["gradient"]


def measure(seed: int, seeds: int = 3) -> Worst:
    """The worst normwise errors over seeds."""
    codes = {"numpy-lstm": ours, "usual form": usual} | ({"torch": theirs} if routes.HAS_TORCH else {})
    worst = {f"{margin:+d}": dict.fromkeys(codes, (0.0, 0.0)) for margin in regimes.MARGINS}
    for margin, row in bar(worst.items(), desc="softmax"):
        for k in range(seeds):
            p = regimes.softmax_problem(float(margin), seed + k)
            right = exact(p)
            for name, code in codes.items():
                errors = (check.normwise(a, b) for a, b in zip(code(p), right, strict=True))
                loss, gradient = (check.worst(pair) for pair in zip(row[name], errors, strict=True))
                row[name] = loss, gradient
    return worst


def table(worst: Worst) -> str:
    """One row for each margin: error of the loss · error of the gradient."""
    names = list(next(iter(worst.values())))
    rows = [[margin, *(" · ".join(f"{e:.0e}" for e in row[n]) for n in names)] for margin, row in worst.items()]
    return output.table(["target ahead by", *names], rows)


def failed(worst: Worst) -> list[str]:
    """Where ours is beyond its bound."""
    found = {margin: check.worst(row["numpy-lstm"]) for margin, row in worst.items()}
    return [f"softmax, target ahead by {m}: {e:.3g}, bound {BOUND:g}" for m, e in found.items() if not e <= BOUND]
