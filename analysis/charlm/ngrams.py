"""What counting alone predicts: n-grams with Witten-Bell smoothing, the lines that a network has to beat."""

from typing import Any

import numpy as np

NAMES = {1: "unigram", 2: "bigram", 3: "trigram", 5: "5-gram"}


def losses(train: Any, held_out: Any, symbols: int) -> dict[str, float]:
    """The mean loss of each in nats per symbol of ``held_out``, counted in ``train``; both are codes.

    p_n = (count(gram) + kinds(context) p_{n-1}) / (count(context) + kinds(context)), p_0 uniform; kinds is how many
    different symbols followed the context (Witten & Bell 1991).
    """
    text, N = np.concatenate([train, held_out]), len(train)
    grams, p = np.zeros(len(text), int), np.full(len(text), 1 / symbols)
    found = {}
    for n in range(1, max(NAMES) + 1):
        contexts = np.concatenate([[len(text)], grams[:-1]]) if n > 1 else grams  # the n-1 symbols before each
        _, grams = np.unique(contexts * symbols + text, return_inverse=True)
        seen = np.bincount(grams[:N], minlength=len(text))
        followed = np.bincount(contexts[:N], minlength=len(text) + 1)
        _, first = np.unique(grams[:N], return_index=True)
        kinds = np.bincount(contexts[first], minlength=len(text) + 1)
        known = followed[contexts] > 0
        smoothed = (seen[grams] + kinds[contexts] * p) / np.maximum(followed + kinds, 1)[contexts]
        p = np.where(known, smoothed, p)
        if n in NAMES:
            found[NAMES[n]] = float(-np.mean(np.log(p[N + 1 :])))
    return found
