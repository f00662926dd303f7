"""How English words are said: CMUdict first, then word parts, then spelled letters or letter-to-sound rules."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from importlib.resources import files

Phones = tuple[str, ...]

_VOICELESS = frozenset("P T K F TH".split())
_SIBILANT = frozenset("S Z SH ZH CH JH".split())
_SUFFIXES: dict[str, Phones] = {
    "ing": ("IH0", "NG"), "er": ("ER0",), "ers": ("ER0", "Z"), "est": ("IH0", "S", "T"), "ly": ("L", "IY0"), "ness": ("N", "AH0", "S"),
    "less": ("L", "AH0", "S"), "ful": ("F", "AH0", "L"), "ment": ("M", "AH0", "N", "T"), "able": ("AH0", "B", "AH0", "L"),
    "ish": ("IH0", "SH"), "like": ("L", "AY2", "K"), "y": ("IY0",),
}  # fmt: skip
_PREFIXES: dict[str, Phones] = {
    "un": ("AH0", "N"), "re": ("R", "IY0"), "non": ("N", "AA0", "N"), "dis": ("D", "IH0", "S"), "mis": ("M", "IH0", "S"),
    "over": ("OW2", "V", "ER0"), "under": ("AH2", "N", "D", "ER0"), "pre": ("P", "R", "IY0"), "anti": ("AE2", "N", "T", "IY0"),
}  # fmt: skip
_RULES = {
    "tch": "CH", "sch": "S K", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "ck": "K", "qu": "K W", "ng": "NG", "gh": "G",
    "ee": "IY1", "ea": "IY1", "oo": "UW1", "ou": "AW1", "ow": "OW1", "ai": "EY1", "ay": "EY1", "oa": "OW1", "oi": "OY1", "oy": "OY1",
    "au": "AO1", "aw": "AO1", "er": "ER0", "ir": "ER1", "ur": "ER1", "ar": "AA1 R", "or": "AO1 R", "ie": "IY1", "ei": "EY1", "ey": "IY0",
    "a": "AE1", "b": "B", "c": "K", "d": "D", "e": "EH1", "f": "F", "g": "G", "h": "HH", "i": "IH1", "j": "JH", "k": "K", "l": "L", "m": "M",
    "n": "N", "o": "AA1", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH1", "v": "V", "w": "W", "x": "K S", "y": "IY0", "z": "Z",
}  # fmt: skip
_RULE = re.compile("|".join(sorted(_RULES, key=lambda r: -len(r))))


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, str]:
    """word -> its pronunciations, separated by `|`."""
    text = gzip.decompress(files("fm_audio.data.text").joinpath("cmudict.txt.gz").read_bytes()).decode()
    return dict(line.split("\t") for line in text.splitlines())  # type: ignore[misc]


def known(word: str) -> tuple[Phones, ...]:
    """The dictionary's pronunciations of a word in lower case, the most common first; empty when it is not there."""
    said = _dictionary().get(word)
    return tuple(tuple(p.split()) for p in said.split("|")) if said else ()


@lru_cache(maxsize=20_000)
def pronunciations(word: str) -> tuple[Phones, ...]:
    """Pronunciations of any word of a-z, apostrophes and hyphens, the most likely first; empty when it has no letter."""
    word = word.strip("'-") if not known(word) else word
    if not word:
        return ()
    if found := known(word):
        return found
    if "-" in word:
        return _joined([pronunciations(part) for part in word.split("-") if part.strip("'")])
    if found := _parts(word):
        return found
    return (_spelled_out(word) if not re.search("[aeiouy]", word) else _by_rule(word),)


def _joined(parts: list[tuple[Phones, ...]]) -> tuple[Phones, ...]:
    return (tuple(p for options in parts if options for p in options[0]),)


def _parts(word: str) -> tuple[Phones, ...]:
    """Endings, suffixes, prefixes and compounds of known words."""
    if word.endswith("'s") or word.endswith("s'"):
        return tuple(_plural(p) for p in pronunciations(word[:-2] if word.endswith("'s") else word[:-1]))
    for ending, add in (("s", _plural), ("es", _plural), ("ed", _past), ("d", _past)):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            for stem in _stems(word[: -len(ending)], ending):
                return tuple(add(p) for p in known(stem))
    for suffix, phones in _SUFFIXES.items():
        if word.endswith(suffix) and len(word) > len(suffix) + 2:
            for stem in _stems(word[: -len(suffix)], suffix):
                return tuple(p + phones for p in known(stem))
    for prefix, phones in _PREFIXES.items():
        if word.startswith(prefix) and len(word) > len(prefix) + 2 and (rest := known(word[len(prefix) :])):
            return tuple(phones + p for p in rest)
    for cut in range(len(word) - 3, 2, -1):
        if (a := known(word[:cut])) and (b := known(word[cut:])):
            return (a[0] + tuple(p.replace("1", "2") for p in b[0]),)
    return ()


def _stems(stem: str, suffix: str) -> list[str]:
    """Spellings a word may have had before its suffix."""
    forms = [stem]
    if suffix[0] in "aeiouy":
        forms.append(stem + "e")
        if len(stem) > 3 and stem[-1] == stem[-2]:
            forms.append(stem[:-1])
    if stem.endswith("i"):
        forms.append(stem[:-1] + "y")
    return [f for f in forms if known(f)]


def _plural(phones: Phones) -> Phones:
    if phones[-1] in _SIBILANT:
        return (*phones, "AH0", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def _past(phones: Phones) -> Phones:
    if phones[-1] in ("T", "D"):
        return (*phones, "AH0", "D")
    return (*phones, "T" if phones[-1] in _VOICELESS | {"S", "SH", "CH"} else "D")


def _spelled_out(word: str) -> Phones:
    """The names of its letters."""
    return tuple(p for letter in word if letter.isalpha() for p in _letter(letter))


def _letter(letter: str) -> Phones:
    return ("EY1",) if letter == "a" else known(letter)[0]


def _by_rule(word: str) -> Phones:
    return tuple(p for found in _RULE.finditer(word) for p in _RULES[found.group()].split())
