"""Long texts in pieces: nothing is lost, nothing is too long, and sentences end where a reader would end them."""

from __future__ import annotations

import random

import pytest

from fm_audio.data.text.sentences import split_sentences
from fm_audio.types import FmAudioError


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three? Four", 4),
        ("Dr. Smith met Mr. J. R. Jones at 5 p.m. in the U.S. Army. They left.", 2),
        ("It costs $3.50 at example.com. Good.", 2),
        ("He said: “Go away.” Then he left.", 2),
        ("We met at 9 a.m. The rest is history.", 2),
        ("Apples, e.g. red ones, fell. So did I. And he.", 3),
        ("See No. 5. It is alive.", 2),
        ("A heading\n\nA paragraph", 2),
        ("Wait... what? Yes", 2),
        ("Go. <break 500ms> Stop.", 2),
        ("no end", 1),
        ("", 1),
        ("?!", 1),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, count: int) -> None:
    pieces = split_sentences(text)
    assert len(pieces) == count, pieces
    assert squeezed("".join(pieces)) == squeezed(text)


def test_nothing_is_lost_and_nothing_too_long() -> None:
    draw = random.Random(0)
    words = [
        "a",
        "word",
        "Mr.",
        "e.g.",
        "end.",
        "what?",
        "so,",
        "thus;",
        "—",
        "3.5",
        "\n\n",
        "…",
        "(yes)",
        "extraordinarily",
        "!",
        "<break 1s>",
    ]
    for _ in range(200):
        text = " ".join(draw.choices(words, k=draw.randint(1, 120)))
        most = draw.choice([20, 40, 90, 300])
        pieces = split_sentences(text, most)
        assert squeezed("".join(pieces)) == squeezed(text)
        assert all(0 < len(p) <= most and p == p.strip() for p in pieces)
        assert all(p.count("<") == p.count(">") for p in pieces)


def test_long_sentences_break_at_clauses_first() -> None:
    text = "When the sun had set behind the hills, the travellers stopped; they had walked for many hours without a word."
    assert split_sentences(text, 80)[0].endswith("stopped;")


def test_a_word_without_end_is_refused() -> None:
    with pytest.raises(FmAudioError, match="no place to cut"):
        split_sentences("x" * 5000)
    with pytest.raises(FmAudioError, match="at least 20"):
        split_sentences("hello", 5)
