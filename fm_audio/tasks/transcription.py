"""What one asks of a task that hears: a recording, cut where it is quiet; what comes back: words and when they were said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fm_audio.audio import Audio, frame_levels_db
from fm_audio.types import FmAudioError

PIECE_SECONDS = 12.0  # about the longest that models are trained on
LEVEL_SECONDS = 0.02
SILENT_PEAK = 1e-3
SPEECH_RANGE_DB = 8.0  # between loud and quiet moments; hum and noise have less
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class TranscriptRequest:
    """Write down what is said; `seed` matters where the noise is not scaled to nothing."""

    audio: Audio
    seed: int = 0


@dataclass(frozen=True)
class Passage:
    """What was heard in a piece of a recording, and the mean natural log probability of its tokens."""

    text: str
    start_seconds: float
    end_seconds: float
    log_probability: float


@dataclass(frozen=True)
class Transcript:
    """The whole text, its passages in order, and network evaluations, all pieces together."""

    text: str
    passages: tuple[Passage, ...]
    forwards: int


def pieces_of(audio: Audio, longest_seconds: float = PIECE_SECONDS) -> list[tuple[float, Audio]]:
    """Start in seconds and sound of each piece, none longer than that, cut at the quietest moments of their second halves.

    Raises FmAudioError for recordings in which nobody speaks: empty, broken, silent, or as even as hum and noise are.
    """
    require_speech(audio)
    rate, samples = audio.sample_rate, audio.samples
    levels = frame_levels_db(audio, LEVEL_SECONDS)
    hop, most = round(LEVEL_SECONDS * rate), int(longest_seconds / LEVEL_SECONDS)
    found, start = [], 0
    while (len(samples) - start * hop) / rate > longest_seconds:
        half = levels[start + most // 2 : start + most]
        cut = start + most // 2 + int(half.argmin())
        found.append((start, cut))
        start = cut
    ends = [*((a * hop, b * hop) for a, b in found), (start * hop, len(samples))]
    return [(a / rate, Audio(samples[a:b], rate)) for a, b in ends]


def require_speech(audio: Audio) -> None:
    """Raises FmAudioError where nobody speaks; words that are drowned in noise are no matter of this."""
    if audio.seconds > LONGEST_SECONDS:
        raise FmAudioError(f"recording: {audio.seconds:.0f} s long; at most {LONGEST_SECONDS:.0f} s are heard at once, cut it")
    if not len(audio.samples) or not np.isfinite(audio.samples).all():
        raise FmAudioError("recording: it is empty or broken; give one in which somebody speaks")
    if np.abs(audio.samples).max() < SILENT_PEAK:
        raise FmAudioError("recording: it is silent; give one in which somebody speaks")
    levels = frame_levels_db(audio, LEVEL_SECONDS)
    loud, quiet = np.quantile(levels, [0.95, 0.05])
    if loud - quiet < SPEECH_RANGE_DB:
        raise FmAudioError(
            f"recording: no speech was found in it; its level stays within {loud - quiet:.1f} dB, as that of hum and noise does"
        )
