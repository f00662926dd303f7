"""Harmonics plus noise: the mel gives magnitudes, a pulse train at the mel's own pitch gives phases. Needs no training.

    wave = iSTFT(A · E / |E|),    E = STFT(`Excitation`),    then `MelRounds`

Pulses give the phases of a voice at once; Griffin-Lim looks for them and does not find them. It costs an STFT and an inverse, and
as much again for each round, and is meant for speech.
"""

from __future__ import annotations

import torch
from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.decoders.excitation import Excitation
from fm_audio.decoders.istft import ISTFT
from fm_audio.decoders.mel_rounds import MelRounds
from fm_audio.types import Frames, Mask, Wave


class HarmonicPlusNoise(nn.Module):
    """A decoder without weights; the same mel gives the same wave. `breath` in [0, 1] is the share of noise in voiced sound,
    `rounds` how often the bands are brought nearer to the mel."""

    def __init__(self, spec: AudioSpec, breath: float = 0.02, rounds: int = 4) -> None:
        super().__init__()
        self.spec = spec
        self.istft = ISTFT(spec.n_fft, spec.hop_samples, spec.window_samples, spec.centred)
        self.excitation = Excitation(spec, breath)
        self.nearer = MelRounds(spec, self.istft, rounds)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        x = x.float().masked_fill(~mask[..., None], self.spec.floor)
        magnitude = self.spec.magnitude_of_log_mel(x).mT.masked_fill(~mask[..., None], 0.0)  # b n f
        excited = self.istft.analyse(self.excitation(x, mask))
        weight = self.istft.weight(mask)
        wave = self.istft.synthesise(magnitude * excited / excited.abs().clamp(min=1e-8), mask, weight)
        return self.nearer(wave, x, mask, weight)
