"""Which units follow the text: correlations, their correction, and the candidates."""

import numpy as np

from analysis.inside import units


def test_correlations_are_those_of_shifted_candidates() -> None:
    rng = np.random.default_rng(0)
    values, candidate = rng.standard_normal((30, 3, 2)), rng.standard_normal((30, 3))
    values[..., 1] = 4
    found = units.correlations(values, candidate)
    for s in (0, 1, 17):
        shifted = np.roll(candidate, s, axis=0)
        np.testing.assert_allclose(found[s, 0], np.corrcoef(values[..., 0].ravel(), shifted.ravel())[0, 1], atol=1e-12)
    assert np.all(found[:, 1] == 0)


def test_a_unit_that_follows_is_found_and_chance_is_not() -> None:
    """Slow units, among which one counts; without it, 20 looks at 40 units follow nothing more often than is due."""
    confirmed, low = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        steps = np.cumsum(rng.standard_normal((325, 8, 40)), axis=0)
        values = steps[25:] - steps[:-25]  # each remembers 25 steps
        said = "".join(rng.choice(list("abcd .\n"), 2400))
        candidates = {k: units.CANDIDATES[k](said).reshape(8, 300).T for k in ("position in line", "place in word")}
        found = units.followers(values, candidates)
        low += [one["p"] for one in found]
        assert not any(one["confirmed"] for one in found)
        if seed < 3:
            values[..., 7] = -2 * candidates["position in line"] + 0.2 * values[..., 7]
            confirmed += [(one["unit"], one["confirmed"]) for one in units.followers(values, candidates)[:1]]
    assert confirmed == [(7, True)] * 3
    assert np.sum(np.array(low) <= units.LEVEL) <= 4  # of 40; 2 or fewer are due


def test_candidates_say_what_stands_in_the_text() -> None:
    text = "ab (c:\n\n d[e]\nf:"
    found = {name: "".join(f"{v:.0f}" for v in follows(text)) for name, follows in units.CANDIDATES.items()}
    assert found == {
        "position in line": "1234560012345012",
        "place in word": "1200100001010010",
        "line ends with a colon": "1111111000000011",
        "line is indented": "0000000011111100",
        "open brackets": "0001111000110000",
        "line of paragraph": "0000001000000111",
    }
