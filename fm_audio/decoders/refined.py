"""A decoder without weights, then a ConvNeXt network that mends its spectrum: sounds from its first training step.

    S0 = STFT(rough(x)),   wave = iSTFT(S0 · exp(a + i·b)),   a, b = network(x, S0), zero at the start,   then `MelRounds`

A vocoder that must invent phases begins far below harmonics plus noise; one that corrects them begins there. The network is
that of Vocos (arXiv 2306.00814); it sees log-magnitudes and the phase steps between neighbouring bins and frames, where no
constant phase shows.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.decoders.harmonic import HarmonicPlusNoise
from fm_audio.decoders.istft import ISTFT
from fm_audio.decoders.mel_rounds import MelRounds
from fm_audio.decoders.vocos import VocosBackbone
from fm_audio.types import Frames, Mask, Wave

LARGEST_GAIN = 3.0
"""Natural logarithm of the most a bin may be raised."""


class Refined(nn.Module):
    """3.1 M parameters by default. `rough` (a `types.Decoder` of the same mel contract, `HarmonicPlusNoise` unless given) comes
    first, in training too; `rounds` say how often the bands of the wave are brought nearer to the mel at last."""

    rough: Any

    def __init__(
        self,
        spec: AudioSpec,
        width: int = 256,
        layers: int = 6,
        hidden: int = 768,
        spectrum_width: int = 128,
        rough: nn.Module | None = None,
        rounds: int = 2,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.rough = HarmonicPlusNoise(spec) if rough is None else rough
        spec.require_same(self.rough.spec, "the network", "its rough decoder")
        self.istft = ISTFT(spec.n_fft, spec.hop_samples, spec.window_samples, spec.centred)
        self.nearer = MelRounds(spec, self.istft, rounds)
        bins = spec.n_fft // 2 + 1
        self.spectrum = nn.Linear(5 * bins, spectrum_width)
        self.backbone = VocosBackbone(spec.bands + spectrum_width, width, layers, hidden)
        self.out = nn.Linear(width, 2 * bins)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Frames, mask: Mask | None = None) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            rough = self.istft.analyse(self.rough.decode(x.float(), mask))
            features = self.features(rough)
        h = self.backbone(torch.cat([x, self.spectrum(features)], -1), mask)
        with torch.autocast(x.device.type, enabled=False):
            gain, turn = self.out(h.float()).chunk(2, -1)
            weight = self.istft.weight(mask)
            wave = self.istft.synthesise(rough * torch.polar(gain.clamp(max=LARGEST_GAIN).exp(), turn), mask, weight)
            return self.nearer(wave, x.float().masked_fill(~mask[..., None], self.spec.floor), mask, weight)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """As `forward`, without gradients. Padded frames may hold anything."""
        return self(x, mask)

    def features(self, rough: Complex[Tensor, "b n f"]) -> Float[Tensor, "b n 5*f"]:
        """Log-magnitude, then cosine and sine of the phase step to the bin below and to the frame before."""
        magnitude = (rough.abs().clamp(min=self.spec.log_floor).log() - self.spec.mean) / self.spec.std
        unit = torch.polar(torch.ones_like(magnitude), rough.angle())
        k = torch.arange(unit.shape[-1], device=unit.device)
        expected = torch.polar(torch.ones_like(magnitude[0, 0]), -2 * math.pi * k * self.spec.hop_samples / self.spec.n_fft)
        across = unit * F.pad(unit, (1, 0))[..., :-1].conj()
        along = unit * F.pad(unit, (0, 0, 1, 0))[:, :-1].conj() * expected
        return torch.cat([magnitude, across.real, across.imag, along.real, along.imag], -1)
