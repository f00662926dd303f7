"""Any Unicode text in Latin script as plain ASCII: no ligatures, accents, smart quotes, dashes, foreign digits or emoji."""

from __future__ import annotations

import re
import unicodedata

from fm_audio.types import FmAudioError

_SPECIAL = (
    {c: "-" for c in "‐‑‒−"}
    | {c: " - " for c in "–—―"}
    | {c: "'" for c in "’‘‛ʼʹ`´′"}
    | {c: '"' for c in "“”„‟«»‹›″"}
    | {c: ", " for c in "()[]{}•·|"}
    | {"…": ". ", "⁄": "/", "™": "", "®": "", "©": " copyright ", "№": "No. ", "§": " section ", "¶": " "}
    | {"×": " times ", "÷": " divided by ", "±": " plus or minus ", "≈": " approximately ", "≠": " is not equal to "}
    | {"≤": " at most ", "≥": " at least ", "∞": " infinity ", "√": " the square root of ", "→": " to ", "‰": " per mille "}
    | {"²": "^2", "³": "^3", "ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i", "ŋ": "ng", "ħ": "h", "ə": "e"}
)
_KEPT = set("£€¥₹¢°µμΩ")  # what the normaliser reads itself
_TABLE = str.maketrans(_SPECIAL)
_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_RANGE = re.compile(r"(?<=\d)\s?[–—]\s?(?=[\d$£€])")


def plain(text: str) -> str:
    """Raises `FmAudioError` for a lone surrogate and for letters of a script that an English front-end cannot read."""
    broken = next((c for c in text if 0xD800 <= ord(c) <= 0xDFFF), None)
    if broken:
        raise FmAudioError(f"text: it holds the lone surrogate U+{ord(broken):04X}, no character; save the text as UTF-8 again")
    if text.isascii():
        return text.translate(_TABLE)
    text = _RANGE.sub("-", _VULGAR.sub(" ", text)).translate(_TABLE)
    text = unicodedata.normalize("NFKC", text).translate(_TABLE)
    text = re.sub("[\u0370-\u03ff\u1f00-\u1fff]+", _greek, text)
    out = "".join(c if c.isascii() or c in _KEPT else _ascii(c) for c in unicodedata.normalize("NFD", text))
    return out.replace("μ", "µ")


def _ascii(c: str) -> str:
    """A Latin letter without its marks, a digit, a space; nothing for marks, emoji and control characters."""
    digit = unicodedata.decimal(c, None)
    if digit is not None:
        return str(digit)
    kind = unicodedata.category(c)
    if kind[0] == "Z":
        return " "
    if kind[0] == "P":
        return ", " if kind in ("Ps", "Pe") else "- " if kind == "Pd" else ". " if c in "。｡" else ", "
    if kind[0] != "L" or kind == "Lm":
        return ""
    latin = re.match(r"LATIN (?:(SMALL)|CAPITAL) LETTER ([A-Z])(?: |$)", unicodedata.name(c, ""))
    if latin is None:
        raise FmAudioError(f"text: {c!r} is a letter this voice cannot read; it reads English in Latin letters: transcribe it")
    return latin[2].lower() if latin[1] else latin[2]


def _greek(found: re.Match[str]) -> str:
    """A single Greek letter by its name; µ and Ω stay for the units."""
    letters = unicodedata.normalize("NFC", found.group())
    if letters in ("μ", "Ω"):
        return letters
    full = unicodedata.name(letters, "") if len(letters) == 1 else ""
    name = re.match(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)", full)
    if name is None:
        raise FmAudioError(f"text: {letters[:20]!r} is Greek, which this voice cannot read; write it in Latin letters")
    return f" {name[1].lower()} "
