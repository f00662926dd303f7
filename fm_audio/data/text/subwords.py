"""Subwords of a SentencePiece model as symbols."""

from __future__ import annotations

import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Any

from fm_audio.data.text.frontend import COMMON_SYMBOLS, EDGE, SPACE, Break, Encoded, check_word, split_markup
from fm_audio.data.text.said import refuse_said
from fm_audio.types import FmAudioError


class SentencePiece:
    """Pieces of a trained `.model` file. Ids: the common symbols, then the model's pieces in its order.

    model: path of the file. Needs `sentencepiece`: `pip install fm-audio[train]`.
    """

    def __init__(self, model: str) -> None:
        self.model = model

    @cached_property
    def processor(self) -> Any:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as e:
            raise FmAudioError("subword front-end: sentencepiece is not installed; run `pip install fm-audio[train]`") from e
        if not Path(self.model).is_file():
            raise FmAudioError(f"subword front-end: no file {self.model}; give the path of a trained SentencePiece .model file")
        try:
            return SentencePieceProcessor(model_file=self.model)
        except (OSError, RuntimeError) as e:
            raise FmAudioError(f"subword front-end: {self.model} is no SentencePiece model ({e}); train one") from e

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*COMMON_SYMBOLS, *(self.processor.id_to_piece(k) for k in range(self.processor.get_piece_size())))

    def encode(self, text: str) -> Encoded:
        """Edges around the pieces; a break becomes a boundary of that many seconds. Raises `FmAudioError`."""
        if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
            raise FmAudioError("text: it holds a lone surrogate, which is no character; save the text as UTF-8 again")
        edge = COMMON_SYMBOLS.index(EDGE)
        ids, words = [edge], []
        pauses: dict[int, float] = {}
        for part in split_markup(text):
            if isinstance(part, Break):
                place = 0 if len(ids) == 1 else len(ids)
                ids += [COMMON_SYMBOLS.index(SPACE)] if place else []
                pauses[place] = pauses.get(place, 0.0) + part.seconds
                continue
            refuse_said(part, "subwords")
            for word in part.split():
                check_word(word)
                pieces = self._pieces(word)
                words.append((word, len(ids), len(ids) + len(pieces)))
                ids += pieces
        if not any(unicodedata.category(c)[0] in "LN" for word, _, _ in words for c in word):
            raise FmAudioError("text: nothing in it can be read out; give at least one word in letters or digits")
        ids.append(edge)
        table = self.symbols
        return Encoded(ids, [table[i] for i in ids], words, pauses)

    def _pieces(self, word: str) -> list[int]:
        unknown = self.processor.unk_id()
        pieces = self.processor.encode(word)
        if unknown in pieces:
            raise FmAudioError(f"text: {word[:40]!r} holds characters that {self.model} does not know; write it in others")
        return [len(COMMON_SYMBOLS) + p for p in pieces]
