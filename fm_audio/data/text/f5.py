"""The characters of an F5-TTS vocabulary: text in Latin script as F5-TTS's own front-end lays it out.

Symbol 0 is the filler, the vocabulary follows in its order. Spaces and punctuation are characters like others.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

from fm_audio.data.text.frontend import PAD, Encoded
from fm_audio.data.text.said import refuse_said
from fm_audio.types import FmAudioError

_PLAIN = str.maketrans({";": ",", "“": '"', "”": '"', "‘": "'", "’": "'"})
_RUN = re.compile(r"[A-Za-z0-9]{2,}")


class F5Characters:
    """`vocabulary`: the lines of the checkpoint's vocab.txt, the first one a space (which also stands for unknown characters)."""

    def __init__(self, vocabulary: list[str]) -> None:
        if not vocabulary or vocabulary[0] != " ":
            raise FmAudioError("vocabulary: the first line of an F5-TTS vocab.txt is a space; give that file unchanged")
        self.vocabulary = vocabulary

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (PAD, *self.vocabulary)

    def grown(self, letters: str) -> dict[str, list[str]]:
        """Arguments of a front-end that knows these letters too, small and capital, behind all others."""
        wanted = dict.fromkeys(c for letter in letters for c in (letter, letter.upper()) if len(c) == 1)
        return {"vocabulary": [*self.vocabulary, *(c for c in wanted if c not in self._ids)]}

    @property
    def stand_ins(self) -> dict[str, str]:
        """For each letter with an accent the plain one, where the vocabulary has it."""
        plain = {c: unicodedata.normalize("NFKD", c)[:1] for c in self.vocabulary}
        return {c: p for c, p in plain.items() if p != c and p in self._ids and c.isalpha()}

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.vocabulary, 1)}

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` for texts without a letter or digit and for East Asian characters, which need pinyin."""
        refuse_said(text, "letters")
        text = text.translate(_PLAIN)
        foreign = next((c for c in text if "\u3100" <= c <= "\u9fff"), None)
        if foreign is not None:
            raise FmAudioError(f"text: {foreign!r} has to be written in pinyin here, syllables with tone numbers and spaces")
        if not any(c.isalnum() for c in text):
            raise FmAudioError(f"text: {text[:40]!r} holds no letter or digit; write something that can be said")
        characters = list(_spaced(text))
        words = [(m.group(), m.start(), m.end()) for m in re.finditer(r"[^\W_]+(?:'[^\W_]+)*", "".join(characters))]
        return Encoded([self._ids.get(c, 1) for c in characters], [c if c in self._ids else " " for c in characters], words)


def _spaced(text: str) -> str:
    """F5-TTS puts a space before each run of letters and digits that follows anything but a space, colon or quote."""
    return _RUN.sub(lambda m: m.group() if m.start() == 0 or text[m.start() - 1] in " :'\"" else " " + m.group(), text)
