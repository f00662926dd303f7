"""1-D U-Net: residual convolutions and a transformer block at every rate, in the spirit of Matcha-TTS's decoder.

    c = time(t) + vector,   stage, halve, stage, halve … middle … double, merge with what was there before, stage,   AdaLN

Unlike its ancestors it norms each position by itself (no GroupNorm along time), halves masks with the sequence and shows
no convolution anything but zeros beyond an item's end, so an item's neighbours and padding do not change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.backbones.rates import coarser, pad_to_multiple
from fm_audio.layers import Block, MaskedConv, Modulation, TimeEmbedding, modulate, needed
from fm_audio.types import Cond, Frames, Mask, Times


class Residual(nn.Module):
    """x + gate · conv(silu(norm(conv(silu(norm(x)·(1 + scale) + shift))))): a ResNet block that starts as the identity."""

    def __init__(self, width: int, cond_width: int, kernel: int):
        super().__init__()
        self.first = MaskedConv(width, kernel)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.second = MaskedConv(width, kernel)
        self.modulation = Modulation(cond_width, width, 3)

    def forward(self, x: Frames, c: Tensor, mask: Mask | None) -> Frames:
        shift, scale, gate = self.modulation(c)
        y = self.first(F.silu(modulate(x, shift, scale)), mask)
        return x + gate * self.second(F.silu(self.norm(y)), mask)


class Stage(nn.Module):
    """What happens at one rate: a residual convolution, then attention and feed-forward."""

    def __init__(self, width: int, heads: int, cond_width: int, feedforward: float, kernel: int, tokens_width: int):
        super().__init__()
        self.residual = Residual(width, cond_width, kernel)
        self.block = Block(width, heads, cond_width, feedforward, context_width=tokens_width or None)

    def forward(self, x: Frames, c: Tensor, mask: Mask | None, cond: Cond) -> Frames:
        return self.block(self.residual(x, c, mask), c, mask, cond.tokens, cond.tokens_mask)


class Shrink(nn.Module):
    """(b 2n d) -> (b n d2), a convolution of three positions with stride two that sees kept positions only."""

    def __init__(self, width: int, out_width: int):
        super().__init__()
        self.conv = nn.Conv1d(width, out_width, 3, stride=2, padding=1)

    def forward(self, x: Frames, mask: Mask) -> Float[Tensor, "b n2 d2"]:
        x = x.masked_fill(~mask[..., None], 0.0)
        return rearrange(self.conv(rearrange(x, "b n d -> b d n")), "b d n -> b n d")


class Grow(nn.Module):
    """(b n d) -> (b 2n d2), the transposed convolution of four positions with stride two, from kept positions only."""

    def __init__(self, width: int, out_width: int):
        super().__init__()
        self.conv = nn.ConvTranspose1d(width, out_width, 4, stride=2, padding=1)

    def forward(self, x: Frames, mask: Mask) -> Float[Tensor, "b n2 d2"]:
        x = x.masked_fill(~mask[..., None], 0.0)
        return rearrange(self.conv(rearrange(x, "b n d -> b d n")), "b d n -> b n d")


class UNet(nn.Module):
    """Backbone with one stage down and one up per rate and `middle` stages at the lowest.

    multiples: channels at each rate as multiples of `width`, the first 1 of them at full rate, every next at half the rate
    of the one before. vector_width and tokens_width are the widths of cond.vector and cond.tokens (0: none).
    """

    def __init__(
        self,
        width: int = 256,
        multiples: Sequence[float] = (1, 1, 1),
        middle: int = 2,
        heads: int = 4,
        vector_width: int = 0,
        tokens_width: int = 0,
        feedforward: float = 2.0,
        kernel: int = 3,
    ):
        super().__init__()
        self.width = width
        self.stride = 2 ** (len(multiples) - 1)
        self.time = TimeEmbedding(width)
        self.vector = nn.Linear(vector_width, width) if vector_width else None
        widths = [width, *[int(width * multiple) for multiple in multiples[1:]]]

        def stage(channels: int) -> Stage:
            return Stage(channels, heads, width, feedforward, kernel, tokens_width)

        fine, coarse = widths[:-1], widths[1:]
        self.down = nn.ModuleList(stage(channels) for channels in fine)
        self.shrink = nn.ModuleList(Shrink(a, b) for a, b in zip(fine, coarse, strict=True))
        self.middle = nn.ModuleList(stage(widths[-1]) for _ in range(middle))
        self.grow = nn.ModuleList(Grow(b, a) for a, b in zip(fine, coarse, strict=True))
        self.merge = nn.ModuleList(nn.Linear(2 * channels, channels) for channels in fine)
        self.up = nn.ModuleList(stage(channels) for channels in fine)
        self.last = Modulation(width, width, 2)

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames:
        n = h.shape[1]
        c = self.time(t)
        if self.vector is not None:
            c = c + self.vector(cond.vector)
        h, mask = pad_to_multiple(h, mask, self.stride)
        whole = needed(mask) is None
        passed = []
        for stage, shrink in zip(self.down, self.shrink, strict=True):
            h = stage(h, c, None if whole else mask, cond)
            passed.append((h, mask))
            h, mask = shrink(h, mask), coarser(mask, 2)
        for stage in self.middle:
            h = stage(h, c, None if whole else mask, cond)
        for grow, merge, stage in zip(reversed(self.grow), reversed(self.merge), reversed(self.up), strict=True):
            h = grow(h, mask)
            before, mask = passed.pop()
            h = stage(merge(torch.cat([h, before], -1)), c, None if whole else mask, cond)
        shift, scale = self.last(c)
        return modulate(h[:, :n], shift, scale)
