"""The default front-end: its contract of ids, the dictionary, words nobody lists, neighbours, breaks, and what it refuses."""

from __future__ import annotations

import random

import pytest

from fm_audio.data.text.arpabet import PHONES, SYMBOLS, Arpabet
from fm_audio.data.text.frontend import EDGE, PUNCTUATION, SPACE, FrontEnd
from fm_audio.data.text.lexicon import known, pronunciations
from fm_audio.data.text.spelling import one_stress
from fm_audio.types import FmAudioError

FRONTEND = Arpabet()


def said(text: str) -> list[str]:
    encoded = FRONTEND.encode(text)
    return [" ".join(encoded.symbols[a:b]) for _, a, b in encoded.words]


def test_ids_are_a_contract_with_trained_models() -> None:
    assert SYMBOLS[:10] == ("_", "^", " ", ",", ".", "!", "?", ";", ":", "-")
    assert SYMBOLS[10:13] == ("B", "CH", "D") and SYMBOLS[34:37] == ("AA0", "AA1", "AA2") and SYMBOLS[-1] == "UW2"
    assert len(SYMBOLS) == len(set(SYMBOLS)) == 79
    assert isinstance(FRONTEND, FrontEnd)


def test_an_encoding_has_edges_boundaries_and_words() -> None:
    encoded = FRONTEND.encode("Hello, big world!")
    assert encoded.symbols[0] == encoded.symbols[-1] == EDGE
    assert [w for w, _, _ in encoded.words] == ["hello", "big", "world"]
    between = [s for i, s in enumerate(encoded.symbols) if not any(a <= i < b for _, a, b in encoded.words)]
    assert between == [EDGE, ",", SPACE, SPACE, "!", EDGE]
    assert [SYMBOLS[i] for i in encoded.ids] == encoded.symbols


def test_the_dictionary_is_there() -> None:
    assert said("hello cat thought") == ["HH AH0 L OW1", "K AE1 T", "TH AO1 T"]
    assert len(known("read")) == 2 and known("zzyzxq") == ()
    assert all(p in PHONES for word in ("queue", "rhythm", "colonel", "xylophone") for option in known(word) for p in option)


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("unpronounceable", "AH2 N P R AH0 N AW1 N S AH0 B AH0 L"),
        ("blogs", "B L AO1 G Z"),
        ("hiving", "HH AY1 V IH0 NG"),
        ("armchair's", "AA1 R M CH EH2 R Z"),
        ("FBI", "EH2 F B IY2 AY1"),
        ("XQ", "EH2 K S K Y UW1"),
        ("hmpf", "EY2 CH EH2 M P IY2 EH1 F"),
        ("snow-white", "S N OW1 W AY1 T"),
    ],
)
def test_words_that_no_dictionary_holds(word: str, phones: str) -> None:
    assert " ".join(pronunciations(word)[0]) == phones


def test_letters_to_sound_is_speakable_and_the_same_twice() -> None:
    draw = random.Random(1)
    for _ in range(15):
        word = "".join(draw.choice("bcdfghklmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(2, 6)))
        options = pronunciations(word)
        assert options and options == pronunciations.__wrapped__(word)
        assert all(p in PHONES for p in options[0]) and sum(p.endswith("1") for p in options[0]) >= 1
    assert " ".join(pronunciations("blorfing")[0]) == "B L AO1 R F IH0 NG"


def test_one_stress() -> None:
    assert one_stress(["K", "AE0", "T"]) == ("K", "AE1", "T")
    assert one_stress(["AE1", "K", "AE1"]) == ("AE1", "K", "AE2")
    assert one_stress(["S", "T"]) == ("S", "T")


def test_neighbours_decide() -> None:
    assert said("the apple the pear")[::2] == ["DH IY0", "DH AH0"]
    assert said("to go to eat")[::2] == ["T AH0", "T UW1"]
    assert said("I will read what I have read")[2::4] == ["R IY1 D", "R EH1 D"]
    assert said("to record a record")[1::2] == ["R AH0 K AO1 R D", "R EH1 K ER0 D"]
    assert said("they live near live music")[1::2] == ["L IH1 V", "L AY1 V"]
    assert said("the wind")[1] == "W IH1 N D"


def test_breaks_force_pauses() -> None:
    encoded = FRONTEND.encode("<break 1s>Go <break 500ms> now, <break time='250ms'/> <break .25s> please <break 2s>")
    assert sum(encoded.pauses_seconds.values()) == pytest.approx(4.0)
    assert encoded.pauses_seconds[0] == 1.0 and encoded.pauses_seconds[len(encoded) - 1] == 2.0
    forced = [encoded.symbols[i] for i in encoded.pauses_seconds]
    assert forced == [EDGE, SPACE, ",", SPACE, EDGE]
    assert FRONTEND.encode("Go now.").pauses_seconds == {}


def test_random_texts_keep_the_grammar() -> None:
    """`^ word mark? space word … ^`, whatever the text was."""
    draw = random.Random(2)
    pieces = [
        "cat",
        "Zorg",
        "3.5",
        "$4",
        "...",
        "-",
        "--",
        "?!",
        "(so)",
        "e.g.",
        "'s",
        "☃",
        "U.S.",
        "<break 1s>",
        "naïve",
        "x2",
        "'",
    ]
    for _ in range(150):
        encoded = FRONTEND.encode("yes " + " ".join(draw.choices(pieces, k=draw.randint(0, 8))))
        assert encoded.symbols[0] == encoded.symbols[-1] == EDGE and 0 not in encoded.ids and EDGE not in encoded.symbols[1:-1]
        ends = [1]
        for _, a, b in encoded.words:
            assert b > a and all(s in PHONES for s in encoded.symbols[a:b])
            gap = encoded.symbols[ends[-1] : a]
            assert a == 1 or gap[-1:] == [SPACE] and len(gap) <= 2 and all(s in PUNCTUATION for s in gap[:-1])
            ends.append(b)
        assert len(encoded) - ends[-1] in (1, 2)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "   ",
        "...!?",
        "😀🎉",
        "\ud800",
        "世界",
        "x" * 5000,
        "hi <break 5>",
        "hi <break",
        "<b>hi</b>",
        "hi <break 0s>",
        "hi <break 99s>",
    ],
)
def test_what_cannot_be_read_is_refused(bad: str) -> None:
    with pytest.raises(FmAudioError, match="text:"):
        FRONTEND.encode(bad)
