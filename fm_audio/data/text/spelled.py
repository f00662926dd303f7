"""What a recogniser writes: words as they are said, in lower case and without punctuation, spelled in a vocabulary."""

from __future__ import annotations

import re

from fm_audio.data.text.frontend import Encoded
from fm_audio.data.text.normalise import normalise
from fm_audio.data.text.said import as_written
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.types import FmAudioError


class Spelled:
    """A front-end whose symbols are those of `target`, so that speech comes with its transcript as ids.

    `english`: numbers, money, dates … in words first. For other languages texts must come with their numbers written out.
    """

    def __init__(self, target: Vocabulary, english: bool = True) -> None:
        self.target, self.english = target, english

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.target.symbols

    def transcript(self, text: str) -> str:
        """A text as it is to be written. Raises FmAudioError when it has no words."""
        text = as_written(text)
        plain = normalise(text) if self.english else text
        words = re.sub(r"[^\w']+|_", " ", plain).lower().split()
        if not any(c.isalnum() for word in words for c in word):
            raise FmAudioError(f"text {text[:40]!r}: has no words to write down")
        return " ".join(words)

    def encode(self, text: str) -> Encoded:
        """Raises FmAudioError for texts without words, in other letters, or longer than the vocabulary takes."""
        ids = self.target.encode(self.transcript(text))
        return Encoded(ids, [self.symbols[i] for i in ids], [])
