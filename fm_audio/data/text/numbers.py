"""Numbers in English words: cardinals, ordinals, years, decimals, fractions, digit strings, Roman numerals."""

from __future__ import annotations

from functools import lru_cache

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAX_DIGITS = 15  # longer numbers are read digit by digit
_ROMAN = {
    "M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90, "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5, "IV": 4, "I": 1,
}  # fmt: skip


@lru_cache(maxsize=10_000)
def cardinal(n: int) -> str:
    """1234 -> one thousand two hundred and thirty-four"""
    from num2words import num2words

    return str(num2words(n)).replace(",", "")


@lru_cache(maxsize=10_000)
def ordinal(n: int) -> str:
    """21 -> twenty-first"""
    from num2words import num2words

    return str(num2words(n, to="ordinal")).replace(",", "")


def digits(text: str) -> str:
    """Each digit by itself: 007 -> zero zero seven"""
    return " ".join(DIGITS[int(c)] for c in text if c in "0123456789")


def year(n: int) -> str:
    """1999 -> nineteen ninety-nine, 1905 -> nineteen oh five, 1900 -> nineteen hundred, 2005 -> two thousand and five"""
    century, rest = divmod(n, 100)
    if n < 1000 or century % 10 == 0 and rest < 10:
        return cardinal(n)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' + DIGITS[rest] if rest < 10 else cardinal(rest)}"


def decade(n: int) -> str:
    """1990 -> nineteen nineties, 90 -> nineties, 2000 -> two thousands, 1900 -> nineteen hundreds"""
    words = year(n) if n >= 1000 else cardinal(n)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def number(text: str) -> str:
    """What is written as 1,234 or 3.14 or .5 or -7 or 007, in words."""
    sign = "minus " if text.startswith("-") else ""
    whole, _, fraction = text.lstrip("+-").replace(",", "").partition(".")
    if len(whole) > MAX_DIGITS or len(whole) > 1 and whole.startswith("0"):
        words = digits(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return sign + (f"{words} point {digits(fraction)}".strip() if fraction else words)


def fraction(top: int, bottom: int) -> str:
    """3/4 -> three quarters; large bottoms are read with over."""
    if bottom == 2:
        return "one half" if top == 1 else f"{cardinal(top)} halves"
    if bottom < 2 or bottom > 100:
        return f"{cardinal(top)} over {cardinal(bottom)}"
    part = "quarter" if bottom == 4 else ordinal(bottom)
    return f"{cardinal(top)} {part}{'' if top == 1 else 's'}"


def roman(text: str) -> int | None:
    """The value of a well-formed Roman numeral, else None."""
    value, rest = 0, text
    for sign, worth in _ROMAN.items():
        while rest.startswith(sign):
            value, rest = value + worth, rest[len(sign) :]
    return value if value and not rest and write_roman(value) == text else None


def write_roman(n: int) -> str:
    """1984 -> MCMLXXXIV"""
    out = ""
    for sign, worth in _ROMAN.items():
        out += sign * (n // worth)
        n %= worth
    return out
