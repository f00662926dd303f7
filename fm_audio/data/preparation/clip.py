"""A clip: one audio file with what is known about it, before anybody has opened the file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Clip:
    """`phones` and `durations_units` come from a corpus that knows its alignment: one unit count per phone.

    A unit lasts `unit_seconds`. The phone "^" is the silence at either end.
    """

    id: str
    path: Path
    text: str
    speaker: str
    language: str
    phones: tuple[str, ...] = ()
    durations_units: tuple[int, ...] = ()
    unit_seconds: float = 0.025
    extra: dict[str, Any] = field(default_factory=dict)


def normal_text(text: str) -> str:
    """Lower-case words alone, so that case, punctuation and spacing do not make two texts of one."""
    kept = "".join(c if c.isalnum() else " " if c not in "'’" else "" for c in text.lower())
    return " ".join(kept.split())


def words_of(name: str) -> str:
    """`Effects/DoorCreak_02` -> `door creak`: the last part, in words, without what only counts or dates."""
    name = re.sub(r"\.\w{2,4}$", "", name).rpartition("/")[2]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = [w for w in re.split(r"[^A-Za-z']+", name) if len(w) > 1 or w.lower() == "a"]
    return " ".join(words).lower()
