"""The flat U-Net transformer of E2-TTS (Eskimez et al. 2024, arXiv 2406.18009), as F5-TTS's package trained and published it.

    x = [ time(t) | h + position(h) ],   x ← layer(x) …,   x ← layer(merge[x | what the first half kept]) …,   norm, without time

Time is one more position before the frames, not a modulation. All layers run at one rate; those of the second half see the input
of their counterpart in the first (U-ViT, Bao et al. 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.layers import Attention, FeedForward, MaskedConv, TimeEmbedding, needed
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

EPSILON = 1e-12  # theirs divides by the length of a vector, whatever it is, unless it is zero


class UNetT(nn.Module):
    """Backbone of `layers` layers, an even number. The condition is in the frames: it reads no tokens and no vector.

    The defaults are the published Base, but for `rotary_heads`: there 1, the only head of a layer that knows of positions.
    """

    def __init__(
        self,
        width: int = 1024,
        layers: int = 24,
        heads: int = 16,
        feedforward: float = 4.0,
        position_kernel: int = 31,
        position_groups: int = 16,
        rotary_heads: int | None = None,
    ):
        super().__init__()
        if layers % 2:
            raise FmAudioError(f"UNetT: layers is {layers}; give an even number, each of the first half has one to merge with")
        self.width = width
        self.time = TimeEmbedding(width, reaches_slowest=True)
        self.position = nn.ModuleList(MaskedConv(width, position_kernel, position_groups) for _ in range(2))
        self.first = nn.ModuleList(Layer(width, heads, feedforward, rotary_heads) for _ in range(layers // 2))
        self.merge = nn.ModuleList(nn.Linear(2 * width, width, bias=False) for _ in range(layers // 2))
        self.second = nn.ModuleList(Layer(width, heads, feedforward, rotary_heads) for _ in range(layers // 2))
        self.norm = nn.RMSNorm(width, eps=EPSILON)

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames:
        h, seen = h.masked_fill(~mask[..., None], 0.0), needed(mask)
        p = h
        for conv in self.position:
            p = F.mish(conv(p, seen))
        x = torch.cat([self.time(t)[:, None].to(h.dtype), h + p], 1)  # b 1+n d
        seen = None if seen is None else F.pad(seen, (1, 0), value=True)
        kept: list[Tensor] = []
        for layer in self.first:
            kept.append(x)
            x = layer(x, seen)
        for merge, layer in zip(self.merge, self.second, strict=True):
            x = layer(merge(torch.cat([x, kept.pop()], -1)), seen)
        return self.norm(x)[:, 1:]


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x))."""

    def __init__(self, width: int, heads: int, feedforward: float, rotary_heads: int | None):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=EPSILON)
        self.attention = Attention(width, heads, normed=False, rotary_heads=rotary_heads)
        self.feedforward_norm = nn.RMSNorm(width, eps=EPSILON)
        self.feedforward = FeedForward(width, int(feedforward * width))

    def forward(self, x: Frames, mask: Mask | None) -> Frames:
        y = self.attention_norm(x)
        x = x + self.attention(y, y, mask)
        return x + self.feedforward(self.feedforward_norm(x), mask)
