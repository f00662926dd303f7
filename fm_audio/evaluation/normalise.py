"""What a sentence sounds like, for scoring: both the text asked for and the text heard go through the same door.

Case, punctuation, apostrophes and the phones of `{word|W ER1 D}` go; numbers, money, ordinals and years become words
(num2words); titles are written out; British spelling becomes American, because a recogniser chooses one at will. Words that
sound different stay different: "it is" is not "it's".
"""

from __future__ import annotations

import re
import unicodedata

from fm_audio.data.text.said import as_written
from fm_audio.extras import require

VERSION = 1  # part of every protocol's fingerprint: raise it when a rule changes

_WORDS = {
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "ok": "okay",
    "cannot": "can not",
    "grey": "gray",
    "plough": "plow",
    "theatre": "theater",
    "centre": "center",
    "metre": "meter",
    "litre": "liter",
    "fibre": "fiber",
    "axe": "ax",
    "cheque": "check",
    "mould": "mold",
    "smoulder": "smolder",
    "storey": "story",
    "tyre": "tire",
    "pyjamas": "pajamas",
    "smokey": "smoky",
    "jewellery": "jewelry",
    "programme": "program",
    "sceptical": "skeptical",
    "defence": "defense",
    "offence": "offense",
    "towards": "toward",
}
_OUR = re.compile(r"\b(arm|behavi|col|endeav|fav|flav|harb|hon|hum|lab|neighb|od|parl|rum|sav|splend|tum|val|vap|vig)our")
_DOUBLED = re.compile(r"\b(cancel|jewel|label|level|marvel|model|quarrel|signal|travel)l(ed|er|ers|ing)\b")
_CURRENCY = {"$": ("dollar", "dollars"), "£": ("pound", "pounds"), "€": ("euro", "euros")}
_SYMBOLS = {"%": " percent ", "&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "°": " degrees "}


def normalise(text: str, language: str = "en", apostrophes: bool = False) -> str:
    """Words separated by single spaces, as they are said. Languages other than English keep their accents and spelling.

    `apostrophes` inside words go, unless asked for: a pronouncing dictionary needs them.
    """
    text = unicodedata.normalize("NFKC", as_written(text)).casefold().translate({0x2019: "'", 0x2018: "'", 0x02BC: "'"})
    if language == "en":
        text = _english_numbers(text)
    text = _digits(text, language)
    text = re.sub(r"(?<!\w)'|'(?!\w)", "", text) if apostrophes else text.replace("'", "")
    if language == "en":
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    kept = "'" if apostrophes else ""
    text = "".join(c if c.isalnum() or c in kept or unicodedata.category(c).startswith("M") else " " for c in text)
    if language == "en":
        text = _DOUBLED.sub(r"\1\2", _OUR.sub(r"\1or", text))
        text = " ".join(_WORDS.get(word, word) for word in text.split())
    return " ".join(text.split())


def _english_numbers(text: str) -> str:
    """Money, clock times, ordinals, years and symbols, which need more than the digits."""
    text = re.sub(r"(?<![$£€\d])\d{1,3}(?:,\d{3})+\b(?!\.\d)", lambda m: _say(int(m[0].replace(",", ""))), text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"([$£€])\s?(\d+)(?:\.(\d\d))?\b", _money, text)
    text = re.sub(r"\b(\d{1,2}):(\d\d)\b", _clock, text)
    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: _say(int(m[1]), to="ordinal"), text)
    text = re.sub(r"(?<![\d.])(1[1-9]\d\d|20[1-9]\d)(?![\d.]*\d)", lambda m: _say(int(m[1]), to="year"), text)
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    return text


def _money(match: re.Match[str]) -> str:
    one, many = _CURRENCY[match[1]]
    whole, cents = int(match[2]), int(match[3] or 0)
    said = f"{_say(whole)} {one if whole == 1 else many}"
    return said + (f" {_say(cents)}" if cents else "")


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if not minute:
        return _say(hour)
    return f"{_say(hour)} {'oh ' if minute < 10 else ''}{_say(minute)}"


def _digits(text: str, language: str) -> str:
    def spoken(match: re.Match[str]) -> str:
        number = match[0]
        return f" {_say(float(number) if '.' in number else int(number), language)} "

    return re.sub(r"\d{1,15}(?:\.\d{1,6})?", spoken, text)


def _say(number: float, language: str = "en", to: str = "cardinal") -> str:
    """A number in words, without the British 'and': 1250 is 'one thousand two hundred fifty'. Unknown languages keep digits."""
    num2words = require("num2words", "reading numbers in a text").num2words
    try:
        words = num2words(number, lang=language, to=to)
    except NotImplementedError:
        return str(number)
    return words.replace(" and ", " ") if language == "en" else words
