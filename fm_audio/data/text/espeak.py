"""eSpeak NG's phonemes as symbols, for the many languages it knows: an optional extra, because eSpeak is GPL."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from fm_audio.data.text.frontend import (
    COMMON_SYMBOLS,
    SPACE,
    Break,
    Encoded,
    Mark,
    Token,
    Word,
    assemble,
    check_word,
    split_markup,
)
from fm_audio.data.text.said import refuse_said
from fm_audio.types import FmAudioError

# The IPA that eSpeak writes, one symbol a character. Append-only: ids are stored in trained models.
IPA = tuple(
    "abcdefhijklmnopqrstuvwxyzæçðøħŋœǀǁǂǃɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢʲˈˌːˑ˞ʰʷˠˤ̩̯̃̊̆̚͡θχβᵻ"
)
_PIECE = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,:]\d+)*|[,.!?;:-]")


class Espeak:
    """Text -> IPA by eSpeak NG, word by word, punctuation kept. language: one of eSpeak's names, such as `en-us` or `de`.

    Needs `pip install fm-audio[phonemes]`. Numbers are read by eSpeak, in its language.
    """

    def __init__(self, language: str = "en-us") -> None:
        self.language = language

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*COMMON_SYMBOLS, *IPA)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.symbols)}

    @cached_property
    def _backend(self) -> Any:
        try:
            import espeakng_loader
            from phonemizer.backend import EspeakBackend
            from phonemizer.backend.espeak.wrapper import EspeakWrapper
        except ImportError as e:
            raise FmAudioError("espeak front-end: phonemizer is not installed; run `pip install fm-audio[phonemes]`") from e
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        if hasattr(EspeakWrapper, "set_data_path"):
            EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        try:
            return EspeakBackend(self.language, with_stress=True, language_switch="remove-flags")
        except RuntimeError as e:
            raise FmAudioError(f"espeak front-end: language {self.language!r}: {e}; `espeak-ng --voices` lists them") from e

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` for a missing extra, an unknown language and a text without a readable word."""
        return assemble(self.tokens(text), self._ids)

    def tokens(self, text: str) -> list[Token]:
        """Words with their IPA, a symbol a character, punctuation and breaks. Raises `FmAudioError`."""
        tokens: list[Token] = []
        for part in split_markup(text):
            if isinstance(part, Break):
                tokens.append(part)
                continue
            refuse_said(part, "what eSpeak makes of the spelling")
            if any(0xD800 <= ord(c) <= 0xDFFF for c in part):
                raise FmAudioError("text: it holds a lone surrogate, which is no character; save the text as UTF-8 again")
            tokens += self._tokens(part)
        return tokens

    def phrase(self, words: str) -> list[str]:
        """The symbols of words without punctuation that are said together: their context decides how each is said.

        A space stands between those that eSpeak keeps apart. Raises `FmAudioError` as `encode` does.
        """
        said = self._backend.phonemize([words], strip=True)[0]
        return [c for c in said if c == SPACE or c in self._ids and c not in COMMON_SYMBOLS]

    def _tokens(self, text: str) -> list[Token]:
        pieces = [m.group() for m in _PIECE.finditer(text)]
        words = [p for p in pieces if any(c.isalnum() for c in p)]
        for word in words:
            check_word(word)
        said = iter(self._backend.phonemize(words, strip=True) if words else [])
        tokens: list[Token] = []
        for piece in pieces:
            if piece not in words:
                tokens.append(Mark(piece))
                continue
            phones = tuple(c for c in next(said) if c in self._ids and c not in COMMON_SYMBOLS)
            if phones:
                tokens.append(Word(piece, (phones,)))
        return tokens
