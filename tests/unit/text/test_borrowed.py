"""Another language in known phones: every sound has a symbol, the known ones keep their names, the others a nearest phone."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from fm_audio.adapt.growth import grow
from fm_audio.adapt.likening import likened, shared_out
from fm_audio.checkpoint import load_model
from fm_audio.data.text import borrowed, espeak
from fm_audio.data.text.arpabet import PHONES, Arpabet
from fm_audio.data.text.characters import Characters
from fm_audio.data.text.extended import Extended
from fm_audio.data.text.frontend import Token, Word
from fm_audio.tasks.aligned_tts import AlignedTTS

MARKS = set("ˈˌːˑ˞ʰʷˠˤ̩̯̊̆̚͡ʔ")  # lengths, ties and what colours the sound before
CLICKS_AND_RARE = set("ǀǁǂǃʘɧɮɺʄʙʛʜʟʡʢ")
SAID = {"Ich": "ɪç", "möchte": "mˈœçtə", "Über": "ˈyːbɜ", "Zeug": "tsˈɔøk", "Matsch": "mˈatʃ"}


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> borrowed.BorrowedPhones:
    """eSpeak's answers for a few words, as it gives them."""

    def tokens(self: espeak.Espeak, text: str) -> list[Token]:
        return [Word(word, (tuple(SAID[word]),)) for word in text.split()]

    monkeypatch.setattr(espeak.Espeak, "tokens", tokens)
    return borrowed.BorrowedPhones("de")


def test_known_phones_keep_their_names_and_places(german: borrowed.BorrowedPhones) -> None:
    assert german.symbols[: len(Arpabet().symbols)] == Arpabet().symbols and len(set(german.symbols)) == len(german.symbols)
    assert set(german.stand_ins) == set(german.symbols) - set(Arpabet().symbols)
    assert set(german.stand_ins.values()) <= set(PHONES)
    assert set(Extended(Arpabet(), german).new_symbols) == set(german.stand_ins)


def test_almost_every_sound_of_espeak_has_a_symbol() -> None:
    unread = {c for c in espeak.IPA if borrowed.sounds([c]) == ("AH0",)} - {"ə", "ʌ"}
    assert unread <= MARKS | CLICKS_AND_RARE


@pytest.mark.parametrize(
    ("ipa", "symbols"),
    [
        ("mˈatʃ", "M a1 CH"),
        ("tsvˈaɪ", "T S V AY1"),
        ("kˈɛːzəkˌuːxən", "K ɛː1 Z AH0 K UW2 x AH0 N"),
        ("bɔ̃", "B ɔ0 ̃"),
        ("nˈotːe", "N o1 T T e0"),
        ("ʔ", "AH0"),
    ],
)
def test_sounds(ipa: str, symbols: str) -> None:
    assert borrowed.sounds(ipa) == tuple(symbols.split(" "))


def test_stand_ins_take_the_frames_symbol_by_symbol(german: borrowed.BorrowedPhones) -> None:
    own = Extended(Arpabet(), german)
    taken = likened(own.encode("Ich möchte Zeug"), Arpabet(), own.stand_ins)
    assert " ".join(taken.encoded.symbols[1:3]) == "IH0 SH" and taken.own.symbols[1:3] == ["IH0", "ç"]
    assert [Arpabet().symbols[i] for i in taken.encoded.ids] == taken.encoded.symbols
    durations = torch.arange(1, 1 + len(taken.encoded.ids))
    assert shared_out(taken, durations).equal(durations)


def test_a_base_of_other_symbols_has_no_stand_ins(german: borrowed.BorrowedPhones) -> None:
    assert Extended(Characters(), german).stand_ins is None
    assert Extended(Arpabet(), Characters()).stand_ins is None


def test_new_rows_begin_as_their_stand_ins(german: borrowed.BorrowedPhones, tiny_voice: Path) -> None:
    talker = load_model(tiny_voice)
    assert isinstance(talker, AlignedTTS)
    old = talker.text.embedding.weight.detach().clone()
    grow(talker, "carl", german, seed=0)
    grown: Sequence[str] = talker.front_ends["carl"].symbols
    rows = talker.text.embedding.weight
    assert rows[: len(old)].equal(old) and len(rows) == len(grown)
    known = Arpabet().symbols
    for symbol, phone in german.stand_ins.items():
        assert rows[grown.index(symbol)].equal(old[known.index(phone)])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="pip install fm_audio[phonemes]")
def test_espeak_says_what_the_answers_above_say() -> None:
    front_end = borrowed.BorrowedPhones("de")
    for word, ipa in SAID.items():
        encoded = front_end.encode(word)
        (_, first, last) = encoded.words[0]
        assert tuple(encoded.symbols[first:last]) == borrowed.sounds(ipa), word
