"""How a word shall be said, written into the text: `{Siobhan|SH IH0 V AO1 N}`. What is written so wins over every dictionary."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from fm_audio.types import FmAudioError

_SAID = re.compile(r"\{([^{}|]*)\|([^{}]*)\}")
SHOWN = 60


@dataclass(frozen=True)
class Said:
    """A word as it is written, and the symbols that it is said with."""

    word: str
    symbols: tuple[str, ...]


def split_said(text: str, known: Container[str]) -> list[str | Said]:
    """The text between such words, and the words. Raises FmAudioError for symbols that are not `known`, naming near ones."""
    parts: list[str | Said] = []
    end = 0
    for found in _SAID.finditer(text):
        word, symbols = " ".join(found[1].split()), tuple(found[2].split())
        if not word or not symbols:
            raise FmAudioError(f"text: {_shown(found)} needs a word and its phones; write {{flib|F L IH1 B}}")
        unknown = next((s for s in symbols if s not in known), None)
        if unknown is not None:
            stressed = [unknown + stress for stress in "012" if unknown + stress in known]
            hint = f"a vowel has its stress: {', '.join(stressed)}" if stressed else "write CMUdict's, such as F L IH1 B"
            raise FmAudioError(f"text: {_shown(found)}: {unknown[:20]!r} is no phone of this voice; {hint}")
        parts += [text[end : found.start()], Said(word, symbols)]
        end = found.end()
    return [*parts, text[end:]]


def as_written(text: str) -> str:
    """The text with only the written word of each `{word|phones}`."""
    return _SAID.sub(lambda found: found[1], text)


def refuse_said(text: str, reads: str) -> None:
    """For front-ends that are told no phones, with what they read instead: FmAudioError where one is told."""
    found = _SAID.search(text)
    if found is not None:
        raise FmAudioError(f"text: {_shown(found)} tells phones, and this voice reads {reads}; spell the word as it sounds")


def _shown(found: re.Match[str]) -> str:
    whole = found.group()
    return repr(whole if len(whole) <= SHOWN else whole[: SHOWN - 3] + "...")
