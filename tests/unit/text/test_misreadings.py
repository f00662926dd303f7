"""A text that was changed says of itself what was said and what was not."""

from __future__ import annotations

import numpy as np
import pytest

from fm_audio.data.text.misreadings import CHANGES, Change, Misread, Misreading, altered, at_an_end, doubled, dropped

WORDS = ((1, 2), (3,), (4, 5, 6), (7, 8))
OTHERS = ((9, 10), (11, 12, 13))


def said(text: Misread) -> list[tuple[int, ...]]:
    return [word for word, unsaid in zip(text.words, text.unsaid, strict=True) if not unsaid]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("seed", range(10))
def test_what_is_left_of_a_change_was_said(change: Change, seed: int) -> None:
    text = change(Misread.true(WORDS), OTHERS, np.random.default_rng(seed))
    assert len(text.more) == len(text.words) + 1 and len(text.labels) == 2 * len(text.words) + 1
    assert text.faulty == (text.words != WORDS)
    kept, rest = said(text), list(WORDS)
    for word in kept:
        assert word in rest
        del rest[: rest.index(word) + 1]
    if change in (doubled, at_an_end):
        assert kept == list(WORDS) and not any(text.more)
    if change is altered and text.faulty:
        [at] = [i for i, unsaid in enumerate(text.unsaid) if unsaid]
        assert len(text.words[at]) == len(WORDS[at])


def test_where_a_word_is_left_out_something_else_was_said() -> None:
    text = dropped(Misread.true(WORDS), OTHERS, np.random.default_rng(0))
    [at] = [i for i, more in enumerate(text.more) if more]
    assert text.words == WORDS[:at] + WORDS[at + 1 :] and text.labels[2 * at]
    alone = Misread.true(WORDS[:1])
    assert dropped(alone, OTHERS, np.random.default_rng(0)) is alone, "no text loses its last word"


def test_as_many_stay_true_as_shall_and_none_outgrows_its_room() -> None:
    draw, many = np.random.default_rng(0), 2000
    texts = [Misreading(true=0.35)(WORDS, OTHERS, 99, draw) for _ in range(many)]
    assert 0.33 < np.mean([not text.faulty for text in texts]) < 0.5
    assert all(sum(map(len, Misreading()(WORDS, OTHERS, 9, draw).words)) <= 9 for _ in range(many))
    assert all(not Misreading(true=1.0)(WORDS, OTHERS, 99, draw).faulty for _ in range(20))
