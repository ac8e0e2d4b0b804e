"""How good translations are: how many are exact, the share of symbols that are wrong, and BLEU."""

from collections.abc import Sequence
from typing import NamedTuple


class Measures(NamedTuple):
    """Shares of 1. ``errors`` are insertions, deletions and replacements, over the symbols of the targets."""

    exact: float
    errors: float

    def __str__(self) -> str:
        return f"exact {self.exact:.1%}, wrong symbols {self.errors:.2%}"


def measured(found: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> Measures:
    """The measures of what was found for each target."""
    from rapidfuzz.distance import Levenshtein

    both = [(list(a), list(b)) for a, b in zip(found, targets, strict=True)]
    edits = sum(Levenshtein.distance(a, b) for a, b in both)
    return Measures(sum(a == b for a, b in both) / len(both), edits / sum(len(b) for _, b in both))


def bleu(found: Sequence[str], targets: Sequence[str], words: bool) -> str:
    """BLEU of texts, from 0 to 100, and how it was taken (Post 2018); ``words`` stand between spaces, as they are."""
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize="none" if words else "13a", force=True)  # not to be told that they do
    score = metric.corpus_score(list(found), [list(targets)])
    return f"BLEU {score.score:.1f} ({metric.get_signature()})"
