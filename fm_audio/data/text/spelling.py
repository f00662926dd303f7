"""How words are said that no dictionary holds: each letter is dealt its phones by flow (`fm_audio.tasks.text_in_place`).

The model ships as `g2p`; recipes/text_to_text/pronunciation_in_place.yaml trained it, and the README beside it tells how well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("g2p")
Phones = tuple[str, ...]


@lru_cache(maxsize=1)
def speller() -> Any:
    """The model that ships, read once; words that are known need neither it nor torch."""
    from fm_audio.checkpoint import load_model

    return load_model(FOLDER)


def spelled_out(word: str) -> Phones:
    """Phones of a word of letters a-z, with one main stress; the same for the same word always. Empty if none is heard.

    A word of more letters than the model takes is said in parts.
    """
    longest = speller().source.longest
    parts = -(-len(word) // longest)
    ends = [round(k * len(word) / parts) for k in range(parts + 1)]
    said = speller().answers([word[a:b] for a, b in zip(ends, ends[1:], strict=False)])
    return one_stress([phone for part in said for phone in part.split()])


def one_stress(phones: Sequence[str]) -> Phones:
    """Exactly one primary stress: the first of several stays, without any the first full vowel gets it."""
    vowels = [i for i, p in enumerate(phones) if p[-1] in "012"]
    if not vowels:
        return tuple(phones)
    primary = [i for i in vowels if phones[i][-1] == "1"]
    full = [i for i in vowels if phones[i][-1] == "2"] or [i for i in vowels if phones[i] != "AH0"] or vowels
    chosen = (primary or full)[0]
    return tuple(p[:-1] + "1" if i == chosen else p[:-1] + "2" if i in primary else p for i, p in enumerate(phones))
