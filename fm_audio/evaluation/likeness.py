"""Which voices sound like a recording: those installed, which say two sentences, and those of a bank, nearest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from fm_audio.audio import Audio
from fm_audio.evaluation.speaker import SpeakerEncoder, require_speech
from fm_audio.voices import list_voices, load
from fm_audio.voices.bank import VoiceBank

SENTENCES = ("The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.")
BANK_RATE_HZ = 24_000


@dataclass(frozen=True)
class Likeness:
    """`model` is None for a recording of the bank. `similarity` is the cosine of the two speaker vectors."""

    name: str
    model: str | None
    similarity: float


def nearest(
    recording: Audio, encoder: SpeakerEncoder, bank: VoiceBank, progress: Callable[[float], None] | None = None
) -> list[Likeness]:
    """Every installed and banked voice, the most alike first. Raises FmAudioError when there is no speech in the recording."""
    wanted = require_speech(encoder.embed(recording), "the recording")
    found: list[Likeness] = []
    installed, banked = list_voices(), bank.voices()
    for folder, entries in groupby(installed, key=lambda e: e.folder):
        voice = load(folder)
        for entry in entries:
            clips = voice.say(SENTENCES, voice=entry.name)
            found.append(Likeness(entry.name, folder.name, _cosine(wanted, np.mean([encoder.embed(c) for c in clips], 0))))
            if progress is not None:
                progress(len(found) / (len(installed) + len(banked)))
    for known in banked:
        vector = encoder.embed(known.recording(BANK_RATE_HZ))
        found.append(Likeness(known.card.name, None, _cosine(wanted, vector)))
        if progress is not None:
            progress(len(found) / (len(installed) + len(banked)))
    return sorted(found, key=lambda likeness: -likeness.similarity)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
