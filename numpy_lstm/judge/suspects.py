"""Which known mistake gives these numbers: an answer held against the catalogue."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..cases.case import Case
from ..cases.names import is_gradient
from ..mistakes import CATALOGUE, Mistake, Workbench, label
from ..mistakes.workbench import unlike

EXPLAINS = 0.01  # of the error may be left over where a mistake is named
SHOWN = 5
SEEN = 400  # numbers of an array that are looked at
SMALL = 100_000  # numbers in an answer in which pairs of mistakes are sought
PAIRS = 1800  # pairs that are made, at most, times the steps of all layers and directions, or
A_STEP = 10_000  # so many numbers in an answer
SAME = 1e-6  # of an array's typical number: so much of a difference is none

Arrays = Mapping[str, Any]


class Suspect(NamedTuple):
    """A mistake of the catalogue, or two; ``left`` is the part of the error that it does not explain, 0 to 1."""

    label: str
    says: str
    source: str
    left: float

    def __str__(self) -> str:
        left = f" (leaves {self.left:.0e} of the error)" if self.left <= EXPLAINS else ""
        return f"{self.label}: {self.says} [{self.source}]{left}"


class Made(NamedTuple):
    """A mistake that was made in the case, and what is seen of its answer."""

    mistake: Mistake
    variant: str
    answer: dict[str, Any]
    shows: bool

    @property
    def label(self) -> str:
        """The name with its variant: see ``mistakes.label``."""
        return label(self.mistake, self.variant)


class Lineup:
    """All mistakes of a ``catalogue`` that can be made in a case, with what is ``seen`` of their answers.

    Of large arrays only some numbers are looked at, always the same.
    """

    def __init__(
        self,
        case: Case,
        catalogue: Iterable[Mistake] = CATALOGUE.values(),
        seen: Callable[[Arrays], dict[str, Any]] | None = None,
    ) -> None:
        self.bench, self.catalogue, self.seen = Workbench(case), tuple(catalogue), seen or _some
        self.truth = self.seen(self.bench.right | case.expected)
        self._made: dict[tuple[Mistake, str], Made] = {}

    def suspects(self, got: Arrays, single: bool = False) -> list[Suspect]:
        """The mistakes that explain ``got``, best first; if none does, and it is small, pairs of them.

        ``single``: every error is as small as float32 would make it. Nobody's roundings are the same as ours, so that
        mistake is then named without being matched.
        """
        small = self._numbers() <= SMALL
        got = self.seen(got)
        ahead = [k for k in got if not is_gradient(k)]
        values_wrong = any(np.any(np.abs(got[k] - self.truth[k]) > SAME * _typical(self.truth[k])) for k in ahead)
        size = {k: max(_norm(a), _norm(self.truth[k])) or 1.0 for k, a in got.items()}
        error = _distance(got, self.truth, size)
        found = []
        for made in self.made(values_wrong if ahead and not small else None):
            left = _distance(got, made.answer, size) / error
            if left <= EXPLAINS or (single and made.mistake.name == "computed-in-float32"):
                found.append(Suspect(made.label, made.mistake.says, made.mistake.source, min(left, 1.0)))
        best = min((s.left for s in found), default=1.0)
        if best > 10 * SAME and small and not single:
            found += [pair for pair in self.pairs(got) if pair.left < best / 10]
        return sorted(found, key=lambda s: s.left)[:SHOWN]

    def made(self, values_wrong: bool | None = None) -> list[Made]:
        """The mistakes that change what is seen; with ``values_wrong`` only those that can explain it, or are cheap."""
        found = []
        for mistake in self.catalogue:
            for variant in mistake.conceivable(self.bench):
                other = values_wrong is not None and mistake.consistent != values_wrong
                if other and mistake.edits(self.bench, variant).passes:
                    continue
                if (mistake, variant) not in self._made:
                    answer = self.seen(mistake.answer(self.bench, variant))
                    shows = any(unlike(answer[k], a) for k, a in self.truth.items())
                    self._made[mistake, variant] = Made(mistake, variant, answer, shows)
                found.append(self._made[mistake, variant])
        return [made for made in found if made.shows]

    def pairs(self, got: Arrays) -> list[Suspect]:
        """Two mistakes at once that explain ``got``, as it is seen: the likely pairs are made, until one does."""
        made, found = self.made(), []
        size = {k: max(_norm(a), _norm(self.truth[k])) or 1.0 for k, a in got.items()}
        error = _distance(got, self.truth, size)
        edits = [m.mistake.edits(self.bench, m.variant) for m in made]
        steps = max(1, self.bench.sizes["T"] * len(self.bench.places), self._numbers() // A_STEP)
        most = max(20, PAIRS // steps)
        for i, j in likely_pairs([m.answer for m in made], [e.passes for e in edits], self.truth, got, size, most):
            try:
                answer = self.seen(self.bench.answer(edits[i].and_then(edits[j])))
            except (TypeError, ValueError, LookupError):  # the two do not go together
                continue
            left = _distance(got, answer, size) / error
            if left <= EXPLAINS:
                both = [made[k] for k in (i, j)]
                says = "; and ".join(m.mistake.says for m in both)
                sources = "; ".join(dict.fromkeys(m.mistake.source for m in both))
                found.append(Suspect(" + ".join(m.label for m in both), says, sources, left))
                if left < SAME:
                    break
        return found

    def _numbers(self) -> int:
        return sum(np.size(a) for a in self.bench.right.values())


def likely_pairs(
    answers: list[Arrays], passes: list[bool], truth: Arrays, got: Arrays, size: Mapping[str, float], most: int
) -> list[tuple[int, int]]:
    """Which two of the ``answers`` may together give ``got``: ``most`` pairs of indices, the likely ones first.

    A number that one of them changes, and not the other, is then what that one gives; one that neither changes is
    right. Those of which this holds are ordered by what is left if the two errors add up, or if the one multiplies
    each array of the other by a number, and, in turn, by how many numbers they explain in that way. Last stand those
    of which one agrees with most of ``got``, and the other, made without ``passes``, moves numbers about.
    """

    def row(arrays: Arrays) -> Any:
        return np.concatenate([np.ravel(arrays[k]) / size[k] for k in got])

    t, g = row(truth), row(got)
    typical = np.concatenate([np.full(np.size(a), _typical(truth[k]) / size[k]) for k, a in got.items()])
    rows = np.stack([row(a) for a in answers])
    scale = np.where(typical > 0, typical, 1.0)
    distinct = {np.round((a - t) / scale, 6).tobytes(): k for k, a in reversed(list(enumerate(rows)))}
    index = np.array(sorted(distinct.values()))
    A, cheap = rows[index], ~np.array(passes)[index]
    E, r = A - t, g - t
    changed, wrong, other = (np.abs(a) > SAME * typical for a in (E, r, A - g))
    C, W, X = (a.astype(np.float32) for a in (changed, wrong, changed & other))  # X: changed by it to what was not got
    Y = C - X
    touched, alone, explained = C @ W, X.sum(axis=1)[:, None] - X @ C.T, Y.sum(axis=1)[:, None] - Y @ C.T
    against = W.sum() - touched[:, None] - touched[None, :] + (C * W) @ C.T + alone + alone.T
    square, along = np.sum(E * E, axis=1), E @ r
    left = np.sum(r * r) - 2 * (along[:, None] + along[None, :]) + square[:, None] + square[None, :] + 2 * E @ E.T
    ratio = np.divide(A, t, out=np.ones_like(A), where=t != 0)
    ends = np.cumsum([0, *(np.size(a) for a in got.values())])
    even = [np.ptp(ratio[:, a:b], axis=1) <= 1e-9 for a, b in itertools.pairwise(ends) if a < b]
    factors = np.flatnonzero(np.all(even, axis=0))
    F = ratio[factors]
    left[:, factors] = np.minimum(left[:, factors], (A * A) @ (F * F).T - 2 * A @ (F * g).T + np.sum(g * g))
    left = np.minimum(left, left.T)
    first, second = np.triu_indices(len(A), 1)
    keys = (left, -explained - explained.T, np.round(against / len(g), 2))
    near, certain, possible = (key[first, second] for key in keys)
    orders = np.lexsort((near, possible))[:most], np.lexsort((near, certain, possible))[: most // 2]
    order = np.concatenate([np.stack([a[: most // 2] for a in orders], axis=1).ravel(), orders[0][most // 2 :]])
    found = list(zip(first[order].tolist(), second[order].tolist(), strict=True))
    agreeing = np.argsort(np.sum(other & wrong, axis=1), kind="stable")[:6].tolist()
    movers = np.setdiff1d(np.flatnonzero(cheap), factors).tolist()
    found += [(min(i, j), max(i, j)) for j in movers for i in agreeing if i != j][:most]
    return [(int(index[i]), int(index[j])) for i, j in dict.fromkeys(found)]


def _some(arrays: Arrays) -> dict[str, Any]:
    """Of each array all numbers, or of a large one so many, spread over it, without the others."""
    large = {k for k, a in arrays.items() if np.size(a) > SEEN}
    return {
        k: np.ravel(a)[:: -(-np.size(a) // SEEN)].copy() if k in large else np.asarray(a) for k, a in arrays.items()
    }


def _norm(a: Any) -> float:
    return float(np.linalg.norm(a))


def _typical(a: Any) -> float:
    return float(_norm(a) / max(np.size(a), 1) ** 0.5)


def _distance(got: Arrays, other: Arrays, size: Mapping[str, float]) -> float:
    return float(np.linalg.norm([_norm(a - other[k]) / size[k] for k, a in got.items()]))
