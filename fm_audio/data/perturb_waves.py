"""Recordings that nobody made: a clip played faster or slower, through another microphone, in noise, louder or softer.

What listens to samples (`frozen_whisper`) cannot be told of new voices by `perturb`, which changes mels. Speed moves pitch,
formants and durations alike (Ko et al. 2015, "Audio augmentation for speech recognition"); the colour is a sum of cosines over
the mel scale, as there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr

from fm_audio.data.perturb import COSINES


@dataclass(frozen=True)
class WavePerturbation:
    """speed: the most that a clip is played faster or slower, 0.17 is 17 %. colour_decibels: standard deviation of each cosine.
    noise_share: of the clips that get noise, 15 to 40 dB below them. gain_decibels: the most that a clip is softened.
    """

    speed: float = 0.17
    colour_decibels: float = 2.5
    noise_share: float = 0.35
    gain_decibels: float = 12.0

    def __call__(self, samples: np.ndarray, sample_rate: int, draw: np.random.Generator) -> tuple[np.ndarray, float]:
        """(s,) in [-1, 1] -> (s',) and how many times as fast it is."""
        speed = float((1 + self.speed) ** draw.uniform(-1, 1))
        wave = soxr.resample(samples.astype(np.float64), sample_rate, sample_rate / speed)
        wave = self._coloured(wave, sample_rate, draw)
        noisy, below = draw.random() < self.noise_share, draw.uniform(15, 40)
        level = math.sqrt(float(np.square(wave).mean())) * 10 ** (-below / 20) if noisy else 0.0
        wave = (wave + level * draw.standard_normal(len(wave))) * 10 ** (-draw.uniform(0, self.gain_decibels) / 20)
        return (wave / max(1.0, float(np.abs(wave).max()))).astype(np.float32), speed

    def _coloured(self, wave: np.ndarray, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
        hz = np.fft.rfftfreq(len(wave), 1 / sample_rate)
        mel = np.log1p(hz / 700) / math.log1p(sample_rate / 2 / 700)
        decibels = sum(a * np.cos(math.pi * k * mel) for k, a in enumerate(draw.normal(0, self.colour_decibels, COSINES), 1))
        return np.fft.irfft(np.fft.rfft(wave) * 10 ** (decibels / 20), len(wave))
