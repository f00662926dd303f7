"""Harmonics plus noise: the mel gives magnitudes, a pulse train at the mel's own pitch gives phases. Needs no training.

    wave = iSTFT(A · E / |E|),              E = STFT(voicing · pulses(F0) + (1 − voicing) · noise)
    wave ← iSTFT(S · Fᵀ(mel / mel(S))^1.5),  S = STFT(wave)                                          `rounds` times

After the vocoders that excite a filter with pulses or noise (Stylianou 2001, "Applying the harmonic plus noise model in
concatenative speech synthesis"). Pulses give the phases of a voice at once; Griffin-Lim looks for them and does not find them.
A magnitude that the filters F were inverted to get does not sound as the mel says once its frames overlap; each round raises
and lowers the bands by what is left, and leaves the harmonics between them alone. It costs an STFT and an inverse, and as much
again for each round, and is meant for speech: F0 is sought from 65 to 500 Hz.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.decoders.istft import ISTFT
from fm_audio.harmonics import pitch_of_mel, voicing
from fm_audio.types import Frames, Mask, Wave

RELAXATION = 1.5  # above 1 fewer rounds are needed
LARGEST_GAIN = 10.0  # of one round: what the excitation lacks cannot be raised


class HarmonicPlusNoise(nn.Module):
    """A decoder without weights; the same mel gives the same wave. `breath` in [0, 1] is the share of noise in voiced sound,
    `rounds` how often the bands are brought nearer to the mel."""

    filters: Tensor
    shares: Tensor

    def __init__(self, spec: AudioSpec, breath: float = 0.02, rounds: int = 4) -> None:
        super().__init__()
        self.spec, self.breath, self.rounds = spec, breath, rounds
        self.istft = ISTFT(spec.n_fft, spec.hop_samples, spec.window_samples, spec.centred)
        filters = spec.filters()  # bands f
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("shares", filters / filters.sum(0).clamp(min=1e-8), persistent=False)  # of each band in a bin

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        x = x.float().masked_fill(~mask[..., None], self.spec.floor)
        magnitude = self.spec.magnitude_of_log_mel(x).mT.masked_fill(~mask[..., None], 0.0)  # b n f
        excited = self.istft.analyse(self.excitation(x, mask))
        weight = self.istft.weight(mask)
        wave = self.istft.synthesise(magnitude * excited / excited.abs().clamp(min=1e-8), mask, weight)
        mel = (x * self.spec.std + self.spec.mean).exp()
        for _ in range(self.rounds):
            spectrum = self.istft.analyse(wave)
            wave = self.istft.synthesise(spectrum * self.gains(spectrum, mel), mask, weight)
        return wave

    def gains(self, spectrum: Complex[Tensor, "b n f"], mel: Frames) -> Float[Tensor, "b n f"]:
        """What each bin lacks of the linear mel (b n bands), by the bands that it lies in."""
        has = torch.matmul(spectrum.abs() ** self.spec.power, self.filters.mT)
        ratio = (mel / has.clamp(min=self.spec.log_floor)) ** (1 / self.spec.power)
        return torch.matmul(ratio.clamp(1 / LARGEST_GAIN, LARGEST_GAIN) ** RELAXATION, self.shares)

    def excitation(self, x: Frames, mask: Mask) -> Wave:
        """Pulses and noise of unit power (b n·hop), each item's from its own frames alone."""
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
