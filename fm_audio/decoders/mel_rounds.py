"""Rounds that bring a wave nearer to the mel it was made from. Needs no training.

    wave ← iSTFT(S · Fᵀ(mel / F|S|)^1.5),    S = STFT(wave),    F: filters, and on the way back their shares in each bin

A magnitude that the filters were inverted to get does not sound as the mel says once its frames overlap; each round raises and
lowers the bands by what is left, and leaves what lies between their bins alone. It costs an STFT and an inverse.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.decoders.istft import ISTFT
from fm_audio.types import Frames, Mask, Wave

RELAXATION = 1.5  # above 1 fewer rounds are needed
LARGEST_GAIN = 10.0  # of one round: what the wave lacks cannot be raised


class MelRounds(nn.Module):
    """`rounds` of them, with the `istft` of the decoder whose wave it is."""

    filters: Tensor
    shares: Tensor

    def __init__(self, spec: AudioSpec, istft: ISTFT, rounds: int) -> None:
        super().__init__()
        self.spec, self.istft, self.rounds = spec, istft, rounds
        filters = spec.filters()  # bands f
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("shares", filters / filters.sum(0).clamp(min=1e-8), persistent=False)  # of each band in a bin

    def forward(self, wave: Wave, x: Frames, mask: Mask, weight: Wave) -> Wave:
        """wave (b n·hop), x (b n bands) its normalised log-mel, the floor outside of mask (b n), `ISTFT.weight(mask)` -> wave."""
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
