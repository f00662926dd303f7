"""The tokens of ZipVoice (its `emilia` tokenizer): eSpeak's phones for English, initials and finals of pinyin for Chinese.

Symbol 0 is the padding. There are no edges; a space follows a word and a comma, but not the end of a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

from fm_audio.data.text.espeak import Espeak
from fm_audio.data.text.frontend import EDGE, PAD, SPACE, Encoded
from fm_audio.types import FmAudioError

_PLAIN = str.maketrans("，。！？；：、‘’“”", ",.!?;:,''\"\"")
_SYLLABLE = re.compile(r"(?<![\w'])([a-zü]+[1-5])(?![\w'])")
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")
_MARK = re.compile(r"[,.!?;:]")
_ENDS = (".", "!", "?")
_DASH = {"-": ","}  # a pause; eSpeak reads dashes as one


class ZipVoicePhones:
    """`tokens`: those of the checkpoint's tokens.txt in the order of their ids. English needs `pip install fm-audio[phonemes]`.

    Chinese is read as pinyin, each syllable with its tone: `ni3 hao3`. English is phonemised word by word, where ZipVoice hands
    whole sentences to eSpeak, so some function words are said in full.
    """

    def __init__(self, tokens: list[str], language: str = "en-us") -> None:
        if not tokens or tokens[0] != PAD:
            raise FmAudioError(f"tokens: the first is {tokens[:1]}; ZipVoice's tokens.txt gives id 0 to {PAD!r}, the padding")
        self.tokens, self.language = tokens, language

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
        """Raises `FmAudioError` as `Espeak` does, for Chinese characters, and for phones that are not among the tokens."""
        text = text.translate(_PLAIN)
        foreign = next((c for c in text if "\u3100" <= c <= "\u9fff"), None)
        if foreign is not None:
            raise FmAudioError(
                f"text: {foreign!r} has to be written in pinyin here, such as `ni3 hao3`: a tone behind each syllable"
            )
        symbols: list[str] = []
        words: list[tuple[str, int, int]] = []
        for part in self._parts(text):
            said = self._pinyin(part)
            if said:
                words.append((part, len(symbols), len(symbols) + len(said)))
                symbols += said
            else:
                said, spans = self._english(part, bool(symbols))
                words += [(word, len(symbols) + first, len(symbols) + last) for word, first, last in spans]
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

    def _english(self, part: str, follows: bool) -> tuple[list[str], list[tuple[str, int, int]]]:
        """Its symbols and words; a mark in front of its first word counts where something stands before it."""
        spoken = next((i for i, c in enumerate(part) if c.isalnum()), len(part))
        symbols = _MARK.findall(part[:spoken])[:1] if follows else []
        if spoken == len(part):
            return symbols, []
        plain = self._espeak.encode(part[spoken:])
        start: list[int] = []  # where each of eSpeak's symbols comes to stand
        for i, symbol in enumerate(plain.symbols):
            start.append(len(symbols))
            ends_sentence = symbol == SPACE and plain.symbols[i - 1] in _ENDS
            if symbol != EDGE and not ends_sentence:
                symbols += unicodedata.normalize("NFD", _DASH.get(symbol, symbol))
        return symbols, [(word, start[first], start[last]) for word, first, last in plain.words]
