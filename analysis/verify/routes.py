"""The routes by which a next-symbol network's gradients are judged, each with the bound it must keep."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import check, tree
from numpy_lstm.check import truth
from reference import differences, mechanical

from .. import next_symbol, text

HAS_TORCH = importlib.util.find_spec("torch") is not None
SIZES = {"T": 20, "B": 4, "D": 6, "H": 10}
Outcome = tuple[float, float | None]  # error and K; None where S is not defined
SMALL = {"T": 3, "B": 2, "D": 3, "H": 2}  # where a 70-digit difference of every component takes a tenth of a second


class Subject(NamedTuple):
    """One network on one piece of text, and all that the routes need.

    ``codes`` and ``weights`` give the whole loss; ``problem`` is the recurrent layer with the cotangents that it
    receives there, ``small`` the same at small size; ``gradient`` and ``paths`` (S of ``check.K``) are ours.
    """

    codes: Any
    weights: next_symbol.Weights
    problem: check.Problem
    small: check.Problem
    gradient: check.Point
    paths: check.Point
    direction: Any


def subject(network: str, corpus: text.Corpus, rng: np.random.Generator) -> Subject:
    """The network at full and at small size, with what all routes are compared with."""
    codes, w, problem = _problem(network, corpus, rng, SIZES)
    _, _, small = _problem(network, corpus, rng, SMALL)
    direction = tree.random_like(problem.point, rng)
    direction = tree.scale(1 / tree.norm(direction), direction)
    gradient, paths = problem.gradient(), problem.absolute_paths()
    return Subject(codes, w, problem, small, gradient, paths, direction)


def _problem(network: str, corpus: text.Corpus, rng: np.random.Generator, sizes: dict[str, int]) -> Any:
    """Random weights on a random stretch of text, all numbers rounded to float32.

    The layer's h_t receive the gradient of the next-symbol loss; every c_t and the last state receive a random
    one of like size, as from further layers and a following window, so that no path is checked at zero.
    """
    setting = next_symbol.NETWORKS[network]
    cell = setting.page
    T, B, D, H = (sizes[k] for k in "TBDH")
    codes = text.windows(corpus, T + 1, B, rng)
    w = next_symbol.weights(setting, len(corpus.symbols), B, D, H, 100, rng)
    w = _rounded(w)
    xs = next_symbol.embed(w, codes[:-1])
    hs = nl.forward(cell, w.params, xs, w.first).hs
    dhs = next_symbol.cross_entropy_gradient(w, hs, codes[1:])[0]
    problem = check.Problem(cell, check.Point(w.params, xs, w.first), check.Outputs(None, None))
    like = problem.outputs(problem.point)
    given = tree.scale(np.std(dhs), tree.random_like(like, rng))
    given = given._replace(states=given.states._replace(h=dhs))
    return codes, w, problem._replace(cotangents=_rounded(given))


def _rounded(value: Any) -> Any:
    return tree.map(lambda a: a.astype(np.float32).astype(np.float64), value)


def _against(route: Callable[[check.Problem], check.Point]) -> Callable[[Subject], Outcome]:
    """The hand-derived gradient compared with that of a route; what a route leaves absent is left out."""

    def outcome(s: Subject) -> Outcome:
        other = route(s.problem)
        ours, paths = (tree.map(lambda a, b: None if b is None else a, part, other) for part in (s.gradient, s.paths))
        return check.normwise(ours, other), check.K(ours, other, paths)

    return outcome


def by_complex_step(p: check.Problem) -> check.Point:
    """The gradient of the layer by complex steps, 256 directions at a time."""
    return check.complex_step(p.loss, p.point, chunk=256)


def _swept(route: Callable[..., Any], steps: list[float]) -> Callable[[Subject], Outcome]:
    """A difference route at the best of several steps: between truncation and rounding, which differ by network."""

    def outcome(s: Subject) -> Outcome:
        p = s.problem
        tried = [route(p.loss, p.point, step, chunk=256) for step in steps]
        best = min(tried, key=lambda other: check.normwise(s.gradient, other))
        return check.normwise(s.gradient, best), check.K(s.gradient, best, s.paths)

    return outcome


def _whole_loss(s: Subject) -> Outcome:
    stepped = check.complex_step(lambda w: next_symbol.loss(s.problem.cell, w, s.codes), s.weights, chunk=64)
    return check.normwise(next_symbol.gradient(s.problem.cell, s.weights, s.codes), stepped), None


def _dot(s: Subject) -> Outcome:
    p = s.problem
    return check.dot_test(
        lambda v: check.directional(p.outputs, p.point, v),
        lambda w: p._replace(cotangents=w).gradient(),
        p.point,
        p.cotangents,
        np.random.default_rng(0),
        pairs=20,
    ).error, None


def _taylor(order: int) -> Callable[[Subject], Outcome]:
    def outcome(s: Subject) -> Outcome:
        p = s.problem.astype(np.longdouble)
        curvature = check.hessian_vector(p.gradient, p.point, s.direction) if order == 3 else None
        slope = check.taylor_test(p.loss, p.gradient(), p.point, s.direction, curvature).slope
        return abs(slope - order), None

    return outcome


def _hessian_vector(s: Subject) -> Outcome:
    p = s.problem
    Hv = check.hessian_vector(p.gradient, p.point, s.direction)
    return check.normwise(Hv, differences.hessian_vector(p, s.direction)), None


def _formula_free(s: Subject) -> Outcome:
    """At small size, 50-digit back-propagation against a 70-digit difference of the loss alone; the worst array."""
    rows = check.compare(truth.gradient(s.small), differences.central_difference(s.small), s.small.absolute_paths())
    return check.worst(row.normwise for row in rows), None


ROUTES: dict[str, tuple[Callable[[Subject], Outcome], float]] = {
    "50-digit truth": (_against(truth.gradient), 1e-15),
    "complex step": (_against(by_complex_step), 2e-15),
    "complex step, whole loss": (_whole_loss, 2e-15),
    "chain rule on rows": (_against(mechanical.reverse_mode), 2e-15),
    "forward mode": (_against(mechanical.forward_mode), 2e-15),
    "RTRL": (_against(mechanical.rtrl), 2e-15),
    "dot test": (_dot, 1e-15),
    "Hessian-vector product": (_hessian_vector, 2e-15),
    "Taylor slope, off 2 by": (_taylor(2), 0.02),
    "Taylor slope, off 3 by": (_taylor(3), 0.1),
    "Richardson": (_swept(check.richardson, [2.0**-k for k in (5, 6)]), 1e-11),
    "central difference": (_swept(check.finite_difference, [1e-5, 4e-6, 2e-6]), 1e-9),
    "50 against 70 digits": (_formula_free, 1e-40),
}
if HAS_TORCH:
    from reference import torch_oracle

    ROUTES |= {
        "torch, tensor operations": (_against(torch_oracle.tensor_cell), 3e-15),
        "torch.nn": (_against(torch_oracle.module), 3e-15),
    }
