"""The 1-D U-Net of Matcha-TTS (Mehta et al. 2024, arXiv 2309.03199, section 2.2), so that its published weights can be used.

    c = time(t),   level, shorten, level … middle … level, lengthen, level,   last convolution;   level = residual, transformers

It computes for an item what the original computes for that item alone, whatever its company. The original makes lengths divisible
by four, lets its group norms see those fillers, and adds a mask of ones and zeros to the attention's logits, so that a filler
weighs 1/e of a frame. Trained weights expect that: here too an item sees its own fillers, at most three, and nobody else's.
`fm_audio.backbones.unet` is the U-Net to train.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.backbones.rates import coarser, pad_to_multiple
from fm_audio.backbones.unet import Grow, Shrink
from fm_audio.layers import MaskedConv, SnakeBeta, TimeEmbedding
from fm_audio.types import Cond, Frames, Mask, Times

FILLED_TO = 4
GROUPS = 8


class MatchaUNet(nn.Module):
    """Takes x and its condition's frames as they are, `in_width` channels, and gives `channels[0]` (its `width`).

    channels: one level for each, every next at half the rate; the middle's are the last. Masks must be prefixes.
    """

    def __init__(
        self,
        in_width: int,
        channels: Sequence[int] = (256, 256),
        middle: int = 2,
        blocks: int = 1,
        heads: int = 2,
        head_width: int = 64,
        feedforward: float = 4.0,
        vector_width: int = 0,
    ):
        super().__init__()
        self.width, self.in_width = channels[0], in_width
        self.stride = max(FILLED_TO, 2 ** (len(channels) - 1))
        time_width = 4 * channels[0]
        self.time = TimeEmbedding(time_width, in_width + vector_width, reaches_slowest=True)

        def level(wide: int, out: int, move: nn.Module) -> Level:
            return Level(wide, out, time_width, blocks, heads, head_width, feedforward, move)

        fine, last = list(channels[:-1]), channels[-1]
        before = [in_width + vector_width, *fine]
        self.down = nn.ModuleList(level(i, o, Shrink(o, o)) for i, o in zip(before, fine, strict=False))
        self.down.append(level(before[-1], last, MaskedConv(last, 3)))
        self.middle = nn.ModuleList(level(last, last, nn.Identity()) for _ in range(middle))
        # Going up, a level takes in the one beside it and gives the channels of the one above.
        wide, narrow = list(channels[::-1]), [*channels[::-1][1:], channels[0]]
        self.up = nn.ModuleList(level(2 * i, o, Grow(o, o)) for i, o in zip(wide[:-1], narrow, strict=False))
        self.up.append(level(2 * wide[-1], narrow[-1], MaskedConv(narrow[-1], 3)))
        self.last = NormedConv(channels[0], channels[0])

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Float[Tensor, "b n width"]:
        n = h.shape[1]
        if cond.vector is not None:
            h = torch.cat([h, cond.vector[:, None].expand(-1, n, -1)], -1)
        c = self.time(t)
        h, kept = pad_to_multiple(h, mask, self.stride)
        own = coarser(kept, self.stride).repeat_interleave(self.stride, 1)
        passed: list[tuple[Tensor, Tensor, Tensor]] = []
        for i, level in enumerate(self.down):
            h = level(h, c, kept, own)
            passed.append((h, kept, own))
            h = level.move(h, kept)  # type: ignore[operator]
            if i < len(self.down) - 1:
                kept, own = kept[:, ::2], own[:, ::2]
        for level in self.middle:
            h = level(h, c, kept, own)
        for level in self.up:
            before, kept, own = passed.pop()
            h = level(torch.cat([h, before], -1), c, kept, own)
            h = level.move(h, kept)  # type: ignore[operator]
        return self.last(h, kept, own)[:, :n]


class Level(nn.Module):
    """A residual convolution and transformers at one rate; `move`, which the U-Net calls, leads to the next."""

    def __init__(
        self, width: int, out_width: int, time_width: int, blocks: int, heads: int, head_width: int, feedforward: float,
        move: nn.Module,
    ):  # fmt: skip
        super().__init__()
        self.residual = Residual(width, out_width, time_width)
        hidden = int(feedforward * out_width)
        self.blocks = nn.ModuleList(Transformer(out_width, heads, head_width, hidden) for _ in range(blocks))
        self.move = move

    def forward(self, x: Frames, c: Tensor, kept: Mask, own: Mask) -> Float[Tensor, "b n out"]:
        x = self.residual(x, c, kept, own)
        bias = kept.to(x.dtype).masked_fill(~own, -math.inf)
        for block in self.blocks:
            x = block(x, bias)
        return x


class Residual(nn.Module):
    """Two normed convolutions with the time between them, beside a linear map of the input."""

    def __init__(self, width: int, out_width: int, time_width: int):
        super().__init__()
        self.first = NormedConv(width, out_width)
        self.second = NormedConv(out_width, out_width)
        self.time = nn.Linear(time_width, out_width)
        self.past = nn.Linear(width, out_width)

    def forward(self, x: Frames, c: Tensor, kept: Mask, own: Mask) -> Float[Tensor, "b n out"]:
        h = self.first(x, kept, own) + self.time(F.mish(c))[:, None]
        return self.second(h, kept, own) + self.past(x.masked_fill(~kept[..., None], 0.0))


class NormedConv(nn.Module):
    """Convolution of three frames, norm over an item's own frames and a group of channels, Mish; zeros at fillers."""

    def __init__(self, width: int, out_width: int):
        super().__init__()
        self.conv = MaskedConv(width, 3, out_width=out_width)
        self.norm = nn.GroupNorm(GROUPS, out_width)

    def forward(self, x: Frames, kept: Mask, own: Mask) -> Float[Tensor, "b n out"]:
        y = group_norm(self.conv(x, kept), own, self.norm)
        return F.mish(y).masked_fill(~kept[..., None], 0.0)


def group_norm(x: Frames, own: Bool[Tensor, "b n"], norm: nn.GroupNorm) -> Frames:
    """`norm` of x (b n d) with mean and variance over the positions of `own`."""
    foreign = ~own[..., None, None]
    grouped = rearrange(x, "b n (g c) -> b n g c", g=norm.num_groups)
    count = (own.sum(1) * grouped.shape[-1]).clamp(min=1).view(-1, 1, 1, 1)
    centred = grouped - grouped.masked_fill(foreign, 0.0).sum((1, 3), keepdim=True) / count
    variance = centred.masked_fill(foreign, 0.0).square().sum((1, 3), keepdim=True) / count
    y = rearrange(centred * (variance + norm.eps).rsqrt(), "b n g c -> b n (g c)")
    return y * norm.weight + norm.bias


class Transformer(nn.Module):
    """Self-attention, then a feed-forward network with SnakeBeta, each normed before and added to its input."""

    def __init__(self, width: int, heads: int, head_width: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.raised = nn.Linear(width, hidden)
        self.snake = SnakeBeta(hidden)
        self.lowered = nn.Linear(hidden, width)

    def forward(self, x: Frames, bias: Float[Tensor, "b n"]) -> Frames:
        """`bias` is added to the logits of each key; -inf hides it."""
        together = self.query_key_value(self.attention_norm(x))
        q, k, v = rearrange(together, "b n (three h d) -> three b h n d", three=3, h=self.heads)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[:, None, None, :].to(q.dtype))
        x = x + self.out(rearrange(y, "b h n d -> b n (h d)"))
        return x + self.lowered(self.snake(self.raised(self.feedforward_norm(x))))
