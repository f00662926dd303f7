"""What a log-mel says of phases: pulses at the pitch that is read off it, noise where it has none.

    voicing · pulses(F0) + (1 − voicing) · noise

After the vocoders that excite a filter with pulses or noise (Stylianou 2001, "Applying the harmonic plus noise model in
concatenative speech synthesis"). F0 is sought from 65 to 500 Hz.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.harmonics import pitch_of_mel, voicing
from fm_audio.types import Frames, Mask, Wave


class Excitation(nn.Module):
    """`breath` in [0, 1] is the share of noise in voiced sound. The same mel gives the same wave."""

    def __init__(self, spec: AudioSpec, breath: float) -> None:
        super().__init__()
        self.spec, self.breath = spec, breath

    @torch.no_grad()
    def forward(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands), mask (b n) -> pulses and noise of unit power (b n·hop), each item's from its own frames alone."""
        lengths = mask.sum(1).tolist()
        noise = np.random.default_rng(0).standard_normal(self.spec.samples_of_frames(max(lengths)))
        wave = x.new_zeros(len(x), self.spec.samples_of_frames(x.shape[1]))
        for i, n in enumerate(lengths):
            if n:
                log_pitch, agreement = pitch_of_mel(x[i, :n], self.spec)
                pulses, voiced = self._pulses(log_pitch, voicing(log_pitch, agreement))
                both = voiced * pulses + (self.breath + (1 - self.breath) * (1 - voiced)) * noise[: len(pulses)]
                wave[i, : len(both)] = torch.from_numpy(both).to(wave)
        return wave

    def _pulses(self, log_pitch: Tensor, voiced: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Frames (n,) to samples (n·hop,): Σ cos(k φ) over the harmonics below the Nyquist frequency, in closed form; voicing."""
        rate, n = self.spec.sample_rate, len(log_pitch)
        first = 0.0 if self.spec.centred else self.spec.hop_samples / 2  # the sample in the middle of frame 0
        frames = (np.arange(self.spec.samples_of_frames(n)) - first) / self.spec.hop_samples
        hz = np.exp(np.interp(frames, np.arange(n), log_pitch.double().numpy()))
        phase = 2 * math.pi * np.cumsum(hz / rate)
        harmonics = np.floor(0.48 * rate / hz)
        half = np.sin(phase / 2)
        half = np.where(np.abs(half) > 1e-6, half, 1e-6)
        pulses = (np.sin((harmonics + 0.5) * phase) / half - 1) / 2
        return pulses / np.sqrt(harmonics / 2), np.interp(frames, np.arange(n), voiced.numpy())
