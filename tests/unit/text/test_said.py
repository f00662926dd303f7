"""`{word|phones}`: what is written so is said so, wherever a text goes."""

from __future__ import annotations

import pytest

from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.characters import Characters
from fm_audio.data.text.f5 import F5Characters
from fm_audio.data.text.said import as_written
from fm_audio.data.text.sentences import split_sentences
from fm_audio.evaluation.metrics import score_sentence
from fm_audio.types import FmAudioError


def said(text: str) -> list[tuple[str, str]]:
    encoded = Arpabet().encode(text)
    return [(word, " ".join(encoded.symbols[a:b])) for word, a, b in encoded.words]


def test_it_wins_over_the_dictionary_and_the_neighbours() -> None:
    assert said("{flib|F L IH1 B} hello")[0] == ("flib", "F L IH1 B")
    assert said("the {hello|HH EH1 L}")[1] == ("hello", "HH EH1 L")
    assert said("{the|DH IY1} cat")[0] == ("the", "DH IY1"), "no weak form"
    assert said("music {live|L IH1 V} music")[1] == ("live", "L IH1 V"), "whatever its neighbours ask for"
    assert said("to {apple|P IH1}")[0] == ("to", "T AH0"), "and they go by its phones"


def test_what_stands_around_it_stays() -> None:
    encoded = Arpabet().encode("Dear { Siobhan | SH IH0 V AO1 N }, it costs $5 <break 300ms> now.")
    assert [w for w, _, _ in encoded.words] == ["dear", "Siobhan", "it", "costs", "five", "dollars", "now"]
    assert encoded.symbols[encoded.words[1][2]] == "," and list(encoded.pauses_seconds.values()) == [0.3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("say {flib|}", "needs a word and its phones"),
        ("say {|F L IH1 B}", "needs a word and its phones"),
        ("say {flib|F L IH B}", "'IH' is no phone of this voice; a vowel has its stress: IH0, IH1, IH2"),
        ("say {flib|flɪb}", "'flɪb' is no phone of this voice; write CMUdict's"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(FmAudioError, match=message):
        said(text)


def test_braces_alone_are_no_markup() -> None:
    assert said("a {b} c") == said("a b c")


def test_voices_that_are_told_no_phones_refuse_it() -> None:
    for frontend in (Characters("abcdefghijklmnopqrstuvwxyz"), F5Characters([" ", "a"])):
        with pytest.raises(FmAudioError, match="this voice reads letters; spell the word as it sounds"):
            frontend.encode("a {flib|F L IH1 B}")


def test_it_is_never_cut_and_judges_hear_the_word() -> None:
    text = "one two three {Siobhan|SH IH0 V AO1 N} four five six seven"
    assert any("{Siobhan|SH IH0 V AO1 N}" in piece for piece in split_sentences(text, 30))
    assert as_written(text) == "one two three Siobhan four five six seven"
    assert score_sentence(text, "One two three, Siobhan: four five six seven.").words.total == 0
