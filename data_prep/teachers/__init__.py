"""Local programs that read sentences aloud, behind one small protocol. What they say is synthetic speech and labelled so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Spoken:
    """samples (s,) float32 at `sample_rate`; where the teacher knows them, phones and one duration for each (`unit_seconds`)."""

    samples: np.ndarray
    sample_rate: int
    phones: tuple[str, ...] = ()
    durations_units: tuple[int, ...] = ()
    unit_seconds: float = 0.025


class Teacher(Protocol):
    """Says a text with one of its voices. Raises FmAudioError on a text that it cannot say and when it is not installed."""

    licence: str

    def voices(self) -> list[str]: ...

    def say(self, text: str, voice: str, speed: float) -> Spoken: ...
