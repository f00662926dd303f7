"""Phones that were heard: paths against all paths, and what was done to a text is its likeliest alternative."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fm_audio.evaluation.phone_alternatives import likeliest_paths, phone_alternatives
from fm_audio.tasks.phone_reader import CLASSES, SILENCE

WORDS = [[1, 2, 3], [4, 5], [6, 7, 8, 9]]


def heard(phones: list[int], each: int = 3, sure: float = 4.0) -> np.ndarray:
    """Every phone for some tokens, a little noisy, as log probabilities."""
    scores = np.random.default_rng(0).normal(size=(each * len(phones), len(CLASSES)))
    scores[np.arange(len(scores)), np.repeat(phones, each)] += sure + 2
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


@pytest.mark.parametrize("seed", range(15))
def test_no_other_path_is_likelier(seed: int) -> None:
    draw = np.random.default_rng(seed)
    texts = [[[1], [2, 1]], [[3, 2]], [[1]]]
    tokens = draw.normal(size=(int(draw.integers(3, 6)), 4))

    def best(text: list[list[int]]) -> float:
        """Over all ways to say every phone for one token or more, with silences of any length around words."""
        row = [c for word in text for c in (SILENCE, *word)] + [SILENCE]
        silences = {0, *itertools.accumulate([len(w) + 1 for w in text])}
        scores = []
        for path in itertools.combinations_with_replacement(range(len(row)), len(tokens)):
            if all(i in path or i in silences for i in range(len(row))):
                scores.append(sum(tokens[j, row[i]] for j, i in enumerate(path)))
        return max(scores)

    np.testing.assert_allclose(likeliest_paths(tokens, texts), [best(text) for text in texts], atol=1e-9)


@pytest.mark.parametrize(
    ("said", "kind", "word"),
    [
        ([1, 2, 3, 6, 7, 8, 9], "missing", 1),
        ([1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9], "repeated", 1),
        ([1, 2, 3, 4, 5, 10, 11, 12, 6, 7, 8, 9], "added", 1),
        ([10, 11, 12, 13, 1, 2, 3, 4, 5, 6, 7, 8, 9], "added", 0),
        ([1, 2, 3, 4, 5, 20, 21, 22, 23], "garbled", 2),
    ],
)
def test_what_was_done_is_the_likeliest(said: list[int], kind: str, word: int) -> None:
    found = phone_alternatives(heard(said), WORDS)
    best = max(found, key=lambda k: found[k][0])
    assert best == kind and found[kind][1] == word and found[kind][0] > 5


def test_a_whole_recording_has_no_likely_alternative() -> None:
    pauses = [SILENCE, 1, 2, 3, SILENCE, SILENCE, 4, 5, 6, 7, 8, 9, SILENCE]
    found = phone_alternatives(heard(pauses), WORDS)
    assert set(found) == {"missing", "repeated", "added", "garbled"} and max(v for v, _ in found.values()) < 0


def test_what_does_not_fit_is_not_weighed() -> None:
    assert "missing" not in phone_alternatives(heard([1, 2, 3]), [[1, 2, 3]])
    found = phone_alternatives(heard([1, 2, 3], each=1), [[1, 2, 3]])
    assert set(found) == {"garbled"}, "in three tokens no more than three phones"
