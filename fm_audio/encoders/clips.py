"""Clips that were found for a request, as states that a backbone attends to beside its caption (Re-AudioLDM, Yuan et al. 2024).

    frames ─▶ mean and deviation of each eight ─▶ two layers ─▶ + where in the clip, + "this is a clip"

Clips of one item stand one after the other, in no order: which one is of use, attention finds out.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.encoders.filler_text import positions
from fm_audio.types import Cond

FRAMES = 8  # of a token


class ClipEncoder(nn.Module):
    """Log-mels of clips -> `Cond.tokens` of `width`."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.net = nn.Sequential(nn.Linear(2 * bands, width), nn.GELU(approximate="tanh"), nn.Linear(width, width))
        self.kind = nn.Parameter(torch.zeros(width))

    def forward(self, mel: Float[Tensor, "b r n d"], mask: Bool[Tensor, "b r n"]) -> Cond:
        """mel (b r n bands), normalised, of r clips for each item, mask (b r n) -> tokens (b r·m width) with their mask; m is
        n / FRAMES, rounded up. A token that is partly padding describes the frames it has."""
        r = mel.shape[1]
        over = -mel.shape[2] % FRAMES
        kept = rearrange(F.pad(mask, (0, over)), "b r (m k) -> b r m k", k=FRAMES)
        x = rearrange(F.pad(mel, (0, 0, 0, over)), "b r (m k) d -> b r m k d", k=FRAMES).masked_fill(~kept[..., None], 0.0)
        count = kept.sum(-1, keepdim=True).clamp(min=1)
        mean = x.sum(-2) / count
        off = (x - mean[..., None, :]).masked_fill(~kept[..., None], 0.0)
        spread = (off.square().sum(-2) / count + 1e-5).sqrt()
        states = self.net(torch.cat([mean, spread], -1)) + positions(x.shape[2], self.width, mel.device) + self.kind
        seen = rearrange(kept.any(-1), "b r m -> b (r m)", r=r)
        return Cond(tokens=rearrange(states, "b r m e -> b (r m) e").masked_fill(~seen[..., None], 0.0), tokens_mask=seen)
