"""Long texts in pieces: at sentences first, then at clauses, then at words. No character that is read is ever lost."""

from __future__ import annotations

import re

from fm_audio.data.text.abbreviations import NEVER_ENDS, STARTERS
from fm_audio.types import FmAudioError

_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s)|\n\s*\n")
_CLAUSES = (re.compile(r"[;:]\s"), re.compile(r",\s|\s[-–—]+\s|—"), re.compile(r"\s"))
_TAG = re.compile(r"<[^<>]*>")
_UNCUT = re.compile(r"<[^<>]*>|\{[^{}]*\}")


def split_sentences(text: str, max_characters: int = 300) -> list[str]:
    """Pieces of at most `max_characters`, without white space around them; an empty text is one piece.

    Joined they hold every character of `text` but white space, in order. A piece without a letter or digit joins the one before
    it where it fits. A `<break 500ms>` and a `{word|W ER1 D}` are never cut. Raises `FmAudioError` when one word is longer than
    a piece may be.
    """
    if max_characters < 20:
        raise FmAudioError(f"sentences of at most {max_characters} characters are too short to be read; allow at least 20")
    pieces: list[str] = []
    for sentence in _sentences(text):
        pieces += _fit(sentence, max_characters)
    out: list[str] = []
    for piece in pieces:
        if out and not _readable(piece) and len(out[-1]) + 1 + len(piece) <= max_characters:
            out[-1] = f"{out[-1]} {piece}"
        elif out and not _readable(out[-1]) and len(out[-1]) + 1 + len(piece) <= max_characters:
            out[-1] = f"{out[-1]} {piece}"
        else:
            out.append(piece)
    return out or [text]


def _readable(piece: str) -> bool:
    return any(c.isalnum() for c in _TAG.sub("", piece))


def _sentences(text: str) -> list[str]:
    pieces, start = [], 0
    for end in _END.finditer(text):
        if _ends_sentence(text, end):
            pieces.append(text[start : end.end()].strip())
            start = end.end()
    return [p for p in [*pieces, text[start:].strip()] if p]


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    """A full stop after an abbreviation or an initial ends a sentence only where one plainly begins after it."""
    mark = end.group()
    if mark[0] != ".":
        return True
    after = text[end.end() :].lstrip()
    if not after or after[0].islower():
        return not after
    word = re.split(r"[\s(\[\"“]", text[: end.start()][-40:])[-1]
    begins = re.split(r"[\s,]", after, maxsplit=1)[0] in STARTERS
    if word.lower() in NEVER_ENDS:
        return False
    initial = re.fullmatch(r"(?:[A-Za-z]\.)*[A-Za-z]", word)
    return begins or not initial or word == "I"


def _fit(sentence: str, most: int) -> list[str]:
    """Cut after the last clause, else the last word, that fits; repeat."""
    pieces = []
    while len(sentence) > most:
        tags = [t.span() for t in _UNCUT.finditer(sentence)]
        cut = next((c for pattern in _CLAUSES if (c := _last_cut(sentence, pattern, most, tags))), None)
        if cut is None:
            raise FmAudioError(f"text: no place to cut {sentence[:30]!r}… within {most} characters; put spaces into it")
        pieces.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [*pieces, sentence] if sentence else pieces


def _last_cut(sentence: str, pattern: re.Pattern[str], most: int, tags: list[tuple[int, int]]) -> int | None:
    """The last place to cut at; clauses only where at least a third of a piece stands before them."""
    least = 1 if pattern is _CLAUSES[-1] else most // 3
    ends = [m.end() for m in pattern.finditer(sentence, 0, most + 1) if least <= len(sentence[: m.end()].rstrip()) <= most]
    ends = [e for e in ends if not any(a < e < b for a, b in tags)]
    return ends[-1] if ends else None
