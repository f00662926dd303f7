"""F0 of recordings, at the mel's own frames, by SwiftF0 (Nieradzik 2025, arXiv:2508.18440), a small network in a package."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import AudioSpec, resample
from fm_audio.types import FmAudioError

LOWEST_HZ, HIGHEST_HZ = 50.0, 700.0  # of speech
UNHEARD_HZ = 170.0  # what a clip without any voice is given


class PitchTracker:
    """wave (s,) in [-1, 1] -> natural log of F0 in Hz (n,), drawn straight through unvoiced stretches; where it is voiced (n,).

    Raises FmAudioError when the package is missing. Opens its network at the first clip, so that it travels to workers.
    """

    def __init__(self, spec: AudioSpec, least_confidence: float = 0.5) -> None:
        self.spec, self.least_confidence = spec, least_confidence
        self._detector = None

    def __call__(self, wave: np.ndarray, frames: int) -> tuple[Tensor, Tensor]:
        detector, rate = self._open()
        heard = detector.detect(resample(wave, self.spec.sample_rate, rate), rate, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
        at_seconds = np.arange(frames) * self.spec.hop_samples / self.spec.sample_rate
        voiced = heard.confidence >= self.least_confidence
        if not voiced.any():
            return torch.full((frames,), math.log(UNHEARD_HZ)), torch.zeros(frames, dtype=torch.bool)
        log_pitch = np.interp(at_seconds, heard.timestamps[voiced], np.log(heard.pitch_hz[voiced]))
        confidence = np.interp(at_seconds, heard.timestamps, heard.confidence)
        return torch.from_numpy(log_pitch.astype(np.float32)), torch.from_numpy(confidence >= self.least_confidence)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_detector": None}

    def _open(self):  # noqa: ANN202 - the package has no base class to name
        try:
            from swift_f0 import SwiftF0
            from swift_f0.core import SAMPLE_RATE
        except ImportError as e:
            raise FmAudioError("pitch: true needs swift-f0; install it with: pip install 'fm-audio[train]'") from e
        if self._detector is None:
            self._detector = SwiftF0(threads=1, spin=False)
        return self._detector, SAMPLE_RATE
