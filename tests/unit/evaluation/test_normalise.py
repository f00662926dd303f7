"""What sounds the same is the same to the score, and what sounds different stays different."""

from __future__ import annotations

import pytest

from fm_audio.evaluation.normalise import normalise

SAME = [
    ("The birch canoe slid.", "the birch canoe slid"),
    ("It's easy", "it’s EASY!"),
    ("Four hours", "4 hours"),
    ("for the twentieth time", "for the 20th time"),
    ("one thousand two hundred fifty men", "1,250 men"),
    ("in nineteen fifty eight", "in 1958"),
    ("three point one four", "3.14"),
    ("five dollars and fifty cents", "five dollars and fifty cents"),
    ("one dollar", "$1"),
    ("twelve hundred", "twelve  hundred"),
    ("at seven oh five", "at 7:05"),
    ("seven thirty", "7:30"),
    ("ten percent", "10%"),
    ("salt and pepper", "salt & pepper"),
    ("Mister Brown and Doctor Green", "Mr. Brown and Dr. Green"),
    ("the gray color of the harbor", "the grey colour of the harbour"),
    ("traveled", "travelled"),
    ("a well-known café", "a well known cafe"),
    ("cannot", "can not"),
    ("(aside) [noted]", "aside noted"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_sound_agree(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("it is", "it's"), ("the cat", "a cat"), ("four", "five"), ("1,250", "1,205"), ("our", "or"), ("hour", "hor")],
)
def test_different_sounds_differ(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize("text", [one for one, _ in SAME] + ["Straße, 3×4 – naïve … 😀", "007 & $12.05"])
def test_a_second_time_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize("text", ["", " … !?", "😀😀", "''"])
def test_nothing_sayable_is_empty(text: str) -> None:
    assert normalise(text) == ""


def test_other_languages_keep_their_accents_and_read_their_own_numbers() -> None:
    assert normalise("Über 25 Stück!", "de") == "über fünfundzwanzig stück"
    assert normalise("नमस्ते", "hi") == "नमस्ते"


def test_an_unknown_language_keeps_its_digits() -> None:
    assert normalise("foo 25", "zz") == "foo 25"
