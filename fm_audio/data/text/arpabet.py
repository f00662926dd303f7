"""English words as ARPAbet phones with stress: the default front-end, from CMUdict and without anything under the GPL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from fm_audio.data.text.frontend import COMMON_SYMBOLS, Encoded, Mark, Token, Word, assemble, check_word, split_markup
from fm_audio.data.text.lexicon import pronunciations
from fm_audio.data.text.normalise import normalise
from fm_audio.types import FmAudioError

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = tuple("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())
PHONES = (*CONSONANTS, *(v + stress for v in VOWELS for stress in "012"))
SYMBOLS = (*COMMON_SYMBOLS, *PHONES)  # ids are an append-only contract: trained models store them
_PIECE = re.compile(r"[a-z']+(?:-[a-z']+)*|[,.!?;:-]")


def stressless(symbol: str) -> str:
    """AH0 -> AH; anything else as it is."""
    return symbol[:-1] if symbol[-1] in "012" else symbol


class Arpabet:
    """Text -> `^ phones (punctuation) space phones … ^` in CMUdict's 39 phones, vowels with stress 0, 1 or 2."""

    @property
    def symbols(self) -> tuple[str, ...]:
        return SYMBOLS

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(SYMBOLS)}

    def encode(self, text: str) -> Encoded:
        return self.assemble(self.tokens(text))

    def assemble(self, tokens: Sequence[Token], chosen: Sequence[int] = ()) -> Encoded:
        """Tokens with edges and boundaries; `chosen[k]` picks the k-th word's pronunciation."""
        return assemble(tokens, self._ids, chosen)

    def tokens(self, text: str) -> list[Token]:
        """Normalised words with their pronunciations, punctuation and breaks. Raises `FmAudioError`."""
        if not text.strip():
            raise FmAudioError("text: it is empty; give at least one word")
        tokens: list[Token] = []
        for part in split_markup(text):
            tokens += _tokens(normalise(part)) if isinstance(part, str) else [part]
        return tokens


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for found in _PIECE.finditer(text.lower()):
        piece = found.group()
        if piece[0].isalpha() or piece[0] == "'" and len(piece) > 1:
            check_word(piece)
            options = pronunciations(piece)
            if options:
                tokens.append(Word(piece, options))
        elif piece != "'":
            tokens.append(Mark(piece))
    return tokens
