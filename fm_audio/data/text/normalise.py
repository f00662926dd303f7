"""English text as it is read out: numbers, money, dates, times, units, abbreviations, addresses and symbols in words.

The result has lower-case words, words in CAPITALS that are spelled letter by letter, and the punctuation , . ! ? ; : - in ASCII.
Rules are applied in order, each to what the ones before it have left.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fm_audio.data.text import abbreviations as table
from fm_audio.data.text.numbers import cardinal, decade, digits, fraction, number, ordinal, roman, year
from fm_audio.data.text.plain import plain

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_FREE = r"(?<![\w.,])"  # what follows begins a token
_MONTH = "(?:" + "|".join([*table.MONTHS, "Sept", *(m[:3] for m in table.MONTHS)]) + r")(?![a-z])"
_UNIT = "|".join(re.escape(u) for u in sorted(table.UNITS, key=lambda u: -len(u)))
_HALF_DAY = r"(?:\s?([AaPp])\.?\s?[Mm]\b\.?(?!\w))"


def normalise(text: str) -> str:
    """Any text -> what a reader would say. Raises `FmAudioError` for letters of another script and broken Unicode."""
    text = plain(text)
    text = re.sub(r"(?<=[^\s.,!?;:-])\s*\n\s*\n\s*", ". ", text)
    for pattern, spoken in _RULES:
        text = pattern.sub(spoken, text)
    text = _capitals(text)
    text = re.sub(r"[^A-Za-z' ,.!?;:-]+", " ", text)
    text = re.sub(r"(?<![A-Za-z])'(?!(?:em|til|cause|tis|twas|bout|round|n)\b)|'(?![A-Za-z])", "", text)
    text = re.sub(r"\s+(?=[,.!?;:])", "", text)
    return re.sub(r"\s+", " ", text).strip()


def _capitals(text: str) -> str:
    """Capitals that are words go to lower case; those that are said letter by letter stay."""
    capitals, letters = len(re.findall("[A-Z]", text)), len(re.findall("[A-Za-z]", text))
    shouting = capitals > 0.6 * letters and len(re.findall(r"\b[A-Z]{2,}\b", text)) >= 3
    return re.sub(r"[A-Za-z]+(?:'[A-Za-z]+)*", lambda m: _word(m, text, shouting), text)


def _word(found: re.Match[str], text: str, shouting: bool) -> str:
    from fm_audio.data.text.lexicon import known

    word = found.group()
    stem = re.sub(r"('?s)$", "", word)
    if len(stem) == 1:
        alone = text[found.end() :].lstrip(" ")[:1] in ",.;:!?"
        return word if stem.isupper() and stem != "I" and (stem != "A" or alone and found.start() > 0) else word.lower()
    if not stem.isupper() or shouting and known(stem.lower()):
        return word.lower()
    if stem in table.SPELLED:
        return word
    short = len(stem) <= 4 or not re.search("[AEIOUY]", stem)
    return word if short and not known(stem.lower()) else word.lower()


def _web(m: re.Match[str]) -> str:
    """An address: its parts and the names of its signs."""
    address = re.sub(r"^[a-z]+://", "", m.group(), flags=re.IGNORECASE)
    end = re.search(r"[.,:?/]+$", address)
    stop = "" if end is None or end.group()[0] == "/" else end.group()[0]
    address = re.sub(r"^www\.", "WWW.", address[: end.start()] if end else address, flags=re.IGNORECASE)
    said = re.sub(r"\d+", lambda d: f" {digits(d.group()) if len(d.group()) > 2 else cardinal(int(d.group()))} ", address)
    said = re.sub(r"[^A-Za-z ]", lambda s: f" {table.WEB_SYMBOLS.get(s.group(), '')} ", said)
    return said + stop


def _money(m: re.Match[str]) -> str:
    minus, sign, amount, magnitude = m.groups()
    one, many, cent, cents = table.MONEY[sign]
    start = "minus " if minus else ""
    if magnitude:
        return f"{start}{number(amount)} {table.MAGNITUDES.get(magnitude.lower(), magnitude)} {many}"
    whole, _, part = amount.replace(",", "").partition(".")
    if part and len(part) != 2:
        return f"{start}{number(amount)} {many}"
    words = [f"{number(whole)} {one if int(whole or 0) == 1 else many}"] if int(whole or 0) or not int(part or 0) else []
    if int(part or 0):
        words.append(f"{cardinal(int(part))} {cent if int(part) == 1 else cents}")
    return start + " and ".join(words)


def _money_range(m: re.Match[str]) -> str:
    return f"{number(m[2])} to {number(m[3])} {m[4] + ' ' if m[4] else ''}{table.MONEY[m[1]][1]}"


def _unit(m: re.Match[str]) -> str:
    amount, unit, power = m.groups()
    unit, square = unit.removeprefix("sq "), "square " if unit.startswith("sq ") else ""
    one, many = table.UNITS[unit]
    words = square + (one if amount in ("1", "-1") else many)
    return f"{number(amount)} {table.AREAS[power[-1]] + ' ' if power else ''}{words}"


def _time(m: re.Match[str]) -> str:
    hour, minute, half = int(m[1]), int(m[2]), m[4]
    end = f" {half.upper()}M" if half else ""
    stop = "." if half and m.group().endswith(".") and _ends_sentence(m) else ""
    if minute == 0:
        middle = "" if half else " o'clock" if 0 < hour <= 12 and not m[3] else " hundred"
        words = f"{cardinal(hour)}{middle}"
    else:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    seconds = f" and {cardinal(int(m[3]))} second{'' if int(m[3]) == 1 else 's'}" if m[3] else ""
    return words + seconds + end + stop


def _half_day(m: re.Match[str]) -> str:
    stop = "." if m.group().endswith(".") and _ends_sentence(m) else ""
    return f"{cardinal(int(m[1]))} {m[2].upper()}M{stop}"


def _date(day: str, month: str, years: str | None, of: bool = False) -> str:
    name = table.MONTH_OF[month.lower().rstrip(".")]
    said = f"the {ordinal(int(day))} of {name}" if of else f"{name} {ordinal(int(day))}"
    return said + (f", {year(int(years))}" if years else "")


def _numeric_date(m: re.Match[str]) -> str:
    """Month first, as in the US, unless that cannot be."""
    first, second, years = int(m[1]), int(m[2]), m[3]
    month, day = (second, first) if first > 12 else (first, second)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return f"{number(m[1])} slash {number(m[2])} slash {number(years)}"
    full = int(years) + (0 if len(years) == 4 else 2000 if int(years) < 50 else 1900)
    return _date(str(day), table.MONTHS[month - 1], str(full))


def _iso_date(m: re.Match[str]) -> str:
    if not (1 <= int(m[2]) <= 12 and 1 <= int(m[3]) <= 31):
        return f"{number(m[1])} - {number(m[2])} - {number(m[3])}"
    return _date(m[3], table.MONTHS[int(m[2]) - 1], m[1])


def _phone(m: re.Match[str]) -> str:
    groups = re.findall(r"\d+", m.group())
    return ("plus " if m.group().startswith("+") else "") + ", ".join(digits(g) for g in groups)


def _numeral(m: re.Match[str]) -> str:
    value = roman(m[2])
    return m.group() if value is None else f"{m[1]} {cardinal(value)}"


def _ruler(m: re.Match[str]) -> str:
    value = roman(m[2])
    return m.group() if value is None else f"{m[1]} the {ordinal(value)}"


def _fraction(m: re.Match[str]) -> str:
    whole, top, bottom = m.groups()
    if whole:
        words = fraction(int(top), int(bottom))
        return f"{cardinal(int(whole))} and {'a half' if words == 'one half' else words}"
    return fraction(int(top), int(bottom))


def _dotted(m: re.Match[str]) -> str:
    """An abbreviation; its stop stays where it also ends the text."""
    word = m[1]
    said = table.DOTTED[word.lower()]
    return said + ("." if word.lower() not in table.NEVER_ENDS and _ends_sentence(m) else "")


def _ends_sentence(m: re.Match[str]) -> bool:
    """Whether the text ends here or a new sentence plainly begins."""
    after = m.string[m.end() :].split(maxsplit=1)
    return not after or after[0].strip(",") in table.STARTERS


def _saint(m: re.Match[str]) -> str:
    """St. and Dr. are names' titles in front of a capital, else parts of an address."""
    title, place = {"st": ("saint", "street"), "dr": ("doctor", "drive")}[m[2].lower()]
    after = m.string[m.end() :].lstrip()
    follows = after[:1].isupper()
    end = "." if not after else ""
    return f"{m[1]}{title if follows and not (m[1] and re.match('[A-Z][a-z]+ $', m[1])) else place}{end}"


def _initials(m: re.Match[str]) -> str:
    letters = re.sub("[^A-Za-z]", "", m.group()).upper()
    return letters + ("." if _ends_sentence(m) else "")


def _version(m: re.Match[str]) -> str:
    parts = m.group().split(".")
    return (" dot " if len(parts) == 4 else " point ").join(
        digits(p) if len(p) > 1 and p[0] == "0" else cardinal(int(p)) for p in parts
    )


def _power(m: re.Match[str]) -> str:
    return {"2": " squared", "3": " cubed"}.get(m[1], f" to the power of {number(m[1])}")


def _scientific(m: re.Match[str]) -> str:
    return f"{number(m[1])} times ten to the {number(m[2].lstrip('+'))}"


def _mixed(m: re.Match[str]) -> str:
    """B2B, mp3, COVID-19: a space where letters meet digits."""
    return re.sub(r"(?<=[A-Za-z])-?(?=\d)|(?<=\d)-?(?=[A-Za-z])", " ", m.group())


def _rules() -> list[Rule]:
    def rule(pattern: str, spoken: Callable[[re.Match[str]], str] | str, flags: int = 0) -> Rule:
        return re.compile(pattern, flags), spoken if callable(spoken) else (lambda m: m.expand(spoken))

    amount = rf"({_NUMBER})"
    return [
        *_address_rules(rule),
        *_word_rules(rule),
        *_calendar_rules(rule),
        *_money_rules(rule, amount),
        *_number_rules(rule, amount),
        *_symbol_rules(rule),
    ]


def _address_rules(rule: Callable[..., Rule]) -> list[Rule]:
    return [
        rule(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _web),
        rule(r"(?:https?://|www\.)[^\s<>\",]+", _web, re.IGNORECASE),
        rule(rf"\b(?:[a-z0-9-]+\.)+(?:{table.TLDS})\b(?:/[^\s<>\",]*)?(?!\.\w)", _web),
        rule(r"#([A-Za-z]\w*)", r"hashtag \1"),
        rule(r"(?<!\w)@(\w+)", r"at \1"),
        rule(r"\b([Cc])\+\+", r"\1 plus plus"),
        rule(r"\b([CF])#", r"\1 sharp"),
    ]


def _word_rules(rule: Callable[..., Rule]) -> list[Rule]:
    dotted = "|".join(sorted(table.DOTTED, key=lambda w: -len(w)))
    numbered = "|".join(sorted(table.NUMBERED, key=lambda w: -len(w)))
    cased = re.IGNORECASE
    return [
        rule(r"\be\.\s?g\.,?", "for example,", cased),
        rule(r"\bi\.\s?e\.,?", "that is,", cased),
        rule(r"\bet al\.", "et al", cased),
        rule(r"\ba\.k\.a\.?", "also known as", cased),
        rule(r"\bPh\.\s?D\.?", "PHD"),
        rule(r"\bPhD\b", "PHD"),
        rule(r"\bw/o\b", "without", cased),
        rule(r"\bw/(?=\s|\w)", "with ", cased),
        rule(r"\band/or\b", "and or", cased),
        rule(r"\b24/7\b", "twenty-four seven"),
        rule(r"\b50/50\b", "fifty-fifty"),
        rule(rf"\b({'|'.join(table.CURRENCY_CODES)}) ?(?=\d)", lambda m: table.CURRENCY_CODES[m[1]]),
        rule(r"\b9/11\b", "nine eleven"),
        rule(r"\b((?:[A-Z][a-z]+ )?)(St|Dr)\.", _saint),
        rule(rf"\b({numbered})\.\s?(?=\d|[IVXLC]+\b)", lambda m: table.NUMBERED[m[1].lower()] + " ", cased),
        rule(rf"\b({table.NUMERAL_HEADS})\.? ([IVXLC]+)\b", _numeral),
        rule(rf"\b({table.RULERS}) ([IVX]{{2,}}|V|X|I(?=[\s,.;]+(?:of|was|had|and|in|died|[.;,])))(?![\w'])", _ruler),
        rule(r"(?<![A-Za-z.])(?:[A-Z]\.\s?){2,}(?![a-z])|(?<![A-Za-z.])(?:[A-Z]\.){2,}", lambda m: _initials(m) + " "),
        rule(r"(^|[A-Z][a-z]+ )([B-HJ-Z])\.(?= [A-Z])(?! (?:The|It|He|She|A|In|But|And|We|They|This)\b)", r"\1\2"),
        rule(r"\bFt\.(?= [A-Z])", "Fort"),
        rule(r"(?<!\w)'[nN]'(?!\w)", "and"),
    ] + [rule(rf"(?<![\w'])({dotted})\.(?!\w)", _dotted, cased)]


def _calendar_rules(rule: Callable[..., Rule]) -> list[Rule]:
    cased = re.IGNORECASE
    return [
        rule(r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])", _iso_date),
        rule(r"(?<![\w/])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\w/])", _numeric_date),
        rule(
            rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?!\d|[:/.]\d|,\d)(?:(?:,|,? of)? (\d{{4}})(?!\d|,\d))?",
            lambda m: _date(m[2], m[1], m[3]),
        ),
        rule(
            rf"(?<![\w.,:/])(?:[Tt]he )?(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH})\b"
            r"(?:\.(?=,| \d| [a-z]))?(?:,? (\d{4})(?!\d|,\d))?",
            lambda m: _date(m[1], m[2], m[3], of=True),
        ),
        rule(rf"\b({_MONTH})\.(?= \d)", lambda m: table.MONTH_OF[m[1].lower()]),
        rule(rf"(?<![\w:.])(\d{{1,2}}):([0-5]\d)(?::([0-5]\d))?(?![\d:]){_HALF_DAY}?", _time),
        rule(rf"(?<![\w:.,])(\d{{1,2}}){_HALF_DAY}", _half_day),
        rule(r"(?<!\w)([ap])\.m\.?(?!\w)", lambda m: m[1].upper() + "M", cased),
        rule(r"(?<![\w.,])'?(\d{2}|1\d{3}|20\d{2})'?s\b", lambda m: decade(int(m[1]))),
        rule(r"(?<![\w.,'])'(\d{2})(?![\w,.]*\d)", lambda m: cardinal(int(m[1]))),
    ]


def _money_rules(rule: Callable[..., Rule], amount: str) -> list[Rule]:
    sign = r"([$£€¥₹])\s?"
    magnitude = r"(?:\s?(thousand|million|billion|trillion|bn|tn|mn|[kKmMbB])\b)?"
    return [
        rule(rf"(?:US|C|A)?{sign}{amount}\s?-\s?[$£€¥]?{amount}{magnitude}(?![\w])", _money_range),
        rule(rf"(?<![\w])(-)?(?:US|CA|AU)?{sign}{amount}{magnitude}", _money),
        rule(rf"{_FREE}()()({_NUMBER})\s?(€|£)", lambda m: f"{number(m[3])} {table.MONEY[m[4]][1]}"),
        rule(rf"{_FREE}{amount}\s?¢", lambda m: f"{number(m[1])} cent{'' if m[1] == '1' else 's'}"),
    ]


def _number_rules(rule: Callable[..., Rule], amount: str) -> list[Rule]:
    return [
        rule(r"(?<![\w.])\+?\d{0,3}[-. ]?(?:,\s*)?\d{3},?[-. ]\s?\d{3}[-.]\d{4}(?!\w)", _phone),
        rule(r"(?<![\w.-])\d{3}-\d{4}(?![\w-])", _phone),
        rule(r"(?<![\w.])\+\d{1,3}(?:[ -]\d{2,5}){2,}(?!\w)", _phone),
        rule(r"(?<![\w.])\d{4}(?:[ -]\d{4}){2,3}(?!\w)", _phone),
        rule(r"(?<![\w.-])\d+(?:-\d+){2,}(?![\w-])", _phone),
        rule(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){2,3}(?![\w.]*\d)", _version),
        rule(r"(?<!\w)(\d+)'\s?(\d{1,2})\"", lambda m: f"{cardinal(int(m[1]))} foot {cardinal(int(m[2]))}"),
        rule(rf"{_FREE}({_NUMBER})[eE]([+-]?\d+)\b", _scientific),
        rule(rf"(?<![\w.,])(-?(?:{_NUMBER}))\s?-\s?(?=(?:{_NUMBER}))(?!\d+-)", lambda m: _plain_number(m) + " to "),
        rule(rf"(?<![\w.,/])(-?(?:{_NUMBER}))\s?%", lambda m: number(m[1]) + " percent"),
        rule(
            rf"(?<![\w.,])(-?(?:{_NUMBER}))[ -]?((?:sq )?(?:{_UNIT}))(?<! in)(\^?[23](?!\d))?(?![\w/'])(?:\.(?= [a-z]))?",
            _unit,
        ),
        rule(r"(?<=[A-Za-z\d])\^(-?\d+)", _power),
        rule(r"(?<![\w/.])(?:(\d+)[ -])?(\d{1,3})/(\d{1,3})(?![\w/.]*\d)", _fraction),
        rule(r"(?<=\d)\s?[x*]\s?(?=\d)", " by "),
        rule(r"(?<![\w.,])([\d,]*\d)(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1].replace(",", "")))),
        rule(r"(?<=\d)\s?/\s?(?=\d)", " over "),
        rule(r"(?<=\d)\s?-\s?(?=\d)", " to "),
        rule(r"\b(?=\w*[A-Za-z])(?=\w*\d)[A-Za-z\d]+(?:-\d+)?\b|\b[A-Za-z]+-\d+\b", _mixed),
        rule(rf"(?:(?<![\w.,)])-)?(?:{_NUMBER})", _plain_number),
    ]


def _plain_number(m: re.Match[str]) -> str:
    """A number by itself; four digits that look like a year are read as one."""
    text = m[m.lastindex or 0]
    said = year(int(text)) if re.fullmatch(r"1[1-9]\d\d|20\d\d", text) else number(text)
    before, after = m.string[m.start() - 1 : m.start()], m.string[m.end() : m.end() + 1]
    return (" " if before.isalnum() else "") + said + (" " if after.isalnum() else "")


def _symbol_rules(rule: Callable[..., Rule]) -> list[Rule]:
    signs = "".join(re.escape(s) for s in table.PLAIN_SYMBOLS)
    return [
        rule(r"(?<=\w)\s?~\s?(?=\w)|(?<!\w)~(?=\w)", " about "),
        rule(rf"(?<=[a-z])\s?/\s?(?=(?:{table.PER})\b)", " per "),
        rule(r"(?<=[a-z])/(?=[a-z])", " slash "),
        rule(rf"[{signs}]", lambda m: f" {table.PLAIN_SYMBOLS[m.group()]} "),
        rule(r"\.{2,}", ". "),
        rule(r"(?:\s-+\s|--+)", " - "),
    ]


_RULES = _rules()
