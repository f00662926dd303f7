"""Letter-to-sound for words no dictionary holds: a joint n-gram model of graphones.

A graphone is one letter with the 0 to 3 phones it stands for. P(graphones) is an interpolated Kneser-Ney n-gram (Bisani & Ney
2008, "Joint-sequence models for grapheme-to-phoneme conversion"), decoded by a beam over the letters. `data_prep.lexicon` trains
it from CMUdict and writes `letters.bin.gz`: the n-grams as a trie in breadth-first order.
"""

from __future__ import annotations

import gzip
import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate

import numpy as np

START, END = 0, 1  # tokens around every word
BEAM = 16
COUNT_BASE = 1.06  # counts are stored as logarithms to this base in a byte
DISCOUNT = 0.8


def pack(tokens: Sequence[tuple[str, str]], trie: Sequence[tuple[int, float, float, int]], order: int) -> bytes:
    """The model as bytes. trie: (token, count, total of all children's counts, children kept) a node, breadth first."""
    header = json.dumps({"tokens": tokens, "order": order, "nodes": len(trie)}, separators=(",", ":")).encode()
    columns = [
        np.array([n[0] for n in trie], "<u2"),
        np.array([_level(n[1]) for n in trie], "u1"),
        np.array([_level(n[2]) for n in trie], "u1"),
        np.array([n[3] for n in trie], "<u2"),
    ]
    return gzip.compress(len(header).to_bytes(4, "little") + header + b"".join(c.tobytes() for c in columns), 9, mtime=0)


def _level(count: float) -> int:
    return 0 if count <= 0 else min(255, 1 + round(math.log(count, COUNT_BASE)))


class LetterModel:
    """`LetterModel(data)` reads what `pack` wrote; `pronounce("kohath")` -> phones, the same for the same word always."""

    def __init__(self, data: bytes) -> None:
        raw = gzip.decompress(data)
        size = int.from_bytes(raw[:4], "little")
        header = json.loads(raw[4 : 4 + size])
        n, at = header["nodes"], 4 + size
        counts = [0.0, *(COUNT_BASE ** np.arange(255)).tolist()]
        self.order: int = header["order"]
        self.phones = [tuple(phones.split()) for _, phones in header["tokens"]]
        self.of_letter: dict[str, list[int]] = {}
        for k, (letter, _) in enumerate(header["tokens"]):
            self.of_letter.setdefault(letter, []).append(k)
        self.token = np.frombuffer(raw, "<u2", n, at).tolist()
        self.count = [counts[b] for b in raw[at + 2 * n : at + 3 * n]]
        self.total = [counts[b] for b in raw[at + 3 * n : at + 4 * n]]
        children = np.frombuffer(raw, "<u2", n, at + 4 * n).tolist()
        self.first = list(accumulate(children, initial=1))  # node k's children are first[k] … first[k + 1]
        self._left: dict[int, float] = {}

    def pronounce(self, word: str) -> tuple[str, ...]:
        """word: letters a-z only."""
        beam: list[tuple[float, list[int], tuple[int, ...]]] = [(0.0, self._advance([0], START), ())]
        for letter in word:
            grown = [
                (score + math.log(p), contexts, token, said)
                for score, contexts, said in beam
                for token in self.of_letter.get(letter, [])
                if (p := self._probability(contexts, token)) > 0
            ]
            grown.sort(key=lambda h: (-h[0], h[2], h[3]))
            beam = [(score, self._advance(contexts, token), (*said, token)) for score, contexts, token, said in grown[:BEAM]]
        ends = [(score + math.log(max(self._probability(contexts, END), 1e-12)), said) for score, contexts, said in beam]
        best = max(ends, key=lambda e: (e[0], e[1]))[1]
        return one_stress([p for token in best for p in self.phones[token]])

    def _child(self, node: int, token: int) -> int:
        low, high = self.first[node], self.first[node + 1]
        k = bisect_left(self.token, token, low, high)
        return k if k < high and self.token[k] == token else 0

    def _advance(self, contexts: list[int], token: int) -> list[int]:
        """Trie nodes of all suffixes of the history, the longest last; node 0 is the empty history."""
        found = [self._child(c, token) for c in contexts]
        return [0, *(c for c in found if c)][: self.order]

    def _probability(self, contexts: list[int], token: int) -> float:
        """Interpolated over the histories, the shortest first."""
        p = 1.0 / len(self.phones)
        for context in contexts:
            if self.total[context] > 0:
                k = self._child(context, token)
                own = max(self.count[k] - DISCOUNT, 0.0) / self.total[context] if k else 0.0
                p = own + self._mass_left(context) * p
        return p

    def _mass_left(self, context: int) -> float:
        """What discounting and pruning leave to the shorter history."""
        if context not in self._left:
            kept = sum(max(c - DISCOUNT, 0.0) for c in self.count[self.first[context] : self.first[context + 1]])
            self._left[context] = min(1.0, max(1e-4, 1 - kept / self.total[context]))
        return self._left[context]


def one_stress(phones: Sequence[str]) -> tuple[str, ...]:
    """Exactly one primary stress: the first of several stays, without any the first full vowel gets it."""
    vowels = [i for i, p in enumerate(phones) if p[-1] in "012"]
    if not vowels:
        return tuple(phones)
    primary = [i for i in vowels if phones[i][-1] == "1"]
    full = [i for i in vowels if phones[i][-1] == "2"] or [i for i in vowels if phones[i] != "AH0"] or vowels
    chosen = (primary or full)[0]
    return tuple(p[:-1] + "1" if i == chosen else p[:-1] + "2" if i in primary else p for i, p in enumerate(phones))


@lru_cache(maxsize=1)
def letter_model() -> LetterModel:
    """The model that ships, read once."""
    return LetterModel(files("fm_audio.data.text").joinpath("letters.bin.gz").read_bytes())
