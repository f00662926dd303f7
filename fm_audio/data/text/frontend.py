"""What a text front-end is, and how words, punctuation and pauses become one sequence of symbols.

Every encoding reads `^ word (punctuation)? space word … ^`: an edge at both ends, one boundary between words, at most one
punctuation mark in front of a boundary or of the last edge.

The order of the symbols is an append-only contract: a trained model stores ids. New symbols go to the end of a front-end's table;
nothing is ever removed, renamed or moved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from fm_audio.types import FmAudioError

PAD = "_"  # id 0
EDGE = "^"  # silence at both ends
SPACE = " "  # word boundary
PUNCTUATION = (",", ".", "!", "?", ";", ":", "-")
COMMON_SYMBOLS: tuple[str, ...] = (PAD, EDGE, SPACE, *PUNCTUATION)  # the first ten ids of every front-end; append-only

MAX_BREAK_SECONDS = 30.0
MAX_WORD_LETTERS = 60
_STRENGTH = {mark: rank for rank, mark in enumerate(("-", ",", ":", ";", ".", "!", "?"))}
_TAG = re.compile(r"<\s*/?\s*[A-Za-z][^<>]*>?")
_BREAK = re.compile(r"<\s*break\s+(?:time\s*=\s*)?[\"']?\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s)\s*[\"']?\s*/?\s*>", re.IGNORECASE)
_BOUNDARY_SECONDS = 0.02  # what is left to the word boundary when a mark in front of it takes the pause


@dataclass
class Encoded:
    """One text as symbols. `ids[i]` is the id of `symbols[i]` in the front-end's table."""

    ids: list[int]
    symbols: list[str]
    words: list[tuple[str, int, int]]  # word as the normalised text writes it, first symbol, one past its last
    pauses_seconds: dict[int, float] = field(default_factory=dict)  # symbol index -> forced seconds, from `<break 500ms>`

    def __len__(self) -> int:
        return len(self.ids)


@runtime_checkable
class FrontEnd(Protocol):
    """Text to symbols. `symbols[i]` is the symbol of id i; id 0 is padding and never occurs in an encoding."""

    @property
    def symbols(self) -> tuple[str, ...]: ...

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` when the text holds nothing that this front-end can read, or malformed markup."""
        ...


@dataclass(frozen=True)
class Word:
    """A word and the symbols that may be said for it, the most likely first; `told`: as the text itself says."""

    text: str
    options: tuple[tuple[str, ...], ...]
    told: bool = False


@dataclass(frozen=True)
class Mark:
    """One of `PUNCTUATION`."""

    symbol: str


@dataclass(frozen=True)
class Break:
    """A pause of exactly so many seconds."""

    seconds: float


Token = Word | Mark | Break


def split_markup(text: str) -> list[str | Break]:
    """The text between breaks, and the breaks. Other markup is refused.

    `<break 500ms>`, `<break 0.5s>` and SSML's `<break time="500ms"/>` are read. A lone `<` is no markup.
    """
    parts: list[str | Break] = []
    end = 0
    for tag in _TAG.finditer(text):
        found = _BREAK.fullmatch(tag.group())
        if found is None:
            raise FmAudioError(f"text: {tag.group()[:60]!r} is no known markup; write <break 500ms> or <break 0.5s>, or drop it")
        seconds = float(found[1]) / (1000 if found[2].lower() == "ms" else 1)
        if not 0 < seconds <= MAX_BREAK_SECONDS:
            raise FmAudioError(f"text: {tag.group()!r}: a break is more than 0 and at most {MAX_BREAK_SECONDS:g} s; shorten it")
        parts += [text[end : tag.start()], Break(seconds)]
        end = tag.end()
    return [*parts, text[end:]]


def check_word(word: str) -> None:
    """Refuse a word that nobody could read out."""
    if len(word) > MAX_WORD_LETTERS:
        raise FmAudioError(
            f"text: the word {word[:20]!r}… has {len(word)} letters, at most {MAX_WORD_LETTERS} are read; "
            "put spaces into it or drop it"
        )


def assemble(tokens: Sequence[Token], ids: dict[str, int], chosen: Sequence[int] = ()) -> Encoded:
    """Tokens in a row, with edges and word boundaries between them.

    `chosen[k]` picks the k-th word's option (default: the first). Of several marks in a row the strongest stays; marks before the
    first word are dropped. A break forces the mark and boundary (or the edge) where it stands; breaks in one place add up.
    """
    gaps, words = _gaps(tokens)
    symbols, spans, pauses = [EDGE], [], {}
    if gaps[0].seconds:
        pauses[0] = gaps[0].seconds
    for k, (word, gap) in enumerate(zip(words, gaps[1:], strict=True)):
        said = word.options[chosen[k] if k < len(chosen) else 0]
        spans.append((word.text, len(symbols), len(symbols) + len(said)))
        symbols += said
        last = k == len(words) - 1
        first = len(symbols)
        symbols += [gap.mark] if gap.mark else []
        symbols.append(EDGE if last else SPACE)
        if gap.seconds and (last or not gap.mark):
            pauses[len(symbols) - 1] = gap.seconds
        elif gap.seconds:
            boundary = min(_BOUNDARY_SECONDS, gap.seconds / 2)
            pauses[first], pauses[first + 1] = gap.seconds - boundary, boundary
    return Encoded([ids[s] for s in symbols], symbols, spans, pauses)


@dataclass
class _Gap:
    mark: str | None = None
    seconds: float = 0.0


def _gaps(tokens: Sequence[Token]) -> tuple[list[_Gap], list[Word]]:
    """What stands before the first word and after each word."""
    gaps, words = [_Gap()], []
    for token in tokens:
        if isinstance(token, Word):
            words.append(token)
            gaps.append(_Gap())
        elif isinstance(token, Break):
            gaps[-1].seconds += token.seconds
        elif words and (gaps[-1].mark is None or _STRENGTH[token.symbol] > _STRENGTH[gaps[-1].mark]):
            gaps[-1].mark = token.symbol
    if not words:
        raise FmAudioError("text: nothing in it can be read out; give at least one word in letters or digits")
    return gaps, words
