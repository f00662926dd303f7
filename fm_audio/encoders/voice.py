"""A voice from what is seen of it: one vector of the visible frames, whatever they say.

    vector = W · [ mean(h), deviation(h) ],   h = two convolutions of the visible frames, over those frames alone

Statistics pooling (Snyder et al. 2018, x-vectors). Where nothing is visible the vector is zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.layers import MaskedConv
from fm_audio.types import Frames


class VoiceVector(nn.Module):
    """`bands` of each frame -> a vector of `width`, root mean square 1."""

    def __init__(self, bands: int, width: int, hidden: int = 128, kernel: int = 5):
        super().__init__()
        self.convs = nn.ModuleList([MaskedConv(bands, kernel, out_width=hidden), MaskedConv(hidden, kernel)])
        self.out = nn.Linear(2 * hidden, width)
        self.norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, mel: Frames, seen: Bool[Tensor, "b n"]) -> Float[Tensor, "b g"]:
        """mel (b n bands), read only where seen (b n) -> (b width) float32."""
        h = mel.masked_fill(~seen[..., None], 0.0)
        for conv in self.convs:
            h = F.gelu(conv(h, seen))
        with torch.autocast(h.device.type, enabled=False):
            h = h.float().masked_fill(~seen[..., None], 0.0)
            count = seen.sum(1, keepdim=True).clamp(min=1)
            mean = h.sum(1) / count
            spread = ((h - mean[:, None]).masked_fill(~seen[..., None], 0.0).square().sum(1) / count + 1e-6).sqrt()
            vector = self.norm(self.out(torch.cat([mean, spread], -1)))
        return vector.masked_fill(~seen.any(1)[:, None], 0.0)
