"""A person's recording passes as it is, loud, quiet or with the pauses that were asked for; each way of spoiling it is told."""

from __future__ import annotations

import numpy as np
import pytest

from fm_audio.audio import Audio
from fm_audio.evaluation.sound import sound_faults
from fm_audio.evaluation.words import sound_length, spoken_words

PHONES = sound_length(spoken_words("For the twentieth time that evening the two men shook hands.").words)


def kinds(samples: np.ndarray, rate: int, **how) -> list[str]:
    return [f.kind for f in sound_faults(Audio(samples.astype(np.float32), rate), how.pop("phones", PHONES), **how)]


def with_silence(audio: Audio, at: float, seconds: float) -> np.ndarray:
    quietest = quietest_near(audio, at)
    gap = np.zeros(round(seconds * audio.sample_rate), np.float32)
    return np.concatenate([audio.samples[:quietest], gap, audio.samples[quietest:]])


def quietest_near(audio: Audio, at: float) -> int:
    """The sample within a quarter of a second of a place where the wave is nearest to zero for 10 ms."""
    n = audio.sample_rate // 100
    low, high = (round((at + d) * audio.sample_rate) for d in (-0.25, 0.25))
    return low + n // 2 + int(np.convolve(audio.samples[low:high] ** 2, np.ones(n), "valid").argmin())


@pytest.mark.parametrize("gain", [0.01, 0.3, 1.0])
def test_recordings_pass_at_any_level(recordings: list[Audio], gain: float) -> None:
    for audio in recordings:
        assert kinds(gain * audio.samples, audio.sample_rate, speed=None) == []
    assert kinds(recordings[0].samples, recordings[0].sample_rate) == []


def test_silence_inside_is_a_fault_unless_it_was_asked_for(recordings: list[Audio]) -> None:
    audio = recordings[0]
    assert kinds(with_silence(audio, 1.5, 2.0), audio.sample_rate) == ["silence"]
    assert kinds(with_silence(audio, 1.5, 2.0), audio.sample_rate, pauses_seconds=[2.0]) == []
    twice = Audio(with_silence(audio, 1.0, 2.0), audio.sample_rate)
    assert kinds(with_silence(twice, 4.5, 2.0), audio.sample_rate, pauses_seconds=[2.0]) == ["silence"]


def test_silence_around_is_a_fault(recordings: list[Audio]) -> None:
    audio = recordings[0]
    nothing = np.zeros(3 * audio.sample_rate, np.float32)
    assert kinds(np.concatenate([nothing, audio.samples]), audio.sample_rate) == ["silence"]
    assert kinds(np.concatenate([audio.samples, nothing]), audio.sample_rate) == ["silence"]


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(24_000), np.full(24_000, np.nan), 1e-5 * np.ones(24_000)])
def test_no_sound_is_silent(samples: np.ndarray) -> None:
    assert kinds(samples, 24_000) == ["silent"]


def test_clipping_is_found_at_full_scale_and_below_it(recordings: list[Audio]) -> None:
    audio = recordings[0]
    loud = np.clip(6 * audio.samples / np.abs(audio.samples).max(), -1, 1)
    assert "clipping" in kinds(loud, audio.sample_rate)
    assert "clipping" in kinds(0.4 * loud, audio.sample_rate)


def test_speech_that_begins_or_ends_within_a_vowel_is_cut(recordings: list[Audio]) -> None:
    audio = recordings[0]
    frames = audio.samples[: len(audio.samples) // 240 * 240].reshape(-1, 240)
    loudest = 240 * int((frames**2).mean(1).argmax())
    assert kinds(audio.samples[loudest:], audio.sample_rate, speed=None) == ["seam"]
    assert kinds(audio.samples[: loudest + 240], audio.sample_rate, speed=None) == ["seam"]


def test_a_jump_is_a_seam_and_a_fade_is_none() -> None:
    t = np.arange(24_000) / 24_000
    tone = 0.3 * np.sin(2 * np.pi * 150 * t) * np.minimum(1, np.minimum(t, 1 - t) / 0.05)
    assert kinds(tone, 24_000, phones=12) == []
    step = tone.copy()
    step[12_000:] += 0.2
    assert "seam" in kinds(step, 24_000, phones=12)


def test_an_impossible_pace_is_told_and_follows_the_speed(recordings: list[Audio]) -> None:
    audio = recordings[0]
    assert kinds(audio.samples, audio.sample_rate, phones=3 * PHONES) == ["duration"]
    assert kinds(audio.samples, audio.sample_rate, phones=3 * PHONES, speed=3.0) == []
    assert kinds(audio.samples, audio.sample_rate, phones=5) == ["duration"]
    assert kinds(audio.samples, audio.sample_rate, phones=3 * PHONES, speed=None) == []
