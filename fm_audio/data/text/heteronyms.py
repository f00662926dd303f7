"""Which pronunciation the neighbours ask for: the, to, and words whose noun and verb are said differently."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fm_audio.data.text.lexicon import Phones

_NOUN_AFTER = frozenset(
    "the a an my your his her its our their this that these those no any some each every another one first second last next "
    "of in on for with from by new old good bad great small big long short own same other daily".split()
)
_VERB_AFTER = frozenset(
    "to will would can could should must may might shall i you we they who not don't didn't doesn't won't can't cannot couldn't "
    "wouldn't shouldn't let's please i'll you'll we'll they'll he'll she'll it'll do did does".split()
)

# word -> (as a noun or adjective, as a verb, which of the two without a hint)
_NOUN_VERB: dict[str, tuple[str, str, int]] = {
    "record": ("R EH1 K ER0 D", "R AH0 K AO1 R D", 0), "records": ("R EH1 K ER0 D Z", "R AH0 K AO1 R D Z", 0),
    "object": ("AA1 B JH EH0 K T", "AH0 B JH EH1 K T", 0), "objects": ("AA1 B JH EH0 K T S", "AH0 B JH EH1 K T S", 0),
    "present": ("P R EH1 Z AH0 N T", "P R IY0 Z EH1 N T", 0), "presents": ("P R EH1 Z AH0 N T S", "P R IY0 Z EH1 N T S", 0),
    "produce": ("P R OW1 D UW0 S", "P R AH0 D UW1 S", 1), "desert": ("D EH1 Z ER0 T", "D IH0 Z ER1 T", 0),
    "content": ("K AA1 N T EH0 N T", "K AH0 N T EH1 N T", 0), "permit": ("P ER1 M IH2 T", "P ER0 M IH1 T", 1),
    "project": ("P R AA1 JH EH0 K T", "P R AH0 JH EH1 K T", 0), "conduct": ("K AA1 N D AH0 K T", "K AH0 N D AH1 K T", 1),
    "conflict": ("K AA1 N F L IH0 K T", "K AH0 N F L IH1 K T", 0), "contract": ("K AA1 N T R AE2 K T", "K AH0 N T R AE1 K T", 0),
    "contrast": ("K AA1 N T R AE0 S T", "K AH0 N T R AE1 S T", 0), "convict": ("K AA1 N V IH0 K T", "K AH0 N V IH1 K T", 1),
    "increase": ("IH1 N K R IY2 S", "IH2 N K R IY1 S", 1), "decrease": ("D IY1 K R IY2 S", "D IH0 K R IY1 S", 1),
    "export": ("EH1 K S P AO0 R T", "IH0 K S P AO1 R T", 0), "import": ("IH1 M P AO2 R T", "IH2 M P AO1 R T", 0),
    "insult": ("IH1 N S AH2 L T", "IH2 N S AH1 L T", 0), "perfect": ("P ER1 F IH2 K T", "P ER0 F EH1 K T", 0),
    "protest": ("P R OW1 T EH2 S T", "P R AH0 T EH1 S T", 0), "rebel": ("R EH1 B AH0 L", "R IH0 B EH1 L", 0),
    "refuse": ("R EH1 F Y UW2 Z", "R AH0 F Y UW1 Z", 1), "reject": ("R IY1 JH EH0 K T", "R IH0 JH EH1 K T", 1),
    "subject": ("S AH1 B JH IH0 K T", "S AH0 B JH EH1 K T", 0), "suspect": ("S AH1 S P EH2 K T", "S AH0 S P EH1 K T", 1),
    "use": ("Y UW1 S", "Y UW1 Z", 1), "uses": ("Y UW1 S IH0 Z", "Y UW1 Z IH0 Z", 1),
    "excuse": ("IH0 K S K Y UW1 S", "IH0 K S K Y UW1 Z", 1),
    "abuse": ("AH0 B Y UW1 S", "AH0 B Y UW1 Z", 0), "house": ("HH AW1 S", "HH AW1 Z", 0),
    "separate": ("S EH1 P ER0 IH0 T", "S EH1 P ER0 EY2 T", 0), "estimate": ("EH1 S T AH0 M AH0 T", "EH1 S T AH0 M EY2 T", 0),
    "tear": ("T IH1 R", "T EH1 R", 0), "tears": ("T IH1 R Z", "T EH1 R Z", 0), "wind": ("W IH1 N D", "W AY1 N D", 0),
    "live": ("L AY1 V", "L IH1 V", 1), "lives": ("L AY1 V Z", "L IH1 V Z", 1), "lead": ("L IY1 D", "L IY1 D", 1),
    "close": ("K L OW1 S", "K L OW1 Z", 1), "wound": ("W UW1 N D", "W AW1 N D", 0), "read": ("R IY1 D", "R IY1 D", 1),
    "bass": ("B EY1 S", "B EY1 S", 0), "minute": ("M IH1 N AH0 T", "M IH1 N AH0 T", 0), "does": ("D AH1 Z", "D AH1 Z", 1),
    "bow": ("B OW1", "B AW1", 0), "sow": ("S OW1", "S OW1", 1), "row": ("R OW1", "R OW1", 0),
}  # fmt: skip

# word, what stands before it, what stands after it -> phones; the first that fits wins over the table above
_SPECIAL: list[tuple[str, str, str, str]] = [
    ("read", r"have|has|had|having|was|were|be|been|being|is|are|[a-z]+'ve|he|she|it|never|already|just|well", r".*", "R EH1 D"),
    ("lead", r"of|with|molten|pure|heavy", r"|pipes?|paint|poisoning|pencils?|shot|bullets?", "L EH1 D"),
    ("lead", r".*", r"pipes?|paint|poisoning|pencils?|weights?", "L EH1 D"),
    ("live", r".*", r"music|shows?|broadcast|concerts?|wires?|audience|performance|stream|recording|television", "L AY1 V"),
    ("live", r".*", r".*", "L IH1 V"),
    ("lives", r"he|she|it|who|that|which|[a-z]+ing", r".*", "L IH1 V Z"),
    ("lives", r".*", r"in|on|at|with|there|here|alone|near|by|under", "L IH1 V Z"),
    ("lives", r".*", r".*", "L AY1 V Z"),
    ("close", r"very|too|so|how|is|was|are|were|be|been|c[ao]me|stay(?:ed)?|g[eo]t|a|the|as|stood|kept", r".*", "K L OW1 S"),
    ("close", r".*", r"to|by|together|behind|enough|friends?|relatives?|range|call|look", "K L OW1 S"),
    ("tear", r".*", r"up|apart|down|off|out|open|it|them|him|her|the|a", "T EH1 R"),
    ("wind", r".*", r"up|down(?=$)", "W AY1 N D"),
    ("wound", r".*", r"up|around|round|down|its|their|his", "W AW1 N D"),
    ("bass", r".*", r"fish|fishing|pond|lake", "B AE1 S"),
    ("bow", r"the|to|a", r"down|before|of|and", "B AW1"),
    ("use", r"no|the|of|in|its|any|much|their|for|what|into|heavy|free|good|daily", r".*", "Y UW1 S"),
]  # fmt: skip


def in_context(options: Sequence[Phones], words: Sequence[str], k: int) -> tuple[Phones, ...]:
    """The k-th word's pronunciations with the one its neighbours ask for in front. words: lower case."""
    wanted = _wanted(words[k], words[k - 1] if k else "", words[k + 1] if k + 1 < len(words) else "")
    if wanted is None:
        return tuple(options)
    return (wanted, *(o for o in options if o != wanted))


def weak_form(word: str, next_phone: str) -> Phones | None:
    """`the` and `to` as they are said before this phone ("" at a pause)."""
    before_vowel = next_phone[-1:] in ("0", "1", "2")
    if word == "the":
        return ("DH", "IY0" if before_vowel else "AH0")
    if word == "to":
        return ("T", "AH0") if next_phone and not before_vowel else ("T", "UW1")
    return None


def _wanted(word: str, before: str, after: str) -> Phones | None:
    if word not in _NOUN_VERB:
        return None
    for special, left, right, phones in _SPECIAL:
        if special == word and re.fullmatch(left, before) and re.fullmatch(right, after):
            return tuple(phones.split())
    noun, verb, otherwise = _NOUN_VERB[word]
    if before in _VERB_AFTER:
        return tuple(verb.split())
    return tuple((noun if before in _NOUN_AFTER else (noun, verb)[otherwise]).split())
