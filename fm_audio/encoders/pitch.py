"""Pitch, said before the mel is drawn: which of the many intonations of a sentence this one has.

    pitch = predictor(frames, speaker)      what the head is told = frames, pitch, comb(pitch)

A small head that does not know F0 draws the mean over all intonations, whose harmonics blur. FastSpeech 2 and FastPitch
(Ren et al. 2021, Lancucki 2021) tell their decoders F0; here it comes as the picture it leaves on the mel, the comb.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.encoders.predictor import Predictor
from fm_audio.harmonics import harmonic_comb
from fm_audio.types import Cond, masked_mean

CENTRE_HZ, SPREAD = 170.0, 0.3  # what makes log F0 over many speakers roughly zero mean and unit variance


class FramePitch(nn.Module):
    """Predicts F0 from the head's condition frames (b n c) and adds it to them (`channels` more)."""

    def __init__(self, spec: AudioSpec, frames_channels: int, speaker_width: int, hidden: int = 96, dropout: float = 0.1):
        super().__init__()
        self.spec = spec
        self.predictor = Predictor(frames_channels, speaker_width, hidden, 3, dropout)
        self.channels = spec.bands + 1

    def forward(self, cond: Cond, mask: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """cond with frames (b n c) and vector (b g) -> natural log of F0 in Hz (b n)."""
        return self.predictor(cond.frames, cond.vector, mask) * SPREAD + math.log(CENTRE_HZ)

    def loss(self, predicted: Float[Tensor, "b n"], log_pitch: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"]) -> Tensor:
        """Mean squared error in units of SPREAD, where mask (b n) says voiced."""
        return masked_mean(((predicted - log_pitch) / SPREAD) ** 2, mask)

    def tell(self, frames: Float[Tensor, "b n c"], log_pitch: Float[Tensor, "b n"]) -> Float[Tensor, "b n e"]:
        """frames with pitch and comb behind them: e = c + `channels`."""
        height = (log_pitch - math.log(CENTRE_HZ))[..., None] / SPREAD
        return torch.cat([frames, height, harmonic_comb(log_pitch, self.spec)], -1)
