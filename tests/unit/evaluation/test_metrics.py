"""Perfect input scores zero, known edits are counted, and intervals hold what they promise."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fm_audio.evaluation.metrics import (
    Edits,
    difference_interval,
    mean_interval,
    rate_interval,
    real_time_factor,
    score_sentence,
    timed,
)
from fm_audio.types import FmAudioError


def test_perfect_hearing_has_no_error() -> None:
    score = score_sentence("Kick the ball straight, and follow through.", "kick the ball straight and follow through")
    assert (score.words.total, score.characters.total, score.left_out, score.said_twice) == (0, 0, [], [])
    assert score.words.units == 7
    assert score.characters.units == len("kick the ball straight and follow through")


def test_hearing_nothing_is_one_hundred_percent() -> None:
    score = score_sentence("Two blue fish swam in the tank.", "")
    assert score.words == Edits(7, 0, 7, 0)
    assert score.words.rate == score.characters.rate == 1
    assert score.left_out == "two blue fish swam in the tank".split()


@pytest.mark.parametrize(
    ("heard", "substitutions", "deletions", "insertions"),
    [
        ("the stray bat gave birth to kittens", 1, 0, 0),
        ("stray cat gave birth to kittens", 0, 1, 0),
        ("the stray cat gave birth to nine kittens", 0, 0, 1),
        ("the tray cat birth to nine kittens", 1, 1, 1),
    ],
)
def test_known_edits(heard: str, substitutions: int, deletions: int, insertions: int) -> None:
    score = score_sentence("The stray cat gave birth to kittens.", heard)
    assert score.words == Edits(7, substitutions, deletions, insertions)


def test_characters_are_counted_with_spaces() -> None:
    assert score_sentence("a cat", "a bat").characters == Edits(5, 1, 0, 0)
    assert score_sentence("a cat", "acat").characters == Edits(5, 0, 1, 0)


@pytest.mark.parametrize(
    ("heard", "twice"),
    [
        ("the the cat sat down", ["the"]),
        ("the cat the cat sat down", ["cat", "the"]),
        ("the cat sat down sat down", ["down", "sat"]),
        ("the cat sat right down", []),
        ("the cat sat down", []),
    ],
)
def test_words_said_twice(heard: str, twice: list[str]) -> None:
    assert sorted(score_sentence("The cat sat down.", heard).said_twice) == twice


def test_a_repeat_that_was_asked_for_is_no_fault() -> None:
    assert score_sentence("Very, very good.", "very very good").said_twice == []
    assert score_sentence("Very, very good.", "very good").left_out == ["very"]


def test_two_words_heard_as_one_are_not_left_out() -> None:
    score = score_sentence("The door knob was made of brass.", "the doorknob was made of brass")
    assert score.words.deletions == 1
    assert score.left_out == []


def test_a_reference_without_words_is_refused() -> None:
    with pytest.raises(FmAudioError, match="no words to score"):
        score_sentence("…!", "hello")


def test_rate_weighs_sentences_by_their_words() -> None:
    assert rate_interval([Edits(10, 1, 0, 0), Edits(30, 0, 0, 1)]).value == 2 / 40


def test_interval_is_seeded() -> None:
    edits = [Edits(8, e, 0, 0) for e in (0, 0, 1, 3, 0, 2, 0, 0)]
    assert rate_interval(edits, seed=1) == rate_interval(edits, seed=1)
    assert rate_interval(edits, draws=200, seed=1) != rate_interval(edits, draws=200, seed=2)


def test_interval_surrounds_the_value_and_widens_with_confidence() -> None:
    edits = [Edits(8, e, 0, 0) for e in (0, 0, 1, 3, 0, 2, 0, 0)]
    narrow, wide = rate_interval(edits, confidence=0.5), rate_interval(edits, confidence=0.95)
    assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Sentences of 8 words, each wrong with probability 0.1: of 200 experiments about 95 % of intervals hold 0.1."""
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        edits = [Edits(8, int(e), 0, 0) for e in draw.binomial(8, 0.1, 60)]
        interval = rate_interval(edits, draws=500)
        held += interval.low <= 0.1 <= interval.high
    assert 0.88 <= held / 200 <= 1.0


def test_interval_shrinks_with_the_root_of_the_sentences() -> None:
    edits = [Edits(8, e, 0, 0) for e in (0, 1, 2, 0)]
    few, many = rate_interval(edits * 10), rate_interval(edits * 40)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(2, rel=0.15)


def test_mean_interval_agrees_with_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(3.0, 0.5, 400)
    interval = mean_interval(values.tolist())
    half = 1.96 * values.std() / 20
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_pairs_cancel_hard_sentences() -> None:
    """One word more wrong in every sentence is a certain difference, however much the sentences differ."""
    baseline = [Edits(10, e, 0, 0) for e in (0, 5, 1, 4, 0, 3)]
    worse = [Edits(10, e.substitutions + 1, 0, 0) for e in baseline]
    difference = difference_interval(worse, baseline)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    same = difference_interval(baseline, baseline)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_real_time_factor() -> None:
    assert real_time_factor([0.1, 0.3], [2.0, 6.0]) == pytest.approx(0.05)
    result, seconds = timed(lambda: time.sleep(0.02) or "said")  # type: ignore[func-returns-value]
    assert result == "said"
    assert seconds >= 0.02, "the clock ran while it worked"
