"""Texts that are not quite what was said, for who learns to tell: words left out, put in, doubled, in another's place.

Where a text has a word that nobody said, a recording of it lacks one, and where it lacks a word, the recording has one more. So a
sound that is well said, with a text that was changed, is a recording of that text with a fault, and needs no joints.
Labels say of each word whether it was not said, and of the gaps before, between and behind words whether something else was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Word = tuple[int, ...]  # phones as classes


@dataclass(frozen=True)
class Misread:
    """Words of a text, of each whether it was not said, and of the gaps (one more) whether something else was said there."""

    words: tuple[Word, ...]
    unsaid: tuple[bool, ...]
    more: tuple[bool, ...]

    @classmethod
    def true(cls, words: Sequence[Word]) -> Misread:
        return cls(tuple(words), (False,) * len(words), (False,) * (len(words) + 1))

    @property
    def faulty(self) -> bool:
        return any(self.unsaid) or any(self.more)

    @property
    def labels(self) -> list[bool]:
        """Of gaps and words by turns, beginning and ending with a gap."""
        return [self.more[0], *(label for pair in zip(self.unsaid, self.more[1:], strict=True) for label in pair)]

    def with_words(self, at: int, words: Sequence[Word]) -> Misread:
        """With words before number `at` that nobody said."""
        n = len(words)
        return Misread(
            (*self.words[:at], *words, *self.words[at:]),
            (*self.unsaid[:at], *(True,) * n, *self.unsaid[at:]),
            (*self.more[: at + 1], *(False,) * n, *self.more[at + 1 :]),
        )

    def without(self, at: int) -> Misread:
        """Without a word that was said."""
        return Misread(
            self.words[:at] + self.words[at + 1 :], self.unsaid[:at] + self.unsaid[at + 1 :],
            (*self.more[:at], True, *self.more[at + 2 :]),
        )  # fmt: skip

    def instead(self, at: int, word: Word) -> Misread:
        """With a word that was not said in the place of one that was."""
        words, unsaid = list(self.words), list(self.unsaid)
        words[at], unsaid[at] = word, True
        return Misread(tuple(words), tuple(unsaid), self.more)


Change = Callable[[Misread, Sequence[Word], np.random.Generator], Misread]


def _one(of: Sequence[Word], draw: np.random.Generator) -> Word:
    return of[int(draw.integers(len(of)))]


def added(text: Misread, others: Sequence[Word], draw: np.random.Generator) -> Misread:
    return text.with_words(int(draw.integers(len(text.words) + 1)), [_one(others, draw)])


def dropped(text: Misread, others: Sequence[Word], draw: np.random.Generator) -> Misread:
    said = [i for i, unsaid in enumerate(text.unsaid) if not unsaid]
    return text.without(said[int(draw.integers(len(said)))]) if said and len(text.words) > 1 else text


def swapped(text: Misread, others: Sequence[Word], draw: np.random.Generator) -> Misread:
    at, word = int(draw.integers(len(text.words))), _one(others, draw)
    return text if word == text.words[at] else text.instead(at, word)


def altered(text: Misread, others: Sequence[Word], draw: np.random.Generator) -> Misread:
    """One phone of a word of two or more is another, one that words have."""
    at, phone = int(draw.integers(len(text.words))), _one(others, draw)[0]
    word = text.words[at]
    place = int(draw.integers(len(word)))
    if len(word) < 2 or word[place] == phone:
        return text
    return text.instead(at, (*word[:place], phone, *word[place + 1 :]))


def doubled(text: Misread, others: Sequence[Word], draw: np.random.Generator) -> Misread:
    """One to three words again."""
    at = int(draw.integers(len(text.words)))
    again = text.words[at : at + int(draw.integers(1, 4))]
    return text.with_words(at + len(again), again)


def at_an_end(text: Misread, others: Sequence[Word], draw: np.random.Generator) -> Misread:
    """One to three words more at the beginning or at the end."""
    words = [_one(others, draw) for _ in range(int(draw.integers(1, 4)))]
    return text.with_words(0 if draw.random() < 0.5 else len(text.words), words)


CHANGES: tuple[Change, ...] = (added, dropped, swapped, altered, doubled, at_an_end)


@dataclass(frozen=True)
class Misreading:
    """true: share of texts that stay as they are. twice: share of the others that are changed once more."""

    true: float = 0.35
    twice: float = 0.2

    def __call__(self, words: Sequence[Word], others: Sequence[Word], room: int, draw: np.random.Generator) -> Misread:
        """A text's words, or them changed; others: words to take; room: phones that fit. What does not fit is not changed."""
        text = Misread.true(words)
        if draw.random() < self.true:
            return text
        for _ in range(1 + (draw.random() < self.twice)):
            changed = CHANGES[int(draw.integers(len(CHANGES)))](text, others, draw)
            if sum(map(len, changed.words)) <= room:
                text = changed
        return text
