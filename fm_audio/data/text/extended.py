"""A front-end that reads another language with symbols behind those a model knows already.

The known symbols keep their ids, so rows of a trained table stay what they are; what the new language shares with them (edges,
punctuation, letters of the same name) is said with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from fm_audio.data.text.frontend import Encoded, FrontEnd


class Extended:
    """`base` is the front-end a model was trained with, `added` the one that texts are read with."""

    def __init__(self, base: FrontEnd, added: FrontEnd) -> None:
        self.base, self.added = base, added

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*self.base.symbols, *self.new_symbols)

    @cached_property
    def new_symbols(self) -> tuple[str, ...]:
        known = set(self.base.symbols)
        return tuple(s for s in self.added.symbols if s not in known)

    @property
    def stand_ins(self) -> Mapping[str, str] | None:
        """What `base` would say for each new symbol, where `added` knows (`BorrowedPhones`) and `base` can."""
        known: Mapping[str, str] | None = getattr(self.added, "stand_ins", None)
        return known if known is not None and set(known.values()) <= set(self.base.symbols) else None

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(self.symbols)}

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` where `added` does."""
        encoded = self.added.encode(text)
        return replace(encoded, ids=[self._ids[s] for s in encoded.symbols])


class Moved:
    """A front-end whose ids from `first` on stand `by` further down, in a table that others have grown too."""

    def __init__(self, frontend: FrontEnd, first: int, by: int) -> None:
        self.frontend, self.first, self.by = frontend, first, by

    @property
    def symbols(self) -> tuple[str, ...]:
        known = self.frontend.symbols
        return (*known[: self.first], *[""] * self.by, *known[self.first :])

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` where the front-end does."""
        encoded = self.frontend.encode(text)
        return replace(encoded, ids=[i + self.by if i >= self.first else i for i in encoded.ids])
