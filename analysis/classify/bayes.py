"""What counting alone tells: the most frequent class, and naive Bayes on the n-grams of a row."""

from typing import Any

import numpy as np

from .data import Parts

ORDERS = {"characters": ((1,), (2, 3)), "words": ((1,), (1, 2))}  # of which n-grams, for each line


def baselines(found: Parts, symbols: str) -> dict[str, float]:
    """The accuracy of each on the rows of the test."""
    frequent = np.argmax(np.bincount(found.fit.targets))
    lines = {"most frequent class": float(np.mean(found.test.targets == frequent))}
    for orders in ORDERS[symbols]:
        said = f"naive Bayes, {' and '.join(map(str, orders))}-grams of {symbols}"
        lines[said] = float(np.mean(predicted(found, orders) == found.test.targets))
    return lines


def predicted(found: Parts, orders: tuple[int, ...]) -> Any:
    """The class of each row of the test: of the largest log p(class) + sum over its n-grams of log p(gram | class).

    p(gram | class) = (its count in the class + 1) / (all counts of the class + number of different grams), counted in
    the rows to train on; a gram that does not occur there tells nothing.
    """
    rows, grams = _grams(found.fit, orders, len(found.symbols))
    kinds, place = np.unique(grams, return_inverse=True)
    classes = len(found.classes)
    counts = np.bincount(found.fit.targets[rows] * len(kinds) + place, minlength=classes * len(kinds))
    smoothed = counts.reshape(classes, -1) + 1
    scores = np.log(smoothed / np.sum(smoothed, axis=1, keepdims=True))
    rows, grams = _grams(found.test, orders, len(found.symbols))
    at = np.minimum(np.searchsorted(kinds, grams), len(kinds) - 1)
    rows, at = rows[kinds[at] == grams], at[kinds[at] == grams]
    told = [np.bincount(rows, weights=score[at], minlength=len(found.test.lengths)) for score in scores]
    with np.errstate(divide="ignore"):
        prior = np.log(np.bincount(found.fit.targets, minlength=classes) / len(found.fit.targets))
    return np.argmax(prior[:, None] + told, axis=0)


def _grams(data: Any, orders: tuple[int, ...], symbols: int) -> tuple[Any, Any]:
    """The row and the number of every n-gram that lies within a row."""
    rows = np.repeat(np.arange(len(data.lengths)), data.lengths)
    found = []
    for n in orders:
        starts = np.flatnonzero(rows[: len(rows) - n + 1] == rows[n - 1 :])
        number = np.zeros(len(starts), np.int64)
        for k in range(n):
            number = number * symbols + data.codes[starts + k]
        found.append((rows[starts], number * (max(orders) + 1) + n))
    return tuple(np.concatenate(a) for a in zip(*found, strict=True))  # type: ignore[return-value]
