"""Characters, subwords and eSpeak: the same contract as the default front-end."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest

from fm_audio.data.text.characters import GERMAN, Characters
from fm_audio.data.text.espeak import IPA, Espeak
from fm_audio.data.text.frontend import COMMON_SYMBOLS, EDGE, FrontEnd
from fm_audio.data.text.subwords import SentencePiece
from fm_audio.types import FmAudioError


def check(frontend: FrontEnd, text: str, words: list[str]) -> None:
    encoded = frontend.encode(text)
    assert isinstance(frontend, FrontEnd) and frontend.symbols[: len(COMMON_SYMBOLS)] == COMMON_SYMBOLS
    assert len(set(frontend.symbols)) == len(frontend.symbols)
    assert [frontend.symbols[i] for i in encoded.ids] == encoded.symbols
    assert encoded.symbols[0] == encoded.symbols[-1] == EDGE and 0 not in encoded.ids
    assert [w for w, _, _ in encoded.words] == words
    spans = [i for _, a, b in encoded.words for i in range(a, b)]
    assert spans == sorted(set(spans)) and all(a < b for _, a, b in encoded.words)


def test_characters() -> None:
    check(Characters(), "It’s 3 o'clock, Zoë!", ["it's", "three", "o'clock", "zoe"])
    check(Characters(GERMAN, english=False), "Größe, Übermut – ja?", ["größe", "übermut", "ja"])
    assert Characters().encode("ab <break 1s> c").pauses_seconds == {3: 1.0}


@pytest.mark.parametrize("bad", ["", "?!", "😀", "\ud800", "x" * 5000, "мир", "<i>a</i>"])
def test_characters_refuse(bad: str) -> None:
    for frontend in (Characters(), Characters(GERMAN, english=False)):
        with pytest.raises(FmAudioError, match="text:"):
            frontend.encode(bad)


def test_an_alphabet_has_each_letter_once() -> None:
    for bad in ("abca", "ab.", "ABC"):
        with pytest.raises(FmAudioError, match="alphabet"):
            Characters(bad)
    with pytest.raises(FmAudioError, match="not in the alphabet"):
        Characters(GERMAN, english=False).encode("um 5 Uhr")


def test_subwords(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    lines = ["the cat sat on the mat", "a dog ran to the cat", "the mat and the dog sat"] * 20
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=20, minloglevel=2)
    path = tmp_path / "tiny.model"
    path.write_bytes(model.getvalue())
    frontend = SentencePiece(str(path))
    check(frontend, "the cat ran", ["the", "cat", "ran"])
    paused = frontend.encode("<break 1s> the <break 500ms> cat")
    assert paused.pauses_seconds[0] == 1.0 and sum(paused.pauses_seconds.values()) == 1.5
    for bad in ("", "  ", "世界", "\ud800"):
        with pytest.raises(FmAudioError, match="text:"):
            frontend.encode(bad)
    path.write_bytes(b"nothing")
    for broken in (path, tmp_path / "none.model"):
        with pytest.raises(FmAudioError, match="subword front-end"):
            SentencePiece(str(broken)).encode("hello")


def test_espeak() -> None:
    assert len(set(IPA)) == len(IPA) and not set(IPA) & set(COMMON_SYMBOLS)
    if importlib.util.find_spec("phonemizer") is None or importlib.util.find_spec("espeakng_loader") is None:
        with pytest.raises(FmAudioError, match=r"fm-audio\[phonemes\]"):
            Espeak().encode("hello")
        return
    check(Espeak(), "Hello, world!", ["Hello", "world"])
    check(Espeak("de"), "Guten Tag", ["Guten", "Tag"])
    with pytest.raises(FmAudioError, match="language"):
        Espeak("xx-none").encode("hello")
    with pytest.raises(FmAudioError, match="text:"):
        Espeak().encode("?!")
