"""German read as an English reader would: words stay words, frames are shared out whole, letters begin as their sounds."""

from __future__ import annotations

import pytest
import torch

from fm_audio.adapt.likening import Likened, likened, rows_like, shared_out
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.characters import GERMAN, Characters
from fm_audio.data.text.extended import Extended
from fm_audio.types import FmAudioError

BASE = Arpabet()
READS = Extended(BASE, Characters(GERMAN, english=False))
TEXT = "Über die Straße, und dann: nichts."


@pytest.fixture
def taken() -> Likened:
    return likened(READS.encode(TEXT), BASE)


def test_words_stay_words(taken: Likened) -> None:
    assert [w for w, _, _ in taken.encoded.words] == ["uber", "die", "strasse", "und", "dann", "nichts"]
    spelled = ["".join(taken.own.symbols[a:b]) for a, b, _, _ in taken.words()]
    assert spelled == ["über", "die", "straße", "und", "dann", "nichts"]


def test_each_word_keeps_its_frames_and_every_symbol_has_one(taken: Likened) -> None:
    durations = torch.randint(8, 20, (len(taken.encoded.ids),), generator=torch.Generator().manual_seed(0))
    shared = shared_out(taken, durations)
    assert shared.sum() == durations.sum() and (shared >= 1).all() and len(shared) == len(taken.own.ids)
    ends, base_ends = shared.cumsum(0), durations.cumsum(0)
    for first, last, base_first, base_last in taken.words():
        assert abs(int(ends[first - 1]) - int(base_ends[base_first - 1])) <= 1
        assert abs(int(ends[last - 1]) - int(base_ends[base_last - 1])) <= 1


def test_letters_begin_as_the_sounds_that_stand_in_their_place() -> None:
    texts = ["dann und dann", "das und dies", "du dort", "die dame", "im dom"]
    every = [likened(READS.encode(text), BASE) for text in texts]
    known, drawn = torch.eye(len(BASE.symbols)), torch.full((len(READS.new_symbols), len(BASE.symbols)), -1.0)
    rows = rows_like(every, READS.new_symbols, known, drawn)
    assert BASE.symbols[int(rows[READS.new_symbols.index("d")].argmax())] == "D"
    assert BASE.symbols[int(rows[READS.new_symbols.index("n")].argmax())] == "N"
    assert (rows[READS.new_symbols.index("ß")] == -1).all(), "it never stood in a word"


def test_another_script_cannot_be_likened() -> None:
    cyrillic = Characters("абвгдежзийклмнопрстуфхцчшщъыьэюя", english=False)
    with pytest.raises(FmAudioError):
        likened(Extended(BASE, cyrillic).encode("привет мир"), BASE)
