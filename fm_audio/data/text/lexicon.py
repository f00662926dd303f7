"""How English words are said: CMUdict first, with plurals and pasts of its words, and spelling to sound by flow for the rest.

Other endings, prefixes and compounds are the flow's: on words held out of the dictionary it says them better than rules do.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files

from fm_audio.data.text.spelling import spelled_out

Phones = tuple[str, ...]

_VOICELESS = frozenset("P T K F TH S SH CH".split())
_SIBILANT = frozenset("S Z SH ZH CH JH".split())
# What is said more often than the dictionary's first entry (heard in most US readings of a few thousand sentences).
_PREFERRED = {
    "and": "AE1 N D", "an": "AH0 N", "was": "W AH0 Z", "your": "Y UH1 R", "on": "AO1 N", "every": "EH1 V R IY0",
    "than": "DH AH0 N",
    "because": "B IH0 K AH1 Z", "cause": "K AO1 Z", "hundred": "HH AH1 N D R IH0 D", "without": "W IH0 DH AW1 T",
    "different": "D IH1 F R AH0 N T", "family": "F AE1 M L IY0", "usually": "Y UW1 ZH AH0 L IY0", "theory": "TH IH1 R IY0",
    "spirit": "S P IH1 R IH0 T", "president": "P R EH1 Z IH0 D AH0 N T", "of": "AH1 V", "ms": "M IH1 Z",
}  # fmt: skip
_MARKS = "'-"


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, str]:
    """word -> its pronunciations, separated by `|`."""
    text = gzip.decompress(files("fm_audio.data.text").joinpath("cmudict.txt.gz").read_bytes()).decode()
    return dict(line.split("\t") for line in text.splitlines())  # type: ignore[misc]


def known(word: str) -> tuple[Phones, ...]:
    """The dictionary's pronunciations of a word in lower case, the most common first; empty when it is not there."""
    said = _dictionary().get(word)
    if said is None:
        return ()
    options = said.split("|")
    first = _PREFERRED.get(word)
    if first is not None:
        options = [first, *(o for o in options if o != first)]
    return tuple(tuple(o.split()) for o in options)


@lru_cache(maxsize=20_000)
def pronunciations(word: str) -> tuple[Phones, ...]:
    """Pronunciations of a word of letters, apostrophes and hyphens, the most likely first; empty when it has no letter.

    A part in capitals is spelled: `FBI`. Everything else is expected in lower case.
    """
    if found := known(word):
        return found
    word = word.strip(_MARKS)
    if "-" in word:
        parts = [said[0] for part in word.split("-") if (said := pronunciations(part))]
        return (tuple(p for said in parts for p in said),) if parts else ()
    if capitals := re.fullmatch(r"([A-Z]+)('?s)?", word):
        spelled = spell(capitals[1])
        return (_plural(spelled) if capitals[2] else spelled,)
    letters = re.sub("[^a-z]", "", word.lower())
    if not letters:
        return ()
    if found := known(word.lower()) or _inflected(word.lower()) or known(letters):
        return found
    return (spelled_out(letters) if re.search("[aeiouy]", letters) else spell(letters),)


def spell(letters: str) -> Phones:
    """The names of the letters, the last with the main stress."""
    names = [("EY1",) if a == "a" else known(a)[0] for a in letters.lower()]
    weak = [tuple(p.replace("1", "2") for p in name) for name in names[:-1]]
    return tuple(p for name in (*weak, names[-1]) for p in name)


def _inflected(word: str) -> tuple[Phones, ...]:
    """Possessives, plurals and pasts of words that are known."""
    if word.endswith(("'s", "s'")):
        return tuple(_plural(p) for p in pronunciations(word[:-2] if word.endswith("'s") else word[:-1]))
    endings: list[tuple[str, Callable[[Phones], Phones]]] = [("s", _plural), ("es", _plural), ("ed", _past)]
    for ending, add in endings:
        if not word.endswith(ending) or len(word) < len(ending) + 3 or word.endswith(("ss", "us", "is")):
            continue
        for stem in _stems(word[: -len(ending)], ending):
            if found := known(stem):
                return tuple(add(p) for p in found)
    return ()


def _stems(stem: str, ending: str) -> list[str]:
    """Spellings a word may have had before its ending."""
    forms = [stem]
    if ending[0] == "e":
        hoped = re.search("[^aeiou][aeiou][^aeiouwxy]$", stem) is not None  # hoped is from hope, hopped from hop
        forms.insert(0 if hoped else 1, stem + "e")
        if len(stem) > 3 and stem[-1] == stem[-2]:
            forms.append(stem[:-1])
    if stem.endswith("i"):
        forms.append(stem[:-1] + "y")
    return forms


def _plural(phones: Phones) -> Phones:
    if phones[-1] in _SIBILANT:
        return (*phones, "IH0", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def _past(phones: Phones) -> Phones:
    if phones[-1] in ("T", "D"):
        return (*phones, "IH0", "D")
    return (*phones, "T" if phones[-1] in _VOICELESS else "D")
