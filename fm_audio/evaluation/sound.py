"""What can be wrong with speech whatever it says: nothing there, long silences, clipping, hard cuts, an impossible pace.

Levels are those of frames of 10 ms, in dB below the speech's own (its 95th percentile), so that quiet recordings pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fm_audio.audio import Audio, frame_levels_db

FRAME_SECONDS = 0.01


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: `kind`, what it is in words, the words it is about, where it begins, and how many words it is
    worth when bad draws are compared."""

    kind: str
    detail: str
    words: tuple[str, ...] = ()
    at_seconds: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class SoundLimits:
    """What passes. Pauses that the text asks for come on top of `pause_seconds`."""

    silent_db: float = -60.0  # of full scale: nothing is louder than this
    quiet_db: float = -25.0  # below the speech: a pause
    pause_seconds: float = 1.0
    edge_seconds: float = 1.5  # silence before and after
    edge_db: float = -12.0  # below the speech: louder first or last frames were cut
    clipped_share: float = 0.0005  # of samples, in flat tops
    step: float = 40.0  # second difference over that of its 20 ms: a cut without a fade
    phones_hz: tuple[float, float] = (4.0, 30.0)  # speech at speed 1


def sound_faults(
    audio: Audio, phones: int, pauses_seconds: Sequence[float] = (), speed: float | None = 1.0, limits: SoundLimits | None = None
) -> list[Fault]:
    """What is wrong with the sound of a text of so many phones.

    `pauses_seconds` are the ones that the text asks for; `speed` None leaves the pace unjudged.
    """
    limits = limits or SoundLimits()
    samples = audio.samples.astype(np.float32)
    if not len(samples) or not np.isfinite(samples).all():
        return [Fault("silent", "the sound is empty or holds values that are no numbers", weight=100.0)]
    levels = frame_levels_db(audio, FRAME_SECONDS)
    speech_db = float(np.quantile(levels, 0.95))
    if speech_db < limits.silent_db:
        return [Fault("silent", f"nothing is louder than {limits.silent_db:g} dB", weight=100.0)]
    loud = levels > speech_db + limits.quiet_db
    found = [*_silences(loud, pauses_seconds, limits), *_clipping(samples, limits), *_edges(levels - speech_db, limits)]
    found += _steps(audio, limits)
    if speed is not None:
        found += _pace(loud, phones, speed, limits)
    return found


def _silences(loud: np.ndarray, pauses_seconds: Sequence[float], limits: SoundLimits) -> list[Fault]:
    """Pauses that were asked for allow as many of the longest ones to be longer by that much."""
    at = np.flatnonzero(loud)
    found = []
    for name, start, frames in (("before", 0, at[0]), ("after", at[-1] + 1, len(loud) - 1 - at[-1])):
        seconds = float(frames) * FRAME_SECONDS
        if seconds > limits.edge_seconds + max(pauses_seconds, default=0.0):
            found.append(_silence(f"{seconds:.2f} s of silence {name} the speech", float(start)))
    gaps = np.diff(at) - 1
    longest = sorted(range(len(gaps)), key=lambda k: -gaps[k])
    asked = sorted(pauses_seconds, reverse=True)
    for rank, k in enumerate(longest):
        seconds = float(gaps[k]) * FRAME_SECONDS
        if seconds <= limits.pause_seconds:
            break
        if seconds > limits.pause_seconds + (asked[rank] if rank < len(asked) else 0.0):
            found.append(_silence(f"{seconds:.2f} s of silence inside", float(at[k]) + 1))
    return found


def _silence(detail: str, frame: float) -> Fault:
    return Fault("silence", detail, at_seconds=round(frame * FRAME_SECONDS, 3))


def _clipping(samples: np.ndarray, limits: SoundLimits) -> list[Fault]:
    """Runs of three or more samples as high as the highest."""
    magnitude = np.abs(samples)
    top = magnitude >= 0.9998 * magnitude.max()
    inside = top[:-2] & top[1:-1] & top[2:]
    share = float(inside.mean()) if len(inside) else 0.0
    if share <= limits.clipped_share:
        return []
    return [Fault("clipping", f"{100 * share:.2f} % of the samples are clipped at {magnitude.max():.2f}")]


def _edges(relative_db: np.ndarray, limits: SoundLimits) -> list[Fault]:
    ends = (("begins", 0, 0), ("ends", -1, len(relative_db)))
    return [
        Fault("seam", f"the speech {verb} abruptly, {-relative_db[i]:.0f} dB below its level", at_seconds=at * FRAME_SECONDS)
        for verb, i, at in ends
        if relative_db[i] > limits.edge_db
    ]


def _steps(audio: Audio, limits: SoundLimits) -> list[Fault]:
    """A jump from one sample to the next: its second difference stands alone above that of the 10 ms on both sides."""
    n = round(FRAME_SECONDS * audio.sample_rate)
    if len(audio.samples) < 4 * n:
        return []
    bend = np.abs(np.diff(audio.samples.astype(np.float64), 2))
    power = np.concatenate([[0.0], np.cumsum(bend**2)])
    at = np.arange(len(bend))
    low, high = np.maximum(at - n, 0), np.minimum(at + n + 1, len(bend))
    near_low, near_high = np.maximum(at - 3, 0), np.minimum(at + 4, len(bend))  # the jump itself
    around = power[high] - power[low] - (power[near_high] - power[near_low])
    ratio = bend / np.sqrt(around / (high - low - (near_high - near_low)) + 1e-12)
    level = float(np.sqrt(np.mean(audio.samples.astype(np.float64) ** 2)))
    ratio[bend < 0.1 * level] = 0.0  # too small to be heard
    worst = int(ratio.argmax())
    if ratio[worst] <= limits.step:
        return []
    detail = f"a hard cut: the wave jumps by {ratio[worst]:.0f} times what is usual around it"
    return [Fault("seam", detail, at_seconds=round(worst / audio.sample_rate, 3))]


def _pace(loud: np.ndarray, phones: int, speed: float, limits: SoundLimits) -> list[Fault]:
    """Phones a second of what is loud."""
    seconds = max(1, int(loud.sum())) * FRAME_SECONDS
    pace = phones / seconds
    low, high = (bound * speed for bound in limits.phones_hz)
    if low <= pace <= high or phones < 4:
        return []
    detail = f"{seconds:.2f} s of speech for {phones} phones: {pace:.1f} a second, usual is {low:g} to {high:g}"
    return [Fault("duration", detail, weight=3.0)]
