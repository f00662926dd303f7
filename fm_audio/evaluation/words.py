"""Which words of a text were said: what was asked for and what was heard, laid beside each other by their sounds.

    cost of a pair of spans = edit distance of their phones;   least total cost over spans of 0 to 2 words on each side

Spellings and word borders cost nothing where they sound alike (buses and busses, halfway and half way): English words are
compared by the phones of the default front-end, other languages by their letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal

from fm_audio.data.text.arpabet import VOWELS, stressless
from fm_audio.data.text.lexicon import pronunciations
from fm_audio.evaluation.normalise import normalise

Kind = Literal["missing", "repeated", "added", "garbled", "leaked"]
Phones = tuple[str, ...]

SPANS = ((1, 1), (1, 0), (0, 1), (2, 1), (1, 2), (2, 2))
MERGE_COST = 0.05  # so that word borders move only where the sounds ask for it
OPTIONS = 3  # pronunciations of a word that are tried
_WEAK = frozenset({"AH", "IH", "HH"})  # come and go in fluent speech
_VOICED = {frozenset(pair) for pair in (("P", "B"), ("T", "D"), ("K", "G"), ("F", "V"), ("S", "Z"), ("SH", "ZH"), ("CH", "JH"),
                                        ("TH", "DH"))}  # fmt: skip
_VOWELS = frozenset(VOWELS)


@dataclass(frozen=True)
class Written:
    """A text as spoken words; `written[i]` is how the text writes words[i], empty where an earlier word's writing holds it."""

    words: tuple[str, ...]
    written: tuple[str, ...]

    def span(self, start: int, end: int) -> list[str]:
        """The writing of some words; the words themselves of a writing that is cut."""
        groups = [i for i, w in enumerate(self.written) if w] + [len(self.words)]
        pieces: list[str] = []
        for first, last in zip(groups, groups[1:], strict=False):
            whole = start <= first and last <= end
            pieces += [self.written[first]] if whole else self.words[max(first, start) : min(last, end)]
        return pieces

    def replaced(self, start: int, end: int, other: Sequence[str]) -> str:
        """The text with its words from `start` up to `end` written otherwise, its first letter as the text's."""
        text = " ".join([*self.span(0, start), *other, *self.span(end, len(self.words))])
        return text[:1].upper() + text[1:] if self.written[0][:1].isupper() else text


def spoken_words(text: str, language: str = "en") -> Written:
    """Words as they are said (`normalise`, with apostrophes), each with its writing."""
    words = tuple(normalise(text, language, apostrophes=True).split())
    pieces = text.split()
    each = [normalise(piece, language, apostrophes=True).split() for piece in pieces]
    if tuple(w for said in each for w in said) != words:  # what a piece says depends on its neighbours
        return Written(words, words)
    written: list[str] = []
    for piece, said in zip(pieces, each, strict=True):
        written += [piece, *[""] * (len(said) - 1)] if said else []
    return Written(words, tuple(written))


@dataclass(frozen=True)
class Difference:
    """Words asked for, from `start` up to `end`, that were heard as `heard` (from word `heard_start` of what was heard).

    `distance` is 0 for the same sound and 1 for nothing in common.
    """

    kind: Kind
    asked: tuple[str, ...]
    heard: tuple[str, ...]
    start: int
    end: int
    heard_start: int
    distance: float


def differences(
    asked: Sequence[str], heard: Sequence[str], reference: Sequence[str] = (), language: str = "en", tolerance: float = 0.0
) -> list[Difference]:
    """What was not said as asked, in the order of the text; neighbours of one kind are one. Words of `reference` that were added
    are leaked ones. Spans no further apart than `tolerance` count as the same."""
    found: list[Difference] = []
    for i, a, j, b in _spans(tuple(asked), tuple(heard), language):
        mine, other = tuple(asked[i : i + a]), tuple(heard[j : j + b])
        far = _apart(mine, other, language) / max(1e-9, *(len(_sounds(s, language)[0]) for s in (mine, other)))
        if far > tolerance:
            kind: Kind = "missing" if not b else "garbled" if a else "added"
            _append(found, Difference(kind, mine, other, i, i + a, j, min(1.0, far)))
    return [_named(d, asked, heard, reference, language) for d in found]


def _append(found: list[Difference], new: Difference) -> None:
    last = found[-1] if found else None
    if last and last.kind == new.kind and last.end == new.start and last.heard_start + len(last.heard) == new.heard_start:
        far = max(last.distance, new.distance)
        joined = (last.asked + new.asked, last.heard + new.heard)
        found[-1] = Difference(new.kind, *joined, last.start, new.end, last.heard_start, far)
    else:
        found.append(new)


def _named(d: Difference, asked: Sequence[str], heard: Sequence[str], reference: Sequence[str], language: str) -> Difference:
    """An addition by where its words come from: said beside it already, or from the reference's text."""
    if d.kind != "added":
        return d
    n, j = len(d.heard), d.heard_start
    steps = {-n, -1, 1, n}

    def again(k: int) -> bool:
        return any(0 <= k + s < len(heard) and same_sound((heard[k],), (heard[k + s],), language) for s in steps)

    kind: Kind = "added"
    if all(again(k) for k in range(j, j + n)):
        kind = "repeated"
    elif any(same_sound(d.heard, tuple(reference[k : k + n]), language) for k in range(len(reference) - n + 1)):
        kind = "leaked"
    return Difference(kind, d.asked, d.heard, d.start, d.end, d.heard_start, d.distance)


def sound_length(words: Sequence[str], language: str = "en") -> int:
    """How many phones (or letters) the words have."""
    return sum(len(_said(word, language)[0]) for word in words)


def same_sound(a: Sequence[str], b: Sequence[str], language: str = "en", tolerance: float = 0.34) -> bool:
    """Whether two spans of words sound alike."""
    longest = max(len(_sounds(tuple(s), language)[0]) for s in (a, b))
    return _apart(tuple(a), tuple(b), language) <= tolerance * longest


def _spans(asked: tuple[str, ...], heard: tuple[str, ...], language: str) -> list[tuple[int, int, int, int]]:
    """(start, words, start in heard, words in heard) of the cheapest way from one to the other; single words where equal."""
    best: dict[tuple[int, int], tuple[float, int, int, int]] = {(0, 0): (0.0, 0, 0, 0)}  # cost, spans, the last span's sizes
    for i, j in product(range(len(asked) + 1), range(len(heard) + 1)):
        if (i, j) == (0, 0):
            continue
        ways = []
        for a, b in SPANS:
            before = best.get((i - a, j - b))
            if before is not None:
                merged = MERGE_COST if a + b > 2 else 0.0
                cost = before[0] + _apart(asked[i - a : i], heard[j - b : j], language) + merged
                ways.append((cost, before[1] - (1 if a and b else 0), a, b))
        best[i, j] = min(ways)
    i, j, path = len(asked), len(heard), []
    while i or j:
        _, _, a, b = best[i, j]
        i, j = i - a, j - b
        path.append((i, a, j, b))
    return path[::-1]


@lru_cache(maxsize=50_000)
def _apart(a: tuple[str, ...], b: tuple[str, ...], language: str) -> float:
    """Edit distance of the phones of two spans, least over their pronunciations."""
    if a == b:
        return 0.0
    return min(edit_cost(x, y) for x in _sounds(a, language) for y in _sounds(b, language))


@lru_cache(maxsize=50_000)
def _sounds(words: tuple[str, ...], language: str) -> tuple[Phones, ...]:
    """The ways to say a span: all of one word, the likeliest of several."""
    if len(words) == 1:
        return tuple(dict.fromkeys(_said(words[0], language)))
    return (tuple(p for word in words for p in _said(word, language)[0]),)


def _said(word: str, language: str) -> tuple[Phones, ...]:
    options = pronunciations(word)[:OPTIONS] if language == "en" else ()
    return tuple(tuple(stressless(p) for p in said) for said in options) or (tuple(word),)


def edit_cost(a: Phones, b: Phones) -> float:
    """Weighted edit distance: what recognisers and fluent speakers confuse costs less than a phone."""
    row = [0.0]
    for y in b:
        row.append(row[-1] + _gap(y))
    for x in a:
        diagonal, row[0] = row[0], row[0] + _gap(x)
        for k, y in enumerate(b, 1):
            diagonal, row[k] = row[k], min(diagonal + _swap(x, y), row[k] + _gap(x), row[k - 1] + _gap(y))
    return row[-1]


def _gap(phone: str) -> float:
    return 0.7 if phone in _WEAK else 1.0


def _swap(x: str, y: str) -> float:
    if x == y:
        return 0.0
    if x in _VOWELS and y in _VOWELS:
        return 0.5
    return 0.3 if frozenset((x, y)) in _VOICED else 1.0
