"""A clip: one audio file with what is known about it, before anybody has opened the file."""

from __future__ import annotations

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
