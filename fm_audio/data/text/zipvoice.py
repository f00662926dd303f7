"""The tokens of ZipVoice (its `emilia` tokenizer): eSpeak's phones for English, initials and finals of pinyin for Chinese.

Symbol 0 is the padding. There are no edges; a space follows a word, comma, colon and semicolon, but not the end of a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import Any

from fm_audio.data.text.espeak import IPA, Espeak
from fm_audio.data.text.frontend import PAD, SPACE, Encoded, check_word
from fm_audio.data.text.normalise import normalise
from fm_audio.data.text.said import refuse_said
from fm_audio.types import FmAudioError

Spans = list[tuple[str, int, int]]

_PLAIN = str.maketrans("，。！？；：、—", ",.!?;:,;")
_SYLLABLE = re.compile(r"(?<![\w'])([a-zü]+[1-5])(?![\w'])")
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")
_MARK = re.compile(r"([,.!?;:])")
_DASH = re.compile(r"(?<!\S)-+(?!\S)")
_PRONOUN = re.compile(r"\bi\b")
_PAUSES = (",", ";", ":")
_UNSPOKEN = re.compile(r"[^\w' ,.!?;:-]+")
ENGLISH = "en-us"


class ZipVoicePhones:
    """`tokens`: those of the checkpoint's tokens.txt in the order of their ids. What is no pinyin is read in `language`, one of
    eSpeak's names, which needs `pip install fm-audio[phonemes]`.

    Chinese is read as pinyin, each syllable with its tone: `ni3 hao3`. English numbers and abbreviations are written out by
    `fm_audio.data.text.normalise`; those of other languages are eSpeak's to read.
    """

    def __init__(self, tokens: list[str], language: str = ENGLISH) -> None:
        if not tokens or tokens[0] != PAD:
            raise FmAudioError(f"tokens: the first is {tokens[:1]}; ZipVoice's tokens.txt gives id 0 to {PAD!r}, the padding")
        self.tokens, self.language = tokens, language

    def grown(self, language: str) -> dict[str, Any]:
        """Arguments of a front-end that reads another language, with all of eSpeak's phones that the tokens lack behind them."""
        phones = dict.fromkeys(c for phone in IPA for c in unicodedata.normalize("NFD", phone))
        return {"tokens": [*self.tokens, *(c for c in phones if c not in self._ids)], "language": language}

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.tokens)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.tokens)}

    @cached_property
    def _espeak(self) -> Espeak:
        return Espeak(self.language)

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` for Chinese characters, a text without a word, phones that are not among the tokens, and as
        `Espeak` and `normalise` do.

        Words that eSpeak runs together are one entry of `words`.
        """
        refuse_said(text, "what eSpeak makes of the spelling")
        text = text.translate(_PLAIN)
        foreign = next((c for c in text if "\u3100" <= c <= "\u9fff"), None)
        if foreign is not None:
            raise FmAudioError(f"text: {foreign!r} has to be written in pinyin here, a tone behind each syllable: `ni3 hao3`")
        symbols: list[str] = []
        words: Spans = []
        for part in self._parts(text):
            said = self._pinyin(part)
            spans = [(part, 0, len(said))] if said else []
            if not said:
                said, spans = self._spoken(part, first=not symbols)
            words += [(word, len(symbols) + start, len(symbols) + end) for word, start, end in spans]
            symbols += said
        if not words:
            raise FmAudioError(f"text: {text[:40]!r} has no words to say; write a sentence")
        unknown = sorted(set(symbols) - set(self._ids))
        if unknown:
            raise FmAudioError(f"text: eSpeak says it with {' '.join(unknown)}, for which tokens.txt has nothing; reword it")
        return Encoded([self._ids[s] for s in symbols], symbols, words)

    def _parts(self, text: str) -> list[str]:
        """Syllables of pinyin, and what stands between them."""
        parts = [""]
        for i, part in enumerate(_SYLLABLE.split(text)):
            if i % 2 and self._pinyin(part):
                parts += [part, ""]
            else:
                parts[-1] += part
        return parts

    def _pinyin(self, part: str) -> list[str]:
        """A syllable's initial, marked with a 0, and its final with the tone; empty for what is none."""
        if not _SYLLABLE.fullmatch(part):
            return []
        syllable = part.replace("ü", "v")
        initial = next((i for i in _INITIALS if syllable.startswith(i)), "")
        said = [initial + "0", syllable[len(initial) :]] if initial else [syllable]
        return said if all(s in self._ids for s in said) else []

    def _spoken(self, part: str, first: bool) -> tuple[list[str], Spans]:
        """Its symbols and words; marks in front of the first word of all are left out."""
        symbols: list[str] = []
        words: Spans = []
        written = _DASH.sub(" ", self._written(part)) if part.strip() else ""
        for piece in (" ".join(piece.split()) for piece in _MARK.split(written)):
            if piece and _MARK.fullmatch(piece):
                symbols += [] if first else [piece, *([SPACE] if piece in _PAUSES else [])]
            elif piece:
                said = self._phrase(piece)
                words += [(word, len(symbols) + start, len(symbols) + end) for word, start, end in _spans(piece, said)]
                symbols += said
                first = False
        while symbols[-1:] == [SPACE]:
            symbols.pop()
        return symbols, words

    def _written(self, part: str) -> str:
        return _PRONOUN.sub("I", normalise(part)) if self.language == ENGLISH else _UNSPOKEN.sub(" ", part)

    def _phrase(self, words: str) -> list[str]:
        for word in words.split():
            check_word(word)
        return [c for symbol in self._espeak.phrase(words) for c in unicodedata.normalize("NFD", symbol)]


def _spans(piece: str, said: list[str]) -> Spans:
    """Where each word stands among the symbols, or the whole phrase where eSpeak has run words together."""
    ends = [*(i for i, symbol in enumerate(said) if symbol == SPACE), len(said)]
    written = piece.split()
    if len(written) != len(ends):
        return [(piece, 0, len(said))]
    return list(zip(written, [0, *(end + 1 for end in ends[:-1])], ends, strict=True))
