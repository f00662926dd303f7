"""Vocabularies: texts as ids and back, for tasks that write text rather than speak it.

    id 0 padding,  id 1 the end,  then the symbols in their order

The order is an append-only contract, because a trained model stores ids: new symbols go to the end. `encode` gives neither
padding nor end; `decode` stops at the first of them. Every vocabulary knows the longest text that it takes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from typing import Protocol, runtime_checkable

from fm_audio.data.text.arpabet import PHONES, stressless
from fm_audio.data.text.subwords import SentencePiece
from fm_audio.types import FmAudioError

PAD, END = 0, 1
MARKS = ("<pad>", "<end>")
NOTHING = "_"
LOWER_CASE = "abcdefghijklmnopqrstuvwxyz"


@runtime_checkable
class Vocabulary(Protocol):
    """`symbols[i]` is the symbol of id i; `longest` is how many ids a text may have."""

    longest: int

    @property
    def symbols(self) -> tuple[str, ...]: ...

    def encode(self, text: str) -> list[int]:
        """1 to `longest` ids. Raises FmAudioError for an empty text, unknown symbols and a text that is too long."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids before the first padding or end."""
        ...


class Letters:
    """One symbol a character. `lower` writes texts in lower case first; runs of white space become one space."""

    def __init__(self, alphabet: str = LOWER_CASE + "'-.", longest: int = 32, lower: bool = True) -> None:
        _require_distinct("Letters", list(alphabet))
        if lower and alphabet != alphabet.lower():
            raise FmAudioError(f"Letters: the alphabet {alphabet!r} has capitals that lower: true never writes; drop one of them")
        self.alphabet, self.longest, self.lower = alphabet, _checked("Letters", longest), lower

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*MARKS, *self.alphabet)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.symbols)}

    def encode(self, text: str) -> list[int]:
        text = " ".join(unicodedata.normalize("NFC", text).split())
        return _looked_up(text.lower() if self.lower else text, self._ids, self.longest, "characters", self.alphabet)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.symbols[i] for i in until_end(ids))


class Symbols:
    """Symbols with spaces between them: phones, words, notes."""

    def __init__(self, table: list[str], longest: int = 32) -> None:
        _require_distinct("Symbols", table)
        spaced = [s for s in table if not s or s.split() != [s]]
        if spaced:
            raise FmAudioError(f"Symbols: {spaced[:5]} are empty or hold white space, which stands between symbols")
        self.table, self.longest = list(table), _checked("Symbols", longest)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*MARKS, *self.table)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.symbols)}

    def encode(self, text: str) -> list[int]:
        return _looked_up(text.split(), self._ids, self.longest, "symbols", " ".join(self.table))

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.symbols[i] for i in until_end(ids))


class Phones(Symbols):
    """CMUdict's 39 phones, spaces between them: `HH AH0 L OW1`; without `stress`: `HH AH L OW`."""

    def __init__(self, stress: bool = True, longest: int = 32) -> None:
        super().__init__(list(PHONES) if stress else list(dict.fromkeys(map(stressless, PHONES))), longest)


class Dealt(Symbols):
    """What is dealt to each letter of a word: nothing (`_`), a symbol, or several with `+` between them: `K+S`.

    Texts hold one of them for each letter; decoded they are symbols with spaces: `F _ IH1 K+S` -> `F IH1 K S`.
    """

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.symbols[i].replace("+", " ") for i in until_end(ids) if self.symbols[i] != NOTHING)


class LettersAndPhones:
    """Letters and phones in one table, for a model that writes both words and how they are said.

    The phones are CMUdict's with stress, or those `dealt` to letters (`Dealt`). A text all of whose words are phones (`B IH1 T`)
    is read as phones, any other in lower case as letters (`bit`); it is written back the same way. `B` alone is a phone: write
    `b` for the letter.
    """

    def __init__(self, alphabet: str = LOWER_CASE + "' ", longest: int = 200, dealt: list[str] | None = None) -> None:
        self.letters = Letters(alphabet, longest)
        self.phones: Symbols = Dealt(dealt, longest) if dealt else Phones(longest=longest)
        _require_distinct("LettersAndPhones", [*alphabet, *self.phones.table])
        self.alphabet, self.longest, self.dealt = alphabet, longest, dealt

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*self.letters.symbols, *self.phones.table)

    def encode(self, text: str) -> list[int]:
        words = text.split()
        if words and all(word in self.phones.table for word in words):
            return [i + len(self.alphabet) for i in self.phones.encode(text)]
        return self.letters.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        kept, first_phone = until_end(ids), len(self.letters.symbols)
        runs = groupby(kept, lambda i: i < first_phone)
        spelled = (
            self.letters.decode(list(run)) if letters else self.phones.decode([i - len(self.alphabet) for i in run])
            for letters, run in runs
        )
        return " ".join(" ".join(spelled).split())


class Words:
    """Known words as one symbol each, the space behind them with them; any other word letter by letter, and then a space.

    words: those that are known, with spaces between them. Texts are read in lower case; runs of white space become one space.
    """

    def __init__(self, words: str, alphabet: str = LOWER_CASE + "' ", longest: int = 64) -> None:
        if " " not in alphabet:
            raise FmAudioError(f"Words: the alphabet {alphabet!r} has no space, which ends a word that is spelled; add it")
        self.letters = Letters(alphabet, longest)
        self.table = [f"{word} " for word in words.lower().split()]
        _require_distinct("Words", [*alphabet, *self.table])
        self.words, self.alphabet, self.longest = words, alphabet, _checked("Words", longest)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*self.letters.symbols, *self.table)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word[:-1]: i for i, word in enumerate(self.table, len(self.letters.symbols))}

    def encode(self, text: str) -> list[int]:
        end = self.letters.symbols.index(" ")
        found = []
        for word in unicodedata.normalize("NFC", text).lower().split():
            found += [self._ids[word]] if word in self._ids else [*self.letters.encode(word), end]
        return fitting(found, self.longest, "words and letters", text)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.symbols[i] for i in until_end(ids)).rstrip()


class Pieces:
    """Subwords of a SentencePiece model file. Needs `sentencepiece`: `pip install fm-audio[train]`."""

    def __init__(self, model: str, longest: int = 128) -> None:
        self.model, self.longest = model, _checked("Pieces", longest)
        self._pieces = SentencePiece(model)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        processor = self._pieces.processor
        return (*MARKS, *(processor.id_to_piece(k) for k in range(processor.get_piece_size())))

    def encode(self, text: str) -> list[int]:
        processor = self._pieces.processor
        found = processor.encode(" ".join(text.split()))
        if processor.unk_id() in found:
            raise FmAudioError(f"text {_shown(text)}: holds characters that {self.model} does not know; write it in others")
        return fitting([len(MARKS) + k for k in found], self.longest, "pieces", text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._pieces.processor.decode([i - len(MARKS) for i in until_end(ids)])


def until_end(ids: Sequence[int]) -> list[int]:
    """The ids before the first padding or end."""
    stop = next((k for k, i in enumerate(ids) if i in (PAD, END)), len(ids))
    return list(ids[:stop])


def _looked_up(text: Sequence[str], ids: dict[str, int], longest: int, what: str, allowed: str) -> list[int]:
    unknown = next((s for s in text if s not in ids or s in MARKS), None)
    if unknown is not None:
        raise FmAudioError(f"text: {_shown(unknown)} is none of the {what} that this model knows, {allowed!r}; write it in those")
    return fitting([ids[s] for s in text], longest, what, text if isinstance(text, str) else " ".join(text))


def fitting(found: list[int], longest: int, what: str, text: str) -> list[int]:
    """The ids, if there are 1 to `longest`; else FmAudioError in those words."""
    if not found:
        raise FmAudioError("text: it is empty; give at least one character")
    if len(found) > longest:
        raise FmAudioError(f"text {_shown(text)}: has {len(found)} {what}; at most {longest} are allowed; split it")
    return found


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _checked(who: str, longest: int) -> int:
    if longest < 1:
        raise FmAudioError(f"{who}: longest is {longest}; give how many symbols a text may have, 1 or more")
    return longest


def _require_distinct(who: str, table: Sequence[str]) -> None:
    twice = sorted({s for s in table if list(table).count(s) > 1 or s in MARKS})
    if twice or not table:
        raise FmAudioError(f"{who}: give each symbol once, at least one, and none of {', '.join(MARKS)}; not so: {twice[:5]}")
