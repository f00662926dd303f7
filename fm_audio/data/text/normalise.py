"""English text as it is read out: numbers, money, dates, abbreviations and symbols in words."""

from __future__ import annotations

import re
import unicodedata

_CHARACTERS = str.maketrans(
    {c: "-" for c in "‐‑‒–—―−"} | {c: "'" for c in "’‘ʼ`´"} | {c: "" for c in "“”„‟«»\""} | {c: "," for c in "()[]{}"} | {"…": "."}
)


def normalise(text: str) -> str:
    """The text in lower-case ASCII words and the punctuation , . ! ? ; : -"""
    text = unicodedata.normalize("NFKC", text.translate(_CHARACTERS)).translate(_CHARACTERS)
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return re.sub(r"\d+", lambda m: _number(m.group()), text).lower()


def _number(digits: str) -> str:
    from num2words import num2words

    return f" {num2words(int(digits))} "
