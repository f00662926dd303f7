"""Griffin-Lim: phases that agree with the magnitudes of a log-mel, found by going to and fro. Needs no training.

    X_k = STFT(iSTFT(A · e^{i·∠Y_k})),   Y_{k+1} = X_k + momentum/(1 + momentum) · (X_k − X_{k−1})

Griffin & Lim 1984; the accelerated form is Perraudin, Balazs & Søndergaard 2013, here in librosa's scaling.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.decoders.istft import ISTFT
from fm_audio.types import Frames, Mask, Wave


class GriffinLim(nn.Module):
    """A decoder without weights. It begins from fixed phases, so the same mel gives the same wave."""

    def __init__(self, spec: AudioSpec, iterations: int = 32, momentum: float = 0.99) -> None:
        super().__init__()
        self.spec, self.iterations = spec, iterations
        self.step = momentum / (1 + momentum)
        self.istft = ISTFT(spec.n_fft, spec.hop_samples, spec.window_samples, spec.centred)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        x = x.float().masked_fill(~mask[..., None], self.spec.floor)
        magnitude = self.spec.magnitude_of_log_mel(x).mT.masked_fill(~mask[..., None], 0.0)  # b n f
        phases = _first_phases(magnitude.shape[1], magnitude.shape[2], self.spec).to(x.device)
        spectrum = torch.polar(magnitude, phases.expand_as(magnitude))
        before = torch.zeros_like(spectrum)
        weight = self.istft.weight(mask)
        for _ in range(self.iterations):
            consistent = self.istft.analyse(self.istft.synthesise(spectrum, mask, weight))
            ahead = consistent + self.step * (consistent - before)
            parts = torch.view_as_real(ahead)  # |ahead| by hand, since hypot is slow
            spectrum = torch.view_as_complex(parts * (magnitude * parts.square().sum(-1).clamp(min=1e-16).rsqrt())[..., None])
            before = consistent
        return self.istft.synthesise(spectrum, mask, weight)


def _first_phases(n: int, bins: int, spec: AudioSpec) -> Tensor:
    """(n bins): each bin turns at its own frequency; quadratic offsets (Schroeder 1970) keep the sum from being one click."""
    k = torch.arange(bins, dtype=torch.float64)
    offset = math.pi * k.square() / bins
    turn = 2 * math.pi * k * spec.hop_samples / spec.n_fft
    i = torch.arange(n, dtype=torch.float64)
    return torch.remainder(i[:, None] * turn + offset, 2 * math.pi).float()
