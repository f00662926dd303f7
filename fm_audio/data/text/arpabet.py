"""English words as ARPAbet phones with stress: the default front-end, from CMUdict and without anything under the GPL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from fm_audio.data.text.frontend import COMMON_SYMBOLS, Break, Encoded, Mark, Token, Word, assemble, check_word, split_markup
from fm_audio.data.text.heteronyms import in_context, weak_form
from fm_audio.data.text.lexicon import pronunciations
from fm_audio.data.text.normalise import normalise
from fm_audio.data.text.said import Said, split_said

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = tuple("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())
PHONES = (*CONSONANTS, *(v + stress for v in VOWELS for stress in "012"))
SYMBOLS = (*COMMON_SYMBOLS, *PHONES)  # ids are an append-only contract: trained models store them
_PIECE = re.compile(r"'?[A-Za-z]+(?:['-]+[A-Za-z]+)*'?|[,.!?;:-]")


def stressless(symbol: str) -> str:
    """AH0 -> AH; anything else as it is."""
    return symbol[:-1] if symbol[-1] in "012" else symbol


class Arpabet:
    """Text -> `^ phones (punctuation) space phones … ^` in CMUdict's 39 phones, vowels with stress 0, 1 or 2.

    The text is normalised first; words no dictionary holds are said by their parts or as `spelling` would. `{word|F L IH1 B}` is
    said as it says.
    """

    @property
    def symbols(self) -> tuple[str, ...]:
        return SYMBOLS

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(SYMBOLS)}

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` for a text without a readable word, other scripts, words without end and malformed markup."""
        return self.assemble(self.tokens(text))

    def assemble(self, tokens: Sequence[Token], chosen: Sequence[int] = ()) -> Encoded:
        """Tokens with edges and boundaries; `chosen[k]` picks the k-th word's pronunciation."""
        return assemble(tokens, self._ids, chosen)

    def tokens(self, text: str) -> list[Token]:
        """Normalised words with their pronunciations, punctuation and breaks. Raises `FmAudioError`."""
        tokens: list[Token] = []
        for part in split_markup(text):
            tokens += [part] if isinstance(part, Break) else _words(part)
        return _in_context(tokens)


def _words(text: str) -> list[Token]:
    tokens: list[Token] = []
    for part in split_said(text, PHONES):
        tokens += [Word(part.word, (part.symbols,), told=True)] if isinstance(part, Said) else _tokens(normalise(part))
    return tokens


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for found in _PIECE.finditer(text):
        piece = found.group()
        if not any(c.isalpha() for c in piece):
            tokens.append(Mark(piece))
            continue
        for part in piece.split("-"):
            check_word(part)
        tokens.append(Word(piece, pronunciations(piece)))
    return tokens


def _in_context(tokens: list[Token]) -> list[Token]:
    """Every word with the pronunciation in front that its neighbours ask for."""
    places = [i for i, t in enumerate(tokens) if isinstance(t, Word)]
    words = [t for t in tokens if isinstance(t, Word)]
    names = [w.text.lower() for w in words]
    out = list(tokens)
    for k, (i, word) in enumerate(zip(places, words, strict=True)):
        if word.told:
            continue
        options = in_context(word.options, names, k)
        joined = k + 1 < len(places) and places[k + 1] == i + 1
        weak = weak_form(word.text, words[k + 1].options[0][0] if joined else "")
        if weak is not None:
            options = (weak, *(o for o in options if o != weak))
        out[i] = replace(word, options=options)
    return out
