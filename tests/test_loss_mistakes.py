"""Mistakes around losses and updates: each is seen by the check that can see it, and what is right by none."""

from typing import Any

import numpy as np
import pytest

from numpy_lstm import check, tree
from numpy_lstm.mistakes import LOSSES, UPDATES
from numpy_lstm.mistakes.loss_workbench import LossMistake, Training
from numpy_lstm.mistakes.updates import LIMIT, UpdateMistake, clipped

each_loss = pytest.mark.parametrize("mistake", LOSSES, ids=lambda m: m.name)
each_update = pytest.mark.parametrize("mistake", UPDATES, ids=lambda m: m.name)


def bench(spread: float = 1.0) -> Training:
    return Training.random(np.random.default_rng(0), spread)


def gap(got: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest normwise error of an array."""
    return check.worst(check.normwise(got[k], a) for k, a in expected.items())


def off(answer: Any) -> float:
    """How far the gradient is from the complex step of the loss that comes with it, along a random direction."""
    training = bench()
    v = tree.random_like(training.weights, np.random.default_rng(1))
    slope = check.directional(lambda w: answer(training._replace(weights=w))["loss"], training.weights, v)
    got = answer(training)
    g = tree.unflatten(np.concatenate([got[f"d_{k}"].ravel() for k, _ in tree.leaves(v)]), v)
    return float(abs(tree.dot(g, v) - slope) / abs(slope))


def test_what_is_right() -> None:
    assert off(Training.answer) <= 1e-13
    assert np.isfinite(bench(1000.0).answer()["loss"])


@each_loss
def test_a_loss_mistake_shows_in_its_numbers(mistake: LossMistake) -> None:
    training = bench(mistake.spread)
    right, wrong = training.answer(), mistake.answer(training)
    assert {k: a.shape for k, a in wrong.items()} == {k: a.shape for k, a in right.items()}
    assert not gap(wrong, right) <= 1e-3


@each_loss
def test_all_but_consistent_ones_fail_against_differences_of_their_own_loss(mistake: LossMistake) -> None:
    error = off(mistake.answer)
    assert error <= 1e-13 if mistake.consistent else error > 1e-3


def test_a_softmax_without_shift_is_right_until_it_overflows() -> None:
    unshifted = next(m for m in LOSSES if m.name == "softmax-without-shift")
    assert gap(unshifted.answer(bench()), bench().answer()) <= 1e-13


@each_update
def test_an_update_mistake_breaks_the_law_of_clipping(mistake: UpdateMistake) -> None:
    """The direction stays, and the norm is the limit or less: that of the gradient where it is less."""

    def law(found: Any, gradient: Any) -> bool:
        size, aim = tree.norm(found), min(tree.norm(gradient), LIMIT)
        along = tree.dot(found, gradient) / (size * tree.norm(gradient))
        return abs(size / aim - 1) <= 1e-12 and abs(along - 1) <= 1e-12

    training = bench()
    gradient = {k: a for k, a in training.answer().items() if k != "loss"}
    sizes = (LIMIT / 4, 1.2 * LIMIT, 100 * LIMIT)
    gradients = [tree.scale(size / tree.norm(gradient), gradient) for size in sizes]
    assert all(law(clipped(g), g) for g in gradients)
    assert not all(law(mistake.found(g), g) for g in gradients)
