"""ZipVoice's tokens: pinyin needs nothing, English eSpeak's phones; what cannot be said is refused with the way to say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fm_audio.convert.zipvoice import read_tokens
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.zipvoice import ZipVoicePhones
from fm_audio.types import FmAudioError
from tests.parity.zipvoice_published import TOKENS


class Spelt:
    """Stands for eSpeak: letters are phones, and "do not" is said in one."""

    def phrase(self, words: str) -> list[str]:
        return [*words.replace("do not", "dont").lower()]


@pytest.fixture
def phones(monkeypatch: pytest.MonkeyPatch) -> ZipVoicePhones:
    made = ZipVoicePhones(TOKENS)
    monkeypatch.setattr(ZipVoicePhones, "_espeak", Spelt())
    return made


def test_pinyin_is_split_into_initials_and_finals() -> None:
    phones = ZipVoicePhones(TOKENS)
    assert isinstance(phones, FrontEnd)
    encoded = phones.encode("ni3 hao3，  wo3! a1 zhe5 lü4")
    assert encoded.symbols == ["n0", "i3", "h0", "ao3", ",", "w0", "o3", "!", "a1", "zh0", "e5", "l0", "v4"]
    assert [TOKENS[i] for i in encoded.ids] == encoded.symbols
    assert [(w, encoded.symbols[a:b]) for w, a, b in encoded.words][:2] == [("ni3", ["n0", "i3"]), ("hao3", ["h0", "ao3"])]


def test_english_has_no_edges_and_no_space_behind_a_sentence(phones: ZipVoicePhones) -> None:
    encoded = phones.encode("...Good day, friend. I do not know - is it 3? Yes")
    assert "".join(encoded.symbols) == "good day, friend.i dont know is it three?yes"
    words = {word: "".join(encoded.symbols[a:b]) for word, a, b in encoded.words}
    assert words["day"] == "day" and words["friend"] == "friend" and words["yes"] == "yes"
    assert words["I do not know is it three"] == "i dont know is it three", "where words run together there is one span"
    assert "".join(phones.encode("ni3, good day. hao3 now").symbols) == "n0i3, good day.h0ao3now"


@pytest.mark.parametrize(
    "text, says",
    [("你好", "pinyin"), ("?!", "no words"), ("ni3 \u0434\u0430", "\u0434"), ("ni3 " + "a" * 70, "70 letters"), ("", "no words")],
)
def test_what_cannot_be_said_is_refused(text: str, says: str, phones: ZipVoicePhones) -> None:
    with pytest.raises(FmAudioError, match=says):
        phones.encode(text)


def test_english_through_espeak() -> None:
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    encoded = ZipVoicePhones(TOKENS).encode("Good morning, friend. It is late!")
    assert "".join(encoded.symbols).replace("ɾ", "t") == "ɡˈʊd mˈɔːɹnɪŋ, fɹˈɛnd.ɪt ɪz lˈeɪt!"


@pytest.mark.parametrize(
    "lines, says",
    [("a\t0\na\t1\n", ":2: 'a"), ("_\t0\nb 1\n", ":2: 'b 1'"), ("_\t0\nb\t2\n", "'b' has '2'"), ("_\t0\nb\tx\n", "'b' has 'x'")],
)
def test_bad_token_files_are_refused(lines: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text(lines, encoding="utf-8")
    with pytest.raises(FmAudioError, match=says):
        read_tokens(tmp_path / "tokens.txt")
    (tmp_path / "tokens.txt").write_text("_\t0\n \t2\nx\t1\n", encoding="utf-8")
    assert read_tokens(tmp_path / "tokens.txt") == ["_", "x", " "]
    with pytest.raises(FmAudioError, match="first is"):
        ZipVoicePhones(["a", "_"])
