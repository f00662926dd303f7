"""Characters as symbols: for languages whose letters say how they sound, and for aligners that learn it."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

from fm_audio.data.text.frontend import (
    COMMON_SYMBOLS,
    PUNCTUATION,
    Break,
    Encoded,
    Mark,
    Token,
    Word,
    assemble,
    check_word,
    split_markup,
)
from fm_audio.data.text.normalise import normalise
from fm_audio.data.text.said import refuse_said
from fm_audio.types import FmAudioError

ENGLISH = "abcdefghijklmnopqrstuvwxyz'"
GERMAN = "abcdefghijklmnopqrstuvwxyzäöüß'"
_MARKS = dict(zip("–—…()[]。，？！’", "--.,,,,.,?!'", strict=True))


class Characters:
    """One symbol a letter, lower case. Ids: the common symbols, then `alphabet` in its order (append-only).

    alphabet: the letters of the language, each once. english: normalise as English first (numbers, money, dates … in words);
    for other languages the text must come with its numbers written out.
    """

    def __init__(self, alphabet: str = ENGLISH, english: bool = True) -> None:
        if len(set(alphabet)) != len(alphabet) or set(alphabet) & set(COMMON_SYMBOLS) or alphabet != alphabet.lower():
            raise FmAudioError(f"alphabet {alphabet!r}: give each lower-case letter once, without punctuation, `^`, `_` or space")
        self.alphabet = alphabet
        self.english = english

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*COMMON_SYMBOLS, *self.alphabet)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.symbols)}

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` for letters and digits outside the alphabet, words without end and texts without a word."""
        tokens: list[Token] = []
        for part in split_markup(text):
            if isinstance(part, Break):
                tokens.append(part)
                continue
            refuse_said(part, "letters")
            tokens += self._tokens(normalise(part) if self.english else part)
        return assemble(tokens, self._ids)

    def _tokens(self, text: str) -> list[Token]:
        text = "".join(_MARKS.get(c, c) for c in unicodedata.normalize("NFC", text)).lower()
        unread = next((c for c in text if c.isalnum() and c not in self.alphabet or 0xD800 <= ord(c) <= 0xDFFF), None)
        if unread is not None:
            raise FmAudioError(f"text: {unread!r} is not in the alphabet {self.alphabet!r}; write it in those letters")
        letters = re.escape(self.alphabet)
        marks = re.escape("".join(PUNCTUATION))
        tokens: list[Token] = []
        for found in re.finditer(rf"[{letters}]+|[{marks}]", text):
            piece = found.group()
            if piece in PUNCTUATION:
                tokens.append(Mark(piece))
            elif any(c.isalnum() for c in piece):
                check_word(piece)
                tokens.append(Word(piece, (tuple(piece),)))
        return tokens
